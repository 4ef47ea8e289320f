import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const dayMs = 24 * 60 * 60 * 1_000
const work = { description: 'Concept', quantity: 2.5, unitAmount: 480, taxRate: 20 }
const hosting = { description: 'Hosting', quantity: 1, unitAmount: 99.9, taxRate: 20 }

async function newClient(api: Api): Promise<string> {
  return (await api.post('/api/v1/clients', { name: 'Ada Ltd', currency: 'GBP' })).body.id
}

async function draft(api: Api, more: object = {}): Promise<string> {
  const clientId = await newClient(api)
  const input = { clientId, title: 'Relaunch', currency: 'GBP', lines: [work, hosting], ...more }
  const created = await api.post('/api/v1/proposals', input)
  expect(created.status).toBe(201)
  return created.headers.get('location') ?? ''
}

async function typesOf(api: Api): Promise<string[]> {
  await world.drain()
  const { body } = await api.get('/api/v1/events?sort=position')
  return body.data.map(({ type }: { type: string }) => type).filter(isOfProposals)
}
const isOfProposals = (type: string) => type.startsWith('proposal.')

test('a draft is priced, changed, sent and accepted, and each step is told', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  const created = await api.get(path)
  expect(created.body).toMatchObject({
    status: 'DRAFT',
    lines: [{ amount: 1200 }, { amount: 99.9 }],
    totals: { subtotal: 1299.9, tax: 259.98, total: 1559.88 },
  })

  const lines = [{ ...work, quantity: 0.3333 }]
  const patched = await api.patch(path, { lines, validUntil: null }, { 'if-match': '"1"' })
  expect(patched.body).toMatchObject({ revision: 2, totals: { subtotal: 159.98, tax: 32 } })
  refusedWith(await api.patch(path, { title: 'X' }, { 'if-match': '"1"' }), 'precondition_failed')
  expect((await api.patch(path, {})).body).toEqual(patched.body)

  refusedWith(await api.post(`${path}/acceptance`), 'invalid_state')
  const sent = await api.post(`${path}/submission`)
  expect(sent.body).toMatchObject({ status: 'SENT', revision: 3, decidedAt: null })
  expect(sent.headers.get('etag')).toBe('"3"')
  refusedWith(await api.patch(path, { title: 'Another' }), 'invalid_state')
  refusedWith(await api.post(`${path}/submission`), 'invalid_state')

  const accepted = await api.post(`${path}/acceptance`)
  expect(accepted.body).toMatchObject({ status: 'ACCEPTED', revision: 4 })
  refusedWith(await api.post(`${path}/declination`), 'invalid_state')
  expect((await api.get(path)).body).toEqual(accepted.body)
  expect(await typesOf(api)).toEqual([
    'proposal.created',
    'proposal.updated',
    'proposal.sent',
    'proposal.accepted',
  ])
})

test('a step repeated under its key is answered again and happens once', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  const key = { 'idempotency-key': 'send-once' }
  const first = await api.post(`${path}/submission`, undefined, key)
  const second = await api.post(`${path}/submission`, undefined, key)
  expect(second.body).toEqual(first.body)
  expect(second.headers.get('idempotent-replayed')).toBe('true')
})

test('of an acceptance and a declination at the same time one wins', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  await api.post(`${path}/submission`)
  const answers = await Promise.all([
    api.post(`${path}/acceptance`),
    api.post(`${path}/declination`, { reason: 'Budget' }),
  ])
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
})

test('a declination keeps its reason, and needs none', async () => {
  const api = await world.newTenant()
  const [spoken, silent] = [await draft(api), await draft(api)]
  await api.post(`${spoken}/submission`)
  await api.post(`${silent}/submission`)
  const declined = await api.post(`${spoken}/declination`, { reason: 'Budget' })
  expect(declined.body).toMatchObject({ status: 'DECLINED', declineReason: 'Budget' })
  expect((await api.post(`${silent}/declination`)).body.declineReason).toBeNull()
})

test('an offer whose last day has passed is EXPIRED and can no longer be answered', async () => {
  const api = await world.newTenant()
  // To the beginning of a day, so that none ends in the middle of this.
  world.step(dayMs - (world.ctx.clock.now().getTime() % dayMs))
  const validUntil = world.ctx.clock.now().toISOString().slice(0, 10)
  const [ending, late] = [await draft(api, { validUntil }), await draft(api, { validUntil })]
  const endless = await draft(api)
  await api.post(`${endless}/submission`)
  const sent = await api.post(`${ending}/submission`)
  expect(sent.body.status).toBe('SENT')
  expect(await listed(api, 'SENT')).toEqual([endless, ending])

  world.step(dayMs)
  expect((await api.get(ending)).body.status).toBe('EXPIRED')
  expect(await listed(api, 'EXPIRED')).toEqual([ending])
  expect(await listed(api, 'SENT')).toEqual([endless])
  expect(await listed(api, 'DRAFT')).toEqual([late])
  const refused = refusedWith(await api.post(`${ending}/acceptance`), 'invalid_state')
  expect(refused.detail).toContain(validUntil)
  refusedWith(await api.post(`${ending}/declination`), 'invalid_state')
  refusedWith(await api.post(`${late}/submission`), 'invalid_state')
})

async function listed(api: Api, status: string): Promise<string[]> {
  const { body } = await api.get(`/api/v1/proposals?status=${status}`)
  return body.data.map(({ id }: { id: string }) => `/api/v1/proposals/${id}`)
}

test('a proposal is deleted in any state, and is then gone from the list too', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  await api.post(`${path}/submission`)
  refusedWith(await api.delete(path, { 'if-match': '"1"' }), 'precondition_failed')
  expect((await api.delete(path, { 'if-match': '"2"' })).status).toBe(204)
  refusedWith(await api.get(path), 'not_found')
  refusedWith(await api.post(`${path}/acceptance`), 'not_found')
  expect((await api.get('/api/v1/proposals')).body.data).toEqual([])
})

test('proposals are listed by client, page by page, each once', async () => {
  const api = await world.newTenant()
  const paths = [await draft(api), await draft(api), await draft(api)]
  const { clientId } = (await api.get(paths[0] ?? '')).body
  const ofClient = await api.get(`/api/v1/proposals?clientId=${clientId}`)
  expect(ofClient.body.data).toHaveLength(1)

  const first = (await api.get('/api/v1/proposals?limit=2')).body
  const second = (await api.get(`/api/v1/proposals?limit=2&cursor=${first.nextCursor}`)).body
  const ids = [...first.data, ...second.data].map(({ id }) => `/api/v1/proposals/${id}`)
  expect(ids).toEqual(paths.toReversed())
  expect(second.nextCursor).toBeNull()
})

test('a proposal names a client that lives, and belongs to the same tenant', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const [gone, foreign] = [await newClient(api), await newClient(other)]
  await api.delete(`/api/v1/clients/${gone}`)
  const path = await draft(api)
  for (const clientId of [gone, foreign, `cli_${'0'.repeat(26)}`]) {
    const input = { clientId, title: 'Relaunch', currency: 'GBP', lines: [work] }
    const refused = refusedWith(await api.post('/api/v1/proposals', input), 'reference_unknown')
    expect(refused.errors[0].pointer).toBe('/clientId')
    refusedWith(await api.patch(path, { clientId }), 'reference_unknown')
  }
  refusedWith(await other.get(path), 'not_found')
  refusedWith(await other.post(`${path}/submission`), 'not_found')
})

test('prices that cannot be are refused with the line at fault', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  const fine = refusedWith(
    await api.patch(path, { lines: [work, { ...hosting, unitAmount: 0.001 }] }),
    'amount_precision',
  )
  expect(fine.errors[0].pointer).toBe('/lines/1/unitAmount')
  refusedWith(await api.patch(path, { currency: 'JPY' }), 'amount_precision')
  refusedWith(await api.patch(path, { currency: 'XXX' }), 'currency_unknown')
  const huge = { ...work, unitAmount: 999_999_999_999 }
  refusedWith(await api.patch(path, { lines: [huge] }), 'amount_out_of_range')
  expect((await api.get(path)).body.revision).toBe(1)
})

test('each change is written down with what was before and after', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  await api.patch(path, { title: 'Phase one' })
  await api.post(`${path}/submission`)
  const rows = await world.query<{ action: string; before: object; after: object }>(
    'select action, before, after from audit where resource_id = $1 order by id',
    [path.split('/').at(-1)],
  )
  expect(rows).toMatchObject([
    { action: 'proposal.created', before: null, after: { title: 'Relaunch' } },
    { action: 'proposal.updated', before: { title: 'Relaunch' }, after: { title: 'Phase one' } },
    { action: 'proposal.sent', before: { status: 'DRAFT' }, after: { status: 'SENT' } },
  ])
})
