import type { Tx } from '#db/transact.ts'
import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { holdProposal } from './proposal.sql.ts'
import type { Proposal } from './proposal.ts'

/** The proposal that a body names: it is there, and stays as it is (`reference_unknown`). */
export async function requireProposal(
  tx: Tx,
  tenantId: TenantId,
  proposalId: string,
): Promise<Proposal> {
  const proposal = await holdProposal(tx, tenantId, proposalId)
  if (proposal) return proposal
  throw problem('reference_unknown', {
    detail: 'There is no such proposal.',
    errors: [{ pointer: '/proposalId', code: 'unknown', message: 'names no proposal' }],
  })
}
