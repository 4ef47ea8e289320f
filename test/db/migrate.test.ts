import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { claimMasterKeyId } from '#db/installation.ts'
import { urlOf } from '#db/login.ts'
import { ensureDatabase, MigrationRefusal, migrate, readMigrations } from '#db/migrate.ts'
import { createPool } from '#db/pool.ts'
import { queueVersion } from '#db/queue-schema.ts'
import { testFences } from '#db/self-test.ts'
import { createLog } from '#log.ts'
import { testLogin } from '../login.ts'
import { cloneDatabase } from '../world.ts'

let template: Awaited<ReturnType<typeof cloneDatabase>>
let admin: pg.Client
beforeAll(async () => {
  template = await cloneDatabase()
  admin = new pg.Client({ connectionString: inject('ownerUrl') })
  await admin.connect()
})
afterAll(async () => {
  await admin.end()
  await template.drop()
})

const newName = (kind: string) => `${kind}_${randomBytes(6).toString('hex')}`

test('an empty database is brought to the newest schema, once, though two processes begin at once', async () => {
  const name = newName('empty')
  const [url] = await Promise.all([
    ensureDatabase(inject('ownerUrl'), name),
    ensureDatabase(inject('ownerUrl'), name),
  ])
  const applied = await Promise.all([migrate(url, testLogin), migrate(url, testLogin)])
  expect(applied.map(({ length }) => length).sort((a, b) => a - b)).toEqual([
    0,
    (await readMigrations()).length + 1,
  ])
  await testFences(urlOf(url, testLogin))
  expect(await migrate(url, testLogin)).toEqual([])
  await admin.query(`drop database ${name} with (force)`)
})

test('a migration that was changed after it had been applied stops everything', async () => {
  const digest = createHash('sha256').update('something else').digest('hex')
  await template.query("update migration set digest = $1 where name like '0002%'", [digest])
  await expect(migrate(template.ownerUrl, testLogin)).rejects.toThrow(
    /^migrations\/0002_\w+\.sql was changed after it had been applied$/,
  )
  await expect(migrate(template.ownerUrl, testLogin)).rejects.toBeInstanceOf(MigrationRefusal)
})

test.for([
  ['plain', 'plain-and-secret'],
  ['with quotes and backslashes', "it's\\very secret"],
] as const)(
  'an owner who may not make roles is told what an administrator must run, without the password (%s)',
  async ([, password]) => {
    const owner = { name: newName('owner'), password: 'only-for-tests' }
    const login = { name: newName('login'), password }
    await admin.query(`create role ${owner.name} login password '${owner.password}'`)
    await admin.query(`create database ${owner.name} owner ${owner.name}`)
    const url = Object.assign(new URL(urlOf(inject('ownerUrl'), owner)), {
      pathname: owner.name,
    }).href

    const refusal = await migrate(url, login).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(MigrationRefusal)
    expect(String(refusal)).toContain(`create role "${login.name}" login noinherit password '…';`)
    expect(String(refusal)).toContain(`grant ubos_worker to "${login.name}";`)
    expect(String(refusal)).not.toMatch(/secret/)

    await admin.query(`drop database ${owner.name} with (force)`)
    await admin.query(`drop role ${owner.name}`)
  },
)

test('an ordinary owner, who is behind the fence as well, brings the database to the newest schema', async () => {
  const owner = { name: newName('owner'), password: 'only-for-tests' }
  await admin.query(`create role ${owner.name} login password '${owner.password}'`)
  await admin.query(`create database ${owner.name} owner ${owner.name}`)
  const url = Object.assign(new URL(urlOf(inject('ownerUrl'), owner)), {
    pathname: owner.name,
  }).href
  expect(await migrate(url)).toHaveLength((await readMigrations()).length)
  await testFences(urlOf(url, testLogin))
  await admin.query(`drop database ${owner.name} with (force)`)
  await admin.query(`drop role ${owner.name}`)
})

test('a database keeps to the master key that it began with', async () => {
  const { url, drop } = await cloneDatabase()
  const pool = createPool(url, 'ubos_api', 2, { log: createLog('silent') })
  expect(await claimMasterKeyId(pool, 'first')).toBe('first')
  expect(await claimMasterKeyId(pool, 'second')).toBe('first')
  await pool.end()
  await drop()
})

test('the note of the queue’s schema names the version that is installed', async () => {
  const manifest = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  expect(queueVersion).toBe(`graphile-worker ${manifest.dependencies['graphile-worker']}`)
})
