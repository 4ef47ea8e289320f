import { record } from '#audit/record.ts'
import type { Db } from '#db/database.ts'
import { requireSelectable } from '#events/selectable.ts'
import type { Operation } from '#http/operation.ts'
import { found, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { newJob, toJob } from '#jobs/job.ts'
import { requireFit } from '#jobs/misfit.ts'
import { findEndpoint } from './endpoint.sql.ts'
import { findListeners, findPromised, findRange, readPage } from './replay.sql.ts'
import {
  asksForPayloads,
  isAbout,
  misfitOfReplay,
  type Plan,
  planOf,
  type ReplayPayload,
  replayKey,
  replayOf,
  sharesOf,
  webhookReplay,
} from './replay.ts'

export const createWebhookReplay: Operation<'createWebhookReplay'> = async (
  _ctx,
  call,
  { body },
  tx,
) => {
  const payload = await requireReplay(tx, call.tenantId, replayOf(body), call.now)
  const options = { uniqueKey: replayKey, priority: 'LOW', dueAt: call.now } as const
  const id = enqueue(tx, call, webhookReplay, payload, options)
  const told = { id, task: webhookReplay.name, payload: { ...payload }, ...options }
  const view = toJob(newJob(told, call))
  record(tx, call, 'webhook_replay.created', id, { after: view })
  return { status: 202, headers: { Location: `/api/v1/jobs/${id}` }, body: view }
}

/** Events that a preview looks at, and at how many at once; fewer where it reads what they say. */
const extents = {
  places: { most: 100_000, page: 5_000 },
  payloads: { most: 10_000, page: 100 },
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
  const plans: Plan[] = []
  let state = await findRange(tx, call.tenantId, payload)
  const lookedAtFrom = state.position
  while (state.position < state.untilPosition && state.position - lookedAtFrom < extent.most) {
    const page = await readPage(tx, call.tenantId, state, {
      limit: extent.page,
      withPayloads,
    })
    const events = page.events.filter((event) => isAbout(payload, event))
    const promised = await findPromised(tx, call.tenantId, events, listeners)
    plans.push(planOf(payload, events, listeners, promised))
    state = { ...state, position: page.position }
  }
  const endpoints = sharesOf(plans)
  return {
    status: 200,
    body: {
      eventCount: plans.reduce((sum, plan) => sum + plan.eventCount, 0),
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
  for (const id of payload.endpointIds ?? []) {
    const endpoint = found(await findEndpoint(db, tenantId, id))
    if (endpoint.status === 'DISABLED') throw problem('endpoint_disabled')
  }
  return payload
}
