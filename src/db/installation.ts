import type pg from 'pg'
import { Client } from './client.ts'
import { connectionOptions } from './pool.ts'

/** The master key of this installation, by its id: the given one, if there was none before. */
export async function claimMasterKeyId(pool: pg.Pool, keyId: string): Promise<string> {
  await pool.query('insert into installation (master_key_id) values ($1) on conflict do nothing', [
    keyId,
  ])
  const { rows } = await pool.query<{ master_key_id: string }>(
    'select master_key_id from installation',
  )
  return rows[0]?.master_key_id ?? keyId
}

/** The names of the migrations that were applied. */
export async function findApplied(databaseUrl: string): Promise<Set<string>> {
  const client = new Client(connectionOptions(databaseUrl, 'ubos_api'))
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>('select name from migration')
    return new Set(rows.map((row) => row.name))
  } finally {
    await client.end()
  }
}
