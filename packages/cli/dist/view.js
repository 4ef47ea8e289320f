export function viewOf(isJson, isColoured, write) {
    return isJson ? jsonView(write) : lineView(isColoured, write);
}
function jsonView(write) {
    const put = (kind, facts) => write(JSON.stringify({ kind, time: new Date().toISOString(), ...facts }));
    return {
        told: (told) => put('event', { ...told }),
        note: (kind, text, facts = {}) => put(kind, { text, ...facts }),
    };
}
const colours = { green: 32, red: 31, yellow: 33, grey: 90 };
function lineView(isColoured, write) {
    const paint = (colour, text) => isColoured ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text;
    const time = () => paint('grey', new Date().toTimeString().slice(0, 8));
    return {
        told({ type, id, status, error, ms }) {
            const outcome = status === undefined ? `--- ${error}` : String(status);
            const shown = paint(isTaken({ status }) ? 'green' : 'red', outcome);
            write(`${time()}  ${type.padEnd(28)} ${paint('grey', id)}  ${shown}  ${ms} ms`);
        },
        note: (kind, text) => write(`${time()}  ${kind === 'broken' ? paint('yellow', text) : text}`),
    };
}
export function isTaken({ status }) {
    return status !== undefined && status >= 200 && status < 300;
}
