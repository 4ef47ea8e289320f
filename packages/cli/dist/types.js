export async function typesOf(api) {
    const types = [];
    for (let cursor = '';;) {
        const { data, nextCursor } = await api.call('GET', `/event-types?limit=200${cursor}`);
        types.push(...data.map(({ type }) => type));
        if (typeof nextCursor !== 'string')
            return types;
        cursor = `&cursor=${encodeURIComponent(nextCursor)}`;
    }
}
export function isMeant(selectors, type) {
    return selectors.length === 0 || selectors.some((selector) => fits(selector, type));
}
function fits(selector, type) {
    if (selector === '*' || selector === type)
        return true;
    return selector.endsWith('.*') && type.startsWith(selector.slice(0, -1));
}
export function unknownType(type, known) {
    const near = known
        .map((name) => ({ name, steps: distance(type, name) }))
        .filter(({ name, steps }) => steps <= 3 + type.length / 5 || name.startsWith(`${type}.`))
        .sort((a, b) => a.steps - b.steps)
        .slice(0, 3)
        .map(({ name }) => name);
    const guess = near.length > 0 ? ` Did you mean ${near.join(', ')}?` : '';
    return `There is no event type "${type}".${guess}`;
}
function distance(from, to) {
    let row = Array.from({ length: to.length + 1 }, (_, index) => index);
    for (let at = 1; at <= from.length; at += 1) {
        const next = [at];
        for (let other = 1; other <= to.length; other += 1) {
            const change = (row[other - 1] ?? 0) + (from[at - 1] === to[other - 1] ? 0 : 1);
            next.push(Math.min(change, (row[other] ?? 0) + 1, (next[other - 1] ?? 0) + 1));
        }
        row = next;
    }
    return row.at(-1) ?? 0;
}
