import type { InvoiceInfo, InvoicePatch, InvoiceStatus, LineInput } from '#generated/types.ts'
import { type Exact, numberOf } from '#http/decimal.ts'
import { mergePatch } from '#http/merge-patch.ts'
import { problem } from '#http/problem.ts'
import type { Id } from '#ids.ts'
import { priceLines, toLine, toLineInput } from '#proposals/line.ts'
import { todayOf } from '#proposals/proposal.ts'
import { balanceOf, dueOf } from './balance.ts'

/**
 * An *invoice* asks a client to pay. It is drafted, then *issued*: from then on it has a number and
 * stays as the client saw it, and only payments and their refunds change what is due. It is PAID
 * while nothing is due, and VOIDED once it is withdrawn. None is deleted: its number would be a gap.
 */
export interface Invoice {
  id: Id<'inv'>
  number: string | null
  status: InvoiceStatus
  clientId: string
  proposalId: string | null
  currency: string
  lines: InvoiceInfo['lines']
  totals: InvoiceInfo['totals']
  amountPaid: Exact
  /** Days in UTC; in a draft null where the issuance is to set them. */
  issueDate: string | null
  dueDate: string | null
  issuedAt: Date | null
  paidAt: Date | null
  voidedAt: Date | null
  createdAt: Date
  updatedAt: Date
  revision: number
}

/** How long a client has to pay where nothing else is said. */
export const termDays = 30

/** The last day that the contract can write. */
const lastDay = '2199-12-31'

/** What a draft says, whether it came from the caller or from a proposal. */
export interface Terms {
  clientId: string
  proposalId?: string | null
  currency: string
  lines: readonly LineInput[]
  issueDate?: string | null
  dueDate?: string | null
}

/** Throws what `priceLines` throws, and `invalid_request` for dates in the wrong order. */
export function newInvoice(id: Id<'inv'>, terms: Terms, now: Date): Invoice {
  return {
    id,
    number: null,
    status: 'DRAFT',
    ...fieldsOf(terms),
    amountPaid: 0n,
    issuedAt: null,
    paidAt: null,
    voidedAt: null,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  }
}

/** The draft after a merge patch, priced anew. Throws what `newInvoice` throws. */
export function patchInvoice(draft: Invoice, patch: InvoicePatch, now: Date): Invoice {
  const { clientId, proposalId, currency, lines, issueDate, dueDate } = draft
  const kept = { clientId, proposalId, currency, lines: lines.map(toLineInput), issueDate, dueDate }
  // Merging what the contract allows in both gives terms; what was cleared is absent in them.
  return changed({ ...draft, ...fieldsOf(mergePatch(kept, patch) as Terms) }, now)
}

function fieldsOf(terms: Terms) {
  requireDates(terms)
  return {
    clientId: terms.clientId,
    proposalId: terms.proposalId ?? null,
    currency: terms.currency,
    ...priceLines(terms.lines, terms.currency),
    issueDate: terms.issueDate ?? null,
    dueDate: terms.dueDate ?? null,
  }
}

/** Throws `invalid_request` for an invoice that would be due before its day. */
export function requireDates({ issueDate, dueDate }: Pick<Terms, 'issueDate' | 'dueDate'>): void {
  if (!issueDate || !dueDate || dueDate >= issueDate) return
  throw problem('invalid_request', {
    detail: `The invoice would be due on ${dueDate}, before ${issueDate}.`,
    errors: [
      { pointer: '/dueDate', code: 'out_of_range', message: `must not be before issueDate` },
    ],
  })
}

/** The next state of an invoice, or why it cannot be reached, in words for the caller. */
export type Step = { ok: true; invoice: Invoice } | { ok: false; reason: string }

/** Makes a draft due, all but its number. Where nothing is to be paid, it is paid. */
export function issue(draft: Invoice, now: Date): Step {
  if (draft.status !== 'DRAFT') return refused(draft, 'only drafts can be issued')
  const issueDate = draft.issueDate ?? todayOf(now)
  const dueDate = draft.dueDate ?? termAfter(issueDate)
  if (dueDate < issueDate) {
    const reason = `The invoice would be due on ${dueDate}, before ${issueDate}, the day of its issue.`
    return { ok: false, reason }
  }
  const issued = { ...draft, issueDate, dueDate, issuedAt: now }
  return { ok: true, invoice: changed({ ...issued, ...balanceOf(issued, 0n, now) }, now) }
}

/** The number of the n-th invoice of a tenant. */
export function numberAt(count: number): string {
  return `INV-${String(count).padStart(6, '0')}`
}

/** Withdraws an invoice that holds nobody's money. */
export function voidUnpaid(invoice: Invoice, now: Date): Step {
  const { status, amountPaid, currency } = invoice
  if (status === 'VOIDED') return refused(invoice, 'it stays so')
  if (amountPaid > 0n) {
    const paid = `The invoice is ${status}, with ${numberOf(amountPaid)} ${currency} paid`
    return { ok: false, reason: `${paid}: refund its payments first.` }
  }
  const withdrawn = { ...invoice, status: 'VOIDED', paidAt: null, voidedAt: now } as const
  return { ok: true, invoice: changed(withdrawn, now) }
}

/** What may be changed of an invoice is a draft; otherwise why not. */
export function judgeDraft(invoice: Invoice): Step {
  if (invoice.status === 'DRAFT') return { ok: true, invoice }
  return refused(invoice, 'only drafts can be changed')
}

function refused({ status }: Invoice, rule: string): Step {
  return { ok: false, reason: `The invoice is ${status}, and ${rule}.` }
}

/** The next revision. */
export function changed(invoice: Invoice, now: Date): Invoice {
  return { ...invoice, updatedAt: now, revision: invoice.revision + 1 }
}

function termAfter(day: string): string {
  const end = new Date(`${day}T00:00:00Z`)
  end.setUTCDate(end.getUTCDate() + termDays)
  const dueDate = todayOf(end)
  return dueDate > lastDay ? lastDay : dueDate
}

export function toInvoice(invoice: Invoice): InvoiceInfo {
  return {
    id: invoice.id,
    number: invoice.number,
    status: invoice.status,
    clientId: invoice.clientId,
    proposalId: invoice.proposalId,
    currency: invoice.currency,
    lines: invoice.lines.map(toLine),
    totals: invoice.totals,
    amountPaid: numberOf(invoice.amountPaid),
    amountDue: numberOf(dueOf(invoice)),
    issueDate: invoice.issueDate,
    dueDate: invoice.dueDate,
    issuedAt: invoice.issuedAt?.toISOString() ?? null,
    paidAt: invoice.paidAt?.toISOString() ?? null,
    voidedAt: invoice.voidedAt?.toISOString() ?? null,
    createdAt: invoice.createdAt.toISOString(),
    updatedAt: invoice.updatedAt.toISOString(),
    revision: invoice.revision,
  }
}
