import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createObserver } from '#audit/observer.ts'
import type { Context } from '#context.ts'
import { systemCause } from '#http/operation.ts'
import { keyringFrom } from '#secrets/keyring.ts'
import { newApiKey } from '#secrets/token.ts'
import { startSecond } from '../api-keys/second-process.ts'
import { tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { type AuditRow, chainAll, rowsOf, verify } from './fixture.ts'

const minute = 60_000
const operators = 'ten_00000000000000000000000000'

let world: World
let admin: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'], env: { UBOS_TRUST_PROXY: 'true' } })
  admin = await world.newTenant()
})
afterAll(() => world.stop())

const from = (ip: string) => ({ 'x-forwarded-for': ip })
const junk = () =>
  `ubk_live_${randomBytes(60).toString('base64').replaceAll(/\W/g, 'x').slice(0, 49)}`

/** Waits for so many entries that meet a condition, once their minute is over. */
async function observed(count: number, condition: string, values: unknown[]): Promise<AuditRow[]> {
  let rows: AuditRow[] = []
  await until(async () => {
    rows = await rowsOf(world, condition, values)
    return rows.length >= count
  }, 10_000)
  return rows
}
const refusals = (count: number, ip: string) =>
  observed(count, "action = 'api_key.refused' and ip = $1", [ip])

async function aKey(body: object = {}): Promise<{ id: string; key: string; prefix: string }> {
  const made = { name: 'K', scopes: ['clients:read'], ...body }
  return (await admin.post('/api/v1/api-keys', made)).body
}

test('a key that nobody made is one entry a minute for the operators, and nothing of it is kept', async () => {
  const ip = '198.51.100.1'
  const keys = Array.from({ length: 30 }, junk)
  for (const key of keys)
    refusedWith(await world.callsWith(key).get('/api/v1/me', from(ip)), 'unauthorized')
  await world.callsWith('tooshort').get('/api/v1/clients', from(ip))
  expect(await rowsOf(world, 'ip = $1', [ip]), 'not before its minute is over').toEqual([])
  world.step(minute)
  const rows = await refusals(1, ip)
  expect(rows).toHaveLength(1)
  expect(rows[0]).toMatchObject({
    tenant_id: operators,
    resource_id: null,
    actor_type: 'ANONYMOUS',
    actor_id: 'unknown',
    details: { code: 'unauthorized', operation: 'getMe', count: 31 },
  })
  for (const key of keys) expect(JSON.stringify(rows)).not.toContain(key.slice(9, 20))

  await world.callsWith(junk()).get('/api/v1/me', from(ip))
  world.step(minute)
  const later = await refusals(2, ip)
  expect(later.map(({ details }) => details?.count)).toEqual([31, 1])
})

test('an expired, a revoked and a rotated-out key are refused in their tenant’s audit, by their prefix only', async () => {
  const ip = '198.51.100.2'
  const tenant = await tenantOf(admin)
  const inAnHour = new Date(world.ctx.clock.now().getTime() + 3_600_000).toISOString()
  const [expiring, revoked, rotated] = [
    await aKey({ expiresAt: inAnHour }),
    await aKey(),
    await aKey(),
  ]
  await admin.post(`/api/v1/api-keys/${revoked.id}/revocation`)
  await admin.post(`/api/v1/api-keys/${rotated.id}/rotations`, { overlapSeconds: 0 })
  world.step(3_600_000)
  for (const { key } of [expiring, revoked, rotated]) {
    await until(
      async () => (await world.callsWith(key).get('/api/v1/clients', from(ip))).status === 401,
    )
  }
  world.step(minute)
  const rows = await refusals(3, ip)
  expect(new Set(rows.map(({ resource_id }) => resource_id))).toEqual(
    new Set([expiring.id, revoked.id, rotated.id]),
  )
  const codes = rows.map(({ details }) => details?.code).sort()
  expect(codes).toEqual(['key_expired', 'key_expired', 'key_revoked'])
  for (const row of rows) {
    expect(row.tenant_id).toBe(tenant)
    expect(row.actor_type).toBe('API_KEY')
    expect(row.actor_id).toBe(row.resource_id)
  }
  const kept = JSON.stringify(rows)
  for (const { key } of [expiring, revoked, rotated]) expect(kept).not.toContain(key.slice(14, 30))
  expect(kept).toContain(expiring.prefix)
})

test('a key that lacks a scope is refused in its tenant’s audit, and who may is not', async () => {
  const ip = '198.51.100.3'
  const { id, key } = await aKey()
  const reader = world.callsWith(key)
  expect((await reader.get('/api/v1/clients', from(ip))).status).toBe(200)
  const refused = await reader.post('/api/v1/clients', {}, from(ip))
  refusedWith(refused, 'insufficient_scope')
  world.step(minute)
  const rows = await refusals(1, ip)
  expect(rows).toHaveLength(1)
  expect(rows[0]).toMatchObject({
    tenant_id: await tenantOf(admin),
    resource_id: id,
    request_id: refused.headers.get('x-request-id'),
    details: { code: 'insufficient_scope', operation: 'createClient', count: 1 },
  })
})

test('a flood of junk from everywhere does not fill the audit: what is too much is counted', async () => {
  const before = await rowsOf(world, "action = 'api_key.refused'")
  const observer = createObserver(world.ctx)
  const refusal = { code: 'unauthorized', operation: 'getMe', principal: undefined }
  for (let n = 0; n < 1_500; n += 1) {
    const { actor: _, ...cause } = systemCause(world.ctx, 'test')
    const ip = `10.9.${n >> 8}.${n & 255}`
    for (let again = 0; again < 3; again += 1) observer.refused({ ...cause, ip }, refusal)
  }
  await observer.stop()
  const after = await rowsOf(world, "action = 'api_key.refused'")
  expect(after.length - before.length).toBe(1_000)
  expect(after.at(-1)?.details?.count).toBe(3)
  const said = await rowsOf(world, "action = 'audit_entry.dropped'")
  expect(said.reduce((sum, { details }) => sum + Number(details?.count), 0)).toBe(1_500)
  expect(said[0]).toMatchObject({ tenant_id: operators, actor_type: 'SYSTEM' })
})

/** Whether a query writes observations: others write for the same calls. */
function isObserved([query]: unknown[]): boolean {
  return (query as { name?: string }).name === 'audit_observed'
}

/** A context whose worker tells how its writing of observations ends. */
function telling(ctx: Context, told: string[]): Context {
  const worker = new Proxy(ctx.db.worker, {
    get(pool, name) {
      const member = Reflect.get(pool, name)
      if (typeof member !== 'function') return member
      if (name !== 'query') return member.bind(pool)
      return async (...given: unknown[]) => {
        if (!isObserved(given)) return member.apply(pool, given)
        const answer = member.apply(pool, given)
        await answer.then(
          () => told.push('done'),
          () => told.push('failed'),
        )
        return answer
      }
    },
  })
  return { ...ctx, db: { ...ctx.db, worker } }
}

test('observations survive a database that is away for a moment', async () => {
  const ip = '198.51.100.4'
  const told: string[] = []
  const second = await startSecond(world, (ctx) => telling(ctx, told))
  await world.query('revoke insert on audit from ubos_worker')
  const headers = { authorization: `Bearer ${junk()}`, ...from(ip) }
  await fetch(`${second.url}/api/v1/me`, { headers })
  world.step(minute)
  await until(async () => told.includes('failed'))
  await world.query('grant insert on audit to ubos_worker')
  expect(await refusals(1, ip)).toHaveLength(1)
  await second.stop()
})

test('a batch whose answer was lost is written once, also when it is chained by then', async () => {
  const ip = '198.51.100.8'
  const isChainedNow = Promise.withResolvers<void>()
  let writes = 0
  const second = await startSecond(world, (ctx) => {
    const worker = new Proxy(ctx.db.worker, {
      get(pool, name) {
        const member = Reflect.get(pool, name)
        if (typeof member !== 'function') return member
        if (name !== 'query') return member.bind(pool)
        return async (...given: unknown[]) => {
          if (!isObserved(given)) return member.apply(pool, given)
          writes += 1
          if (writes > 1) await isChainedNow.promise
          const answer = await member.apply(pool, given)
          if (writes === 1) throw new Error('Connection terminated unexpectedly')
          return answer
        }
      },
    })
    return { ...ctx, db: { ...ctx.db, worker } }
  })
  const headers = { authorization: `Bearer ${junk()}`, ...from(ip) }
  await fetch(`${second.url}/api/v1/me`, { headers })
  world.step(minute)
  await refusals(1, ip)
  await chainAll(world)
  isChainedNow.resolve()
  await second.stop()
  expect(writes).toBe(2)
  await chainAll(world)
  const chained = await world.query(
    'select from audit_chain join audit on id = audit_id where ip = $1',
    [ip],
  )
  expect(chained).toHaveLength(1)
})

test('a process that ends in order writes what it has observed', async () => {
  const ip = '198.51.100.5'
  const second = await startSecond(world)
  const headers = { authorization: `Bearer ${junk()}`, ...from(ip) }
  await fetch(`${second.url}/api/v1/me`, { headers })
  await second.stop()
  expect(await rowsOf(world, 'ip = $1', [ip])).toHaveLength(1)
})

test('reading the audit is audited: who read which part of it', async () => {
  const ip = '198.51.100.6'
  const list = await admin.get('/api/v1/audit-entries?action=api_key.created&limit=1', from(ip))
  const [{ id }] = list.body.data
  await admin.get(`/api/v1/audit-entries/${id}`, from(ip))
  refusedWith(await admin.get(`/api/v1/audit-entries/aud_${'0'.repeat(26)}`, from(ip)), 'not_found')
  await admin.get('/api/v1/clients', from(ip))
  const rows = await observed(2, 'ip = $1', [ip])
  expect(rows.map(({ action, resource_id, details }) => [action, resource_id, details])).toEqual([
    [
      'audit_entry.listed',
      null,
      {
        operation: 'listAuditEntries',
        query: { action: 'api_key.created', limit: 1, sort: '-occurredAt' },
      },
    ],
    ['audit_entry.read', id, { operation: 'getAuditEntry' }],
  ])
  expect(rows[0]?.request_id).toBe(list.headers.get('x-request-id'))
})

test('a secret that is shown once more under its Idempotency-Key leaves a trace', async () => {
  const headers = { 'idempotency-key': 'again', ...from('198.51.100.7') }
  const body = { name: 'Twice', scopes: ['clients:read'] }
  const first = await admin.post('/api/v1/api-keys', body, headers)
  const again = await admin.post('/api/v1/api-keys', body, headers)
  expect(again.body.key).toBe(first.body.key)
  const [row, ...others] = await observed(1, "action = 'secret.replayed'", [])
  expect(others).toEqual([])
  expect(row).toMatchObject({
    request_id: again.headers.get('x-request-id'),
    details: { operation: 'createApiKey' },
  })
  expect(JSON.stringify(row)).not.toContain(first.body.key.slice(14, 30))
})

test('a refusal costs its request no query, whoever’s key it is', async () => {
  const queries: string[] = []
  const keyring = keyringFrom(Buffer.alloc(32, 9).toString('base64'))
  const second = await startSecond(world, (ctx) => {
    const { readers } = ctx.db
    const query: typeof readers.query = (text, values) => {
      if (!text.includes('key_change')) queries.push(text)
      return readers.query(text, values)
    }
    return telling({ ...ctx, db: { ...ctx.db, readers: { ...readers, query } } }, queries)
  })
  for (let n = 0; n < 20; n += 1) {
    expect(await second.statusFor(newApiKey(keyring, 'live', randomBytes).key)).toBe(401)
  }
  expect(queries).toEqual([])
  await second.stop()
  expect(queries).toEqual(['done'])
})

test('what was observed is chained like every other entry', async () => {
  await chainAll(world)
  const { damages, counted } = await verify(world)
  expect(damages).toEqual([])
  expect(counted.entries).toBeGreaterThan(1_000)
})
