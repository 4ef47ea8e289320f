/**
 * A *scheme* is a provider's way of showing that a webhook is its own. It judges the raw bytes and
 * headers as they came, never a body that was parsed and written anew, and gives a verdict: accepted,
 * refused, a handshake with the exact answer that it asks for, or nothing known because a third
 * party's keys cannot be had at the moment. Schemes are pure; what they know of the world is in their
 * context. A verdict speaks of one request alone: whether the event was here before is the room's to
 * say, after the verdict.
 */
export type { InboundScheme } from '#generated/types.ts'

export interface IncomingRequest {
  method: 'GET' | 'POST'
  /** Names in lower case. */
  headers: Readonly<Record<string, string | undefined>>
  query: URLSearchParams
  /** The raw bytes, as they came. */
  body: Buffer
}

export interface SchemeContext {
  now: Date
  /** Opened secrets, the current one first; what they are (text, base64, PEM) the scheme says. */
  secrets: readonly string[]
  /** The scheme's own configuration, validated by its contract schema. */
  settings: Settings
  fetchKeys: FetchKeys
}

export type Settings = Readonly<Record<string, unknown>>

/**
 * Public keys of a third party, as `read` makes them of the text that lies there: fetched through
 * guarded egress, kept, and read once by each `read`, for as long as they are kept. Throws when they
 * cannot be had. `isAnew` asks for them as they are now, because a key is missing in what is known; who
 * serves it bounds how often that leads to a request.
 */
export type FetchKeys = <Keys>(
  url: string,
  read: (text: string) => Keys,
  wish?: { isAnew: boolean },
) => Promise<Keys>

/**
 * What is sent back, exactly. A refusal without `body` leaves it to the room to explain itself; with
 * one, be it empty, the provider's rule says that nothing else may be sent.
 */
export interface Answer {
  status: number
  headers?: Readonly<Record<string, string>>
  body?: string
}

export interface Accepted {
  kind: 'accepted'
  /** The provider's name for the event, the same on every retry; null when it has none or several. */
  providerEventId: string | null
  /** The time that the signature covers; null when it covers none. */
  signedAt: Date | null
  eventType: string | null
  /** The payload is not what the scheme promises. */
  isDrift: boolean
  /**
   * The provider puts into each body what no other has, such as times or random letters: where there
   * is no id, equal bytes are the same webhook. Of others they may well be two.
   */
  isBodyUnique?: boolean
}

export type RefusalReason = 'signature' | 'timestamp' | 'missing' | 'malformed' | 'key'

export type Verdict =
  | Accepted
  | { kind: 'refused'; reason: RefusalReason }
  /** `confirmUrl` is fetched after the answer, by a job, e.g. SNS's SubscribeURL. */
  | { kind: 'handshake'; answer: Answer; confirmUrl?: string }
  /** Keys could not be fetched: a 503 lets the sender try again, which a refusal might not. */
  | { kind: 'unavailable' }

/** Something in a source's configuration that its schema cannot say; the message ends the sentence. */
export interface Flaw {
  /** As JSON Pointer within the configuration: `/settings/signedContent`, `/secrets/0`. */
  pointer: string
  /** Goes on from the pointer: `must be …`. Never holds a secret. */
  message: string
}

export interface Scheme {
  verify(request: IncomingRequest, context: SchemeContext): Promise<Verdict>
  /** The names of the settings that it takes. */
  settings: readonly string[]
  /** What keeps a configuration from ever verifying anything, told when it is made. */
  flaws(configuration: Pick<SchemeContext, 'secrets' | 'settings'>): Flaw[]
  answers: { accepted: Answer; duplicate: Answer; refused: Answer }
  /** Where the provider publishes the keys of all its customers. */
  keysUrl?: string
}

export function refused(reason: RefusalReason): Verdict {
  return { kind: 'refused', reason }
}
