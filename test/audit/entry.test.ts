import { afterAll, beforeAll, expect, test } from 'vitest'
import { record } from '#audit/record.ts'
import { transact } from '#db/transact.ts'
import { systemCause } from '#http/operation.ts'
import { tenantOf } from '../events/fixture.ts'
import { type Api, type Reply, refusedWith, startWorld, type World } from '../world.ts'
import { entriesOf, rowsOf } from './fixture.ts'

let world: World
let admin: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'], env: { UBOS_TRUST_PROXY: 'true' } })
  admin = await world.newTenant()
})
afterAll(() => world.stop())

const forwarded = { 'x-forwarded-for': '203.0.113.7', 'x-correlation-id': 'order-4711' }

test('an entry says who changed what, from which address, in which request, and how it was before', async () => {
  const client = await admin.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
  const path = `/api/v1/clients/${client.body.id}`
  const patch = { phone: '+44 20 7946 0958', metadata: { tier: 'A' } }
  const patched = await admin.patch(path, patch, forwarded)
  const me = await admin.get('/api/v1/me')

  const [entry, ...others] = await entriesOf(admin, '&action=client.updated')
  expect(others).toEqual([])
  expect(entry).toEqual({
    id: expect.stringMatching(/^aud_/),
    occurredAt: expect.stringMatching(/Z$/),
    action: 'client.updated',
    resourceType: 'client',
    resourceId: client.body.id,
    actor: { type: 'API_KEY', id: me.body.key.id },
    ip: '203.0.113.7',
    requestId: patched.headers.get('x-request-id'),
    correlationId: 'order-4711',
    before: { phone: null, metadata: {} },
    after: patch,
    details: null,
  })
  expect((await admin.get(`/api/v1/audit-entries/${entry?.id}`)).body).toEqual(entry)
  const between = Date.parse(entry?.occurredAt ?? '') - Date.parse(client.body.createdAt)
  expect(between).toBeGreaterThanOrEqual(0)
  expect(between).toBeLessThan(60_000)
})

/** Something of each kind, so that every filter has something to leave out. */
async function aHistory(): Promise<Api> {
  const api = await world.newTenant()
  const { body: key } = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['*'] })
  const other = world.callsWith(key.key)
  for (const caller of [api, other]) {
    const { body } = await caller.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
    await caller.patch(`/api/v1/clients/${body.id}`, { phone: '1' }, forwarded)
    world.step(2_000)
  }
  return api
}

test('each filter shows what it names and nothing else, both ways round, over pages', async () => {
  const api = await aHistory()
  const all = await entriesOf(api)
  expect(all.map(({ id }) => id)).toEqual(
    all
      .map(({ id }) => id)
      .toSorted()
      .reverse(),
  )
  const [middle] = all.filter(({ action }) => action === 'client.updated').slice(-1)
  if (middle === undefined) throw new Error('there is one')

  const cases: [string, (entry: (typeof all)[number]) => boolean][] = [
    [`&action=${middle.action}`, ({ action }) => action === middle.action],
    [`&resourceId=${middle.resourceId}`, ({ resourceId }) => resourceId === middle.resourceId],
    [`&actorId=${middle.actor.id}`, ({ actor }) => actor.id === middle.actor.id],
    ['&actorType=OPERATOR', ({ actor }) => actor.type === 'OPERATOR'],
    ['&actorType=API_KEY', ({ actor }) => actor.type === 'API_KEY'],
    ['&correlationId=order-4711', ({ correlationId }) => correlationId === 'order-4711'],
    [`&requestId=${middle.requestId}`, ({ requestId }) => requestId === middle.requestId],
    [`&occurredAfter=${middle.occurredAt}`, ({ occurredAt }) => occurredAt >= middle.occurredAt],
    [`&occurredBefore=${middle.occurredAt}`, ({ occurredAt }) => occurredAt < middle.occurredAt],
    [
      `&action=${middle.action}&actorId=${middle.actor.id}`,
      ({ action, actor }) => action === middle.action && actor.id === middle.actor.id,
    ],
  ]
  for (const [query, isMeant] of cases) {
    const wanted = all.filter(isMeant)
    expect(wanted.length, query).toBeGreaterThan(0)
    expect(wanted.length, query).toBeLessThan(all.length)
    const bound = `&occurredBefore=${new Date(world.ctx.clock.now().getTime() + 1).toISOString()}`
    const both = query.includes('occurredBefore') ? query : query + bound
    expect(await pagesOf(api, both), query).toEqual(wanted)
    const backwards = await pagesOf(api, `${both}&sort=occurredAt`)
    expect(backwards, query).toEqual(wanted.toReversed())
  }
})

/** The entries of changes, in small pages. */
async function pagesOf(api: Api, query: string) {
  const entries = []
  for (let cursor = ''; ; ) {
    const { status, body } = await api.get(`/api/v1/audit-entries?limit=3${query}${cursor}`)
    if (status !== 200) throw new Error(JSON.stringify(body))
    entries.push(...body.data)
    if (body.nextCursor === null) return entries.filter(({ details }) => details === null)
    cursor = `&cursor=${body.nextCursor}`
  }
}

test('no tenant reads another’s entries, and without audit:read nobody reads any', async () => {
  const stranger = await world.newTenant()
  const [entry] = await entriesOf(admin)
  refusedWith(await stranger.get(`/api/v1/audit-entries/${entry?.id}`), 'not_found')
  const theirs = await entriesOf(stranger, `&resourceId=${entry?.resourceId}`)
  expect(theirs).toEqual([])
  refusedWith(await world.operator.get(`/api/v1/audit-entries/${entry?.id}`), 'not_found')

  const scopes = ['clients:read']
  const { body } = await admin.post('/api/v1/api-keys', { name: 'Reader', scopes })
  const reader = world.callsWith(body.key)
  refusedWith(await reader.get('/api/v1/audit-entries'), 'insufficient_scope')
  refusedWith(await reader.get(`/api/v1/audit-entries/${entry?.id}`), 'insufficient_scope')
})

test('operators read what was done in their own tenant, and no customer sees it', async () => {
  const { body } = await world.operator.post('/api/v1/organizations', { name: 'Seen' })
  const [entry] = await entriesOf(world.operator, `&resourceId=${body.id}`)
  expect(entry).toMatchObject({ action: 'organization.created', actor: { type: 'OPERATOR' } })
  refusedWith(await admin.get(`/api/v1/audit-entries/${entry?.id}`), 'not_found')
  const own = world.callsWith(body.adminKeys[1].key)
  const actions = (await entriesOf(own)).map(({ action }) => action)
  expect(actions).toContain('api_key.created')
  expect(actions).not.toContain('organization.created')
})

test('a secret that is recorded by mistake is hidden, at any depth, whatever reply it is from', async () => {
  const tenant = await tenantOf(admin)
  const key = await admin.post('/api/v1/api-keys', { name: 'K', scopes: ['*'] })
  const rotated = await admin.post(`/api/v1/api-keys/${key.body.id}/rotations`, {})
  const url = 'http://127.0.0.1:4000/hooks'
  const endpoint = await admin.post('/api/v1/webhook-endpoints', { url })
  const organization = await world.operator.post('/api/v1/organizations', { name: 'Secret' })
  const replies: Reply[] = [key, rotated, endpoint, organization]
  await transact(world.ctx, tenant, async (tx) => {
    const cause = systemCause(world.ctx, 'test')
    for (const { body } of replies) {
      record(tx, cause, 'test.mistaken', body.id, { before: { body }, after: body })
    }
  })
  const rows = await rowsOf(world, "action = 'test.mistaken'")
  const kept = JSON.stringify(rows)
  expect(rows).toHaveLength(4)
  expect(kept).toContain('Secret')
  expect(rows[2]?.after).toMatchObject({ secret: '[hidden]', url })
  expect(rows[3]?.before).toMatchObject({ body: { adminKeys: [{ key: '[hidden]' }, {}] } })
  for (const secret of [
    key.body.key,
    rotated.body.key,
    endpoint.body.secret,
    ...organization.body.adminKeys.map((each: { key: string }) => each.key),
  ]) {
    expect(kept).not.toContain(secret.slice(16, 40))
  }
})

test('each filter is answered from an index of its own', async () => {
  const tenant = await tenantOf(admin)
  await world.query(
    `insert into audit (tenant_id, id, created_on, occurred_at, action, resource_id, actor_type,
       actor_id, request_id, correlation_id)
     select $1, 'aud_' || lpad(n::text, 26, '0'), now()::date, now(), 'client.a' || n % 97,
       'cli_' || n, case when n % 500 = 0 then 'SYSTEM' else 'API_KEY' end, 'key_' || n % 89,
       'req_' || n, 'cor_' || n
     from generate_series(1, 20000) as n`,
    [tenant],
  )
  await world.query('analyze audit')
  const [day] = await world.query<{ today: string }>('select now()::date::text as today')
  for (const [column, value, index] of [
    ['action', 'client.a3', 'action_id'],
    ['resource_id', 'cli_77', 'resource_id'],
    ['actor_id', 'key_5', 'actor_id'],
    ['actor_type', 'SYSTEM', 'actor_type'],
    ['correlation_id', 'cor_77', 'correlation_id'],
    ['request_id', 'req_77', 'request_id'],
  ]) {
    const plan = await world.query<{ 'QUERY PLAN': string }>(
      `explain select id from audit where tenant_id = '${tenant}' and ${column} = '${value}'
         and created_on = '${day?.today}' order by id desc limit 51`,
    )
    const text = plan.map((line) => line['QUERY PLAN']).join('\n')
    const filled = text
      .split('\n')
      .filter((line) => /Filter: .*(text|_id)|Seq Scan|-> +Sort/.test(line))
    expect(filled, text).toEqual([])
    expect(text).toContain(index)
  }
})
