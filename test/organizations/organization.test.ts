import { afterAll, beforeAll, expect, test } from 'vitest'
import { routes } from '#generated/routes.ts'
import { openInstallation, replaceOperatorKey } from '#organizations/bootstrap.ts'
import { until } from '../db/fixture.ts'
import { cloneDatabase, contextOf, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

interface AdminKey {
  id: string
  environment: string
  tenantId: string
  key: string
}

async function makeOrganization(name: string) {
  const reply = await world.operator.post('/api/v1/organizations', { name })
  expect(reply.status).toBe(201)
  const adminKeys: AdminKey[] = reply.body.adminKeys
  const [production, sandbox] = adminKeys.map(({ key }) => world.callsWith(key))
  if (!production || !sandbox) throw new Error('an organization has two tenants')
  return { reply, adminKeys, production, sandbox }
}

test('a new organization has a tenant for each environment, and an admin key opens each', async () => {
  const { reply, adminKeys } = await makeOrganization('Two worlds')
  expect(reply.headers.get('location')).toBe(`/api/v1/organizations/${reply.body.id}`)
  expect(adminKeys.map(({ environment }) => environment)).toEqual(['PRODUCTION', 'SANDBOX'])
  expect(adminKeys.map(({ key }) => key.slice(0, 9))).toEqual(['ubk_live_', 'ubk_test_'])
  expect(reply.body.tenants.map(({ id }: { id: string }) => id)).toEqual(
    adminKeys.map(({ tenantId }) => tenantId),
  )
  for (const { key, id, environment, tenantId } of adminKeys) {
    expect((await world.callsWith(key).get('/api/v1/me')).body).toMatchObject({
      key: { id, scopes: ['*'] },
      organization: { id: reply.body.id },
      tenant: { id: tenantId, environment },
    })
  }
})

test('nothing crosses from one environment of an organization to the other', async () => {
  const { production, sandbox } = await makeOrganization('Apart')
  const made = await production.post('/api/v1/clients', { name: 'Real', currency: 'EUR' })
  expect((await production.get('/api/v1/clients')).body.data).toHaveLength(1)
  expect((await sandbox.get('/api/v1/clients')).body.data).toEqual([])
  refusedWith(await sandbox.get(`/api/v1/clients/${made.body.id}`), 'not_found')
})

test('organizations are found and listed by operators, without their keys', async () => {
  const { reply } = await makeOrganization('Listed')
  const { adminKeys: _, ...view } = reply.body
  expect((await world.operator.get(`/api/v1/organizations/${view.id}`)).body).toEqual(view)
  const { data } = (await world.operator.get('/api/v1/organizations?limit=1')).body
  expect(data).toEqual([view])
})

test('a lost admin key is replaced, in the environment that was asked for', async () => {
  const { reply, adminKeys } = await makeOrganization('Forgetful')
  const path = `/api/v1/organizations/${reply.body.id}/admin-keys`
  for (const { environment, tenantId } of adminKeys) {
    const made = await world.operator.post(path, { environment })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({ environment, tenantId })
    const calls = world.callsWith(made.body.key)
    expect((await calls.get(`/api/v1/api-keys/${made.body.id}`)).body.scopes).toEqual(['*'])
  }
  const nobody = `/api/v1/organizations/org_${'0'.repeat(26)}/admin-keys`
  refusedWith(await world.operator.post(nobody, { environment: 'SANDBOX' }), 'not_found')
})

/** A path of the contract, its parameters filled with ids that are well formed. */
function pathOf(route: (typeof routes)[keyof typeof routes]): string {
  return route.url
    .replace(':organizationId', `org_${'0'.repeat(26)}`)
    .replaceAll(/:(\w{3})\w*/g, (_, start) => `${start.toLowerCase()}_${'0'.repeat(26)}`)
}

const authenticated = Object.values(routes).filter(({ scopes }) => scopes !== null)
const ofOperators = authenticated.filter(({ scopes }) =>
  scopes?.some((scope) => /^org|^ope/.test(scope)),
)
// The reserved tenant has calls and an audit as well, and its operators may see them.
const ofTenants = authenticated.filter(({ scopes }) =>
  scopes?.some((scope) => !/^(org|ope|audit:|request_logs:|api_metrics:)/.test(scope)),
)

test('an operator’s key reaches no tenant’s data: every such operation wants a scope that it lacks', async () => {
  expect(ofTenants.length).toBeGreaterThan(30)
  for (const route of ofTenants) {
    const response = await fetch(world.url + pathOf(route), {
      method: route.method,
      headers: { authorization: `Bearer ${world.operator.key}` },
    })
    const { code } = (await response.json()) as { code: string }
    expect([route.operationId, response.status, code]).toEqual([
      route.operationId,
      403,
      'insufficient_scope',
    ])
  }
})

test('a tenant’s admin key reaches no operation of the operators', async () => {
  expect(ofOperators.length).toBeGreaterThan(3)
  for (const route of ofOperators) {
    const response = await fetch(world.url + pathOf(route), {
      method: route.method,
      headers: { authorization: `Bearer ${world.api.key}` },
    })
    const { code } = (await response.json()) as { code: string }
    expect([route.operationId, code]).toEqual([route.operationId, 'insufficient_scope'])
  }
})

test('an organization is opened with all that belongs to it or not at all', async () => {
  const count = async () => {
    const [row] = await world.query(
      `select (select count(*) from organization) as organizations,
        (select count(*) from tenant) as tenants, (select count(*) from stream_head) as streams,
        (select count(*) from api_key) as keys, (select count(*) from key_index) as secrets,
        (select count(*) from event) as events, (select count(*) from audit) as audits`,
    )
    return row
  }
  const before = await count()
  await world.query('revoke insert on stream_head from ubos_api')
  const reply = await world.operator.post('/api/v1/organizations', { name: 'Half' })
  await world.query('grant insert on stream_head to ubos_api')
  expect(reply.status).toBe(500)
  expect(await count()).toEqual(before)
})

test('an installation is opened once, though several processes start at once', async () => {
  const database = await cloneDatabase()
  const ctx = contextOf(world.ctx.config, world.ctx.clock, database.url)
  const shown = await Promise.all([1, 2, 3].map(() => openInstallation(ctx)))
  expect(shown.filter((keys) => keys !== undefined)).toHaveLength(1)
  expect(await openInstallation(ctx)).toBeUndefined()
  expect(await database.query('select name from organization')).toEqual([{ name: 'Demo' }])
  await (ctx.db as World['ctx']['db'] & { close(): Promise<void> }).close()
  await ctx.egress.close()
  await database.drop()
})

test('a replaced operator’s key ends those before it within a second', async () => {
  const next = world.callsWith(await replaceOperatorKey(world.ctx))
  expect((await next.get('/api/v1/organizations')).status).toBe(200)
  await until(async () => (await world.operator.get('/api/v1/organizations')).status === 401, 1_000)
  refusedWith(await world.operator.get('/api/v1/organizations'), 'key_revoked')
})
