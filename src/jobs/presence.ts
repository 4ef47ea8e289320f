import type pg from 'pg'
import type { Context } from '#context.ts'
import { Client } from '#db/client.ts'
import { connectionOptions } from '#db/pool.ts'
import { runLoop } from './loop.ts'

/**
 * A worker's *presence* is an advisory lock that it holds for as long as it lives. The server lets go
 * of it the moment the process is gone, however it went, so that others need not wait for a lease to
 * end to know that nobody will come back for it. A process that hangs is still present: for that
 * leases have an end.
 */
export interface Presence {
  /** Which worker; a 31-bit number, new for each start. */
  readonly id: number
  /** Whether the lock is held now: only then may anything be claimed in this name. */
  isHeld(): boolean
  stop(): Promise<void>
}

/** The first half of the lock; the second is the worker's id. */
const presenceLock = 8_262_003

/** A lease token: which worker, and which of its claims. */
export function leaseToken(workerId: number, random: Buffer): string {
  return `${workerId}.${random.toString('base64url')}`
}

/** SQL: whether the worker whose id, as text, this expression gives, is present. */
export function isPresent(id: string): string {
  return `(${id} in (select objid::bigint::text from pg_locks
    where locktype = 'advisory' and granted and classid = ${presenceLock}
      and database = (select oid from pg_database where datname = current_database())))`
}

/** How often it is made sure that the connection, and with it the lock, is still there. */
const lookEveryMs = 1_000

/** Others take us for dead when we are away for long: we try again at least so often. */
const restMsMax = 500

/**
 * What is asked here takes no time: a server that is silent for so long is not there, and what else
 * waits for it in this process, for a minute perhaps, need not.
 */
const silenceMsMax = 5_000

export function runPresence({ db, clock, log }: Context): Presence {
  const id = clock.randomBytes(4).readUInt32BE() >>> 1
  let client: pg.Client | undefined

  async function hold(): Promise<boolean> {
    if (client !== undefined) {
      await client.query('select 1')
      return false
    }
    const fresh = new Client({ ...connectionOptions(db.url, 'ubos_worker'), silenceMsMax })
    const forget = () => {
      if (client === fresh) client = undefined
    }
    fresh.on('error', forget)
    fresh.on('end', forget)
    await fresh.connect()
    // Shared: the server may not have noticed yet that the connection before this one is gone.
    await fresh.query('select pg_advisory_lock_shared($1, $2)', [presenceLock, id])
    client = fresh
    return false
  }

  const loop = runLoop({ name: 'presence', pass: hold, idleMs: lookEveryMs, restMsMax, log })
  return {
    id,
    isHeld: () => client !== undefined,
    async stop() {
      await loop.stop()
      await client?.end()
    },
  }
}
