import { record } from '#audit/record.ts'
import type { Context } from '#context.ts'
import { transact } from '#db/transact.ts'
import { publish } from '#events/publish.ts'
import { systemCause } from '#http/operation.ts'
import { findOverdue, type Overdue } from './expiry.sql.ts'
import { lockProposal, updateProposal } from './proposal.sql.ts'
import { expire, todayOf, toProposal } from './proposal.ts'

const batchMax = 500

/** Tells of each offer that has run out, once; one that cannot be told of keeps no other waiting. */
export async function expireProposals(ctx: Context): Promise<void> {
  const today = todayOf(ctx.clock.now())
  let last: Overdue | undefined
  for (;;) {
    const overdue = await findOverdue(ctx.db.worker, today, last, batchMax)
    for (const each of overdue) {
      await tellOf(ctx, each).catch((error) =>
        ctx.log.error({ err: error, ...each }, 'it was not told that a proposal has run out'),
      )
    }
    last = overdue.at(-1)
    if (overdue.length < batchMax) return
  }
}

async function tellOf(ctx: Context, { tenantId, proposalId }: Overdue): Promise<void> {
  const cause = systemCause(ctx, 'timetable')
  await transact(ctx, tenantId, async (tx) => {
    const proposal = await lockProposal(tx, tenantId, proposalId)
    const expired = proposal && expire(proposal, cause.now)
    if (expired === undefined) return
    updateProposal(tx, tenantId, expired)
    record(tx, cause, 'proposal.expired', proposalId, {
      before: { status: 'SENT' },
      after: { status: 'EXPIRED' },
    })
    publish(tx, cause, 'proposal.expired', toProposal(expired, cause.now))
  })
}
