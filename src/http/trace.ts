import type { IncomingHttpHeaders } from 'node:http'

/** W3C Trace Context, version 00; a trace or a parent of zeros only is none. */
const wellFormed = /^00-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/

/** The trace that a request is part of; what is not well formed is as good as absent. */
export function traceparentOf({ headers }: { headers: IncomingHttpHeaders }): string | null {
  const { traceparent } = headers
  return typeof traceparent === 'string' && wellFormed.test(traceparent) ? traceparent : null
}

/** What logs call the whole of it. */
export function traceIdOf(traceparent: string | null | undefined): string | undefined {
  return traceparent?.slice(3, 35)
}
