import pg from 'pg'
import type { Context } from '#context.ts'
import { connectionOptions, type DatabaseRole } from '#db/pool.ts'
import { type TenantId, tenantId } from '#ids.ts'
import type { Api, World } from '../world.ts'

/** The address that the world's processes use, with their login. */
export function databaseUrlOf({ ctx }: Pick<World, 'ctx'>): string {
  return String(ctx.db.writers.options.connectionString)
}

/** A connection as processes have it. */
export async function connectAs(databaseUrl: string, role: DatabaseRole): Promise<pg.Client> {
  const client = new pg.Client(connectionOptions(databaseUrl, role))
  client.on('error', () => undefined)
  await client.connect()
  return client
}

export async function tenantOf(api: Api): Promise<TenantId> {
  return tenantId((await api.get('/api/v1/me')).body.tenant.id)
}

/** A client of the sample business as the write path takes it. */
export function newRow(ctx: Context, name: string) {
  const now = ctx.clock.now()
  return {
    id: ctx.clock.newId('cli'),
    name,
    email: null,
    phone: null,
    taxNumber: null,
    address: null,
    currency: 'EUR',
    externalId: null,
    metadata: {},
    revision: 1,
    createdAt: now,
    updatedAt: now,
  }
}

/** Waits until `ask` answers something; fails after `deadlineMs`. */
export async function until<Found>(
  ask: () => Promise<Found | undefined | false>,
  deadlineMs = 5_000,
): Promise<Found> {
  const endMs = performance.now() + deadlineMs
  while (performance.now() < endMs) {
    const found = await ask()
    if (found !== undefined && found !== false) return found
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`not within ${deadlineMs} ms`)
}

/** Ends the connections of a role that match; answers how many. */
export async function killConnections(
  { query }: Pick<World, 'query'>,
  condition: string,
): Promise<number> {
  const rows = await query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and ${condition}`,
  )
  return rows.length
}
