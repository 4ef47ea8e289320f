import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import { decimalText, exactOf } from '#http/decimal.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { Refund } from './refund.ts'

const columns = ['id', 'payment_id', 'amount', 'currency', 'reason', 'created_at'] as const

type Row = Pick<Selectable<Tables['refund']>, (typeof columns)[number]>

function fromRow(row: Row): Refund {
  return {
    id: row.id as Id<'ref'>,
    paymentId: row.payment_id,
    amount: exactOf(row.amount),
    currency: row.currency,
    reason: row.reason,
    createdAt: row.created_at,
  }
}

export function insertRefund(tx: Tx, tenantId: TenantId, refund: Refund): void {
  tx.queue(refundInsert.bind({ tenantId, ...refund, amount: decimalText(refund.amount) }))
}

const refundInsert = statement(
  'refund_insert',
  (a: Omit<Refund, 'amount'> & { tenantId: TenantId; amount: string }) =>
    build.insertInto('refund').values({
      tenant_id: a.tenantId,
      id: a.id,
      payment_id: a.paymentId,
      amount: a.amount,
      currency: a.currency,
      reason: a.reason,
      created_at: a.createdAt,
    }),
)

export async function findRefund(db: Db, tenantId: TenantId, paymentId: string, id: string) {
  const row = await fetchOne(db, refundById.bind({ tenantId, paymentId, id }))
  return row && fromRow(row)
}

const refundById = statement(
  'refund_by_id',
  (a: { tenantId: TenantId; paymentId: string; id: string }) =>
    build
      .selectFrom('refund')
      .select(columns)
      .where('tenant_id', '=', a.tenantId)
      .where('payment_id', '=', a.paymentId)
      .where('id', '=', a.id),
)

export async function pageRefunds(
  db: Db,
  tenantId: TenantId,
  paymentId: string,
  filter: CreationFilter,
  page: PageRequest,
): Promise<Refund[]> {
  const all = db
    .selectFrom('refund')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('payment_id', '=', paymentId)
  const rows = await inOrderOfCreation(all, { prefix: 'ref' }, filter, page).execute()
  return rows.map(fromRow)
}
