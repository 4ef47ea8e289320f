import type { Context } from '#context.ts'
import type { Channel } from '#generated/operations.ts'
import type { EventStreamEndReason, EventStreamPing, EventStreamResume } from '#generated/types.ts'
import type { Call } from '#http/operation.ts'
import { findHead } from './head.sql.ts'
import { findSelectable } from './own-type.sql.ts'
import { straySelectors } from './selector.ts'
import { closeCodes, farewellOf, helloOf, messageOf, pongOf } from './stream.ts'
import { type Followed, followEvents } from './streams.ts'

/** Where a reader begins, or goes on. */
export interface Start {
  readonly after: number
  readonly types: readonly string[] | undefined
}

interface Place {
  readonly after: number
  readonly followed: Followed
}

/**
 * The stream over a WebSocket. Its place among the streams is taken at once, so that one too many is
 * refused before anything is opened. Its reader may go on elsewhere as often as it likes: the place
 * is left, and what is told after the next `HELLO` is of the new one.
 */
export function conversation(ctx: Context, call: Call, start: Start) {
  let cut: () => void = () => undefined
  const begin = ({ after, types }: Start): Place => {
    return { after, followed: followEvents(ctx, call, { after, types, cut: () => cut() }) }
  }
  let place = begin(start)

  return async (channel: Channel<EventStreamResume | EventStreamPing>): Promise<void> => {
    let next: Place | undefined = place
    let isOver = false
    const end = (reason: EventStreamEndReason, detail?: string) => {
      channel.close(closeCodes[reason], reason, farewellOf(reason, detail))
      place.followed.leave()
    }
    cut = () => end('SLOW_READER')

    async function goOn({ after, eventTypes }: EventStreamResume): Promise<void> {
      const db = ctx.db.readers.of(call.tenantId)
      const head = await findHead(db, call.tenantId)
      const known = await findSelectable(db, call.tenantId, eventTypes)
      if (isOver) return
      const [stray] = straySelectors(eventTypes ?? [], known)
      if (stray !== undefined) return end('MALFORMED', `${stray.pointer} ${stray.message}.`)
      if (after > head) return end('MALFORMED', `/after must not be more than ${head}.`)
      place.followed.leave()
      place = begin({ after, types: eventTypes })
      next = place
    }

    channel.listen({
      async hear(message) {
        if (message.kind === 'RESUME') await goOn(message)
        else await channel.send(pongOf(message.id))
      },
      refuse: end,
      gone: () => place.followed.leave(),
    })
    while (next !== undefined) {
      const here: Place = next
      next = undefined
      await tell(channel, here, end)
    }
    isOver = true
  }
}

/** Tells what there is from a place on, until it is left or nobody listens any more. */
async function tell(
  channel: Pick<Channel<never>, 'send'>,
  { after, followed }: Place,
  end: (reason: EventStreamEndReason) => void,
): Promise<void> {
  try {
    if (!(await channel.send(helloOf(after)))) return
    for await (const piece of followed.pieces) {
      if (piece.kind === 'end') return end(piece.reason)
      if (!(await channel.send(messageOf(piece)))) return
    }
  } finally {
    followed.leave()
  }
}
