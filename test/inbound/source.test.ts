import { afterAll, beforeAll, expect, test } from 'vitest'
import { readMigrations } from '#db/migrate.ts'
import { tenantOf } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ env: { UBOS_PUBLIC_URL: 'https://api.example.com' } })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const another = 'whsec_bmV3IHNlY3JldCBmb3IgdGhlIHdlYiBzaG9w'
const shop = { name: 'Shop', scheme: 'STANDARD_WEBHOOKS', secrets: [secret] }

async function make(more: object = {}) {
  const { status, body } = await api.post('/api/v1/inbound-sources', { ...shop, ...more })
  expect([status, body.code]).toEqual([201, undefined])
  return { ...body, path: `/api/v1/inbound-sources/${body.id}` }
}

test('a source shows the address that its sender is given, and has the usual bounds', async () => {
  const { id, url, path, ...rest } = await make()
  expect(url).toBe(`https://api.example.com/hooks/${id}`)
  expect(rest).toMatchObject({
    ...{ name: 'Shop', scheme: 'STANDARD_WEBHOOKS', settings: {}, secretCount: 1 },
    ...{ allowedIps: [], maxBodyBytes: 1048576, acceptsUndedupable: false, status: 'ENABLED' },
    revision: 1,
  })
  expect((await api.get(path)).body).toEqual({ id, url, ...rest })
})

test('secrets are in no answer, no event, no entry of the audit, and in no row but sealed', async () => {
  const source = await make()
  const patched = await api.patch(source.path, { secrets: [another, secret] })
  expect(patched.body).toMatchObject({ secretCount: 2, revision: 2 })
  await world.drain()
  const texts = [JSON.stringify([source, patched.body, (await api.get(source.path)).body])]
  const tables = ['inbound_source', 'event', 'audit', 'idempotency', 'request_log']
  for (const table of tables) {
    const rows = await world.query<{ row: string }>(
      table === 'event'
        ? `select convert_from(body, 'UTF8') as row from event where body is not null`
        : `select t::text as row from ${table} as t`,
    )
    texts.push(...rows.map(({ row }) => row))
  }
  expect(texts.length).toBeGreaterThan(6)
  for (const plain of [secret, another]) {
    const hex = Buffer.from(plain).toString('hex')
    for (const text of texts) expect([plain, hex].some((one) => text.includes(one))).toBe(false)
  }
})

test('other secrets are a change that is told, the same ones again are none', async () => {
  const source = await make()
  expect((await api.patch(source.path, { secrets: [secret] })).body.revision).toBe(1)
  world.step(1_000)
  const { body } = await api.patch(source.path, { secrets: [another] })
  expect(body.revision).toBe(2)
  expect(body.secretsChangedAt > source.secretsChangedAt).toBe(true)
  const events = await world.query<{ changed: string[] }>(
    `select convert_from(body, 'UTF8')::jsonb -> 'changedFields' as changed from event
     where type = 'inbound_source.updated'
       and convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'id' = $1`,
    [source.id],
  )
  expect(events).toEqual([{ changed: ['secretsChangedAt'] }])
})

test('settings are patched one by one, and null goes back to the usual', async () => {
  const settings = { header: 'X-Signature', encoding: 'BASE64', eventIdHeader: 'X-Id' }
  const source = await make({ scheme: 'HMAC', settings })
  const patch = { settings: { encoding: null, prefix: 'v1=' } }
  const { body } = await api.patch(source.path, patch)
  expect(body.settings).toEqual({
    ...{ header: 'X-Signature', prefix: 'v1=', eventIdHeader: 'X-Id' },
  })
})

test.for([
  ['a secret that its scheme cannot use', { secrets: ['no base64!'] }, '/secrets/0'],
  ['no secret where the scheme needs one', { secrets: [] }, '/secrets'],
  ['an address that is none', { allowedIps: ['10.0.0.0/40'] }, '/allowedIps/0'],
  ['a range that begins within itself', { allowedIps: ['10.0.0.1/8'] }, '/allowedIps/0'],
  ['a size above what is ever taken', { maxBodyBytes: 5242881 }, '/maxBodyBytes'],
  ['a scheme that is none', { scheme: 'HANDSHAKE' }, '/scheme'],
  ['a setting that is none', { settings: { surprise: 1 } }, '/settings/surprise'],
  [
    'a setting of another scheme',
    { settings: { jwksUrl: 'https://a.example' } },
    '/settings/jwksUrl',
  ],
  [
    'a template without the body',
    { scheme: 'HMAC', settings: { signedContent: 'x' } },
    '/settings/signedContent',
  ],
  ['who could tell no second copy and did not ask', { scheme: 'HMAC' }, '/acceptsUndedupable'],
  [
    'who says that it wants none such, and could tell none',
    { scheme: 'BASIC', secrets: ['me:secret'], acceptsUndedupable: false },
    '/acceptsUndedupable',
  ],
] as const)('%s is refused and named', async ([, more, pointer]) => {
  const reply = await api.post('/api/v1/inbound-sources', { ...shop, ...more })
  expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe(pointer)
})

test('webhooks of which a second copy cannot be told are taken where it is asked for, or their senders have such', async () => {
  for (const more of [
    { scheme: 'HMAC', acceptsUndedupable: true },
    { scheme: 'XERO' },
    { scheme: 'QUICKBOOKS' },
    { scheme: 'MICROSOFT_GRAPH' },
  ]) {
    const source = await make(more)
    expect(source.acceptsUndedupable, more.scheme).toBe(true)
  }
  const settings = { eventIdPointer: '/id' }
  const source = await make({ scheme: 'SHARED_SECRET', settings })
  expect(source.acceptsUndedupable).toBe(false)
  const reply = await api.patch(source.path, { settings: { eventIdPointer: null } })
  expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe('/acceptsUndedupable')
})

test('a source of tokens that was there before the rule takes what it took, and others stay as they are', async () => {
  const token = { jwksUrl: 'https://a.example/keys', issuer: 'i', audience: 'a' }
  const sources = await Promise.all([
    make({ scheme: 'JWT', secrets: [], settings: token, acceptsUndedupable: true }),
    make({ scheme: 'JWT', secrets: [], settings: { ...token, eventIdPointer: '/id' } }),
    make({ scheme: 'JWT', secrets: [], settings: { ...token, bodyDigestClaim: 'digest' } }),
    make(),
  ])
  await world.query('update inbound_source set accepts_undedupable = false where id = $1', [
    sources[0].id,
  ])
  const migration = (await readMigrations()).find(({ name }) => name.startsWith('0031'))
  await world.query(migration?.text.replace(/^.*(?=-- An ordinary owner)/s, '') ?? '')
  const after = await Promise.all(sources.map(async ({ path }) => (await api.get(path)).body))
  expect(after.map((source) => [source.acceptsUndedupable, source.revision])).toEqual([
    [true, 2],
    [false, 1],
    [false, 1],
    [false, 1],
  ])
})

test('a change after which nothing could be verified is refused and names the field', async () => {
  const source = await make()
  const reply = await api.patch(source.path, { secrets: ['no base64!'] })
  expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe('/secrets/0')
  expect((await api.get(source.path)).body.revision).toBe(1)
})

test('addresses are kept in canonical form', async () => {
  const { allowedIps } = await make({ allowedIps: ['2001:DB8::/32', '203.0.113.7/32'] })
  expect(allowedIps).toEqual(['2001:db8::/32', '203.0.113.7'])
})

test('a removed source is gone, and its secrets and the way to it with it', async () => {
  const source = await make()
  expect((await api.delete(source.path)).status).toBe(204)
  refusedWith(await api.get(source.path), 'not_found')
  const [row] = await world.query(
    `select secret_count, ubos_find_source(id) as tenant from inbound_source where id = $1`,
    [source.id],
  )
  expect(row).toEqual({ secret_count: 0, tenant: null })
})

test('a tenant has a hundred sources and no more; another tenant has its own', async () => {
  const full = await world.newTenant('Full')
  await world.query(
    `insert into inbound_source
     select $1, 'src_' || lpad(n::text, 26, '0'), 'S', 'STANDARD_WEBHOOKS', '{}', '', 0, '{}', 1,
       now(), true, 'ENABLED', 1, now(), now() from generate_series(1, 100) as n`,
    [await tenantOf(full)],
  )
  refusedWith(await full.post('/api/v1/inbound-sources', shop), 'limit_reached')
  expect((await api.post('/api/v1/inbound-sources', shop)).status).toBe(201)
})

test('the way from a source to its tenant is the one function, and shows no more than the tenant', async () => {
  const source = await make()
  const { readers } = world.ctx.db
  const found = await readers.query('select ubos_find_source($1) as tenant', [source.id])
  expect(found).toEqual([{ tenant: await tenantOf(api) }])
  await expect(readers.query('select * from source_index', [])).rejects.toThrow()
})
