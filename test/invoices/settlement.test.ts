import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, type Reply, refusedWith, startWorld, type World } from '../world.ts'
import { draft, idOf, newClient, open, pay, send } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

interface Told {
  type: string
  data: { id: string }
  changedFields?: string[]
}

async function eventsOf(api: Api): Promise<Told[]> {
  await world.drain()
  return (await api.get('/api/v1/events?sort=position&limit=200')).body.data
}

test('parts come in until nothing is due, a refund makes it due again, and each is told', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const path = await open(api, 100, { clientId })
  const first = await pay(api, path, 33.33)
  expect(first.body).toMatchObject({ invoiceId: idOf(path), clientId, status: 'RECEIVED' })
  const part = (await api.get(path)).body
  expect(part).toMatchObject({ status: 'OPEN', amountPaid: 33.33, amountDue: 66.67, paidAt: null })

  const second = await pay(api, path, 66.67, { clientId })
  const paid = (await api.get(path)).body
  expect(paid).toMatchObject({ status: 'PAID', amountPaid: 100, amountDue: 0 })
  expect(paid.paidAt).toBe(second.body.createdAt)
  refusedWith(await api.post(`${path}/voidance`), 'invalid_state')

  await send(api, `/api/v1/payments/${second.body.id}/refunds`, { amount: 6.67 })
  const reopened = (await api.get(path)).body
  expect(reopened).toMatchObject({
    status: 'OPEN',
    amountPaid: 93.33,
    amountDue: 6.67,
    paidAt: null,
  })
  const refused = refusedWith(await api.post(`${path}/voidance`), 'invalid_state')
  expect(refused.detail).toContain('refund')

  const last = await pay(api, path, 6.67)
  expect((await api.get(path)).body).toMatchObject({ status: 'PAID', revision: 6 })
  for (const { body } of [first, second, last]) {
    await send(api, `/api/v1/payments/${body.id}/refunds`, {})
  }
  expect((await api.get(path)).body).toMatchObject({
    status: 'OPEN',
    amountPaid: 0,
    amountDue: 100,
  })
  expect((await api.post(`${path}/voidance`)).body.status).toBe('VOIDED')

  const events = (await eventsOf(api)).filter(({ type }) => /^(invoice|payment)\./.test(type))
  expect(events.map(({ type }) => type).slice(0, 9)).toEqual([
    'invoice.created',
    'invoice.issued',
    'payment.received',
    'invoice.updated',
    'payment.received',
    'invoice.paid',
    'payment.refunded',
    'invoice.updated',
    'payment.received',
  ])
  expect(events[3]).toMatchObject({ data: part, changedFields: ['amountPaid', 'amountDue'] })
  expect(events[5]).toMatchObject({ data: paid })
  expect(events[7]).toMatchObject({ data: reopened })
  expect(events[7]?.changedFields?.sort()).toEqual(['amountDue', 'amountPaid', 'paidAt', 'status'])
  const audits = await world.query<{ action: string }>(
    'select action from audit where resource_id = $1 order by id limit 5',
    [idOf(path)],
  )
  expect(audits.map(({ action }) => action)).toEqual([
    'invoice.created',
    'invoice.issued',
    'invoice.updated',
    'invoice.paid',
    'invoice.updated',
  ])
})

test('a payment that does not fit its invoice is refused with the field at fault, and nothing moves', async () => {
  const api = await world.newTenant()
  const path = await open(api, 100)
  const [drafted, voided] = [await draft(api), await open(api, 5)]
  await api.post(`${voided}/voidance`)
  const stranger = await newClient(api)
  const wrong: [Promise<Reply>, number, string, string][] = [
    [pay(api, path, 100.01), 409, 'amount_exceeds_rest', '/amount'],
    [pay(api, path, 1, { currency: 'USD' }), 409, 'reference_mismatch', '/currency'],
    [pay(api, path, 1, { clientId: stranger }), 409, 'reference_mismatch', '/clientId'],
    [pay(api, path, 0.001), 400, 'amount_precision', '/amount'],
    [pay(api, drafted, 1), 409, 'invalid_state', '/invoiceId'],
    [pay(api, voided, 1), 409, 'invalid_state', '/invoiceId'],
    [
      pay(api, path, 1, { invoiceId: `inv_${'0'.repeat(26)}` }),
      409,
      'reference_unknown',
      '/invoiceId',
    ],
  ]
  for (const [reply, status, code, pointer] of wrong) {
    const refused = await reply
    expect([refused.status, refused.body.code]).toEqual([status, code])
    expect(refused.body.errors[0].pointer).toBe(pointer)
  }
  expect((await api.get(path)).body).toMatchObject({ amountPaid: 0, revision: 2 })
  expect((await api.get('/api/v1/payments')).body.data).toEqual([])
  const types = (await eventsOf(api)).map(({ type }) => type)
  expect(types).not.toContain('payment.received')
})

test('however many payments come at once, no more is taken than is due', async () => {
  const api = await world.newTenant()
  const path = await open(api, 100)
  const replies = await Promise.all(Array.from({ length: 12 }, () => pay(api, path, 15)))
  expect(replies.filter(({ status }) => status === 201)).toHaveLength(6)
  for (const reply of replies.filter(({ status }) => status !== 201)) {
    refusedWith(reply, 'amount_exceeds_rest')
  }
  expect((await api.get(path)).body).toMatchObject({ amountPaid: 90, amountDue: 10, revision: 8 })

  const rest = await Promise.all([pay(api, path, 10), pay(api, path, 10)])
  expect(rest.map(({ status }) => status).sort()).toEqual([201, 409])
  const { data } = (await api.get(`/api/v1/payments?invoiceId=${idOf(path)}`)).body
  expect(data.reduce((sum: number, { amount }: { amount: number }) => sum + amount, 0)).toBe(100)
  expect((await api.get(path)).body).toMatchObject({ status: 'PAID', amountPaid: 100 })
})

test('payments and refunds at once leave paid what came in less what went back', async () => {
  const api = await world.newTenant()
  const path = await open(api, 1_000)
  const made = await Promise.all(Array.from({ length: 5 }, () => pay(api, path, 100)))
  const moves = await Promise.all([
    ...made.map(({ body }) => send(api, `/api/v1/payments/${body.id}/refunds`, { amount: 30 })),
    ...Array.from({ length: 5 }, () => pay(api, path, 50)),
  ])
  expect(moves.map(({ status }) => status)).toEqual(Array(10).fill(201))
  expect((await api.get(path)).body).toMatchObject({
    amountPaid: 600,
    amountDue: 400,
    revision: 17,
  })
})

test('of a payment and a voidance at once one wins', async () => {
  const api = await world.newTenant()
  for (let round = 0; round < 5; round += 1) {
    const path = await open(api, 10)
    const replies = await Promise.all([pay(api, path, 10), api.post(`${path}/voidance`)])
    expect(replies.filter(({ status }) => status === 409)).toHaveLength(1)
    const { status, amountPaid } = (await api.get(path)).body
    expect(['PAID 10', 'VOIDED 0']).toContain(`${status} ${amountPaid}`)
  }
})

test('a payment sent twice under one key pays its invoice once', async () => {
  const api = await world.newTenant()
  const path = await open(api, 100)
  const body = { amount: 100, currency: 'GBP', invoiceId: idOf(path) }
  const key = { 'idempotency-key': 'pay-once' }
  const first = await api.post('/api/v1/payments', body, key)
  const second = await api.post('/api/v1/payments', body, key)
  expect([second.status, second.body]).toEqual([201, first.body])
  expect((await api.get(path)).body).toMatchObject({ status: 'PAID', revision: 3 })
})

test('a client who still has to pay is not deleted, and one who paid is', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const client = `/api/v1/clients/${clientId}`
  const path = await open(api, 10, { clientId })
  const inUse = await api.delete(client)
  expect(inUse.status).toBe(409)
  expect(refusedWith(inUse, 'resource_in_use').detail).toContain('INV-000001')
  const paid = await pay(api, path, 10)
  expect((await api.delete(client)).status).toBe(204)

  // What goes back is due again, and whoever owes it can pay.
  await send(api, `/api/v1/payments/${paid.body.id}/refunds`, {})
  expect((await pay(api, path, 10)).body).toMatchObject({ clientId, status: 'RECEIVED' })
})
