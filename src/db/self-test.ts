import type pg from 'pg'
import { operatorTenantId } from '#ids.ts'
import { Client } from './client.ts'
import { connectionOptions, type DatabaseRole } from './pool.ts'
import { fenceOf } from './readers.ts'

/** The fence does not hold: the process must not start. */
export class FenceBroken extends Error {
  override readonly name = 'FenceBroken'
}

/** Not forced upon their owner: they are read before the tenant is known, by one function each. */
const unforced = ['key_index', 'source_index']

/**
 * Refuses a process that could reach past the fence: a superuser, an owner, a role that bypasses
 * row-level security, a tenant table without forced policies or with a wider one, or a missing
 * setting that does not raise on a used connection.
 */
export async function testFences(databaseUrl: string): Promise<void> {
  for (const role of ['ubos_api', 'ubos_worker'] as const) await testRole(databaseUrl, role)
}

async function testRole(databaseUrl: string, role: DatabaseRole): Promise<void> {
  const client = new Client(connectionOptions(databaseUrl, role))
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
        where pg_has_role(session_user, oid, 'MEMBER')) as privileged,
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

/** Policies add up, so the API must have no other than the fence, for reading and for writing. */
async function testTables(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `with fence as (
       select polrelid, polqual is not null as reads,
         coalesce(pg_get_expr(polqual, polrelid), wanted) = wanted
           and coalesce(pg_get_expr(polwithcheck, polrelid), wanted) = wanted as holds
       from pg_policy, (values ('(tenant_id = ubos_tenant())')) as expression (wanted)
       where polpermissive and polroles && array[0, 'ubos_api'::regrole]::oid[]
     )
     select relname as name from pg_class
     join pg_attribute on attrelid = pg_class.oid and attname = 'tenant_id' and attnum > 0
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
       and not (relrowsecurity and (relforcerowsecurity or relname = any($1))
         and coalesce((select bool_and(holds) and bool_or(reads) from fence
           where polrelid = pg_class.oid), false))
     order by relname`,
    [unforced],
  )
  if (rows.length === 0) return
  throw new FenceBroken(`no fence around ${rows.map(({ name }) => name).join(', ')}`)
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
