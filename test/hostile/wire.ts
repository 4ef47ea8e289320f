import { connect } from 'node:net'

/** One thing that a hostile caller sends, under a name that says what it is. */
export interface Hostile {
  name: string
  bytes: Buffer
  /** Statuses that it may be answered with; without them anything that is our caller's doing. */
  statuses?: readonly number[]
  /** The caller hangs up for sending after its last byte: what it sent is not a whole request. */
  isCut?: boolean
  /** Some requests may be left without an answer: the connection is only closed. */
  maySilence?: boolean
}

/** Every refusal; a hostile request that is none of these was let in. */
export const refusals = [400, 401, 403, 404, 405, 406, 409, 412, 413, 414, 415, 422, 431]
export const badRequest = [400] as const

/**
 * Each `parts`-th of the items, beginning elsewhere at each turn: neighbours get others, and together
 * they get all of them.
 */
export const shareOf = <Item>(items: readonly Item[], turn: number, parts: number): Item[] =>
  items.filter((_, at) => (at + turn) % parts === 0)

/** A request as its sender writes it: nothing is put right on the way. */
export interface Written {
  method?: string
  path?: string
  version?: string
  /** Whole header lines, in latin-1: one character is one byte. */
  headers?: readonly string[]
  body?: string | Buffer | undefined
  key?: string | undefined
  /** Without the headers that a request has usually: host, connection, length and type. */
  isBare?: boolean
}

export function written(request: Written): Buffer {
  const { method = 'GET', path = '/api/v1/me', version = 'HTTP/1.1', headers = [] } = request
  const body = Buffer.from(request.body ?? '')
  const usual = [
    'Host: ubos.test',
    'Connection: close',
    ...(request.key === undefined ? [] : [`Authorization: Bearer ${request.key}`]),
    ...(request.body === undefined ? [] : [`Content-Length: ${body.length}`]),
    ...(request.body === undefined || has(headers, 'content-type')
      ? []
      : ['Content-Type: application/json']),
  ]
  const lines = [`${method} ${path} ${version}`, ...(request.isBare ? [] : usual), ...headers]
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body])
}

const has = (lines: readonly string[], name: string): boolean =>
  lines.some((line) => line.toLowerCase().startsWith(`${name}:`))

export interface WireReply {
  status: number
  headers: ReadonlyMap<string, string>
  text: string
}

/** How long a connection that stays open must be quiet to have said all. */
const quietMs = 100
const patienceMs = 8_000

/** Sends bytes and reads every answer that comes back; throws for what is no HTTP. */
export function send(url: string, { bytes, isCut }: Hostile): Promise<WireReply[]> {
  const { hostname, port } = new URL(url)
  const isHead = /^HEAD /.test(bytes.subarray(0, 8).toString('latin1'))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let quiet: NodeJS.Timeout | undefined
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true }, () => {
      socket.write(bytes)
      if (isCut) socket.end()
    })
    const patience = setTimeout(() => socket.destroy(new Error('no answer in time')), patienceMs)
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      clearTimeout(quiet)
      quiet = setTimeout(() => isWhole(chunks, isHead) && socket.destroy(), quietMs)
    })
    socket.on('end', () => socket.destroy())
    // What is sent after a refusal meets a closed door; the refusal has been read by then.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error)
    })
    socket.on('close', () => {
      clearTimeout(patience)
      clearTimeout(quiet)
      try {
        resolve(repliesIn(Buffer.concat(chunks), isHead))
      } catch (error) {
        reject(error)
      }
    })
  })
}

function isWhole(chunks: readonly Buffer[], isHead: boolean): boolean {
  try {
    return repliesIn(Buffer.concat(chunks), isHead).length > 0
  } catch {
    return false
  }
}

const statusLine = /^HTTP\/1\.1 ([1-5]\d\d) [\x20-\x7e]*$/
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\x20-\x7e]*)$/

/** All replies in what came back, by the letter of RFC 9112; nothing may be left over. */
export function repliesIn(all: Buffer, isHead = false): WireReply[] {
  const replies: WireReply[] = []
  for (let at = 0; at < all.length; ) {
    const end = all.indexOf('\r\n\r\n', at)
    if (end === -1) throw new Error(`half a head: ${all.toString('latin1', at, at + 200)}`)
    const [first = '', ...lines] = all.toString('latin1', at, end).split('\r\n')
    const status = Number(statusLine.exec(first)?.[1])
    if (!status) throw new Error(`no status line: ${first.slice(0, 200)}`)
    const headers = headersOf(lines)
    at = end + 4
    if (status < 200) continue
    const { text, next } = bodyOf(all, at, headers, isHead || status === 204 || status === 304)
    replies.push({ status, headers, text })
    at = next
  }
  return replies
}

function headersOf(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name = '', value = ''] = headerLine.exec(line) ?? []
    if (name === '') throw new Error(`not a header: ${JSON.stringify(line)}`)
    if (headers.has(name.toLowerCase())) throw new Error(`a header twice: ${name}`)
    headers.set(name.toLowerCase(), value)
  }
  return headers
}

function bodyOf(all: Buffer, at: number, headers: Map<string, string>, isEmpty: boolean) {
  if (isEmpty) return { text: '', next: at }
  const length = headers.get('content-length')
  if (length === undefined || headers.has('transfer-encoding')) {
    throw new Error('a reply without a length')
  }
  const next = at + Number(length)
  if (next > all.length) throw new Error(`${next - all.length} bytes of a body are missing`)
  return { text: all.toString('utf8', at, next), next }
}
