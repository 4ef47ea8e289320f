import type { Watched } from '../receivers.ts'
import type { Ledger, Query, Report } from './finding.ts'

/** What was asked for of deliveries beyond that each is made once. */
export interface Demands {
  /** How often one delivery may have been made again, and under how many other ids. */
  take(endpoint: Watched, delivery: Made): { again: number; newIds: number }
  /** Once all are taken: as much was made again as replays and redeliveries said that they would. */
  checkSums(report: Report): void
}

interface Made {
  id: string
  position: number
  delivered: number
}

interface Replay {
  endpointIds: readonly string[] | undefined
  which: string
  webhookId: string
  /** How far it came. */
  position: number
}

interface ReplayRow {
  tenant_id: string
  job_id: string
  position: number
  delivery_count: number
}

/** Late endpoints are made at this event; what was before it replays alone can tell them. */
interface Opening {
  endpoint_id: string
  position: number
}

export async function demandsOf(query: Query, { tenantIds, changes }: Ledger): Promise<Demands> {
  const rows = await query<ReplayRow>(
    `select tenant_id, job_id, position::int, delivery_count::int from webhook_replay
     where tenant_id = any($1)`,
    [tenantIds],
  )
  const openings = await query<Opening>(openingsText, [tenantIds])
  const openedAt = new Map(openings.map((row) => [row.endpoint_id, row.position]))
  const done = changes.filter(({ state }) => state === 'ACKNOWLEDGED')
  const redelivered = new Map<string, number>()
  const replays = new Map<string, Replay[]>()
  for (const { operation, path, tenantId, body, answer } of done) {
    const deliveryId = path.split('/')[2] ?? ''
    if (operation === 'redeliver') {
      redelivered.set(deliveryId, (redelivered.get(deliveryId) ?? 0) + 1)
    }
    if (operation !== 'replayWebhooks' && operation !== 'replayInPart') continue
    const { id } = JSON.parse(answer?.body ?? '{}') as { id: string }
    const position = rows.find(({ job_id }) => job_id === id)?.position ?? 0
    const ofTenant = replays.get(tenantId) ?? []
    replays.set(tenantId, [...ofTenant, { ...JSON.parse(body ?? '{}'), position }])
  }

  const sums = new Map<string, { again: number; redelivered: number; fresh: number }>()
  for (const tenantId of tenantIds) sums.set(tenantId, { again: 0, redelivered: 0, fresh: 0 })

  return {
    take({ id: endpointId, tenantId }, { id, position, delivered }) {
      const covering = (replays.get(tenantId) ?? []).filter(
        (replay) =>
          replay.which === 'ALL' &&
          position <= replay.position &&
          (replay.endpointIds?.includes(endpointId) ?? true),
      )
      const sum = sums.get(tenantId)
      if (sum !== undefined) {
        sum.again += delivered - 1
        sum.redelivered += redelivered.get(id) ?? 0
        if (position < (openedAt.get(endpointId) ?? 0)) sum.fresh += 1
      }
      return {
        again: (redelivered.get(id) ?? 0) + covering.length,
        newIds: covering.filter(({ webhookId }) => webhookId === 'NEW').length,
      }
    },
    checkSums(report) {
      for (const [tenantId, { again, redelivered: single, fresh }] of sums) {
        const replayed = rows
          .filter((row) => row.tenant_id === tenantId)
          .reduce((sum, row) => sum + row.delivery_count, 0)
        // A replay counts what a redelivery takes from under it.
        const missing = replayed - fresh - again
        if (missing > 0) report('LOST', `${missing} deliveries that a replay made due`, tenantId)
        if (again > replayed + single) {
          const surplus = again - replayed - single
          report('DOUBLED', `${surplus} deliveries that nobody made due again`, tenantId)
        }
      }
    },
  }
}

const openingsText = `
  select endpoint.id as endpoint_id, place.position::int
  from webhook_endpoint as endpoint
  join event on event.tenant_id = endpoint.tenant_id and event.type = 'webhook_endpoint.created'
    and convert_from(event.body, 'UTF8')::jsonb -> 'data' ->> 'id' = endpoint.id
  join event_position as place on place.tenant_id = event.tenant_id and place.event_id = event.id
  where endpoint.tenant_id = any($1)`
