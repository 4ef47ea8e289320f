import type {
  ProposalInfo,
  ProposalInput,
  ProposalPatch,
  ProposalStatus,
} from '#generated/types.ts'
import { mergePatch } from '#http/merge-patch.ts'
import type { Id } from '#ids.ts'
import { priceLines, toLine, toLineInput } from './line.ts'

/**
 * A *proposal* is an offer to a client. It is drafted, then *submitted*, and from then on stays as
 * the client saw it; the client's answer, *acceptance* or *declination*, ends it. A sent proposal
 * whose last day has passed is EXPIRED to whoever looks, from midnight on, so the row never says so;
 * that it was told, once and some minutes later, is a change of its own.
 */
export interface Proposal {
  id: Id<'pro'>
  clientId: string
  title: string
  status: KeptStatus
  currency: string
  lines: ProposalInfo['lines']
  totals: ProposalInfo['totals']
  /** The last day of the offer, in UTC; null for an offer without end. */
  validUntil: string | null
  sentAt: Date | null
  decidedAt: Date | null
  declineReason: string | null
  /** When it was told that the offer had run out; null before. */
  expiredAt: Date | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

/** What the row says; whether an offer has run out is a question of the day. */
export type KeptStatus = Exclude<ProposalStatus, 'EXPIRED'>

/** Throws what `priceLines` throws. */
export function newProposal(id: Id<'pro'>, input: ProposalInput, now: Date): Proposal {
  return {
    id,
    ...fieldsOf(input),
    status: 'DRAFT',
    sentAt: null,
    decidedAt: null,
    declineReason: null,
    expiredAt: null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

/** The draft after a merge patch, priced anew. Throws what `priceLines` throws. */
export function patchProposal(draft: Proposal, patch: ProposalPatch, now: Date): Proposal {
  const { clientId, title, currency, lines, validUntil } = draft
  const kept = { clientId, title, currency, lines: lines.map(toLineInput), validUntil }
  // Merging what the contract allows in both gives what it allows in an input, or a null to clear.
  return changed({ ...draft, ...fieldsOf(mergePatch(kept, patch) as typeof kept) }, now)
}

function fieldsOf(input: Omit<ProposalInput, 'validUntil'> & { validUntil?: string | null }) {
  return {
    clientId: input.clientId,
    title: input.title,
    currency: input.currency,
    ...priceLines(input.lines, input.currency),
    validUntil: input.validUntil ?? null,
  }
}

/** The next state of a proposal, or why it cannot be reached, in words for the caller. */
export type Step = { ok: true; proposal: Proposal } | { ok: false; reason: string }

/** Makes a draft into an offer, while its last day has not passed. */
export function submit(proposal: Proposal, now: Date): Step {
  if (proposal.status !== 'DRAFT') return refused(proposal, now, 'only drafts can be submitted')
  if (hasEnded(proposal, now)) {
    const reason = `The draft was valid until ${proposal.validUntil}, which has passed.`
    return { ok: false, reason }
  }
  return { ok: true, proposal: changed({ ...proposal, status: 'SENT', sentAt: now }, now) }
}

/** The client's yes, to an offer that still stands. */
export function accept(proposal: Proposal, now: Date): Step {
  if (statusOf(proposal, now) !== 'SENT') {
    return refused(proposal, now, 'only what is SENT can be accepted')
  }
  return { ok: true, proposal: changed({ ...proposal, status: 'ACCEPTED', decidedAt: now }, now) }
}

/** The client's no, with the reason if they gave one. */
export function decline(proposal: Proposal, declineReason: string | null, now: Date): Step {
  if (statusOf(proposal, now) !== 'SENT') {
    return refused(proposal, now, 'only what is SENT can be declined')
  }
  const answer = { status: 'DECLINED', declineReason, decidedAt: now } as const
  return { ok: true, proposal: changed({ ...proposal, ...answer }, now) }
}

/** The offer as it is told to have run out; undefined while it has not, and once it was told. */
export function expire(proposal: Proposal, now: Date): Proposal | undefined {
  if (statusOf(proposal, now) !== 'EXPIRED' || proposal.expiredAt !== null) return undefined
  return changed({ ...proposal, expiredAt: now }, now)
}

function refused(proposal: Proposal, now: Date, rule: string): Step {
  const status = statusOf(proposal, now)
  const since = status === 'EXPIRED' ? ` since the end of ${proposal.validUntil}` : ''
  return { ok: false, reason: `The proposal is ${status}${since}, and ${rule}.` }
}

function changed(proposal: Proposal, now: Date): Proposal {
  return { ...proposal, updatedAt: now, revision: proposal.revision + 1 }
}

/** The status that callers see at `now`. */
export function statusOf(proposal: Proposal, now: Date): ProposalStatus {
  return proposal.status === 'SENT' && hasEnded(proposal, now) ? 'EXPIRED' : proposal.status
}

function hasEnded({ validUntil }: Proposal, now: Date): boolean {
  return validUntil !== null && validUntil < todayOf(now)
}

/** The UTC day of a moment. As text, days sort by time. */
export function todayOf(now: Date): string {
  return now.toISOString().slice(0, 10)
}

export function toProposal(proposal: Proposal, now: Date): ProposalInfo {
  return {
    id: proposal.id,
    clientId: proposal.clientId,
    title: proposal.title,
    status: statusOf(proposal, now),
    currency: proposal.currency,
    lines: proposal.lines.map(toLine),
    totals: proposal.totals,
    validUntil: proposal.validUntil,
    sentAt: proposal.sentAt?.toISOString() ?? null,
    decidedAt: proposal.decidedAt?.toISOString() ?? null,
    declineReason: proposal.declineReason,
    createdAt: proposal.createdAt.toISOString(),
    updatedAt: proposal.updatedAt.toISOString(),
    revision: proposal.revision,
  }
}
