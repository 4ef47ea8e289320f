import type pg from 'pg'
import { inOneWrite } from './client.ts'

/**
 * Sends statements in one go on a checked-out connection of the worker and waits once: behind a
 * `begin`, or before a `commit`. Throws the cause of the first failure; a commit that answers
 * anything but COMMIT is one. Answers the results in the order sent, begin or commit included.
 */
export async function flushWorker<Row extends pg.QueryResultRow>(
  client: pg.PoolClient,
  frame: 'begin' | 'commit' | 'both',
  statements: readonly pg.QueryConfig[],
): Promise<pg.QueryResult<Row>[]> {
  const messages: (string | pg.QueryConfig)[] = [
    ...(frame === 'commit' ? [] : ['begin']),
    ...statements,
    ...(frame === 'begin' ? [] : ['commit']),
  ]
  const queued = inOneWrite(client, () =>
    messages.map((message) => client.query<Row>(message as pg.QueryConfig)),
  )
  const settled = await Promise.allSettled(queued)
  const failures = settled.filter((outcome) => outcome.status === 'rejected')
  const cause = failures.find(({ reason }) => reason?.code !== '25P02') ?? failures[0]
  if (cause !== undefined) throw cause.reason
  const results = settled.flatMap((outcome) =>
    outcome.status === 'fulfilled' ? [outcome.value] : [],
  )
  const command = results.at(-1)?.command
  if (frame !== 'begin' && command !== 'COMMIT') throw new Error(`commit answered ${command}`)
  return results
}
