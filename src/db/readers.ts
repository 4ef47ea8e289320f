import pg from 'pg'
import { problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import type { Log } from '#log.ts'
import { Client, inOneWrite } from './client.ts'
import { type Db, kyselyOver } from './database.ts'
import { connectionOptions } from './pool.ts'

/** Reads that wait on one connection before more are refused: a queue that long only grows. */
const inFlightMax = 1_000

/**
 * A few connections shared by all reads: `begin read only; set local …`, the select, and `commit`
 * are queued in one go, so a fenced read costs one wait. For point reads and pages only: what is
 * slow would hold up the reads behind it.
 */
export interface Readers {
  /** Reads of one tenant, each `execute()` its own fenced read. */
  of(tenantId: TenantId): Db
  /** One statement outside any tenant: the fence lets it see no tenant's rows. */
  query<Row extends object>(text: string, values: unknown[]): Promise<Row[]>
  /** How many reads are under way or wait. */
  waiting(): number
  close(): Promise<void>
}

interface Reader {
  client: pg.Client
  inFlight: number
}

/** Text that opens the fence for one tenant: the only SQL in the house that is interpolated. */
export function fenceOf(tenantId: TenantId): string {
  if (!/^ten_[0-9a-z]{26}$/.test(tenantId)) throw new Error('not a tenant id')
  return `set local ubos.tenant_id = '${tenantId}'`
}

export function createReaders(databaseUrl: string, count: number, log: Log): Readers {
  const readers: (Promise<Reader> | undefined)[] = Array.from({ length: count }, () => undefined)
  let next = 0
  let waiting = 0

  function connect(slot: number): Promise<Reader> {
    const client = new Client(connectionOptions(databaseUrl, 'ubos_api'))
    const reader = client.connect().then(() => ({ client, inFlight: 0 }))
    // It ends after its error, when another may have its place already: that one stays.
    const forget = () => {
      if (readers[slot] === reader) readers[slot] = undefined
    }
    client.on('error', (error) => {
      log.warn({ message: error.message }, 'reading connection lost')
      forget()
    })
    client.on('end', forget)
    reader.catch(forget)
    return reader
  }

  /** Takes a place on a connection: round robin, and the less busy of two neighbours. */
  async function take(): Promise<Reader> {
    next = (next + 1) % count
    const pair = await Promise.all(
      [next, (next + 1) % count].map((slot) => {
        readers[slot] ??= connect(slot)
        return readers[slot]
      }),
    )
    const [first, second] = pair as [Reader, Reader]
    const chosen = second.inFlight < first.inFlight ? second : first
    if (chosen.inFlight >= inFlightMax) {
      throw problem('overloaded', { detail: 'Too many reads are waiting. Try again shortly.' })
    }
    chosen.inFlight += 1
    return chosen
  }

  async function once<Row extends object>(
    tenantId: TenantId | undefined,
    config: pg.QueryConfig,
  ): Promise<pg.QueryResult<Row>> {
    waiting += 1
    try {
      return await onOne(await take(), tenantId, config)
    } finally {
      waiting -= 1
    }
  }

  async function onOne<Row extends object>(
    reader: Reader,
    tenantId: TenantId | undefined,
    config: pg.QueryConfig,
  ): Promise<pg.QueryResult<Row>> {
    try {
      if (tenantId === undefined) return await reader.client.query<Row>(config)
      const { client } = reader
      const opening = `begin read only; ${fenceOf(tenantId)}`
      const queued = inOneWrite(client, () => {
        return [client.query(opening), client.query<Row>(config), client.query('commit')] as const
      })
      const [opened, result, closed] = await Promise.allSettled(queued)
      if (opened.status === 'rejected') throw opened.reason
      if (result.status === 'rejected') throw result.reason
      if (closed.status === 'rejected') throw closed.reason
      return result.value
    } finally {
      reader.inFlight -= 1
    }
  }

  /** A Parse that failed in front of ours leaves its name unknown (26000): run once more. */
  async function read<Row extends object>(tenantId: TenantId | undefined, config: pg.QueryConfig) {
    try {
      return await once<Row>(tenantId, config)
    } catch (error) {
      if (error instanceof pg.DatabaseError && error.code === '26000') {
        return await once<Row>(tenantId, config)
      }
      throw error
    }
  }

  return {
    of: (tenantId) =>
      kyselyOver(async (query) => {
        const { rows } = await read<object>(tenantId, queryConfig(named(query)))
        return { rows }
      }),
    query: async <Row extends object>(text: string, values: unknown[]) =>
      (await read<Row>(undefined, { text, values })).rows,
    waiting: () => waiting,
    async close() {
      const open = readers.splice(0, count).filter((reader) => reader !== undefined)
      await Promise.allSettled(open.map(async (reader) => (await reader).client.end()))
    },
  }
}

interface Compiled {
  readonly sql: string
  readonly parameters: readonly unknown[]
  readonly name?: string
}

/** What `pg` needs to run a compiled query; a name makes it a prepared statement. */
export function queryConfig({ sql, parameters, name }: Compiled): pg.QueryConfig {
  return { text: sql, values: [...parameters], ...(name === undefined ? {} : { name }) }
}

/**
 * A list is composed of the filters that are asked for: few shapes, asked for again and again, each
 * of which a connection prepares once. There is room for so many, since each takes some memory of the
 * server; whoever thinks of more has them parsed and planned each time.
 */
const shapesMax = 200
const shapes = new Map<string, string>()

function named(query: Compiled): Compiled {
  if (query.name !== undefined) return query
  const known = shapes.get(query.sql)
  if (known === undefined && shapes.size >= shapesMax) return query
  const name = known ?? `shape_${shapes.size}`
  if (known === undefined) shapes.set(query.sql, name)
  return { ...query, name }
}
