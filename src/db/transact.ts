import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Clock } from '#clock.ts'
import type { Context } from '#context.ts'
import { faultPoints, reach } from '#fault-points.ts'
import type { TenantId } from '#ids.ts'
import { firstFailure, inOneWrite } from './client.ts'
import { type Db, kyselyOver } from './database.ts'
import { type Envelope, envelopeStatement, type StoredReply } from './envelope.ts'
import { isPartitionMissing, makePartitions } from './partitions.sql.ts'
import { fenceOf, queryConfig } from './readers.ts'
import type { BoundStatement } from './statement.ts'

/**
 * A *transaction* reads when it must and queues what it writes; everything goes to Postgres in one
 * flush, so that a call's rows, its events, its audit entries and its stored reply exist together
 * or not at all. Reads see what was committed before, never what is still queued.
 */
export type Tx = Db & {
  readonly tenantId: TenantId
  readonly newId: Clock['newId']
  /** Filled by `publish` and `record`. */
  readonly envelope: Envelope
  /** Queues a write; statements run in the order in which they were queued. */
  queue(statement: BoundStatement<unknown>): void
  /** The same transaction inside another tenant's fence: for operators who open new tenants. */
  forTenant(tenantId: TenantId): Tx
  /** Whether something is queued in a tenant in whose audit nothing is. */
  isUnrecorded(): boolean
}

/** An idempotency key under which the transaction runs, and how its result is kept. */
export interface Claim<Result> {
  key: string
  fingerprint: Buffer
  now: Date
  keep(result: Result): StoredReply
}

/** The connection was lost while the commit was on its way: it may or may not have happened. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown'
}

/** Serialisation failure, deadlock, and a prepared name that the server does not know. */
const retried = new Set(['40001', '40P01', '26000'])
const attemptsMax = 4

/** Whom it collided with goes first: run again at once, it would be in their way once more. */
const pauseMs = 20

/**
 * Runs `work` in one transaction of `tenantId`; the whole closure is run again on a conflict that
 * only Postgres can see, and when the partition of its day had to be made. Errors: what `work`
 * throws; `pg.DatabaseError`; `CommitUnknown`.
 */
export async function transact<Result>(
  ctx: Pick<Context, 'db' | 'clock'>,
  tenantId: TenantId,
  work: (tx: Tx) => Promise<Result>,
  claim?: Claim<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    reach(faultPoints.beforeTransaction)
    const session = createSession(ctx, tenantId, claim?.key)
    try {
      const result = await work(session.tx)
      await session.flush(claim && { ...claim, reply: claim.keep(result) })
      if (session.hasEvents()) ctx.db.eventsCommitted.raise()
      if (session.hasJobs()) ctx.db.jobsCommitted.raise()
      return result
    } catch (error) {
      await session.abandon()
      const isMissing = isPartitionMissing(error)
      const isRetried = error instanceof pg.DatabaseError && retried.has(error.code ?? '')
      if (!(isRetried || isMissing) || attempt === attemptsMax) throw error
      // Nobody made the partition of today: it is made now, and the work is done again.
      if (isMissing) await makePartitions(ctx).catch(() => Promise.reject(error))
      else await sleep(pauseMs * attempt)
    }
  }
}

interface Section {
  tenantId: TenantId
  envelope: Envelope
  writes: BoundStatement<unknown>[]
}

function createSession(
  { db, clock }: Pick<Context, 'db' | 'clock'>,
  tenantId: TenantId,
  key: string | undefined,
) {
  const sections: Section[] = []
  let client: Promise<pg.PoolClient> | undefined
  let begun: Promise<unknown> | undefined
  let leave: () => void = () => undefined

  /** Checks a client out: once, however many reads ask at once. */
  function connect(): Promise<pg.PoolClient> {
    client ??= checkOut()
    return client
  }

  async function checkOut(): Promise<pg.PoolClient> {
    leave = await db.turns.take(tenantId)
    try {
      return await db.writers.connect()
    } catch (error) {
      leave()
      throw error
    }
  }

  function giveBack(connection: pg.PoolClient, isBroken: boolean): void {
    connection.release(isBroken)
    client = undefined
    leave()
  }

  /** Queues messages, behind the one that opens the transaction, and waits for what became of all. */
  function send(connection: pg.PoolClient, messages: readonly (string | pg.QueryConfig)[]) {
    const queued = inOneWrite(connection, () => {
      begun ??= connection.query(openingOf(tenantId, key)).then(() => reach(faultPoints.afterClaim))
      return [begun, ...messages.map((message) => connection.query(message))]
    })
    return Promise.allSettled(queued)
  }

  async function read(query: { sql: string; parameters: readonly unknown[] }) {
    const connection = await connect()
    const outcome = await send(connection, [queryConfig(query)])
    const failure = outcome.find(({ status }) => status === 'rejected')
    if (failure?.status === 'rejected') throw failure.reason
    const result = outcome.at(-1) as PromiseFulfilledResult<pg.QueryResult>
    return { rows: result.value.rows }
  }

  function open(owner: TenantId): Tx {
    const section: Section = {
      tenantId: owner,
      envelope: { events: [], audits: [], hasJobs: false },
      writes: [],
    }
    sections.push(section)
    return Object.assign(kyselyOver(read), {
      tenantId: owner,
      newId: clock.newId,
      envelope: section.envelope,
      queue: (statement: BoundStatement<unknown>) => void section.writes.push(statement),
      forTenant: open,
      isUnrecorded: () => sections.some(isSilent),
    })
  }

  async function flush(kept?: { key: string; fingerprint: Buffer; reply: StoredReply; now: Date }) {
    const messages = sections.flatMap((section, at) => messagesOf(section, at, kept))
    if (messages.length === 0) return abandon()
    const connection = await connect()
    reach(faultPoints.beforeCommit)
    const sent = send(connection, [...messages, 'commit'])
    reach(faultPoints.commitSent)
    const outcome = await sent
    const failure = firstFailure(outcome)
    const isLost = failure !== undefined && isConnectionLoss(failure)
    giveBack(connection, isLost)
    if (isLost) throw new CommitUnknown('connection lost during commit', { cause: failure })
    if (failure !== undefined) throw failure
    reach(faultPoints.afterCommit)
  }

  /** Rolls back what was begun and gives the client back. */
  async function abandon(): Promise<void> {
    const connection = await client?.catch(() => undefined)
    client = undefined
    if (connection === undefined) return
    const [rolledBack] = await Promise.allSettled([connection.query('rollback')])
    giveBack(connection, rolledBack?.status === 'rejected')
  }

  const hasEvents = () => sections.some(({ envelope }) => envelope.events.length > 0)
  const hasJobs = () => sections.some(({ envelope }) => envelope.hasJobs)
  return { tx: open(tenantId), flush, abandon, hasEvents, hasJobs }
}

/** Whether a part of the transaction changes something and leaves no entry of it. */
function isSilent({ envelope: { events, audits }, writes }: Section): boolean {
  return audits.length === 0 && events.length + writes.length > 0
}

/** The first message: the fence and, under a key, the lock that keeps a twin of the call away. */
function openingOf(tenantId: TenantId, key: string | undefined): string {
  const opening = `begin; ${fenceOf(tenantId)}`
  if (key === undefined) return opening
  const lock = hash('sha256', `${tenantId} ${key}`, 'buffer').readBigInt64BE(0)
  return (
    `${opening}; select case when pg_try_advisory_xact_lock(${lock}) then 1 ` +
    `else ubos_raise('idempotency_in_progress') end`
  )
}

function messagesOf(
  section: Section,
  at: number,
  kept: Parameters<typeof envelopeStatement>[2],
): (string | pg.QueryConfig)[] {
  const envelope = envelopeStatement(
    section.tenantId,
    section.envelope,
    at === 0 ? kept : undefined,
  )
  const messages = [...(envelope ? [envelope] : []), ...section.writes.map(queryConfig)]
  return at === 0 || messages.length === 0 ? messages : [fenceOf(section.tenantId), ...messages]
}

/** It shuts down, starts, fails; or ended the session of one that it had not heard of for long. */
const serverLeft = /^(57P0[1235]|25P0[34]|08)/

/** Whether the server went away rather than said no. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof pg.DatabaseError) return serverLeft.test(error.code ?? '')
  const { code } = error as NodeJS.ErrnoException
  return (
    /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET)/.test(code ?? '') ||
    /connection (terminated|error)|not queryable|timeout (exceeded|expired)/i.test(error.message)
  )
}
