import pg from 'pg'
import type { Databases } from '../../../src/context.ts'
import { kyselyOver } from '../../../src/db/database.ts'
import type { Principal } from '../../../src/http/operation.ts'
import type { TenantId } from '../../../src/ids.ts'

/** Whom the one key that it knows belongs to, as the rows of the tables have it. */
export interface KnownKey {
  tenantId: TenantId
  row: Record<string, unknown>
  limits: Principal['limits']
}

/**
 * Databases that are not there: one key is found, and what is written (the request log, figures,
 * uses of keys, quotas) is made into the bytes that `pg` would send, and dropped. So a process does
 * all of its own work, and no Postgres shares the machine with it.
 */
export function deafDatabases({ tenantId, row, limits }: KnownKey): Databases {
  const run = async () => ({ rows: [{ ...row, overrides: limits }] })
  const quiet = () => undefined
  const connection = { stream: { cork: quiet, uncork: quiet } }
  const worker = {
    query: drop,
    connect: async () => ({ query: drop, release: quiet, connection }),
  }
  const nowhere = () => Promise.reject(new Error('there is no database'))
  const signal = { raise: quiet, listen: quiet }
  return {
    url: '',
    readers: {
      of: () => kyselyOver(run),
      query: async <Row extends object>(text: string) => {
        const isKey = text.includes('ubos_find_key')
        const found = { tenant_id: tenantId, api_key_id: row.id, expires_at: null }
        return (isKey ? [found] : []) as unknown as Row[]
      },
      waiting: () => 0,
      close: async () => undefined,
    },
    writers: { connect: nowhere, query: nowhere } as unknown as pg.Pool,
    worker: worker as unknown as pg.Pool,
    claims: worker as unknown as pg.Pool,
    turns: { take: async () => quiet, waiting: () => 0 },
    eventsCommitted: signal,
    jobsCommitted: signal,
    eventsSequenced: signal,
  }
}

const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): unknown } })
  .utils

async function drop(query: string | pg.QueryConfig) {
  if (typeof query === 'string') return { command: query.toUpperCase(), rows: [] }
  const { name, values = [] } = query
  for (const value of values) toWire(value)
  return { rows: name === 'quota_spent_exchange' ? arrivalsOf(values) : [] }
}

function toWire(value: unknown): Buffer {
  return Buffer.from(String(prepareValue(value)))
}

const arrivals = new Map<string, number>()

/** What the statement of the quotas does, for its one caller. */
function arrivalsOf([tenants, buckets, spent, nowMs]: unknown[]): { arrival_ms: number }[] {
  return (buckets as string[]).map((bucket, at) => {
    const name = `${(tenants as string[])[at]} ${bucket}`
    const startMs = Math.max(arrivals.get(name) ?? 0, Number(nowMs))
    const arrivalMs = startMs + ((spent as number[])[at] ?? 0)
    arrivals.set(name, arrivalMs)
    return { arrival_ms: arrivalMs }
  })
}
