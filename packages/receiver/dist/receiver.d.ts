/*! Verifies webhooks by Standard Webhooks 1.0.0. No dependencies; needs Web Crypto only. */
/**
 * A webhook is *genuine* when one of its signatures was made with one of the keys that you have, and
 * its time is near yours. It may still be a *repetition*: whatever was not answered with 2xx comes
 * again under the same id.
 */
export interface VerifierOptions {
    /**
     * Secrets (`whsec_…`, signatures `v1`) and public keys (`whpk_…`, or a JWK of Ed25519, signatures
     * `v1a`), all that are in use: several while they change.
     */
    readonly keys: readonly (string | PublicJwk)[];
    /** How far the time of a webhook may be from yours, before or behind; 300 unless you say so. */
    readonly toleranceSeconds?: number;
    /**
     * Remembers an id and answers whether it is new, in one step, such as an insert that does nothing on
     * conflict; in the transaction that does the work, or else what fails after it is never done.
     * Without it nothing is said about repetitions. Only genuine webhooks are asked about.
     */
    readonly remember?: (id: string, sentAt: Date) => boolean | Promise<boolean>;
    /** Your time in milliseconds since 1970; `Date.now` unless you say so. */
    readonly now?: () => number;
}
/** A public key as RFC 8037 writes it; other members may be there. */
export interface PublicJwk {
    readonly kty: string;
    readonly crv?: string;
    /** 32 bytes in base64url. */
    readonly x?: string;
    /** What is sent from this moment on is not signed by it any more. */
    readonly expiresAt?: string | null;
}
/** `Headers`, or an object such as Node's `request.headers`. */
export type WebhookHeaders = {
    get(name: string): string | null;
} | Readonly<Record<string, string | readonly string[] | undefined>>;
export interface WebhookRequest {
    readonly headers: WebhookHeaders;
    /** The body as it came, before anything parsed it. */
    readonly body: string | Uint8Array | ArrayBuffer;
}
/** What every webhook of ours holds; give your own type for more. */
export interface WebhookEvent {
    readonly id: string;
    readonly type: string;
    readonly version: number;
    readonly timestamp: string;
    readonly data: unknown;
    readonly changedFields?: readonly string[];
    /** Nothing of it has happened: somebody tries the endpoint. */
    readonly isTest?: true;
}
export interface VerifiedWebhook<Event> {
    /** The same for all repetitions. */
    readonly id: string;
    /** When this attempt was sent. */
    readonly sentAt: Date;
    /** Whether `remember` knew the id; answer 2xx and do nothing. */
    readonly isRepetition: boolean;
    readonly event: Event;
}
export type WebhookRefusal = 'missing_header' | 'malformed_header' | 'too_old' | 'too_new' | 'wrong_signature' | 'malformed_body';
/** The webhook is not genuine: answer 400 and do nothing. `code` says why. */
export declare class WebhookRefused extends Error {
    readonly name: string;
    readonly code: WebhookRefusal;
    constructor(code: WebhookRefusal, message: string);
}
/** Answers what is genuine, and throws `WebhookRefused` for all else. */
export type WebhookVerifier<Event> = (request: WebhookRequest) => Promise<VerifiedWebhook<Event>>;
/** Makes a verifier once, for all requests. Throws a `TypeError` for what is no key. */
export declare function webhookVerifier<Event = WebhookEvent>(options: VerifierOptions): WebhookVerifier<Event>;
/** The same for a single request; whoever has many makes a verifier. */
export declare function verifyWebhook<Event = WebhookEvent>(request: WebhookRequest, options: VerifierOptions): Promise<VerifiedWebhook<Event>>;
