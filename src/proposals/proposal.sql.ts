import type { Selectable } from 'kysely'
import { build, type Db } from '#db/database.ts'
import { fetchOne, statement, touchingOne } from '#db/statement.ts'
import type { Tx } from '#db/transact.ts'
import type { Tables } from '#generated/tables.ts'
import type { ProposalStatus } from '#generated/types.ts'
import { type CreationFilter, inOrderOfCreation } from '#http/page.sql.ts'
import type { PageRequest } from '#http/page.ts'
import type { Id, TenantId } from '#ids.ts'
import type { KeptStatus, Proposal } from './proposal.ts'

const columns = [
  'id',
  'client_id',
  'title',
  'lines',
  'currency',
  'subtotal',
  'tax',
  'total',
  'valid_until',
  'status',
  'sent_at',
  'decided_at',
  'decline_reason',
  'expired_at',
  'revision',
  'created_at',
  'updated_at',
] as const

type Row = Pick<Selectable<Tables['proposal']>, (typeof columns)[number]>

function fromRow(row: Row): Proposal {
  return {
    id: row.id as Id<'pro'>,
    clientId: row.client_id,
    title: row.title,
    status: row.status as KeptStatus,
    currency: row.currency,
    lines: row.lines as Proposal['lines'],
    totals: {
      subtotal: Number(row.subtotal),
      tax: Number(row.tax),
      total: Number(row.total),
    },
    validUntil: row.valid_until,
    sentAt: row.sent_at,
    decidedAt: row.decided_at,
    declineReason: row.decline_reason,
    expiredAt: row.expired_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  }
}

function toRow(proposal: Proposal) {
  return {
    client_id: proposal.clientId,
    title: proposal.title,
    lines: JSON.stringify(proposal.lines),
    currency: proposal.currency,
    subtotal: String(proposal.totals.subtotal),
    tax: String(proposal.totals.tax),
    total: String(proposal.totals.total),
    valid_until: proposal.validUntil,
    status: proposal.status,
    sent_at: proposal.sentAt,
    decided_at: proposal.decidedAt,
    decline_reason: proposal.declineReason,
    expired_at: proposal.expiredAt,
    revision: proposal.revision,
    updated_at: proposal.updatedAt,
  }
}

export function insertProposal(tx: Tx, tenantId: TenantId, proposal: Proposal): void {
  const { id, createdAt } = proposal
  tx.queue(proposalInsert.bind({ tenantId, id, createdAt, ...toRow(proposal) }))
}

type Written = { tenantId: TenantId; id: string } & ReturnType<typeof toRow>

const proposalInsert = statement('proposal_insert', (a: Written & { createdAt: Date }) =>
  build.insertInto('proposal').values({
    tenant_id: a.tenantId,
    id: a.id,
    created_at: a.createdAt,
    ...columnsOf(a),
  }),
)

/** Queues the proposal's new state; another change of the same revision is a conflict. */
export function updateProposal(tx: Tx, tenantId: TenantId, proposal: Proposal): void {
  const revisionBefore = proposal.revision - 1
  tx.queue(proposalUpdate.bind({ tenantId, id: proposal.id, revisionBefore, ...toRow(proposal) }))
}

const proposalUpdate = touchingOne(
  'proposal_update',
  'conflict',
  (a: Written & { revisionBefore: number }) =>
    build
      .updateTable('proposal')
      .set(columnsOf(a))
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revisionBefore)
      .where('deleted_at', 'is', null),
)

function columnsOf(a: Written) {
  return {
    client_id: a.client_id,
    title: a.title,
    lines: a.lines,
    currency: a.currency,
    subtotal: a.subtotal,
    tax: a.tax,
    total: a.total,
    valid_until: a.valid_until,
    status: a.status,
    sent_at: a.sent_at,
    decided_at: a.decided_at,
    decline_reason: a.decline_reason,
    expired_at: a.expired_at,
    revision: a.revision,
    updated_at: a.updated_at,
  }
}

export function deleteProposal(tx: Tx, tenantId: TenantId, proposal: Proposal, now: Date): void {
  const { id, revision } = proposal
  tx.queue(proposalDelete.bind({ tenantId, id, revision, now }))
}

const proposalDelete = touchingOne(
  'proposal_delete',
  'conflict',
  (a: { tenantId: TenantId; id: string; revision: number; now: Date }) =>
    build
      .updateTable('proposal')
      .set({ deleted_at: a.now })
      .where('tenant_id', '=', a.tenantId)
      .where('id', '=', a.id)
      .where('revision', '=', a.revision)
      .where('deleted_at', 'is', null),
)

export async function findProposal(db: Db, tenantId: TenantId, id: string) {
  const row = await fetchOne(db, proposalById.bind({ tenantId, id }))
  return row && fromRow(row)
}

const proposalById = statement('proposal_by_id', selectOne)

/** The proposal, held against other changes until the transaction ends. */
export async function lockProposal(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, proposalLocked.bind({ tenantId, id }))
  return row && fromRow(row)
}

const proposalLocked = statement('proposal_locked', (a: OneProposal) =>
  selectOne(a).forNoKeyUpdate(),
)

/** The proposal that something will refer to: it stays as it is until the transaction ends. */
export async function holdProposal(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, proposalHeld.bind({ tenantId, id }))
  return row && fromRow(row)
}

const proposalHeld = statement('proposal_held', (a: OneProposal) => selectOne(a).forShare())

/** The number of an invoice from the proposal that is still to be paid, if there is one. */
export async function findOpenInvoice(tx: Tx, tenantId: TenantId, id: string) {
  const row = await fetchOne(tx, proposalOpenInvoice.bind({ tenantId, id }))
  return row?.number
}

const proposalOpenInvoice = statement('proposal_open_invoice', (a: OneProposal) =>
  build
    .selectFrom('invoice')
    .select('number')
    .where('tenant_id', '=', a.tenantId)
    .where('proposal_id', '=', a.id)
    .where('status', '=', 'OPEN')
    .limit(1),
)

interface OneProposal {
  tenantId: TenantId
  id: string
}

function selectOne(a: OneProposal) {
  return build
    .selectFrom('proposal')
    .select(columns)
    .where('tenant_id', '=', a.tenantId)
    .where('id', '=', a.id)
    .where('deleted_at', 'is', null)
}

export interface ProposalFilter extends CreationFilter {
  clientId?: string | undefined
  /** The status that callers see today, not the one in the row. */
  status?: ProposalStatus | undefined
}

export async function pageProposals(
  db: Db,
  tenantId: TenantId,
  filter: ProposalFilter,
  page: PageRequest,
  today: string,
): Promise<Proposal[]> {
  const all = db
    .selectFrom('proposal')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
  let query = inOrderOfCreation(all, { prefix: 'pro' }, filter, page)
  const { clientId, status } = filter
  if (clientId !== undefined) query = query.where('client_id', '=', clientId)
  if (status !== undefined) {
    query = query.where('status', '=', status === 'EXPIRED' ? 'SENT' : status)
  }
  if (status === 'EXPIRED') query = query.where('valid_until', '<', today)
  if (status === 'SENT') {
    query = query.where(({ eb, or }) =>
      or([eb('valid_until', 'is', null), eb('valid_until', '>=', today)]),
    )
  }
  return (await query.execute()).map(fromRow)
}
