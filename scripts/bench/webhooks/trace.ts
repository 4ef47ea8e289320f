import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { sharedMs } from '../child.ts'

/*
 * A preload of the product: says of each delivery to a path with `timed` in it when the process came how
 * far with it, a line each in the file that `BENCH_TRACE` names. One at a time is under way, so what
 * was passed last before it was begun is its own.
 */
export interface Trace {
  /** Its event had its position, and its delivery was made. */
  sequencedMs: number
  /** It was under our lease. */
  claimedMs: number
  /** Its request was made, and written to a connection. */
  begunMs: number
  sentMs: number
  /** The longest that the event loop was late since the last one. */
  lateMs: number
}

const file = process.env.BENCH_TRACE
const last = { sequencedMs: 0, claimedMs: 0 }
const begun = new WeakMap<object, Omit<Trace, 'sentMs' | 'lateMs'>>()

interface Request {
  request: { path: string }
}

if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  subscribe('ubos.sequencer-after-commit', () => {
    last.sequencedMs = sharedMs()
  })
  subscribe('ubos.delivery-claimed', () => {
    last.claimedMs = sharedMs()
  })
  subscribe('undici:request:create', (message) => {
    const { request } = message as Request
    if (request.path.includes('timed')) begun.set(request, { ...last, begunMs: sharedMs() })
  })
  subscribe('undici:client:sendHeaders', (message) => {
    const { request } = message as Request
    const before = begun.get(request)
    if (before === undefined) return
    const trace: Trace = { ...before, sentMs: sharedMs(), lateMs: delay.max / 1e6 }
    delay.reset()
    appendFileSync(file, `${JSON.stringify(trace)}\n`)
  })
}
