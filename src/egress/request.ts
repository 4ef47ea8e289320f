import type { Dispatcher } from 'undici'
import type { AllowedHosts } from './hosts.ts'

export interface EgressRequest {
  readonly method: Dispatcher.HttpMethod
  readonly url: string
  /** Of the tenant that it goes out for; null where it has no list, or it is for none. */
  readonly allowedHosts: AllowedHosts
  /** `host`, `content-length` and `connection` are ours to write. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** From the call to the last byte of the answer, whatever takes the time. */
  readonly deadlineMs: number
  /** For each dial: name servers, TCP and TLS. */
  readonly connectMs: number
  readonly responseBytesMax: number
  readonly signal?: AbortSignal
  /** The peer takes a second copy for the first: `exchange.ts` says when that matters. */
  readonly isRepeatable?: boolean
  /** Requests of different lanes neither share connections nor wait for each other. */
  readonly lane?: string
}
