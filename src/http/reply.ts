import { Readable } from 'node:stream'
import type { StoredReply } from '#db/envelope.ts'
import type { Channel } from '#generated/operations.ts'
import type { Route } from '#generated/routes.ts'
import { etagOf } from './revision.ts'

/** What a handler returns, whatever the operation. */
export interface HandlerReply {
  status: number
  headers?: Record<string, string | undefined>
  body?: unknown
  /** What is said once it has gone on as a WebSocket. */
  converse?: Converse
}

export type Converse = (channel: Channel<never>) => Promise<void>

/** The process tried to say something that the contract does not allow. */
export class ReplyBroken extends Error {
  override readonly name = 'ReplyBroken'
}

/** Holds a reply against its contract; throws `ReplyBroken`, which is our bug and a 500. */
export function checkReply(route: Route, reply: HandlerReply): void {
  const declared = route.replies[reply.status]
  if (declared === undefined) {
    throw new ReplyBroken(`${route.operationId} answered ${reply.status}, which is not declared`)
  }
  if (reply.status >= 400) {
    throw new ReplyBroken(`${route.operationId} answered ${reply.status}: refusals are thrown`)
  }
  if (declared.mediaType === null && reply.body !== undefined) {
    throw new ReplyBroken(`${route.operationId} ${reply.status} has no body in the contract`)
  }
  // What has no end is checked by whoever makes it, piece by piece.
  if (reply.body instanceof Readable) return
  const validate = route.validate.replies[reply.status]
  if (!validate || validate(reply.body)) return
  const [error] = validate.errors ?? []
  throw new ReplyBroken(
    `${route.operationId} ${reply.status}${error?.instancePath ?? ''} ${error?.message ?? ''}`,
  )
}

/** A reply as it is sent. As text it goes out in one piece with its headers. */
export type Rendered = Omit<StoredReply, 'body'> & {
  body: string | Buffer | Readable
  converse?: Converse
}

/** The reply as text and headers: what is sent, and what is kept for a repeated key. */
export function render(route: Route, reply: HandlerReply, url: string): Rendered {
  const headers: Record<string, string> = {}
  for (const name in reply.headers) {
    const value = reply.headers[name]
    if (value !== undefined) headers[name.toLowerCase()] = value
  }
  const declared = route.replies[reply.status]
  const mediaType = declared?.mediaType ?? null
  if (mediaType !== null) headers['content-type'] = contentTypeOf(mediaType)
  const { revision, nextCursor } = Object(reply.body) as { revision?: number; nextCursor?: string }
  if (declared?.headers.includes('ETag') && revision !== undefined) {
    headers.etag = etagOf(revision)
  }
  if (typeof nextCursor === 'string') headers.link = nextLink(url, nextCursor)
  const body = textOf(mediaType, reply.body)
  const { status, converse } = reply
  return { status, headers, body, isSealed: false, ...(converse && { converse }) }
}

function contentTypeOf(mediaType: string): string {
  // The one type that is UTF-8 by definition, and that some clients compare as it is.
  return mediaType === 'text/event-stream' ? mediaType : `${mediaType}; charset=utf-8`
}

function textOf(mediaType: string | null, body: unknown): string | Readable {
  if (mediaType === null) return ''
  if (body instanceof Readable) return body
  return typeof body === 'string' ? body : JSON.stringify(body)
}

/** The address of the next page, as RFC 8288 has it. */
function nextLink(url: string, cursor: string): string {
  const [path = '', search = ''] = url.split('?')
  const query = new URLSearchParams(search)
  query.set('cursor', cursor)
  return `<${path}?${query}>; rel="next"`
}
