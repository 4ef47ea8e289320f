import type { Arrivals, Watched } from '../receivers.ts'
import { type Demands, demandsOf } from './demands.ts'
import type { Finding, Ledger, Query, Report } from './finding.ts'

interface Delivery {
  id: string
  endpoint_id: string
  event_id: string
  position: number
  attempt_count: number
  /** Attempts that were taken, and those after which nobody knew whether the receiver had it. */
  delivered: number
  unsure: number
  digest: string | null
}

/**
 * Each endpoint has one delivery of each event that it wants, made, with its attempts numbered; it
 * came at least once, with the bytes of the event, and more often only where attempts account for it
 * and somebody had asked for it.
 */
export async function checkDeliveries(query: Query, ledger: Ledger, report: Report) {
  const { tenantIds, endpoints } = ledger
  const caughtUp = endpoints.filter(({ isCaughtUp }) => isCaughtUp).map(({ id }) => id)
  const rows = await query<{ kind: Finding['kind']; what: string; where: string }>(rowsText, [
    tenantIds,
    caughtUp,
  ])
  for (const { kind, what, where } of rows) report(kind, what, where)
  const watched = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]))
  const demands = await demandsOf(query, ledger)
  const promised = new Set<string>()
  for (const delivery of await query<Delivery>(deliveriesText, [tenantIds])) {
    promised.add(`${delivery.endpoint_id} ${delivery.event_id}`)
    const endpoint = watched.get(delivery.endpoint_id)
    if (endpoint !== undefined) checkArrivals(endpoint, delivery, demands, report)
  }
  demands.checkSums(report)
  for (const endpoint of endpoints) {
    for (const eventId of endpoint.arrivals.keys()) {
      if (promised.has(`${endpoint.id} ${eventId}`)) continue
      report('BROKEN', 'told of an event that it was not promised', `${endpoint.name} ${eventId}`)
    }
  }
}

function checkArrivals(
  endpoint: Watched,
  delivery: Delivery,
  demands: Demands,
  report: Report,
): void {
  const where = `${endpoint.name} ${delivery.event_id}`
  const arrivals = endpoint.arrivals.get(delivery.event_id)
  const demand = demands.take(endpoint, delivery)
  if (arrivals === undefined || arrivals.taken === 0) {
    report('LOST', 'never told', where)
    return
  }
  for (const what of excessOf(arrivals, delivery)) report('DOUBLED', what, where)
  const { delivered } = delivery
  if (delivered > 1 + demand.again) {
    report(
      'DOUBLED',
      `delivered ${delivered} times, and asked for ${1 + demand.again} times`,
      where,
    )
  }
  if (arrivals.taken < delivered) {
    report('LOST', `taken ${arrivals.taken} times, and delivered ${delivered} times`, where)
  }
  const ownIds = arrivals.webhookIds.size - (arrivals.webhookIds.has(delivery.event_id) ? 1 : 0)
  if (ownIds > demand.newIds) {
    report('BROKEN', `came under ${ownIds} ids that nobody had asked for`, where)
  }
  if (!arrivals.isSame || arrivals.digest !== delivery.digest) {
    report('BROKEN', 'told in other bytes than those of the event', where)
  }
  if (!arrivals.isSigned) report('BROKEN', 'told without a signature that fits', where)
}

/** In which ways it came more often than at least once means. */
function excessOf({ count, taken, resets }: Arrivals, delivery: Delivery) {
  const { attempt_count, delivered, unsure } = delivery
  return [
    // A request on a kept connection that is reset may be sent again within its attempt.
    ...(count > attempt_count + resets ? [`came ${count} times in ${attempt_count} attempts`] : []),
    ...(taken > delivered + unsure
      ? [`taken ${taken} times, of which ${unsure} were in doubt`]
      : []),
  ]
}

const deliveriesText = `
  select delivery.id, delivery.endpoint_id, delivery.event_id, delivery.attempt_count,
    coalesce(place.position, 0)::int as position, coalesce(tries.delivered, 0)::int as delivered,
    coalesce(tries.unsure, 0)::int as unsure, encode(sha256(event.body), 'base64') as digest
  from webhook_delivery as delivery
  left join (
    select tenant_id, delivery_id, count(*) filter (where outcome = 'DELIVERED') as delivered,
      count(*) filter (where outcome in
        ('INTERRUPTED', 'TIMED_OUT', 'CONNECTION_FAILED', 'PROTOCOL_ERROR')) as unsure
    from attempt group by tenant_id, delivery_id
  ) as tries on tries.tenant_id = delivery.tenant_id and tries.delivery_id = delivery.id
  left join event_position as place on place.tenant_id = delivery.tenant_id
    and place.event_id = delivery.event_id
  left join event on event.tenant_id = delivery.tenant_id and event.id = delivery.event_id
    and event.created_on = delivery.event_created_on
  where delivery.tenant_id = any($1)`

/** What the rows say among themselves. */
const rowsText = `
  with promised as materialized (
    select endpoint.tenant_id, endpoint.id as endpoint_id, place.event_id
    from webhook_endpoint as endpoint
    join event on event.tenant_id = endpoint.tenant_id and event.type = 'webhook_endpoint.created'
      and convert_from(event.body, 'UTF8')::jsonb -> 'data' ->> 'id' = endpoint.id
    join event_position as since on since.tenant_id = event.tenant_id and since.event_id = event.id
    join event_position as place on place.tenant_id = endpoint.tenant_id
      and (place.position >= since.position or endpoint.id = any($2))
    where endpoint.tenant_id = any($1) and endpoint.deleted_at is null
      and (endpoint.event_types @> '{*}' or place.type = any(endpoint.event_types))
  ), made as materialized (
    select tenant_id, endpoint_id, event_id, count(*) as times from webhook_delivery
    where tenant_id = any($1) group by tenant_id, endpoint_id, event_id
  ), tries as materialized (
    select tenant_id, delivery_id, count(*) as count, max(number) as most,
      (array_agg(outcome order by number desc))[1] as last
    from attempt where tenant_id = any($1) group by tenant_id, delivery_id
  )
  select 'LOST' as kind, 'an event without its delivery' as what,
    endpoint_id || ' ' || event_id as where
  from promised left join made using (tenant_id, endpoint_id, event_id) where made.times is null
  union all
  select 'DOUBLED', 'an event with ' || times || ' deliveries', endpoint_id || ' ' || event_id
  from made where times > 1
  union all
  select 'LOST', 'a delivery that is ' || status, id from webhook_delivery
  where tenant_id = any($1) and status <> 'DELIVERED'
  union all
  select 'LOST', 'a delivery that is still due', delivery_id from delivery_due
  where tenant_id = any($1)
  union all
  select 'BROKEN', 'attempts with gaps', delivery.id from webhook_delivery as delivery
  left join tries on tries.tenant_id = delivery.tenant_id and tries.delivery_id = delivery.id
  where delivery.tenant_id = any($1) and delivery.status <> 'PENDING'
    and (tries.count is distinct from delivery.attempt_count or tries.most <> tries.count)
  union all
  select 'BROKEN', 'a delivery whose last attempt failed', delivery.id
  from webhook_delivery as delivery
  join tries on tries.tenant_id = delivery.tenant_id and tries.delivery_id = delivery.id
  where delivery.status = 'DELIVERED' and tries.last <> 'DELIVERED'
  union all
  select 'BROKEN', 'attempts without a delivery', tries.delivery_id
  from tries where not exists (
    select from webhook_delivery as delivery
    where delivery.tenant_id = tries.tenant_id and delivery.id = tries.delivery_id)
  union all
  select case when missing > 0 then 'LOST' else 'DOUBLED' end,
    abs(missing) || ' deliveries that do not add up with what was matched',
    endpoint_id || ' ' || day
  from webhook_balance where tenant_id = any($1) and missing <> 0`
