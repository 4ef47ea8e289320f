import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'
import { Client } from './client.ts'
import { type Login, urlOf } from './login.ts'
import { installQueue } from './queue-schema.ts'

const migrationsFolder = new URL('../../migrations/', import.meta.url)

/** Held by whoever migrates, so that two starting processes take turns. */
const migrationLock = 8_262_001

/** Migrating needs something from a person; the message says what, in full. */
export class MigrationRefusal extends Error {
  override readonly name = 'MigrationRefusal'
}

/**
 * Brings the schema to the newest migration, as the owner of `ownerUrl`: roles, then each file of
 * `migrations/` once and in order, under a lock; the queue's own schema, when there is a login to make
 * it with; then grants and the partitions of the next days.
 * Answers the names of the files that were applied. Errors: `MigrationRefusal`, `pg.DatabaseError`.
 */
export async function migrate(ownerUrl: string, login?: Login): Promise<string[]> {
  const client = new Client({ connectionString: ownerUrl, application_name: 'ubos_migrate' })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    await ensureRoles(client, login)
    await client.query(`
      create table if not exists migration (
        name text primary key, digest text not null, applied_at timestamptz not null default now()
      )`)
    const applied = await applyMissing(client)
    if (login) applied.push(...(await installQueue(client, urlOf(ownerUrl, login))))
    await client.query('grant select on migration to ubos_api')
    await client.query('select ubos_make_partitions((now() at time zone $1)::date - 1, 9)', ['UTC'])
    return applied
  } finally {
    await client.end()
  }
}

async function applyMissing(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; digest: string }>(
    'select name, digest from migration',
  )
  const digests = new Map(rows.map((row) => [row.name, row.digest]))
  const applied: string[] = []
  for (const { name, text } of await readMigrations()) {
    const digest = createHash('sha256').update(text).digest('hex')
    const known = digests.get(name)
    if (known === digest) continue
    if (known !== undefined) {
      throw new MigrationRefusal(`migrations/${name} was changed after it had been applied`)
    }
    await applyOne(client, name, text, digest)
    applied.push(name)
  }
  return applied
}

async function applyOne(client: pg.Client, name: string, text: string, digest: string) {
  try {
    await client.query('begin')
    await client.query(text)
    await client.query('insert into migration (name, digest) values ($1, $2)', [name, digest])
    await client.query('commit')
  } catch (cause) {
    await client.query('rollback')
    throw new Error(`migrations/${name}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
  }
}

/** The files of `migrations/` in their order. */
export async function readMigrations(): Promise<{ name: string; text: string }[]> {
  const names = (await readdir(migrationsFolder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) => ({
      name,
      text: await readFile(new URL(name, migrationsFolder), 'utf8'),
    })),
  )
}

/** Makes the two roles and the login, or says what an administrator must run. */
async function ensureRoles(client: pg.Client, login: Login | undefined): Promise<void> {
  const wanted = ['ubos_api', 'ubos_worker', ...(login ? [login.name] : [])]
  const { rows } = await client.query<{ rolname: string }>(
    'select rolname from pg_roles where rolname = any($1)',
    [wanted],
  )
  const present = new Set(rows.map((row) => row.rolname))
  const statements = ['ubos_api', 'ubos_worker']
    .filter((role) => !present.has(role))
    .map((role) => `create role ${role} nologin`)
  if (login) statements.push(...(await loginStatements(client, login, present.has(login.name))))
  try {
    for (const statement of statements) await client.query(statement)
  } catch (cause) {
    const shown = statements.map(
      (line) => `  ${line.replace(/password +E?'.*'/s, "password '…'")};`,
    )
    throw new MigrationRefusal(
      `the owner may not make roles; let an administrator run\n${shown.join('\n')}`,
      { cause },
    )
  }
}

async function loginStatements(client: pg.Client, login: Login, isPresent: boolean) {
  const name = client.escapeIdentifier(login.name)
  const statements: string[] = []
  if (!isPresent) {
    const password = client.escapeLiteral(login.password)
    statements.push(`create role ${name} login noinherit password ${password}`)
  }
  const { rows } = await client.query<{ role: string }>(
    `select role.rolname as role from pg_auth_members as membership
     join pg_roles as role on role.oid = membership.roleid
     join pg_roles as member on member.oid = membership.member
     where member.rolname = $1`,
    [login.name],
  )
  const held = new Set(rows.map((row) => row.role))
  for (const role of ['ubos_api', 'ubos_worker']) {
    if (!held.has(role)) statements.push(`grant ${role} to ${name}`)
  }
  return statements
}

/** Makes the database of `ownerUrl`'s server that is called `name`, once; answers its address. */
export async function ensureDatabase(ownerUrl: string, name: string): Promise<string> {
  const client = new Client({ connectionString: ownerUrl })
  await client.connect()
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name])
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`)
  } catch (error) {
    const isDuplicate =
      error instanceof pg.DatabaseError && /^(42P04|23505)$/.test(error.code ?? '')
    if (!isDuplicate) throw error
  } finally {
    await client.end()
  }
  return Object.assign(new URL(ownerUrl), { pathname: `/${name}` }).href
}
