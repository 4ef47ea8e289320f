import { type EgressPolicy, judgeUrl } from './address.ts'
import { createDial } from './dial.ts'
import { exchange } from './exchange.ts'
import { closing } from './explain.ts'
import { allowsUrl } from './hosts.ts'
import { createLines } from './lines.ts'
import type { Failure, Outcome } from './outcome.ts'
import { createProxiedDial } from './proxy.ts'
import type { EgressRequest } from './request.ts'
import { createResolver, type Resolve } from './resolve.ts'

/**
 * *Egress* is the only way out: every HTTP request that this system makes goes through `send`,
 * to vetted addresses only (`address.ts`, `dial.ts`), within a deadline, without following
 * redirects, without decompressing, and reading no more than the caller asked for. What the
 * other side does is an outcome, never an exception.
 */
export interface Egress {
  send(request: EgressRequest): Promise<Outcome>
  /** Ends what is under way as `aborted` and destroys every socket. */
  close(): Promise<void>
}

export interface EgressOptions {
  /** Connections to one origin in one lane. */
  readonly connections?: number
  /** How long an idle connection is kept; a peer may ask for less. */
  readonly idleMs?: number
  readonly resolve?: Resolve
  /** Certificates (PEM) to trust instead of the public ones. */
  readonly ca?: string | undefined
  /** The operator's CONNECT proxy; everything goes through it. */
  readonly proxy?: URL | undefined
}

export function createEgress(policy: EgressPolicy, options: EgressOptions = {}): Egress {
  const { resolve = createResolver(), ca, proxy } = options
  const lines = createLines({
    dial: proxy
      ? createProxiedDial({ policy, resolve, proxy, ca })
      : createDial(policy, resolve, ca),
    linesMax: options.connections ?? 16,
    idleMs: options.idleMs ?? 4_000,
  })
  let isClosed = false

  return {
    async send(request) {
      if (isClosed) return failed({ reason: 'aborted', detail: closing })
      if (request.signal?.aborted)
        return failed({ reason: 'aborted', detail: 'The sender gave up.' })
      const verdict = judgeUrl(request.url, policy)
      if (!verdict.ok) return failed({ reason: 'address_forbidden', detail: verdict.reason })
      if (!allowsUrl(request.allowedHosts, request.url)) {
        const detail = `${verdict.url.hostname} ${notAmong}`
        return failed({ reason: 'host_not_allowed', detail })
      }
      return exchange(lines, request, verdict.url)
    },
    close() {
      isClosed = true
      return lines.close()
    },
  }
}

const notAmong = 'is not among the hosts that your egress policy allows.'

function failed(failure: Failure): Outcome {
  return { kind: 'failed', ...failure, durationMs: 0 }
}
