import { sql } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { raw, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import { dayOf, type TenantId } from '#ids.ts'

/** A delivery that somebody asked for. */
export interface Requested {
  id: string
  endpointId: string
  isTransformed: boolean
  eventId: string
  eventType: string
  createdAt: Date
  dueAt: Date
}

/** Queues a new delivery, and that it is to be made. */
export function insertRequested(tx: Tx, tenantId: TenantId, requested: Requested): void {
  const [createdOn, eventCreatedOn] = [dayOf(requested.id), dayOf(requested.eventId)]
  tx.queue(deliveryInsert.bind({ ...requested, tenantId, createdOn, eventCreatedOn }))
  tx.queue(dueInsert.bind({ ...requested, tenantId, createdOn, eventCreatedOn }))
}

interface Written extends Requested {
  tenantId: TenantId
  createdOn: string
  eventCreatedOn: string
}

const deliveryInsert = statement('webhook_delivery_insert', (a: Written) =>
  build.insertInto('webhook_delivery').values({
    ...{ tenant_id: a.tenantId, id: a.id, created_on: a.createdOn, endpoint_id: a.endpointId },
    ...{ event_id: a.eventId, event_created_on: a.eventCreatedOn, event_type: a.eventType },
    ...{ is_transformed: a.isTransformed, status: 'PENDING', attempt_count: 0 },
    created_at: a.createdAt,
  }),
)

const dueInsert = statement('webhook_delivery_due_insert', (a: Written) =>
  raw(sql`
    insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
      event_created_on, due_at, attempt_count, retry_count, order_key, position)
    select ${a.tenantId}, ${a.endpointId}, ${a.id}, ${a.createdOn}::date, ${a.eventId},
      ${a.eventCreatedOn}::date, ${a.dueAt}::timestamptz, 0, 0, place.order_key, place.position
    from ubos_order_of(${a.tenantId}, ${a.endpointId}, ${a.eventId}, ${a.eventCreatedOn}::date)
      as place`),
)

/** Since when the oldest of what waits for each endpoint is due; where nothing waits, nothing. */
export async function findFirstDue(
  db: Db,
  tenantId: TenantId,
  endpointIds: readonly string[],
): Promise<ReadonlyMap<string, Date>> {
  const rows = await db
    .selectFrom('delivery_due')
    .select((column) => ['endpoint_id', column.fn.min('due_at').as('due_at')])
    .where('tenant_id', '=', tenantId)
    .where('endpoint_id', 'in', [...endpointIds])
    .where('lease_token', 'is', null)
    .groupBy('endpoint_id')
    .execute()
  return new Map(rows.map((row) => [row.endpoint_id, row.due_at]))
}
