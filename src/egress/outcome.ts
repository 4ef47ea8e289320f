export type FailureReason =
  | 'timed_out'
  | 'name_unresolved'
  | 'connection_failed'
  | 'tls_failed'
  | 'address_forbidden'
  | 'host_not_allowed'
  | 'protocol_error'
  | 'aborted'

/** What the other side answered; every status is an answer, a redirect too. */
export interface Answered {
  readonly kind: 'answered'
  readonly status: number
  /** Names in lower case; a repeated header is joined by commas. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** True when the answer was longer than `responseBytesMax`, or broke off because of that. */
  readonly isTruncated: boolean
  /** The vetted address that the answer came from. */
  readonly address: string
  readonly durationMs: number
}

export interface Failure {
  readonly reason: FailureReason
  /** A sentence for the customer: no header, no path, no query, nothing of the request. */
  readonly detail: string
}

export interface Failed extends Failure {
  readonly kind: 'failed'
  readonly durationMs: number
}

export type Outcome = Answered | Failed
