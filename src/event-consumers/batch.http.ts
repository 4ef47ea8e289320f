import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import { beyond } from '#events/beyond.ts'
import { type FeedPage, pageFeed } from '#events/event.sql.ts'
import { toEvent } from '#events/event.ts'
import { pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { found, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { lockConsumer, updateConsumer } from './consumer.sql.ts'
import {
  type Consumer,
  commit,
  leasedForMs,
  movedOn,
  toConsumer,
  typesOf,
  withBatch,
} from './consumer.ts'

const defaults = { limit: 50, leaseSeconds: 60 }

export const createEventBatch: Operation<'createEventBatch'> = async (
  _ctx,
  call,
  { path, body },
  tx,
) => {
  const { limit, leaseSeconds } = { ...defaults, ...body }
  const { consumer, leaseNow } = found(await lockConsumer(tx, call.tenantId, path.eventConsumerId))
  const leasedFor = leasedForMs(consumer, leaseNow)
  if (leasedFor > 0) throw batchLeased(leasedFor)

  const { events, lookedTo } = await nextEvents(tx, call.tenantId, consumer, limit)
  if (events.length === 0) {
    // What is not for it is behind it, so that nobody looks there again.
    if (lookedTo > consumer.position) {
      const moved = movedOn(consumer, lookedTo, call.now)
      updateConsumer(tx, call.tenantId, moved)
      recordMove(tx, call, 'event_consumer.moved', consumer, moved)
    }
    return { status: 204 }
  }
  const id = tx.newId('bat')
  const leasedUntil = new Date(leaseNow.getTime() + leaseSeconds * 1_000)
  const leased = withBatch(consumer, { id, leasedTo: lookedTo, leasedUntil }, call.now)
  updateConsumer(tx, call.tenantId, leased)
  recordMove(tx, call, 'event_consumer.leased', consumer, leased)
  return {
    status: 200,
    body: {
      id,
      leasedUntil: leasedUntil.toISOString(),
      lastPosition: lookedTo,
      data: events.map(toEvent),
    },
  }
}

function batchLeased(ms: number) {
  const seconds = Math.ceil(ms / 1_000)
  return problem('batch_leased', {
    detail: `Another batch is handed out, for ${seconds} s more.`,
    headers: { 'retry-after': String(seconds) },
  })
}

/** Pages without an event of its types that one call looks through. */
const emptyPagesMax = 10

/** The next events for the consumer, and up to where was looked for them. */
async function nextEvents(
  tx: Tx,
  tenantId: TenantId,
  consumer: Consumer,
  limit: number,
): Promise<FeedPage> {
  const types = typesOf(consumer)
  let page: FeedPage = { events: [], lookedTo: consumer.position, head: consumer.position }
  for (let count = 0; count < emptyPagesMax; count += 1) {
    page = await pageFeed(tx, tenantId, { after: page.lookedTo, limit, types })
    if (page.events.length > 0 || page.lookedTo >= page.head) return page
  }
  return page
}

export const createEventCommit: Operation<'createEventCommit'> = async (
  _ctx,
  call,
  { path, body },
  tx,
) => {
  const { consumer } = found(await lockConsumer(tx, call.tenantId, path.eventConsumerId))
  const outcome = commit(consumer, body, call.now)
  switch (outcome.kind) {
    case 'lost':
      throw problem('lease_lost')
    case 'beyond':
      throw beyond({ pointer: '/position' }, outcome.leasedTo)
    case 'unchanged':
      return { status: 200, body: toConsumer(consumer) }
    case 'committed':
      updateConsumer(tx, call.tenantId, outcome.consumer)
      recordMove(tx, call, 'event_consumer.committed', consumer, outcome.consumer)
      return { status: 200, body: toConsumer(outcome.consumer) }
    default:
      return outcome satisfies never
  }
}

const places = ['position', 'leasedTo', 'leasedUntil'] as const

function recordMove(
  tx: Tx,
  call: Parameters<typeof record>[1],
  action: string,
  before: Consumer,
  after: Consumer,
): void {
  record(tx, call, action, before.id, {
    before: pick(toConsumer(before), places),
    after: pick(toConsumer(after), places),
  })
}
