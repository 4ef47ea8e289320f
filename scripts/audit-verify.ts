import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { keptDays } from '../src/audit/entry.ts'
import { type VerifyOptions, verifyAudit } from '../src/audit/verify.ts'
import type { Damage } from '../src/audit/verify-links.ts'
import { startPostgres } from '../src/db/at-hand/postgres.ts'
import { Client } from '../src/db/client.ts'
import { connectionOptions } from '../src/db/pool.ts'
import { keyringFrom } from '../src/secrets/keyring.ts'
import { createSecrets } from '../src/secrets/secrets.ts'
import { readKeptAnchors } from './audit-verify/kept.ts'

/*
 * `npm run audit:verify [-- --anchors <file>] [--days <n>]`: computes every chain and anchor of the
 * audit anew, and says what is not as it was written. Reads only. Ends with 1 when something is
 * damaged, and with 2 when it could not look.
 */

const shownMax = 20

const { values } = parseArgs({
  options: {
    anchors: { type: 'string', multiple: true, default: [] },
    days: { type: 'string', default: String(keptDays) },
  },
})

if (existsSync('.env')) process.loadEnvFile('.env')
try {
  process.exitCode = await verify()
} catch (error) {
  console.error(`audit:verify: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 2
}

async function verify(): Promise<number> {
  const kept = values.anchors.flatMap((file) => readKeptAnchors(readFileSync(file, 'utf8'), file))
  const days = Number(values.days)
  if (!Number.isInteger(days) || days < 1) throw new Error('--days takes a number of days')
  const { url, masterKey, close } = await findDatabase()
  try {
    const attest = masterKey === undefined ? undefined : secretsOf(masterKey)
    return await look(url, { now: new Date(), keptDays: days, kept, attest })
  } finally {
    await close()
  }
}

/** One snapshot, by the role that sees all tenants, on a connection that cannot write. */
async function look(url: string, options: VerifyOptions): Promise<number> {
  const { options: settings, ...others } = connectionOptions(url, 'ubos_worker')
  const client = new Client({
    ...others,
    options: `${settings} -c default_transaction_read_only=on -c statement_timeout=0`,
  })
  await client.connect()
  try {
    await client.query('begin transaction isolation level repeatable read read only')
    const found = await verifyAudit(
      async (text, parameters) => (await client.query({ text, values: parameters ?? [] })).rows,
      options,
    )
    const { tenants, entries, dropped, pending, anchors } = found.counted
    const old = dropped > 0 ? ` (${dropped} links of entries that are no longer kept)` : ''
    console.log(`Checked ${entries} entries in ${tenants} chains${old}, and ${anchors} anchors.`)
    if (pending > 0) console.log(`${pending} entries wait to be chained.`)
    if (options.attest === undefined && anchors > 0) {
      console.log('The anchors’ macs were not checked: UBOS_MASTER_KEY is not given.')
    }
    if (options.kept.length > 0) {
      console.log(`Held against ${options.kept.length} anchors that were kept elsewhere.`)
    }
    return tell(found.damages)
  } finally {
    await client.end()
  }
}

function tell(damages: readonly Damage[]): number {
  if (damages.length === 0) {
    console.log('No damage was found.')
    return 0
  }
  for (const damage of damages.slice(0, shownMax)) console.error(`DAMAGE  ${wordsFor(damage)}`)
  if (damages.length > shownMax) console.error(`… and ${damages.length - shownMax} more`)
  return 1
}

function wordsFor({ tenantId, position, what }: Damage): string {
  const place = [tenantId, position === undefined ? undefined : `position ${position}`]
  const where = place.filter((part) => part !== undefined).join(', ')
  return where === '' ? what : `${where}: ${what}`
}

function secretsOf(masterKey: string) {
  return createSecrets(keyringFrom(masterKey), () => {
    throw new Error('nothing is made here')
  })
}

/** The database of `DATABASE_URL`, or the embedded one, and the master key where it is at hand. */
async function findDatabase() {
  const { DATABASE_URL: url, UBOS_MASTER_KEY: masterKey, UBOS_DATA_DIR: dataDir } = process.env
  if (url) return { url, masterKey, close: async () => undefined }
  const home = resolve(dataDir ?? '.ubos')
  if (!existsSync(home)) throw new Error(`there is no database in ${home}`)
  const server = await startPostgres({ home, say: (line) => console.log(line) })
  const file = join(server.home, 'master-key')
  return {
    url: Object.assign(new URL(server.ownerUrl), { pathname: '/ubos' }).href,
    masterKey: masterKey ?? (existsSync(file) ? readFileSync(file, 'utf8') : undefined),
    close: async () => void (await server.stop()),
  }
}
