import { record } from '#audit/record.ts'
import { requireClient } from '#clients/reference.ts'
import type { Tx } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Call, Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found, problem } from '#http/problem.ts'
import { requireMatch } from '#http/revision.ts'
import {
  deleteProposal as deleteRow,
  findOpenInvoice,
  findProposal,
  insertProposal,
  lockProposal,
  pageProposals,
  updateProposal as updateRow,
} from './proposal.sql.ts'
import {
  accept,
  decline,
  newProposal,
  type Proposal,
  patchProposal,
  type Step,
  statusOf,
  submit,
  todayOf,
  toProposal,
} from './proposal.ts'

export const createProposal: Operation<'createProposal'> = async (_ctx, call, { body }, tx) => {
  const proposal = newProposal(tx.newId('pro'), body, call.now)
  await requireClient(tx, call.tenantId, body.clientId)
  const view = toProposal(proposal, call.now)

  insertProposal(tx, call.tenantId, proposal)
  record(tx, call, 'proposal.created', proposal.id, { after: view })
  publish(tx, call, 'proposal.created', view)
  return { status: 201, headers: { Location: `/api/v1/proposals/${proposal.id}` }, body: view }
}

export const listProposals: Operation<'listProposals'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'proposals', query)
  const proposals = await pageProposals(db, call.tenantId, query, page, todayOf(call.now))
  const toItem = (proposal: Proposal) => toProposal(proposal, call.now)
  return {
    status: 200,
    body: toPage(ctx, call, 'proposals', query, proposals, ({ id }) => [id], toItem),
  }
}

export const getProposal: Operation<'getProposal'> = async (_ctx, call, { path }, db) => {
  const proposal = found(await findProposal(db, call.tenantId, path.proposalId))
  return { status: 200, body: toProposal(proposal, call.now) }
}

export const updateProposal: Operation<'updateProposal'> = async (_ctx, call, request, tx) => {
  const { path, headers, body } = request
  const proposal = found(await lockProposal(tx, call.tenantId, path.proposalId))
  requireMatch(headers['if-match'], proposal.revision)
  requireDraft(call, proposal)

  const patched = patchProposal(proposal, body, call.now)
  if (body.clientId !== undefined) await requireClient(tx, call.tenantId, body.clientId)
  const [before, view] = [toProposal(proposal, call.now), toProposal(patched, call.now)]
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updateRow(tx, call.tenantId, patched)
  record(tx, call, 'proposal.updated', proposal.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, 'proposal.updated', view, { changedFields })
  return { status: 200, body: view }
}

export const deleteProposal: Operation<'deleteProposal'> = async (_ctx, call, request, tx) => {
  const { path, headers } = request
  const proposal = found(await lockProposal(tx, call.tenantId, path.proposalId))
  requireMatch(headers['if-match'], proposal.revision)
  const openInvoice = await findOpenInvoice(tx, call.tenantId, proposal.id)
  if (openInvoice) {
    throw problem('resource_in_use', { detail: `Invoice ${openInvoice} of the proposal is OPEN.` })
  }
  const view = toProposal(proposal, call.now)

  deleteRow(tx, call.tenantId, proposal, call.now)
  record(tx, call, 'proposal.deleted', proposal.id, { before: view })
  publish(tx, call, 'proposal.deleted', view)
  return { status: 204 }
}

export const submitProposal: Operation<'submitProposal'> = async (_ctx, call, { path }, tx) => {
  const draft = found(await lockProposal(tx, call.tenantId, path.proposalId))
  const sent = reached(submit(draft, call.now))
  return { status: 200, body: advance(tx, call, 'proposal.sent', draft, sent) }
}

export const acceptProposal: Operation<'acceptProposal'> = async (_ctx, call, { path }, tx) => {
  const offer = found(await lockProposal(tx, call.tenantId, path.proposalId))
  const accepted = reached(accept(offer, call.now))
  return { status: 200, body: advance(tx, call, 'proposal.accepted', offer, accepted) }
}

export const declineProposal: Operation<'declineProposal'> = async (_ctx, call, request, tx) => {
  const { path, body } = request
  const offer = found(await lockProposal(tx, call.tenantId, path.proposalId))
  const declined = reached(decline(offer, body?.reason ?? null, call.now))
  return { status: 200, body: advance(tx, call, 'proposal.declined', offer, declined) }
}

/** What the client has seen stays as it is. */
function requireDraft(call: Call, proposal: Proposal): void {
  if (proposal.status === 'DRAFT') return
  const status = statusOf(proposal, call.now)
  throw problem('invalid_state', {
    detail: `The proposal is ${status}, and only drafts can be changed.`,
  })
}

function reached(step: Step): Proposal {
  if (step.ok) return step.proposal
  throw problem('invalid_state', { detail: step.reason })
}

/** Queues a proposal's next state with its audit entry and its event. */
function advance(
  tx: Tx,
  call: Call,
  type: 'proposal.sent' | 'proposal.accepted' | 'proposal.declined',
  proposal: Proposal,
  next: Proposal,
) {
  const [before, view] = [toProposal(proposal, call.now), toProposal(next, call.now)]
  const changedFields = changedFieldsOf(before, view)
  updateRow(tx, call.tenantId, next)
  record(tx, call, type, proposal.id, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  publish(tx, call, type, view)
  return view
}
