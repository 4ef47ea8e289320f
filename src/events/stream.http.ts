import { Readable } from 'node:stream'
import { parameterError } from '#http/field-errors.ts'
import type { Operation } from '#http/operation.ts'
import { problem } from '#http/problem.ts'
import { conversation } from './conversation.ts'
import { findHead } from './head.sql.ts'
import { requireSelectable } from './selectable.ts'
import type { SelectorPlace } from './selector.ts'
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
  if (after > head) throw beyondHead(headers['last-event-id'] === undefined, head)
  await requireSelectable(db, call.tenantId, query.eventType, inQuery)

  const from = { after, types: query.eventType }
  if (isUpgrade) return { status: 101, converse: conversation(ctx, call, from) }
  const cut = () => void body.destroy()
  const { pieces, leave } = followEvents(ctx, call, { ...from, cut })
  const body = streamOf(greetingAt(after), pieces, leave)
  return { status: 200, body }
}

const inQuery: SelectorPlace = (at, code, message) =>
  parameterError('query', 'eventType', code, `item ${at} ${message}`)

/** Whoever names a position that was not given yet means another feed. */
function beyondHead(isParameter: boolean, head: number) {
  const place = isParameter ? { parameter: 'after' } : { header: 'last-event-id' }
  const message = `must not be more than ${head}`
  return problem('invalid_request', {
    detail: `The last position there is ${head}.`,
    errors: [{ ...place, code: 'maximum', message }],
  })
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
