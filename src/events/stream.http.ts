import { Readable } from 'node:stream'
import type { Operation } from '#http/operation.ts'
import { beyond, type PositionPlace } from './beyond.ts'
import { conversation } from './conversation.ts'
import { findHead } from './head.sql.ts'
import { inQuery, requireSelectable } from './selectable.ts'
import { frameOf, greetingAt, type Piece } from './stream.ts'
import { followEvents } from './streams.ts'

/** Bytes that wait for a reader, beside what its connection holds. */
const waitingBytesMax = 64 * 1024

export const getEventStream: Operation<'getEventStream'> = async (
  ctx,
  call,
  { query, headers, isUpgrade },
  db,
) => {
  const head = await findHead(db, call.tenantId)
  const after = headers['last-event-id'] ?? query.after ?? head
  if (after > head) throw beyond(placeOf(headers), head)
  await requireSelectable(db, call.tenantId, query.eventType, inQuery)

  const from = { after, types: query.eventType }
  if (isUpgrade) return { status: 101, converse: conversation(ctx, call, from) }
  const cut = () => void body.destroy()
  const { pieces, leave } = followEvents(ctx, call, { ...from, cut })
  const body = streamOf(greetingAt(after), pieces, leave)
  return { status: 200, body }
}

function placeOf(headers: { 'last-event-id'?: number }): PositionPlace {
  const isHeader = headers['last-event-id'] !== undefined
  return isHeader ? { header: 'last-event-id' } : { parameter: 'after' }
}

/**
 * The pieces as they are sent: the next one is asked for once there is room for it. A reader that goes
 * leaves at once, though the next piece may be long in coming.
 */
function streamOf(greeting: string, pieces: AsyncGenerator<Piece>, leave: () => void): Readable {
  const stream = new Readable({
    highWaterMark: waitingBytesMax,
    read() {
      pieces.next().then(
        ({ done, value }) => stream.push(done ? null : frameOf(value)),
        (error) => stream.destroy(error),
      )
    },
    destroy(error, done) {
      leave()
      done(error)
    },
  })
  stream.push(greeting)
  return stream
}
