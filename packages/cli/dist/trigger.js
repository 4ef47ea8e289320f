import { randomUUID } from 'node:crypto';
import { ApiRefused } from "./api.js";
import { typesOf, unknownType } from "./types.js";
import { isTaken } from "./view.js";
import { newSecret, post } from "./webhook.js";
import { Misuse } from "./words.js";
export async function trigger(api, wish, view) {
    const { type, endpoint, to } = wish;
    const example = await exampleOf(api, type);
    if (to !== undefined)
        return await sendPast(to, wish.secret ?? newSecret(), example, view);
    if (type.startsWith('custom.')) {
        if (endpoint !== undefined)
            throw new Misuse('A type of your own goes to all who want it.');
        const { id } = await api.call('POST', '/events', { type, data: example.data });
        view.note('triggered', `${type} was published as ${id}.`, { id, type });
        return 0;
    }
    const target = endpoint ?? (await onlyEndpoint(api));
    const path = `/webhook-endpoints/${encodeURIComponent(target)}/test-events`;
    const { id } = await api.call('POST', path, { eventType: type });
    view.note('triggered', `${type} is on its way to ${target} as ${id}, marked as a test.`, {
        ...{ id, type, endpoint: target },
    });
    return 0;
}
async function exampleOf(api, type) {
    try {
        const { example } = await api.call('GET', `/event-types/${encodeURIComponent(type)}`);
        return example;
    }
    catch (error) {
        const isUnknown = error instanceof ApiRefused && [400, 404].includes(error.status ?? 0);
        if (isUnknown)
            throw new Misuse(unknownType(type, await typesOf(api)));
        throw error;
    }
}
async function sendPast(to, secret, example, view) {
    const id = `evt_test_${randomUUID().replaceAll('-', '')}`;
    const { type, version, data } = example;
    const timestamp = new Date().toISOString();
    const body = JSON.stringify({ id, type, version, timestamp, data, isTest: true });
    view.note('sending', `Sending to ${to}; verify with ${secret}`, { url: to, secret });
    const sent = await post(to, secret, { id, body });
    view.told({ type, id, ...sent });
    return isTaken(sent) ? 0 : 3;
}
async function onlyEndpoint(api) {
    const { data } = await api.call('GET', '/webhook-endpoints?limit=200');
    const endpoints = data.filter(({ status }) => status === 'ENABLED');
    const [only, ...others] = endpoints;
    if (only === undefined) {
        throw new Misuse('There is no enabled webhook endpoint. Make one, or send with --to <url>.');
    }
    if (others.length === 0)
        return only.id;
    const list = endpoints.map(({ id, url }) => `\n  ${id}  ${url}`).join('');
    throw new Misuse(`Which endpoint? Give --endpoint, one of:${list}`);
}
