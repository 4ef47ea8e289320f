import pg from 'pg'
import { operatorTenantId } from '../ids.ts'
import { connectionOptions, type DatabaseRole } from './pool.ts'
import { fenceOf } from './readers.ts'

/** The fence does not hold: the process must not start. */
export class FenceBroken extends Error {
  override readonly name = 'FenceBroken'
}

/** Plain by design: it is read before the tenant is known, through one function. */
const unforced = new Set(['key_index'])

/**
 * Refuses a process that could reach past the fence: a superuser, an owner, a role that bypasses
 * row-level security, a tenant table without forced policies, or a missing setting that does not
 * raise on a used connection.
 */
export async function testFences(databaseUrl: string): Promise<void> {
  for (const role of ['ubos_api', 'ubos_worker'] as const) await testRole(databaseUrl, role)
}

async function testRole(databaseUrl: string, role: DatabaseRole): Promise<void> {
  const client = new pg.Client(connectionOptions(databaseUrl, role))
  await client.connect()
  try {
    await testPrivileges(client)
    await testTables(client)
    await testUsedConnection(client)
  } finally {
    await client.end()
  }
}

async function testPrivileges(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ login: string; privileged: boolean; owns: boolean }>(`
    select session_user as login,
      (select bool_or(rolsuper or rolbypassrls) from pg_roles
        where rolname in (session_user, current_user)) as privileged,
      exists (select from pg_class where relnamespace = 'public'::regnamespace
        and relkind in ('r', 'p') and pg_has_role(session_user, relowner, 'MEMBER')) as owns`)
  const [found] = rows
  if (found?.privileged !== false) {
    throw new FenceBroken(
      `the database login ${found?.login} is a superuser or bypasses row-level security; ` +
        'give DATABASE_URL an ordinary login',
    )
  }
  if (found.owns) {
    throw new FenceBroken(
      `the database login ${found.login} owns tables; give DATABASE_URL another login`,
    )
  }
}

async function testTables(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(`
    select relname as name from pg_class
    join pg_attribute on attrelid = pg_class.oid and attname = 'tenant_id' and attnum > 0
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
      and not (relrowsecurity and relforcerowsecurity
        and exists (select from pg_policy where polrelid = pg_class.oid
          and pg_get_expr(polqual, polrelid) = '(tenant_id = ubos_tenant())'))
    order by relname`)
  const bare = rows.map((row) => row.name).filter((name) => !unforced.has(name))
  if (bare.length > 0) throw new FenceBroken(`no fence around ${bare.join(', ')}`)
}

/** After its first transaction a connection has '' where it had no setting: both must raise. */
async function testUsedConnection(client: pg.Client): Promise<void> {
  await client.query(`begin; ${fenceOf(operatorTenantId)}; commit`)
  const refused = await client.query('select ubos_tenant()').then(
    () => false,
    () => true,
  )
  if (!refused) throw new FenceBroken('a missing tenant does not raise on a used connection')
}

/** The names of the migrations that were applied. */
export async function findApplied(databaseUrl: string): Promise<Set<string>> {
  const client = new pg.Client(connectionOptions(databaseUrl, 'ubos_api'))
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>('select name from migration')
    return new Set(rows.map((row) => row.name))
  } finally {
    await client.end()
  }
}
