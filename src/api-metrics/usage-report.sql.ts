import { sql } from 'kysely'
import type { Db } from '#db/database.ts'
import { duringPeriod } from '#http/page.sql.ts'
import type { TenantId } from '#ids.ts'
import type { Span } from './cover.ts'
import type { DeliverySums } from './usage-report.ts'

/** An id is made a little after its row is dated: around midnight that may be in the next partition. */
const slackMs = 60_000

const dayAt = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

const periodOf = ({ fromMs, toMs }: Span) => ({
  createdAfter: new Date(fromMs).toISOString(),
  createdBefore: new Date(toMs).toISOString(),
})

/** How many of a tenant's events happened in a span; its days say which partitions are read. */
export async function countEvents(db: Db, tenantId: TenantId, span: Span): Promise<number> {
  const all = db
    .selectFrom('event')
    .select((column) => column.fn.countAll<string>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('created_on', '>=', dayAt(span.fromMs - slackMs))
    .where('created_on', '<=', dayAt(span.toMs + slackMs))
  const columns = { prefix: 'evt', createdAt: 'occurred_at' } as const
  const [row] = await duringPeriod(all, columns, periodOf(span)).execute()
  return Number(row?.count ?? 0)
}

/** How many deliveries of a tenant began in a span, and what has become of them. */
export async function sumDeliveries(db: Db, tenantId: TenantId, span: Span): Promise<DeliverySums> {
  const all = db
    .selectFrom('webhook_delivery')
    .select([
      sql<string>`count(*)`.as('made'),
      sql<string>`count(*) filter (where status = 'DELIVERED')`.as('delivered'),
      sql<string>`count(*) filter (where status = 'EXHAUSTED')`.as('exhausted'),
    ])
    .where('tenant_id', '=', tenantId)
    .where('created_on', '>=', dayAt(span.fromMs - slackMs))
    .where('created_on', '<=', dayAt(span.toMs + slackMs))
  const [row] = await duringPeriod(all, { prefix: 'whd' }, periodOf(span)).execute()
  return {
    made: Number(row?.made ?? 0),
    delivered: Number(row?.delivered ?? 0),
    exhausted: Number(row?.exhausted ?? 0),
  }
}
