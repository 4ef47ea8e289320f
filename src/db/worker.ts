import type pg from 'pg'
import { firstFailure, inOneWrite } from './client.ts'

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
  const failure = firstFailure(settled, frame !== 'begin')
  if (failure !== undefined) throw failure
  return settled.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
}

/**
 * A queue grows from nothing to a backlog, and a day's partition from empty to full, faster than
 * statistics follow. A plan that was made while a table was empty reads all of a tenant's rows in it
 * ever after. So plans are kept for seconds only, and made for the index.
 */
const plansKeptMsUsual = 5_000
const plannedMs = new WeakMap<pg.PoolClient, number>()

const byIndex: pg.QueryConfig = {
  name: 'by_index',
  text: `select set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true)`,
}

/**
 * Statements over a queue, in a transaction of their own; answers their results. What is as quick by a
 * plan that was made for an empty queue may keep its plans for longer.
 */
export async function flushQueue<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  statements: readonly pg.QueryConfig[],
  plansKeptMs = plansKeptMsUsual,
): Promise<pg.QueryResult<Row>[]> {
  return await onQueue(pool, plansKeptMs, async (client, lead) => {
    const results = await flushWorker<Row>(client, 'both', [...lead, ...statements])
    return results.slice(1 + lead.length, -1)
  })
}

/** Likewise in two flushes, where what ends the transaction follows from what began it. */
export async function flushQueueInTwo<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  first: readonly pg.QueryConfig[],
  second: (results: pg.QueryResult<Row>[]) => readonly pg.QueryConfig[],
): Promise<void> {
  await onQueue(pool, plansKeptMsUsual, async (client, lead) => {
    const results = await flushWorker<Row>(client, 'begin', [...lead, ...first])
    await flushWorker(client, 'commit', second(results.slice(1 + lead.length)))
  })
}

/** `lead` is what its statements need before them. */
async function onQueue<Result>(
  pool: pg.Pool,
  plansKeptMs: number,
  flush: (client: pg.PoolClient, lead: readonly pg.QueryConfig[]) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect()
  try {
    const nowMs = performance.now()
    const isStale = nowMs - (plannedMs.get(client) ?? Number.NEGATIVE_INFINITY) >= plansKeptMs
    if (isStale) plannedMs.set(client, nowMs)
    const result = await flush(client, isStale ? [{ text: 'discard plans' }, byIndex] : [byIndex])
    client.release()
    return result
  } catch (error) {
    // The connection goes with its transaction, whatever state that is in.
    client.release(true)
    throw error
  }
}
