import type { Socket } from 'node:net'
import { Client } from 'undici'
import type { Dial } from './dial.ts'
import { Flooded } from './explain.ts'

/**
 * A *line* carries one request at a time over one connection to one origin: an undici `Client`
 * whose socket we know. Lines that serve the same origin for the same purpose form a *lane*: it
 * has at most `linesMax` lines; requests beyond that wait in order. We keep lanes ourselves
 * rather than by undici's `Agent`, because only so can a request leave the queue at its deadline,
 * a dial be given up with its request, an answer be told with its address, and a request know
 * whether its connection had been used before (`exchange.ts`).
 */
export interface Line {
  readonly lane: Lane
  readonly client: Client
  /** Set for the dial that the next request may need. */
  connectMs: number
  /** How far `socket.bytesRead` may go before the peer counts as flooding. */
  bytesReadMax: number
  socket: Socket | undefined
  address: string
  /** Answers that came over the present socket; 0 on a fresh one. */
  answers: number
}

export interface Lane {
  readonly key: string
  readonly origin: string
  readonly lines: Set<Line>
  readonly idle: Line[]
  readonly waiting: Waiting[]
}

/** A request in the queue; it may have ended before its turn comes. */
export interface Waiting {
  hasEnded(): boolean
  begin(line: Line): void
  refuse(): void
}

export interface Lines {
  /** Begins at once on a free line, or later. */
  take(key: string, origin: string, waiting: Waiting): void
  /** The answer came whole: the line serves the next request. */
  release(line: Line): void
  /** The line is in doubt: its socket is destroyed. */
  retire(line: Line): void
  close(): Promise<void>
}

export interface LinesOptions {
  readonly dial: Dial
  readonly linesMax: number
  readonly idleMs: number
}

export function createLines(options: LinesOptions): Lines {
  const lanes = new Map<string, Lane>()

  function open(lane: Lane): Line {
    const line = newLine(lane, options)
    lane.lines.add(line)
    line.client.on('disconnect', () => {
      if (lane.idle.includes(line)) retire(line)
    })
    return line
  }

  function retire(line: Line): void {
    const { lane } = line
    if (!lane.lines.delete(line)) return
    const place = lane.idle.indexOf(line)
    if (place >= 0) lane.idle.splice(place, 1)
    void hangUp(line)
    // Later, because requests that wait together end together: none is begun to end at once.
    setImmediate(refill, lane)
  }

  function refill(lane: Lane): void {
    while (lane.lines.size < options.linesMax) {
      const next = nextWaiting(lane)
      if (next === undefined) break
      next.begin(open(lane))
    }
    if (lane.lines.size === 0 && lanes.get(lane.key) === lane) lanes.delete(lane.key)
  }

  return {
    take(key, origin, waiting) {
      const lane = lanes.get(key) ?? { key, origin, lines: new Set(), idle: [], waiting: [] }
      lanes.set(key, lane)
      const mayOpen = lane.lines.size < options.linesMax && lane.waiting.length === 0
      // The line that was used last is the one that its peer has least likely closed.
      const line = lane.idle.pop() ?? (mayOpen ? open(lane) : undefined)
      if (line === undefined) lane.waiting.push(waiting)
      else waiting.begin(line)
    },

    release(line) {
      const next = nextWaiting(line.lane)
      if (next === undefined) line.lane.idle.push(line)
      else next.begin(line)
    },

    retire,

    async close() {
      const all = [...lanes.values()]
      lanes.clear()
      for (const lane of all) for (const one of lane.waiting.splice(0)) one.refuse()
      await Promise.all(all.flatMap((lane) => [...lane.lines].map(hangUp)))
    },
  }
}

function nextWaiting(lane: Lane): Waiting | undefined {
  let next = lane.waiting.shift()
  while (next?.hasEnded()) next = lane.waiting.shift()
  return next
}

function newLine(lane: Lane, { dial, idleMs }: LinesOptions): Line {
  const client = new Client(lane.origin, {
    connect: (target, callback) => {
      line.socket = dial(target, { connectMs: line.connectMs, connected }, callback)
    },
    // Our own deadline counts from the first to the last byte; undici's would begin anew each time.
    headersTimeout: 0,
    bodyTimeout: 0,
    // Past its bound undici makes an error for each further header, 150 ms for 64 KiB of them: so
    // `bytesReadMax` bounds the head, and this is out of reach.
    maxHeaderSize: 1024 * 1024,
    keepAliveTimeout: idleMs,
    keepAliveMaxTimeout: idleMs,
    pipelining: 1,
  })
  const connected = (socket: Socket, address: string) => {
    line.socket = socket
    line.answers = 0
    line.address = address
    // Chunk extensions, trailers and 1xx answers are bytes that no other bound counts.
    socket.on('readable', () => {
      if (socket.bytesRead > line.bytesReadMax) socket.destroy(new Flooded())
    })
  }
  const line: Line = {
    ...{ lane, client, connectMs: 0, bytesReadMax: 0 },
    ...{ socket: undefined, address: '', answers: 0 },
  }
  return line
}

/** A socket that is still connecting or shaking hands is not yet undici's to destroy. */
async function hangUp({ client, socket }: Line): Promise<void> {
  const destroyed = client.destroy()
  socket?.destroy()
  await destroyed
}
