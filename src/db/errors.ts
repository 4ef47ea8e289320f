import pg from 'pg'
import { problems } from '#generated/problems.ts'
import type { ProblemCode } from '#generated/types.ts'
import { type Problem, type ProblemFace, problem } from '#http/problem.ts'
import { isPartitionMissing } from './partitions.sql.ts'
import { CommitUnknown, isConnectionLoss } from './transact.ts'

/** What it means to a caller that a constraint said no. */
const constraints: Record<string, [ProblemCode, ProblemFace]> = {
  client_external_id_key: [
    'external_id_taken',
    {
      detail: 'Another client has this externalId.',
      errors: [{ pointer: '/externalId', code: 'taken', message: 'is taken by another client' }],
    },
  ],
  job_unique_key: [
    'unique_key_taken',
    { detail: 'A job of this task with this uniqueKey is pending or running.' },
  ],
  proposal_client_fkey: noSuchClient(),
  invoice_client_fkey: noSuchClient(),
  payment_client_fkey: noSuchClient(),
}

function noSuchClient(): [ProblemCode, ProblemFace] {
  const errors = [{ pointer: '/clientId', code: 'unknown', message: 'names no client' }]
  return ['reference_unknown', { detail: 'There is no such client.', errors }]
}

/**
 * SQLSTATEs that say "not now" rather than "never": time-outs, resources such as the disk, the server
 * or its disk failing, a server that only reads, conflicts.
 */
const passing =
  /^(57014|55P03|53[0-9A-Z]{3}|57P0[0-9]|58[0-9A-Z]{3}|08[0-9A-Z]{3}|25006|40001|40P01)$/

/** The problem that an error of the database is to the caller; undefined when it is our bug. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof CommitUnknown) {
    return problem('commit_unknown', { headers: retryAfter, cause: error })
  }
  if (isConnectionLoss(error)) return unavailable(error)
  if (!(error instanceof pg.DatabaseError)) return undefined
  if (error.code === 'UB001' && isCode(error.message)) {
    return problem(error.message, { cause: error })
  }
  const known = constraints[error.constraint ?? '']
  if (known) return problem(known[0], { ...known[1], cause: error })
  const isPassing = passing.test(error.code ?? '') || isPartitionMissing(error)
  return isPassing ? unavailable(error) : undefined
}

/** Whether Postgres refuses the values themselves, so that the same again is refused again. */
export function isUnwritable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^2[23]/.test(error.code ?? '')
}

const retryAfter = { 'retry-after': '1' }

function unavailable(cause: unknown): Problem {
  return problem('unavailable', { headers: retryAfter, cause })
}

function isCode(text: string): text is ProblemCode {
  return Object.hasOwn(problems, text)
}
