import { Gauge } from 'prom-client'
import type { Context } from '#context.ts'
import { quotaExceeded } from '#http/admit.ts'
import type { Call } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { runLoop } from '#jobs/loop.ts'
import { perContext } from '#per-context.ts'
import { pageFeed } from './event.sql.ts'
import { findHeads } from './head.sql.ts'
import type { Piece, StreamEnd } from './stream.ts'

/**
 * A *stream* is the feed as it grows, read page by page as fast as its reader takes it and no faster,
 * so that a slow one holds a page in memory and not the feed. All streams of a process are woken by
 * one look at the heads of their tenants: at once where the sequencer runs in the process, and four
 * times a second otherwise. Nothing is sent that was not read by position, so nothing is missed.
 */
interface Stream {
  readonly call: Call
  ending: StreamEnd | 'GONE' | undefined
  /** Since when its reader has not taken what it was offered; undefined while it reads. */
  stalledSinceMs: number | undefined
  wake(): void
  cut(): void
}

export interface FollowRequest {
  after: number
  types: readonly string[] | undefined
  /** Cuts off a reader that does not read. */
  cut(): void
}

export interface Followed {
  /** Ends after the piece that says so. */
  pieces: AsyncGenerator<Piece>
  /** The reader is gone. */
  leave(): void
}

export const streamLimits = { perKey: 10, perTenant: 20, aliveMs: 15_000, stalledMs: 30_000 }

const lookEveryMs = 250
const keysEveryMs = 500
const pageMax = 100

const openStreams = new Gauge({
  name: 'ubos_event_streams',
  help: 'Streams of events that are open.',
})

interface Hub {
  follow(call: Call, request: FollowRequest): Followed
  end(): void
}

const hubOf = perContext(createHub)

/** Follows the feed of the call's tenant; throws `quota_exceeded`, and `unavailable` at the end. */
export function followEvents(ctx: Context, call: Call, request: FollowRequest): Followed {
  return hubOf(ctx).follow(call, request)
}

/** Ends all streams of the process, and opens no more. */
export function endStreams(ctx: Context): void {
  hubOf(ctx).end()
}

function createHub(ctx: Context): Hub {
  const streams = new Set<Stream>()
  let heads = new Map<TenantId, number>()
  let isEnding = false
  let keysSeenMs = performance.now()

  const loop = runLoop({
    name: 'event-streams',
    pass: look,
    idleMs: lookEveryMs,
    restMsMax: 1_000,
    log: ctx.log,
  })
  ctx.db.eventsSequenced.listen(loop.wake)

  async function look(): Promise<boolean> {
    if (streams.size === 0) return false
    cutStalled()
    if (performance.now() - keysSeenMs >= keysEveryMs) await lookAtKeys()
    const tenants = [...new Set([...streams].map(({ call }) => call.tenantId))]
    heads = await findHeads(ctx, tenants)
    for (const stream of streams) stream.wake()
    return false
  }

  function cutStalled(): void {
    const since = performance.now() - streamLimits.stalledMs
    for (const stream of streams) {
      if ((stream.stalledSinceMs ?? Number.POSITIVE_INFINITY) < since) stream.cut()
    }
  }

  async function lookAtKeys(): Promise<void> {
    keysSeenMs = performance.now()
    await Promise.all(
      Array.from(streams, async (stream) => {
        if (!(await stream.call.isStillLetIn())) finish(stream, 'ACCESS')
      }),
    )
  }

  function finish(stream: Stream, reason: StreamEnd | 'GONE'): void {
    stream.ending ??= reason
    stream.wake()
  }

  function requirePlace({ tenantId, key }: Call): void {
    if (isEnding) {
      throw problem('unavailable', {
        detail: 'The process is stopping.',
        headers: { 'retry-after': '1' },
      })
    }
    const ofTenant = [...streams].filter(({ call }) => call.tenantId === tenantId)
    const ofKey = ofTenant.filter(({ call }) => call.key.id === key.id)
    if (ofTenant.length < streamLimits.perTenant && ofKey.length < streamLimits.perKey) return
    throw quotaExceeded(['streams'], 5_000)
  }

  function follow(call: Call, { after, types, cut }: FollowRequest): Followed {
    requirePlace(call)
    const { tenantId } = call
    const db = ctx.db.readers.of(tenantId)
    let resume: () => void = () => undefined
    const stream: Stream = {
      call,
      cut,
      ending: undefined,
      stalledSinceMs: undefined,
      wake: () => resume(),
    }
    streams.add(stream)
    openStreams.inc()

    /** Waits for a position behind this one, or the end; false when it was too long. */
    async function rest(at: number, ms: number): Promise<boolean> {
      const hasMore = () => stream.ending !== undefined || (heads.get(tenantId) ?? 0) > at
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const timer = setTimeout(() => resolve(false), ms)
      resume = () => {
        if (hasMore()) resolve(true)
      }
      resume()
      const isWoken = await promise
      clearTimeout(timer)
      return isWoken
    }

    async function* read(): AsyncGenerator<Piece> {
      let at = after
      let toldAtMs = performance.now()
      /** How long it may stay silent yet, whatever happens that its reader is not told of. */
      const silenceMs = () => toldAtMs + streamLimits.aliveMs - performance.now()
      while (stream.ending === undefined) {
        const page = await pageFeed(db, tenantId, { after: at, limit: pageMax, types })
        for (const event of page.events) {
          yield { kind: 'event', event }
          if (stream.ending !== undefined) return
        }
        at = page.lookedTo
        if (page.events.length > 0) toldAtMs = performance.now()
        do {
          if (silenceMs() <= 0) {
            yield { kind: 'alive', lookedTo: at }
            toldAtMs = performance.now()
          }
        } while (at >= page.head && !(await rest(at, silenceMs())))
      }
    }

    /** Reads on until the end; notes for how long its reader leaves a piece untaken. */
    async function* told(): AsyncGenerator<Piece> {
      try {
        for await (const piece of read()) {
          stream.stalledSinceMs = performance.now()
          yield piece
          stream.stalledSinceMs = undefined
        }
      } catch (error) {
        ctx.log.warn({ err: error }, 'a stream of events could not go on')
        stream.ending ??= 'UNAVAILABLE'
      }
      const reason = stream.ending
      if (reason !== undefined && reason !== 'GONE') yield { kind: 'end', reason }
    }

    return {
      pieces: told(),
      leave() {
        if (streams.delete(stream)) openStreams.dec()
        finish(stream, 'GONE')
      },
    }
  }

  return {
    follow,
    end() {
      isEnding = true
      for (const stream of streams) finish(stream, 'SHUTDOWN')
      void loop.stop()
    },
  }
}
