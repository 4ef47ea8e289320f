import { expect, test } from 'vitest'
import type { InvoicePatch, InvoiceStatus, LineInput } from '#generated/types.ts'
import { exactOf } from '#http/decimal.ts'
import { changedFieldsOf } from '#http/merge-patch.ts'
import {
  type Invoice,
  issue,
  judgeDraft,
  newInvoice,
  numberAt,
  patchInvoice,
  type Step,
  toInvoice,
  voidUnpaid,
} from '#invoices/invoice.ts'
import { giveBack, judgePayment, receive } from '#invoices/payable.ts'

const created = new Date('2026-02-04T10:00:00Z')
const later = new Date('2026-02-04T23:59:59.999Z')
const work: LineInput = { description: 'Work', quantity: 1, unitAmount: 100 }

function draft(more: object = {}, lines = [work], currency = 'GBP'): Invoice {
  return newInvoice('inv_1', { clientId: 'cli_1', currency, lines, ...more }, created)
}

function reached(step: Step): Invoice {
  if (!step.ok) throw new Error(step.reason)
  return step.invoice
}

/** An invoice over 100 GBP in a state, with what is paid of it. */
function invoice(status: InvoiceStatus, paid = 0): Invoice {
  if (status === 'DRAFT') return draft()
  const issued = { ...reached(issue(draft(), created)), number: numberAt(1) }
  if (status === 'VOIDED') return reached(voidUnpaid(issued, created))
  const amount = status === 'PAID' ? 100 : paid
  return amount === 0 ? issued : receive(issued, exactOf(amount), created)
}

test('a new invoice is a draft without a number, of which nothing is paid', () => {
  expect(toInvoice(draft())).toEqual({
    id: 'inv_1',
    number: null,
    status: 'DRAFT',
    clientId: 'cli_1',
    proposalId: null,
    currency: 'GBP',
    lines: [{ ...work, taxRate: 0, amount: 100 }],
    totals: { subtotal: 100, tax: 0, total: 100 },
    amountPaid: 0,
    amountDue: 100,
    issueDate: null,
    dueDate: null,
    issuedAt: null,
    paidAt: null,
    voidedAt: null,
    createdAt: '2026-02-04T10:00:00.000Z',
    updatedAt: '2026-02-04T10:00:00.000Z',
    revision: 1,
  })
})

const line = (quantity: number, unitAmount: number, taxRate: number): LineInput => ({
  description: 'Work',
  quantity,
  unitAmount,
  taxRate,
})
test.each([
  // Half of a minor unit goes up, in the amount and again in the tax.
  ['GBP', [line(0.5, 0.01, 0)], { subtotal: 0.01, tax: 0, total: 0.01 }],
  ['GBP', [line(0.4999, 0.01, 0)], { subtotal: 0, tax: 0, total: 0 }],
  ['GBP', [line(1, 0.1, 5)], { subtotal: 0.1, tax: 0.01, total: 0.11 }],
  ['JPY', [line(0.5, 1, 10)], { subtotal: 1, tax: 0, total: 1 }],
  ['JPY', [line(1, 5, 10), line(1, 5, 10)], { subtotal: 10, tax: 2, total: 12 }],
  ['KWD', [line(0.5, 0.001, 0)], { subtotal: 0.001, tax: 0, total: 0.001 }],
  ['KWD', [line(3, 0.333, 5)], { subtotal: 0.999, tax: 0.05, total: 1.049 }],
] as const)('in %s, %j comes to %j, and that is due', (currency, lines, totals) => {
  const view = toInvoice(draft({}, [...lines], currency))
  expect(view).toMatchObject({ totals, amountDue: totals.total })
})

test.each([
  [{}, '2026-02-04', '2026-03-06'],
  [{ issueDate: '2026-01-31' }, '2026-01-31', '2026-03-02'],
  [{ issueDate: '2028-01-31' }, '2028-01-31', '2028-03-01'],
  [{ issueDate: '2026-12-15' }, '2026-12-15', '2027-01-14'],
  [{ dueDate: '2026-02-04' }, '2026-02-04', '2026-02-04'],
  [{ issueDate: '2026-05-01', dueDate: '2026-05-02' }, '2026-05-01', '2026-05-02'],
  // No day that the contract could not write.
  [{ issueDate: '2199-12-20' }, '2199-12-20', '2199-12-31'],
])('a draft with %j is issued on %s and due on %s', (dates, issueDate, dueDate) => {
  const issued = reached(issue(draft(dates), later))
  expect(issued).toMatchObject({ status: 'OPEN', issueDate, dueDate, issuedAt: later, revision: 2 })
})

test('what would be due before its issue is not issued, and cannot be drafted', () => {
  const step = issue(draft({ dueDate: '2026-02-03' }), created)
  expect(step).toMatchObject({ ok: false, reason: expect.stringContaining('2026-02-03') })
  const early = { issueDate: '2026-02-05', dueDate: '2026-02-04' }
  expect(() => draft(early)).toThrow('invalid_request')
  const dated = draft({ issueDate: '2026-02-05' })
  expect(() => patchInvoice(dated, { dueDate: '2026-02-04' }, later)).toThrow('invalid_request')
  expect(patchInvoice(dated, { dueDate: '2026-02-05' }, later).dueDate).toBe('2026-02-05')
})

test('an invoice over nothing is paid at once, and can still be withdrawn', () => {
  const free = reached(issue(draft({}, [{ ...work, unitAmount: 0 }]), later))
  expect(free).toMatchObject({ status: 'PAID', paidAt: later, issuedAt: later })
  expect(reached(voidUnpaid(free, later))).toMatchObject({ status: 'VOIDED', paidAt: null })
})

test.each([
  [1, 'INV-000001'],
  [999_999, 'INV-999999'],
  [1_000_000, 'INV-1000000'],
])('invoice %s has the number %s', (count, number) => {
  expect(numberAt(count)).toBe(number)
})

const outcomes: [from: InvoiceStatus, paid: number, deed: string, outcome: string][] = [
  ['DRAFT', 0, 'issue', 'OPEN'],
  ['OPEN', 0, 'issue', 'The invoice is OPEN, and only drafts can be issued.'],
  ['PAID', 0, 'issue', 'The invoice is PAID, and only drafts can be issued.'],
  ['VOIDED', 0, 'issue', 'The invoice is VOIDED, and only drafts can be issued.'],
  ['DRAFT', 0, 'void', 'VOIDED'],
  ['OPEN', 0, 'void', 'VOIDED'],
  ['OPEN', 0.01, 'void', 'The invoice is OPEN, with 0.01 GBP paid: refund its payments first.'],
  ['PAID', 0, 'void', 'The invoice is PAID, with 100 GBP paid: refund its payments first.'],
  ['VOIDED', 0, 'void', 'The invoice is VOIDED, and it stays so.'],
  ['DRAFT', 0, 'change', 'DRAFT'],
  ['OPEN', 0, 'change', 'The invoice is OPEN, and only drafts can be changed.'],
  ['PAID', 0, 'change', 'The invoice is PAID, and only drafts can be changed.'],
  ['VOIDED', 0, 'change', 'The invoice is VOIDED, and only drafts can be changed.'],
]
const deeds: Record<string, (from: Invoice) => Step> = {
  issue: (from) => issue(from, later),
  void: (from) => voidUnpaid(from, later),
  change: judgeDraft,
}
test.each(outcomes)('%s with %s paid, %s: %s', (from, paid, deed, outcome) => {
  const before = invoice(from, paid)
  const step = deeds[deed]?.(before)
  if (step === undefined) throw new Error(deed)
  expect(step.ok ? step.invoice.status : step.reason).toBe(outcome)
  if (!step.ok || deed === 'change') return
  expect(step.invoice).toMatchObject({ revision: before.revision + 1, updatedAt: later })
})

test('nothing is due of what was voided', () => {
  const voided = toInvoice(reached(voidUnpaid(invoice('OPEN'), later)))
  expect(voided).toMatchObject({ amountDue: 0, amountPaid: 0, number: 'INV-000001' })
  expect(voided.voidedAt).toBe(later.toISOString())
})

const offers: [InvoiceStatus, number, object, string | undefined, string?][] = [
  ['OPEN', 0, {}, undefined],
  ['OPEN', 0, { amount: 100 }, undefined],
  ['OPEN', 0, { clientId: 'cli_1' }, undefined],
  ['OPEN', 0, { amount: 100.01 }, 'amount_exceeds_rest', '/amount'],
  ['OPEN', 99.99, { amount: 0.01 }, undefined],
  ['OPEN', 99.99, { amount: 0.02 }, 'amount_exceeds_rest', '/amount'],
  ['OPEN', 0, { currency: 'USD' }, 'reference_mismatch', '/currency'],
  ['OPEN', 0, { clientId: 'cli_2' }, 'reference_mismatch', '/clientId'],
  ['DRAFT', 0, {}, 'invalid_state', '/invoiceId'],
  ['PAID', 0, {}, 'invalid_state', '/invoiceId'],
  ['VOIDED', 0, {}, 'invalid_state', '/invoiceId'],
]
test.each(offers)('%s with %s paid, offered %j: %s', (status, paid, offered, code, pointer) => {
  const { amount, ...more } = { amount: 10, currency: 'GBP', ...offered }
  const refusal = judgePayment(invoice(status, paid), { ...more, amount: exactOf(amount) })
  expect(refusal?.code).toBe(code)
  expect(refusal?.pointer).toBe(pointer)
})

test('parts that come in make an invoice paid, and what goes back makes it due again', () => {
  const part = receive(invoice('OPEN'), exactOf(33.33), later)
  expect(toInvoice(part)).toMatchObject({ status: 'OPEN', amountPaid: 33.33, amountDue: 66.67 })
  const whole = receive(part, exactOf(66.67), later)
  expect(toInvoice(whole)).toMatchObject({ status: 'PAID', amountPaid: 100, amountDue: 0 })
  expect(whole).toMatchObject({ paidAt: later, revision: part.revision + 1 })
  const back = giveBack(whole, exactOf(0.01), later)
  expect(toInvoice(back)).toMatchObject({ status: 'OPEN', amountPaid: 99.99, amountDue: 0.01 })
  expect(back.paidAt).toBeNull()
})

test('a fraction that would leave what no number can say is not taken', () => {
  const huge = draft({}, [{ ...work, unitAmount: 600_000_000_001 }], 'CLF')
  const open = reached(issue(huge, created))
  expect(() => receive(open, exactOf(0.9997), later)).toThrow('amount_out_of_range')
  expect(toInvoice(receive(open, exactOf(0.5), later)).amountDue).toBe(600_000_000_000.5)
})

const patches: [InvoicePatch, string[]][] = [
  [{}, []],
  [{ dueDate: '2026-03-31' }, ['dueDate']],
  [{ dueDate: null, issueDate: null }, ['dueDate', 'issueDate']],
  [{ clientId: 'cli_2' }, ['clientId']],
  [{ proposalId: null }, ['proposalId']],
  [{ currency: 'USD' }, ['currency']],
  [{ lines: [{ ...work, quantity: 2 }] }, ['amountDue', 'lines', 'totals']],
  [{ lines: [{ ...work, description: 'Toil' }] }, ['lines']],
  [{ lines: [work] }, []],
]
test.each(patches)('the patch %j changes %j', (patch, expected) => {
  const before = draft({ issueDate: '2026-02-01', dueDate: '2026-02-28', proposalId: 'pro_1' })
  const after = patchInvoice(before, patch, later)
  expect(changedFieldsOf(toInvoice(before), toInvoice(after)).sort()).toEqual(expected)
  expect(after).toMatchObject({ revision: 2, updatedAt: later, createdAt: created })
})
