import type { Dispatcher } from 'undici'
import { addAbortListener, removeAbortListener } from './abort.ts'
import { closing, explain, Flooded, headersTooLong, isHangUp } from './explain.ts'
import type { Line, Lines } from './lines.ts'
import type { Failure, Outcome } from './outcome.ts'
import type { EgressRequest } from './request.ts'

/**
 * An *exchange* is one request and its one outcome, whichever comes first: the whole answer, a
 * failure, the deadline, or the caller's signal. Only `end` settles it, once.
 *
 * *The stale connection.* A peer may close a kept connection at the very moment at which we write
 * to it. undici notices what has already arrived and then dials anew before it writes; what
 * arrives later breaks the request, and undici, rightly, does not repeat a POST. Nobody can know
 * then whether the peer read it. So we send again, once, on a fresh connection, only if the
 * connection had been used before, no byte of an answer came, and a second copy is harmless:
 * because of its method, or because the caller says so (`isRepeatable`: a webhook bears a stable
 * id). Otherwise, and on a fresh connection always, it is `connection_failed`.
 */
interface Exchange {
  readonly request: EgressRequest
  readonly url: URL
  readonly lines: Lines
  readonly startedAt: number
  readonly settle: (outcome: Outcome) => void
  readonly deadline: NodeJS.Timeout
  readonly abort: () => void
  stage: 'queued' | 'connecting' | 'waiting' | 'reading' | 'ended'
  line: Line | undefined
  isSentAgain: boolean
  interims: number
  status: number
  headers: Readonly<Record<string, string>>
  readonly chunks: Buffer[]
  bytes: number
}

export function exchange(lines: Lines, request: EgressRequest, url: URL): Promise<Outcome> {
  return new Promise((settle) => {
    const late = () => fail(self, { reason: 'timed_out', detail: lateness[self.stage] })
    const self: Exchange = {
      ...{ request, url, lines, settle, startedAt: performance.now() },
      deadline: setTimeout(late, request.deadlineMs),
      abort: () => fail(self, { reason: 'aborted', detail: 'The sender gave up.' }),
      ...{ stage: 'queued', line: undefined, isSentAgain: false, interims: 0 },
      ...{ status: 0, headers: {}, chunks: [], bytes: 0 },
    }
    if (request.signal) addAbortListener(request.signal, self.abort)
    const key = request.lane === undefined ? url.origin : `${url.origin} ${request.lane}`
    lines.take(key, url.origin, {
      hasEnded: () => self.stage === 'ended',
      begin: (line) => begin(self, line),
      refuse: () => fail(self, { reason: 'aborted', detail: closing }),
    })
  })
}

function begin(self: Exchange, line: Line): void {
  const { request, url } = self
  self.line = line
  self.stage = 'connecting'
  line.connectMs = request.connectMs
  line.client.dispatch(
    {
      method: request.method,
      path: url.pathname + url.search,
      headers: { ...request.headers, host: url.host },
      body: request.body,
    },
    handlerOf(self, line),
  )
}

/** Headers of 16 KiB, as much as Node's own server takes; longer ones are no answer. */
const headerBytesMax = 16 * 1024

/**
 * The bytes that come beside the body: the head, and what one read of a socket (64 KiB) brings
 * beyond it. A body in chunks is given twice its size, which is room for chunks of six bytes.
 */
const slackBytes = 128 * 1024

function handlerOf(self: Exchange, line: Line): Dispatcher.DispatchHandler {
  return {
    onRequestStart() {
      self.stage = 'waiting'
      line.bytesReadMax = (line.socket?.bytesRead ?? 0) + slackBytes
    },
    onResponseStart(_controller, status, headers) {
      if (self.stage === 'ended') return
      if (status < 200) return countInterim(self)
      self.stage = 'reading'
      self.status = status
      self.headers = joined(headers)
      line.bytesReadMax += slackBytes + 2 * self.request.responseBytesMax
      if (sizeOf(self.headers) > headerBytesMax) {
        fail(self, { reason: 'protocol_error', detail: headersTooLong })
      }
    },
    onResponseData(_controller, chunk) {
      if (self.stage === 'ended') return
      const room = self.request.responseBytesMax - self.bytes
      self.chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk)
      self.bytes += Math.min(chunk.length, room)
      if (chunk.length > room) answer(self, line, true)
    },
    onResponseEnd() {
      if (self.stage !== 'ended') answer(self, line, false)
    },
    onResponseError(_controller, error) {
      if (self.stage === 'ended') return
      if (!mayBeSentAgain(self, line, error)) return fail(self, explain(error))
      self.isSentAgain = true
      // undici is still closing the old socket: the same client dials anew right after it.
      queueMicrotask(() => {
        if (self.stage !== 'ended') begin(self, line)
      })
    },
  }
}

/** 103 Early Hints and its like come before the answer; a few are normal, thousands an attack. */
function countInterim(self: Exchange): void {
  self.interims += 1
  if (self.interims > interimsMax) fail(self, explain(new Flooded()))
}

const interimsMax = 8

const harmlessMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']

function mayBeSentAgain(self: Exchange, line: Line, error: Error): boolean {
  const isHarmless = self.request.isRepeatable ?? harmlessMethods.includes(self.request.method)
  const wasStale = self.stage === 'waiting' && line.answers > 0 && isHangUp(error)
  return isHarmless && wasStale && !self.isSentAgain
}

/** An answer within the bound leaves the connection fit for the next; a longer one does not. */
function answer(self: Exchange, line: Line, isTruncated: boolean): void {
  end(self, {
    kind: 'answered',
    status: self.status,
    headers: self.headers,
    body: Buffer.concat(self.chunks, self.bytes),
    isTruncated,
    address: line.address,
    durationMs: performance.now() - self.startedAt,
  })
  line.answers += 1
  if (isTruncated) self.lines.retire(line)
  else self.lines.release(line)
}

function fail(self: Exchange, failure: Failure): void {
  if (self.stage === 'ended') return
  end(self, { kind: 'failed', ...failure, durationMs: performance.now() - self.startedAt })
  if (self.line !== undefined) self.lines.retire(self.line)
}

function end(self: Exchange, outcome: Outcome): void {
  self.stage = 'ended'
  clearTimeout(self.deadline)
  const { signal } = self.request
  if (signal) removeAbortListener(signal, self.abort)
  self.settle(outcome)
}

type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>

function joined(headers: IncomingHeaders): Record<string, string> {
  const text: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) text[name] = typeof value === 'string' ? value : value.join(', ')
  }
  return text
}

function sizeOf(headers: Readonly<Record<string, string>>): number {
  return Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
}

const lateness: Readonly<Record<Exchange['stage'], string>> = {
  queued: 'All connections to the host were busy until the deadline.',
  connecting: 'No connection was made before the deadline.',
  waiting: 'No answer came before the deadline.',
  reading: 'The answer did not end before the deadline.',
  ended: '',
}
