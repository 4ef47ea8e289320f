import { record } from '#audit/record.ts'
import type { Db } from '#db/database.ts'
import { requireSelectable } from '#events/selectable.ts'
import type { Operation } from '#http/operation.ts'
import type { TenantId } from '#ids.ts'
import { askFor } from '#jobs/ask.ts'
import { requireFit } from '#jobs/misfit.ts'
import { requireEndpoints } from './named-endpoints.ts'
import { findLastDeliveries, findListeners, findRange, readPage } from './replay.sql.ts'
import {
  addShares,
  asksForPayloads,
  isAbout,
  misfitOfReplay,
  planOf,
  type ReplayPayload,
  replayKey,
  replayOf,
  toShares,
  webhookReplay,
} from './replay.ts'

export const createWebhookReplay: Operation<'createWebhookReplay'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  const payload = await requireReplay(tx, call.tenantId, replayOf(body), call.now)
  const options = { uniqueKey: replayKey, priority: 'LOW' } as const
  const view = askFor(tx, call, webhookReplay, payload, options)
  record(tx, call, 'webhook_replay.created', view.id, { after: view })
  return { status: 202, headers: { Location: `/api/v1/jobs/${view.id}` }, body: view }
}

/** Events that a preview looks at, and at how many at once; fewer where it reads what they say. */
const extents = {
  places: { most: 100_000, page: 1_000 },
  payloads: { most: 10_000, page: 25 },
} as const

export const createWebhookReplayPreview: Operation<'createWebhookReplayPreview'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  const payload = await requireReplay(tx, call.tenantId, replayOf(body), call.now)
  const listeners = await findListeners(tx, call.tenantId, payload)
  const withPayloads = asksForPayloads(payload, listeners)
  const extent = withPayloads ? extents.payloads : extents.places
  const counts = new Map<string, number>()
  let eventCount = 0
  let state = await findRange(tx, call.tenantId, payload)
  const lookedAtFrom = state.position
  while (state.position < state.untilPosition && state.position - lookedAtFrom < extent.most) {
    const page = await readPage(tx, call.tenantId, state, {
      limit: extent.page,
      withPayloads,
    })
    const events = page.events.filter((event) => isAbout(payload, event))
    const promised = await findLastDeliveries(tx, call.tenantId, events, listeners)
    const plan = planOf(payload, events, listeners, promised)
    eventCount += plan.eventCount
    addShares(counts, plan)
    state = { ...state, position: page.position }
  }
  const endpoints = toShares(counts)
  return {
    status: 200,
    body: {
      eventCount,
      deliveryCount: endpoints.reduce((sum, { deliveryCount }) => sum + deliveryCount, 0),
      endpoints,
      isComplete: state.position >= state.untilPosition,
    },
  }
}

/** Refuses a replay that cannot be meant, or tells somebody who is not there. */
async function requireReplay(
  db: Db,
  tenantId: TenantId,
  payload: ReplayPayload,
  now: Date,
): Promise<ReplayPayload> {
  requireFit(misfitOfReplay(payload, now))
  await requireSelectable(db, tenantId, payload.eventTypes)
  await requireEndpoints(db, tenantId, payload.endpointIds ?? [])
  return payload
}
