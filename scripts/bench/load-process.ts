import { connect, type Socket } from 'node:net'
import type { Load, LoadFigures } from './load.ts'

/*
 * The process that puts load on servers. It writes requests that were made beforehand and looks for
 * the end of each answer only: a whole HTTP client would take more time than some of the servers do,
 * and would be what is measured.
 */
process.on('message', async (load: Load) => {
  try {
    process.send?.(await run(load))
  } catch (error) {
    process.send?.({ error: error instanceof Error ? error.message : String(error) })
  }
})
process.on('disconnect', () => process.exit(0))

/** Never the same again, also in the next run of the process. */
let number = Date.now() % 1_000_000_000_000

async function run(load: Load): Promise<LoadFigures> {
  const requests = load.paths.map((path) => requestOf(load, path))
  const times: number[] = []
  const endMs = performance.now() + load.seconds * 1_000
  let turn = 0
  const next = () => requests[turn++ % requests.length]?.() ?? ''
  const callers = Array.from({ length: load.connections }, () =>
    keepAsking(load.url, next, endMs, times),
  )
  await Promise.all(callers)
  const sorted = Float64Array.from(times).sort()
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  return { perSecond: times.length / load.seconds, p50Ms: at(0.5), p99Ms: at(0.99) }
}

/** The bytes of one request; made anew only where there is a number in them. */
function requestOf({ url, method = 'GET', headers = {}, body }: Load, path: string) {
  const shown = body?.replaceAll('{n}', digits())
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `host: ${new URL(url).host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(shown === undefined ? [] : [`content-length: ${Buffer.byteLength(shown)}`]),
  ]
  const pieces = `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`.split('{n}')
  const [only = ''] = pieces
  return pieces.length === 1 ? () => only : () => pieces.join(digits())
}

function digits(): string {
  number += 1
  return String(number).padStart(12, '0')
}

/** One connection: asks, waits for the answer, and asks again until the time is over. */
function keepAsking(
  url: string,
  next: () => string,
  endMs: number,
  times: number[],
): Promise<void> {
  const { hostname, port } = new URL(url)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  let sentMs = 0
  const ask = () => {
    sentMs = performance.now()
    socket.write(next(), 'utf8')
  }
  socket.once('connect', ask)
  socket.once('error', reject)
  socket.once('close', () => reject(new Error('the server hung up')))
  readAnswers(socket, reject, () => {
    const nowMs = performance.now()
    if (nowMs > endMs) {
      resolve()
      socket.destroy()
      return
    }
    times.push(nowMs - sentMs)
    ask()
  })
  return promise
}

/** Tells of each whole answer; gives up on one that is no success. */
function readAnswers(socket: Socket, giveUp: (error: Error) => void, onAnswer: () => void): void {
  let missing = 0
  let start = Buffer.alloc(0)
  socket.on('data', (piece) => {
    if (missing > 0) {
      missing -= piece.length
      if (missing <= 0) onAnswer()
      return
    }
    const bytes = start.length > 0 ? Buffer.concat([start, piece]) : piece
    const end = bytes.indexOf('\r\n\r\n')
    if (end === -1) {
      start = bytes
      return
    }
    start = Buffer.alloc(0)
    const head = bytes.toString('latin1', 0, end)
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
    if (!head.startsWith('HTTP/1.1 2') || length === undefined) {
      giveUp(new Error(`answered ${bytes.toString('utf8', 0, 2_000)}`))
      return
    }
    missing = end + 4 + Number(length) - bytes.length
    if (missing <= 0) onAnswer()
  })
}
