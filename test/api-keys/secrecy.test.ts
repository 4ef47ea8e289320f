import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Running, startApi, startWorker } from '#app.ts'
import { openDatabases } from '#db/open.ts'
import { databaseUrlOf, killConnections, until } from '../db/fixture.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { type Api, startWorld, type World } from '../world.ts'

/** Everything that is said at the finest level, before the log hides anything. */
const lines: string[] = []
const log = pino({ level: 'trace' }, { write: (line) => void lines.push(line) })

let world: World
let receiver: Receiver
let running: Running[]
let url: string
let secrets: string[]
beforeAll(async () => {
  world = await startWorld({ parts: [] })
  receiver = await startReceiver()
  const ctx = { ...world.ctx, log, db: openDatabases(databaseUrlOf(world), log) }
  const api = await startApi(ctx)
  running = [api, startWorker(ctx), { stop: () => ctx.db.close() }]
  url = api.url
  secrets = await makeSecrets()
})
afterAll(async () => {
  for (const part of running) await part.stop(1_000)
  await receiver.stop()
  await world.stop()
})

/** Makes one secret of each kind in each way, and uses each as it is meant to be and otherwise. */
async function makeSecrets(): Promise<string[]> {
  const made = await world.operator.post(
    `${url}/api/v1/organizations`,
    { name: 'Secretive' },
    underKey('o'),
  )
  const admin = world.callsWith(made.body.adminKeys[1].key)
  const lost = await world.operator.post(
    `${url}/api/v1/organizations/${made.body.id}/admin-keys`,
    { environment: 'PRODUCTION' },
    underKey('a'),
  )
  const key = await admin.post(
    `${url}/api/v1/api-keys`,
    { name: 'K', scopes: ['*'] },
    underKey('k'),
  )
  const path = `${url}/api/v1/api-keys/${key.body.id}`
  const rotated = await admin.post(`${path}/rotations`, {}, underKey('r'))
  const endpoint = await admin.post(
    `${url}/api/v1/webhook-endpoints`,
    { url: receiver.url, eventTypes: ['client.created'] },
    underKey('e'),
  )
  const all = [
    world.operator.key,
    world.api.key,
    ...made.body.adminKeys.map((each: { key: string }) => each.key),
    lost.body.key,
    key.body.key,
    rotated.body.key,
    endpoint.body.secret,
  ]
  await admin.post(`${url}/api/v1/clients`, { name: 'Told', currency: 'EUR' })
  await receiver.received(1)
  receiver.verified(endpoint.body.secret)
  await admin.post(`${path}/revocation`)
  for (const secret of all) await misuse(world.callsWith(secret), secret)
  await world.drain()
  return all
}

const underKey = (key: string) => ({ 'idempotency-key': key })

async function misuse(api: Api, secret: string): Promise<void> {
  await api.get(`${url}/api/v1/me`)
  await world.callsWith(`${secret}x`).get(`${url}/api/v1/me`)
  await world.callsWith('').get(`${url}/api/v1/me`, { authorization: `Basic ${secret}` })
  await api.post(`${url}/api/v1/clients`, { name: secret })
  await api.post(`${url}/api/v1/clients`, `{"name": "${secret}"`)
  await api.post(`${url}/api/v1/payments`, { amount: secret }, { 'idempotency-key': secret })
  await api.get(`${url}/api/v1/clients`, { 'x-correlation-id': 'a b', cookie: secret })
  await api.post(`${url}/api/v1/clients`, named, { 'x-correlation-id': secret })
  await api.post(`${url}/api/v1/clients`, named, underKey(secret))
}

const named = { name: 'Correlated', currency: 'EUR' }

/** The part of a secret that is not shown as its prefix, as text and as bytes are written. */
function formsOf(secret: string): string[] {
  const core = secret.slice(16, 40)
  const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64')
  return [core, Buffer.from(core).toString('hex'), bytes.toString('hex').slice(0, 40)]
}

test('seven kinds of keys and a signing secret were made', () => {
  expect(secrets).toHaveLength(8)
  for (const secret of secrets) expect(secret).toMatch(/^(ubk_(live|test|op)_|whsec_)\S{40,}$/)
  expect(new Set(secrets).size).toBe(8)
})

/** In which tables a text stands, bytes as hexadecimal digits. */
async function tablesWith(text: string): Promise<string[]> {
  const tables = await world.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace
     and relkind in ('r', 'p') and not relispartition`,
  )
  const found: string[] = []
  for (const { name } of tables) {
    const rows = await world.query(`select from ${name} as t where t::text like $1 limit 1`, [
      `%${text}%`,
    ])
    if (rows.length > 0) found.push(name)
  }
  return found
}

test('no secret stands in the database in clear', async () => {
  for (const secret of secrets) {
    for (const form of formsOf(secret)) expect(await tablesWith(form), form).toEqual([])
  }
  // What may be found is: the beginning by which its owner knows it, and the tests are not blind.
  expect(await tablesWith(world.api.key.slice(0, 13))).toContain('api_key')
  expect(await tablesWith(Buffer.from('client.created').toString('hex'))).toContain('event')
})

test('no secret stands in the log, at its finest level and before anything is hidden', async () => {
  await killConnections(world, "usename = 'ubos'")
  await until(async () => lines.some((line) => line.includes('connection lost')))
  await world.query('alter table client rename to client_gone')
  const broken = await world.callsWith(secrets[2] ?? '').get(`${url}/api/v1/clients`)
  expect(broken.status).toBe(500)
  await world.query('alter table client_gone rename to client')

  const all = lines.join('')
  expect(all).toContain('"operation":"createApiKey","status":201')
  expect(all).toContain('"operation":"rotateApiKey","status":201')
  expect(all).toContain('internal_error')
  for (const secret of secrets) {
    for (const form of formsOf(secret)) expect(all.includes(form), form).toBe(false)
  }
})
