import { createHmac, randomBytes } from 'node:crypto';
const deadlineMs = 15_000;
export function newSecret() {
    return `whsec_${randomBytes(32).toString('base64')}`;
}
export async function post(url, secret, outgoing) {
    const startedMs = performance.now();
    const took = () => Math.round(performance.now() - startedMs);
    try {
        const response = await fetch(url, {
            method: 'POST',
            headers: {
                'content-type': 'application/json',
                'user-agent': 'UBOS-Webhooks/1',
                ...signaturesOf(secret, outgoing, Math.floor(Date.now() / 1_000)),
            },
            body: outgoing.body,
            redirect: 'manual',
            signal: AbortSignal.timeout(deadlineMs),
        });
        await response.body?.cancel();
        return { status: response.status, error: undefined, ms: took() };
    }
    catch (error) {
        return { status: undefined, error: reasonOf(error), ms: took() };
    }
}
function signaturesOf(secret, { id, body }, seconds) {
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
    return {
        'webhook-id': id,
        'webhook-timestamp': String(seconds),
        'webhook-signature': `v1,${signature}`,
        'x-ubos-signature': createHmac('sha256', secret).update(body).digest('hex'),
    };
}
export function reasonOf(error) {
    if (error instanceof Error && error.name === 'TimeoutError')
        return 'no answer in time';
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    const { code, message } = Object(cause);
    return (code && words[code]) ?? code ?? message ?? 'no answer';
}
const words = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'no such host',
    ECONNRESET: 'connection broken off',
    UND_ERR_SOCKET: 'connection broken off',
};
