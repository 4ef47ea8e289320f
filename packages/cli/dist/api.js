import { reasonOf } from "./webhook.js";
export class ApiRefused extends Error {
    name = 'ApiRefused';
    status;
    retryAfterMs;
    constructor(message, status, retryAfterMs) {
        super(message);
        this.status = status;
        this.retryAfterMs = retryAfterMs;
    }
    isFinal() {
        return this.status !== undefined && this.status < 500 && this.status !== 429;
    }
}
const patienceMs = 15_000;
export function apiAt(base, key) {
    async function ask(path, init) {
        const headers = { authorization: `Bearer ${key}`, ...init.headers };
        let response;
        try {
            response = await fetch(`${base}/api/v1${path}`, { ...init, headers, redirect: 'error' });
        }
        catch (error) {
            throw new ApiRefused(`Nothing answers at ${base}: ${reasonOf(error)}. Is it started? See --api.`);
        }
        if (response.ok)
            return response;
        throw await refusalOf(response);
    }
    return {
        async call(method, path, body) {
            const response = await ask(path, {
                method,
                headers: body === undefined ? {} : { 'content-type': 'application/json' },
                ...(body === undefined ? {} : { body: JSON.stringify(body) }),
                signal: AbortSignal.timeout(patienceMs),
            });
            return (await response.json());
        },
        async stream(after, signal) {
            const late = new AbortController();
            const timer = setTimeout(() => late.abort(), patienceMs);
            const from = after === undefined ? {} : { 'last-event-id': String(after) };
            try {
                const { body } = await ask('/events/stream', {
                    headers: { accept: 'text/event-stream', ...from },
                    signal: AbortSignal.any([signal, late.signal]),
                });
                if (body === null)
                    throw new ApiRefused(`${base} answers without a stream.`);
                return body;
            }
            finally {
                clearTimeout(timer);
            }
        },
    };
}
async function refusalOf(response) {
    const text = await response.text().catch(() => '');
    const { detail, title, code } = problemIn(text);
    const wait = Number(response.headers.get('retry-after') ?? Number.NaN);
    const said = `${response.status}${code ? ` ${code}` : ''}: ${detail ?? title ?? 'no reason given'}`;
    const hint = response.status === 401 ? ' Look at UBOS_API_KEY, or --key-file.' : '';
    return new ApiRefused(`The API refuses, ${said}${hint}`, response.status, Number.isFinite(wait) ? wait * 1_000 : undefined);
}
function problemIn(text) {
    try {
        return Object(JSON.parse(text));
    }
    catch {
        return {};
    }
}
