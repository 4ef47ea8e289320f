import { record } from '#audit/record.ts'
import { holdClient } from '#clients/client.sql.ts'
import { requireClient } from '#clients/reference.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import type { InvoiceFromProposalInput } from '#generated/types.ts'
import { changedFieldsOf } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { demandMatch, requireMatch } from '#http/revision.ts'
import { toLineInput } from '#proposals/line.ts'
import { type Proposal, statusOf } from '#proposals/proposal.ts'
import { requireProposal } from '#proposals/reference.ts'
import { advance } from './advance.ts'
import { countIssued, findInvoice, insertInvoice, lockInvoice } from './invoice.sql.ts'
import {
  type Invoice,
  issue,
  judgeDraft,
  newInvoice,
  numberAt,
  patchInvoice,
  requireDates,
  type Step,
  type Terms,
  toInvoice,
  voidUnpaid,
} from './invoice.ts'
import { pageInvoices, placeIn } from './page.sql.ts'

export const createInvoice: Operation<'createInvoice'> = async (_ctx, call, { body }, tx) => {
  requireDates(body)
  const terms = 'lines' in body ? body : await termsOf(tx, call, body)
  const invoice = newInvoice(tx.newId('inv'), terms, call.now)
  await requireReferences(tx, call, invoice)
  const view = toInvoice(invoice)

  insertInvoice(tx, call.tenantId, invoice)
  record(tx, call, 'invoice.created', invoice.id, { after: view })
  publish(tx, call, 'invoice.created', view)
  return { status: 201, headers: { Location: `/api/v1/invoices/${invoice.id}` }, body: view }
}

export const listInvoices: Operation<'listInvoices'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'invoices', query)
  const invoices = await pageInvoices(db, call.tenantId, query, page)
  const placeOf = placeIn(query.sort)
  return {
    status: 200,
    body: toPage(ctx, call, 'invoices', query, invoices, placeOf, toInvoice),
  }
}

export const getInvoice: Operation<'getInvoice'> = async (_ctx, call, { path }, db) => {
  const invoice = found(await findInvoice(db, call.tenantId, path.invoiceId))
  return { status: 200, body: toInvoice(invoice) }
}

export const updateInvoice: Operation<'updateInvoice'> = async (_ctx, call, request, tx) => {
  const { path, headers, body } = request
  const invoice = found(await lockInvoice(tx, call.tenantId, path.invoiceId))
  demandMatch(headers['if-match'], invoice.revision)
  const draft = reached(judgeDraft(invoice))

  const patched = patchInvoice(draft, body, call.now)
  const changedFields = changedFieldsOf(toInvoice(draft), toInvoice(patched))
  if (changedFields.length === 0) return { status: 200, body: toInvoice(draft) }
  const isReferring = changedFields.includes('clientId') || changedFields.includes('proposalId')
  if (isReferring) await requireReferences(tx, call, patched)
  return { status: 200, body: advance(tx, call, 'invoice.updated', draft, patched) }
}

export const issueInvoice: Operation<'issueInvoice'> = async (_ctx, call, request, tx) => {
  const { path, headers } = request
  const draft = found(await lockInvoice(tx, call.tenantId, path.invoiceId))
  requireMatch(headers['if-match'], draft.revision)
  const issued = reached(issue(draft, call.now))
  await requireAddressee(tx, call, draft)
  const number = numberAt(await countIssued(tx, call.tenantId))

  const view = advance(tx, call, 'invoice.issued', draft, { ...issued, number })
  if (view.status === 'PAID') publish(tx, call, 'invoice.paid', view)
  return { status: 200, body: view }
}

export const voidInvoice: Operation<'voidInvoice'> = async (_ctx, call, request, tx) => {
  const { path, headers } = request
  const invoice = found(await lockInvoice(tx, call.tenantId, path.invoiceId))
  requireMatch(headers['if-match'], invoice.revision)
  const voided = reached(voidUnpaid(invoice, call.now))
  return { status: 200, body: advance(tx, call, 'invoice.voided', invoice, voided) }
}

function reached(step: Step): Invoice {
  if (step.ok) return step.invoice
  throw problem('invalid_state', { detail: step.reason })
}

/** What the client accepted, made into what they are asked to pay. */
async function termsOf(tx: Tx, call: Call, input: InvoiceFromProposalInput): Promise<Terms> {
  const proposal = await requireAccepted(tx, call, input.proposalId)
  const { clientId, currency, lines } = proposal
  return { clientId, currency, lines: lines.map(toLineInput), ...input }
}

/** Makes sure that what a draft names is there and stays, and belongs together. */
async function requireReferences(tx: Tx, call: Call, invoice: Invoice): Promise<void> {
  await requireClient(tx, call.tenantId, invoice.clientId)
  if (invoice.proposalId === null) return
  const { clientId } = await requireAccepted(tx, call, invoice.proposalId)
  if (clientId === invoice.clientId) return
  throw problem('reference_mismatch', {
    detail: 'The proposal is to another client.',
    errors: [{ pointer: '/proposalId', code: 'mismatch', message: 'is to another client' }],
  })
}

async function requireAccepted(tx: Tx, call: Call, proposalId: string): Promise<Proposal> {
  const proposal = await requireProposal(tx, call.tenantId, proposalId)
  const status = statusOf(proposal, call.now)
  if (status === 'ACCEPTED') return proposal
  throw problem('invalid_state', {
    detail: `The proposal is ${status}, and only what is ACCEPTED can be invoiced.`,
    errors: [{ pointer: '/proposalId', code: 'invalid_state', message: 'must be ACCEPTED' }],
  })
}

/** Holds the client, so that it is not deleted while it is asked to pay. */
async function requireAddressee(tx: Tx, call: Call, draft: Invoice): Promise<void> {
  if (await holdClient(tx, call.tenantId, draft.clientId)) return
  throw problem('invalid_state', {
    detail: 'The client of the invoice was deleted. Change the draft to another client first.',
  })
}
