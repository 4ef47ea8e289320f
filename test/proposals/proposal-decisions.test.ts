import { expect, test } from 'vitest'
import type { ProposalStatus } from '#generated/types.ts'
import { changedFieldsOf } from '#http/merge-patch.ts'
import {
  accept,
  decline,
  type KeptStatus,
  newProposal,
  type Proposal,
  patchProposal,
  type Step,
  statusOf,
  submit,
  toProposal,
} from '#proposals/proposal.ts'

const created = new Date('2026-02-04T10:00:00Z')
const lastMoment = new Date('2026-03-31T23:59:59.999Z')
const dayAfter = new Date('2026-04-01T00:00:00Z')

function proposal(
  status: KeptStatus = 'DRAFT',
  validUntil: string | null = '2026-03-31',
): Proposal {
  const lines = [{ description: 'Work', quantity: 1, unitAmount: 99.9, taxRate: 20 }]
  const input = { clientId: 'cli_1', title: 'Relaunch', currency: 'GBP', lines }
  return { ...newProposal('pro_1', input, created), validUntil, status }
}

test('a new proposal is a draft that nobody has seen', () => {
  expect(toProposal(proposal('DRAFT', null), created)).toMatchObject({
    status: 'DRAFT',
    totals: { subtotal: 99.9, tax: 19.98, total: 119.88 },
    validUntil: null,
    sentAt: null,
    decidedAt: null,
    declineReason: null,
    revision: 1,
  })
})

const seen: [KeptStatus, string | null, Date, ProposalStatus][] = [
  ['SENT', '2026-03-31', lastMoment, 'SENT'],
  ['SENT', '2026-03-31', dayAfter, 'EXPIRED'],
  ['SENT', null, dayAfter, 'SENT'],
  ['DRAFT', '2026-03-31', dayAfter, 'DRAFT'],
  ['ACCEPTED', '2026-03-31', dayAfter, 'ACCEPTED'],
  ['DECLINED', '2026-03-31', dayAfter, 'DECLINED'],
]
test.each(seen)('%s, valid until %s, is at %s %s', (kept, validUntil, now, shown) => {
  expect(statusOf(proposal(kept, validUntil), now)).toBe(shown)
  expect(toProposal(proposal(kept, validUntil), now).status).toBe(shown)
})

const steps: Record<string, (from: Proposal, now: Date) => Step> = {
  submit,
  accept,
  decline: (from, now) => decline(from, null, now),
}
const outcomes: [KeptStatus, string, Date, KeptStatus | string][] = [
  ['DRAFT', 'submit', lastMoment, 'SENT'],
  ['DRAFT', 'submit', dayAfter, 'The draft was valid until 2026-03-31, which has passed.'],
  ['DRAFT', 'accept', created, 'The proposal is DRAFT, and only what is SENT can be accepted.'],
  ['DRAFT', 'decline', created, 'The proposal is DRAFT, and only what is SENT can be declined.'],
  ['SENT', 'submit', created, 'The proposal is SENT, and only drafts can be submitted.'],
  ['SENT', 'accept', lastMoment, 'ACCEPTED'],
  ['SENT', 'decline', lastMoment, 'DECLINED'],
  ['SENT', 'accept', dayAfter, expired('only what is SENT can be accepted')],
  ['SENT', 'decline', dayAfter, expired('only what is SENT can be declined')],
  ['SENT', 'submit', dayAfter, expired('only drafts can be submitted')],
  ['ACCEPTED', 'submit', created, 'The proposal is ACCEPTED, and only drafts can be submitted.'],
  ['ACCEPTED', 'accept', created, only('ACCEPTED', 'accepted')],
  ['ACCEPTED', 'decline', created, only('ACCEPTED', 'declined')],
  ['DECLINED', 'submit', created, 'The proposal is DECLINED, and only drafts can be submitted.'],
  ['DECLINED', 'accept', created, only('DECLINED', 'accepted')],
  ['DECLINED', 'decline', created, only('DECLINED', 'declined')],
]
function expired(rule: string): string {
  return `The proposal is EXPIRED since the end of 2026-03-31, and ${rule}.`
}
function only(status: string, done: string): string {
  return `The proposal is ${status}, and only what is SENT can be ${done}.`
}

test.each(outcomes)('%s, then %s at %s: %s', (from, name, now, outcome) => {
  const step = steps[name]?.(proposal(from), now)
  if (step === undefined) throw new Error(name)
  expect(step.ok ? step.proposal.status : step.reason).toBe(outcome)
  if (step.ok) expect(step.proposal).toMatchObject({ revision: 2, updatedAt: now })
})

test('submission and the answer leave their times, and a declination its reason', () => {
  const sent = submit(proposal(), created)
  if (!sent.ok) throw new Error(sent.reason)
  expect(sent.proposal).toMatchObject({ sentAt: created, decidedAt: null })
  expect(decline(sent.proposal, 'Budget', lastMoment)).toMatchObject({
    proposal: { sentAt: created, decidedAt: lastMoment, declineReason: 'Budget' },
  })
})

const patches: [object, string[]][] = [
  [{}, []],
  [{ title: 'Relaunch' }, []],
  [{ title: 'Phase one' }, ['title']],
  [{ validUntil: null }, ['validUntil']],
  [{ validUntil: '2026-04-30' }, ['validUntil']],
  [{ clientId: 'cli_2' }, ['clientId']],
  [{ currency: 'USD' }, ['currency']],
  [{ lines: [{ description: 'Work', quantity: 2, unitAmount: 10 }] }, ['lines', 'totals']],
  [{ lines: [{ description: 'Toil', quantity: 1, unitAmount: 99.9, taxRate: 20 }] }, ['lines']],
  [{ lines: [{ description: 'Work', quantity: 1, unitAmount: 99.9, taxRate: 20 }] }, []],
]
test.each(patches)('the patch %j changes %j', (patch, expected) => {
  const draft = proposal()
  const patched = patchProposal(draft, patch, lastMoment)
  const [before, after] = [toProposal(draft, lastMoment), toProposal(patched, lastMoment)]
  expect(changedFieldsOf(before, after).sort()).toEqual(expected)
  expect(patched).toMatchObject({ revision: 2, updatedAt: lastMoment, createdAt: created })
})

test('a draft is not moved to a currency in which its prices cannot be', () => {
  expect(() => patchProposal(proposal(), { currency: 'JPY' }, created)).toThrow('amount_precision')
})
