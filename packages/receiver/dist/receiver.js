/*! Verifies webhooks by Standard Webhooks 1.0.0. No dependencies; needs Web Crypto only. */
export class WebhookRefused extends Error {
    name = 'WebhookRefused';
    code;
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}
const versions = {
    v1: { algorithm: { name: 'HMAC', hash: 'SHA-256' }, signatureBytes: 32 },
    v1a: { algorithm: { name: 'Ed25519' }, signatureBytes: 64 },
};
export function webhookVerifier(options) {
    const { keys, toleranceSeconds = 300, remember, now = Date.now } = options;
    if (keys.length === 0)
        throw new TypeError('Without a key nothing can be verified.');
    const materials = keys.map(materialOf);
    let imported;
    return async ({ headers, body }) => {
        const [id, timestamp, signature] = signedHeaders(headers);
        if (!/^\d{1,11}$/.test(timestamp))
            throw malformed('timestamp');
        const sentAt = new Date(Number(timestamp) * 1_000);
        const behindSeconds = Math.floor(now() / 1_000) - Number(timestamp);
        imported ??= Promise.all(materials.map(keyOf));
        const bytes = bytesOf(body);
        const signed = joined(new TextEncoder().encode(`${id}.${timestamp}.`), bytes);
        const inUse = (await imported).filter(({ endsMs }) => sentAt.getTime() < endsMs);
        if (!(await isSigned(inUse, signature, signed))) {
            throw new WebhookRefused('wrong_signature', 'No signature fits any of your keys.');
        }
        if (behindSeconds > toleranceSeconds) {
            throw new WebhookRefused('too_old', `It was sent ${behindSeconds} seconds ago.`);
        }
        if (-behindSeconds > toleranceSeconds) {
            throw new WebhookRefused('too_new', `It was sent ${-behindSeconds} seconds ahead of your time.`);
        }
        const event = parsed(bytes);
        const isRepetition = remember !== undefined && !(await remember(id, sentAt));
        return { id, sentAt, isRepetition, event };
    };
}
export function verifyWebhook(request, options) {
    return webhookVerifier(options)(request);
}
const prefixes = ['webhook', 'svix'];
function signedHeaders(headers) {
    const read = readerOf(headers);
    const prefix = prefixes.find((one) => read(`${one}-signature`) !== undefined) ?? 'webhook';
    const [id, timestamp, signature] = ['id', 'timestamp', 'signature'].map((name) => {
        const value = read(`${prefix}-${name}`);
        if (value)
            return value;
        throw new WebhookRefused('missing_header', `The header ${prefix}-${name} is missing.`);
    });
    if (id.includes('.'))
        throw malformed('id');
    return [id, timestamp, signature];
}
function readerOf(headers) {
    if (typeof headers.get === 'function') {
        const { get } = headers;
        return (name) => get.call(headers, name) ?? undefined;
    }
    const byName = new Map();
    for (const [name, value] of Object.entries(headers)) {
        if (typeof value === 'string')
            byName.set(name.toLowerCase(), value);
    }
    return (name) => byName.get(name);
}
const signaturesMax = 64;
async function isSigned(keys, header, signed) {
    const parts = header.split(' ');
    if (parts.length > signaturesMax)
        throw malformed('signature');
    for (const part of parts) {
        const comma = part.indexOf(',');
        const version = part.slice(0, comma);
        if (version !== 'v1' && version !== 'v1a')
            continue;
        const { algorithm, signatureBytes } = versions[version];
        const signature = decoded(part.slice(comma + 1));
        if (signature?.length !== signatureBytes)
            continue;
        for (const one of keys) {
            if (one.version !== version)
                continue;
            if (await crypto.subtle.verify(algorithm, one.key, signature, signed))
                return true;
        }
    }
    return false;
}
function materialOf(key) {
    const bad = new TypeError('A key is whsec_…, whpk_…, or the JWK of an Ed25519 public key.');
    const text = typeof key === 'string' ? key : fromJwk(key);
    const isPublic = text.startsWith('whpk_');
    const bytes = decoded(text.replace(/^wh(sec|pk)_/, ''));
    if (bytes === undefined)
        throw bad;
    if (isPublic ? bytes.length !== 32 : bytes.length < 16)
        throw bad;
    const expiresAt = typeof key === 'string' ? null : (key.expiresAt ?? null);
    const endsMs = expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt);
    return { version: isPublic ? 'v1a' : 'v1', bytes, endsMs };
}
function fromJwk({ kty, crv, x = '' }) {
    if (kty !== 'OKP' || crv !== 'Ed25519')
        return '?';
    return `whpk_${x.replace(/-/g, '+').replace(/_/g, '/')}=`;
}
async function keyOf({ version, bytes, endsMs }) {
    const { algorithm } = versions[version];
    return {
        ...{ version, endsMs },
        key: await crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify']),
    };
}
function decoded(base64) {
    try {
        const binary = atob(base64);
        if (btoa(binary) !== base64)
            return undefined;
        return Uint8Array.from(binary, (character) => character.charCodeAt(0));
    }
    catch {
        return undefined;
    }
}
function bytesOf(body) {
    if (typeof body === 'string')
        return new TextEncoder().encode(body);
    if (body instanceof Uint8Array)
        return body;
    if (Object.prototype.toString.call(body) === '[object ArrayBuffer]')
        return new Uint8Array(body);
    throw new TypeError('The body must be what was received: a string, a Uint8Array or an ArrayBuffer.');
}
function joined(head, tail) {
    const all = new Uint8Array(head.length + tail.length);
    all.set(head);
    all.set(tail, head.length);
    return all;
}
function parsed(bytes) {
    try {
        return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    }
    catch {
        throw new WebhookRefused('malformed_body', 'It is genuine, but its body is not JSON in UTF-8.');
    }
}
function malformed(name) {
    return new WebhookRefused('malformed_header', `The header for the ${name} cannot be read.`);
}
