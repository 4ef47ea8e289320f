import { AddressForbidden, ConnectTimedOut } from './dial.ts'
import type { Failure } from './outcome.ts'
import { ProxyFailed } from './proxy.ts'

/** Raised by us when a peer sends far more than its answer can need. */
export class Flooded extends Error {
  override readonly name = 'Flooded'
}

/** Puts what a socket, a name server, TLS or the HTTP parser said into words of our own. */
export function explain(error: Error): Failure {
  if (error instanceof AddressForbidden) {
    return { reason: 'address_forbidden', detail: error.message }
  }
  if (error instanceof ConnectTimedOut) return { reason: 'timed_out', detail: noConnection }
  if (error instanceof ProxyFailed) {
    return { reason: 'connection_failed', detail: error.message }
  }
  if (error instanceof Flooded) return { reason: 'protocol_error', detail: flooded }

  const code = codeOf(error)
  if (isMalformed(error, code)) return { reason: 'protocol_error', detail: notHttp }
  if (code === 'UND_ERR_DESTROYED') return { reason: 'aborted', detail: closing }
  if (code === 'UND_ERR_INVALID_ARG') return { reason: 'protocol_error', detail: unwritable }

  const aboutName = nameWords[code]
  if (aboutName !== undefined)
    return { reason: 'name_unresolved', detail: `${aboutName} (${code}).` }
  if (/CERT|TLS|SSL|EPROTO|SIGNED|VERIFY/.test(code)) {
    return { reason: 'tls_failed', detail: `No trusted TLS connection${aboutTls(code)} (${code}).` }
  }
  const words = connectionWords[code] ?? 'The connection failed'
  // Codes of the network are everybody's; those of the library that we use are nobody's affair.
  const named = code.startsWith('UND_') || code === 'unknown' ? '' : ` (${code})`
  return { reason: 'connection_failed', detail: `${words}${named}.` }
}

/** True when the peer hung up; on a used connection that may be a matter of timing only. */
export function isHangUp(error: Error): boolean {
  const code = codeOf(error)
  if (code === 'UND_ERR_SOCKET') return !isMalformed(error, code)
  return code === 'ECONNRESET' || code === 'EPIPE'
}

export const closing = 'The process that sent this was stopping.'
export const headersTooLong = 'The headers of the answer are too long.'
const noConnection = 'No connection was made in time.'
const flooded = 'The peer sent far more bytes than its answer needs.'
const notHttp = 'The answer is not valid HTTP/1.1.'
const unwritable = 'The request cannot be written: a header or the path is not valid.'

const nameWords: Readonly<Record<string, string>> = {
  ENOTFOUND: 'The host name does not exist',
  ENODATA: 'The host name has no address',
  ETIMEOUT: 'The name servers did not answer',
  ESERVFAIL: 'The name servers failed',
  EREFUSED: 'The name servers refused to answer',
  EBADNAME: 'The host name is not valid',
  EBADRESP: 'The name servers answered wrongly',
}

/** What the owner of a server can do something about; else the code has to speak for itself. */
function aboutTls(code: string): string {
  const [, words] = tlsWords.find(([pattern]) => pattern.test(code)) ?? []
  return words === undefined ? '' : `: ${words}`
}

const tlsWords: readonly (readonly [RegExp, string])[] = [
  [/^CERT_HAS_EXPIRED$/, 'the certificate has expired'],
  [/^CERT_NOT_YET_VALID$/, 'the certificate is not good yet'],
  [/^CERT_REVOKED$/, 'the certificate was revoked'],
  [/SELF_SIGNED|UNTRUSTED/, 'the certificate is signed by nobody that is known'],
  [/UNABLE_TO_(GET_ISSUER|VERIFY)/, 'the certificate comes without those that it is signed by'],
  [/ALTNAME/, 'the certificate is for another name'],
  [/WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER|HTTP_REQUEST/, 'there is no TLS at that port'],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, 'the version of TLS is too old'],
  [/HANDSHAKE_FAILURE|NO_SHARED|NO_PROTOCOLS/, 'the server speaks no TLS that we do'],
]

const connectionWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'The connection was refused',
  ECONNRESET: 'The connection was reset',
  EPIPE: 'The connection was closed',
  UND_ERR_SOCKET: 'The connection was closed before the answer ended',
  EHOSTUNREACH: 'There is no route to the host',
  ENETUNREACH: 'There is no route to the network',
  ETIMEDOUT: 'The host did not answer',
}

/** undici's socket errors with these words are about bytes that no request asked for. */
function isMalformed(error: Error, code: string): boolean {
  if (code === 'UND_ERR_SOCKET') return /^bad (response|upgrade)$/.test(error.message)
  return error.name === 'HTTPParserError' || malformedCodes.includes(code)
}

const malformedCodes: readonly string[] = [
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]

/** When every address of a name fails, Node wraps the failures; the first one speaks for all. */
function codeOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : undefined
  return inner instanceof Error ? codeOf(inner) : 'unknown'
}
