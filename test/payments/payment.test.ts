import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, type Reply, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

function post(api: Api, path: string, body: object, key: string = randomUUID()): Promise<Reply> {
  return api.post(path, body, { 'idempotency-key': key })
}

async function pay(api: Api, amount: number, currency = 'USD'): Promise<string> {
  const paid = await post(api, '/api/v1/payments', { amount, currency })
  expect(paid.status).toBe(201)
  return paid.headers.get('location') ?? ''
}

test('an amount and a currency are enough for a payment', async () => {
  const paid = await post(world.api, '/api/v1/payments', { amount: 100.0, currency: 'USD' })
  expect(paid.status).toBe(201)
  expect(paid.body).toMatchObject({
    amount: 100,
    status: 'RECEIVED',
    refundedAmount: 0,
    clientId: null,
    method: null,
    receivedAt: paid.body.createdAt,
  })
  const found = await world.api.get(paid.headers.get('location') ?? '')
  expect(found.body).toEqual(paid.body)
  expect(found.headers.get('etag')).toBe('"1"')
})

test('a payment without a key is refused, and under a key it is recorded once', async () => {
  const api = await world.newTenant()
  const body = { amount: 5, currency: 'GBP' }
  refusedWith(await api.post('/api/v1/payments', body), 'idempotency_key_required')
  const [first, second] = [
    await post(api, '/api/v1/payments', body, 'once'),
    await post(api, '/api/v1/payments', body, 'once'),
  ]
  expect(second.body).toEqual(first.body)
  expect((await api.get('/api/v1/payments')).body.data).toHaveLength(1)
})

test('amounts and clients that cannot be are refused', async () => {
  const api = await world.newTenant()
  const tried = async (body: object) => await post(api, '/api/v1/payments', body)
  const fine = refusedWith(await tried({ amount: 1.001, currency: 'USD' }), 'amount_precision')
  expect(fine.errors[0].pointer).toBe('/amount')
  refusedWith(await tried({ amount: 0.5, currency: 'JPY' }), 'amount_precision')
  refusedWith(await tried({ amount: 1, currency: 'XXX' }), 'currency_unknown')
  expect((await tried({ amount: 1.001, currency: 'KWD' })).status).toBe(201)
  const clientId = `cli_${'0'.repeat(26)}`
  refusedWith(await tried({ amount: 1, currency: 'USD', clientId }), 'reference_unknown')
})

test('money goes back in parts until nothing is left, and each part is told', async () => {
  const api = await world.newTenant()
  const path = await pay(api, 100.1)
  const part = await post(api, `${path}/refunds`, { amount: 25.05, reason: 'One item' })
  expect(part.status).toBe(201)
  expect(part.body).toMatchObject({ amount: 25.05, currency: 'USD', reason: 'One item' })
  expect((await api.get(part.headers.get('location') ?? '')).body).toEqual(part.body)
  const halfway = (await api.get(path)).body
  expect(halfway).toMatchObject({ status: 'PARTIALLY_REFUNDED', refundedAmount: 25.05 })

  const tooMuch = await post(api, `${path}/refunds`, { amount: 75.06 })
  expect(refusedWith(tooMuch, 'amount_exceeds_rest').detail).toContain('75.05 USD')
  refusedWith(await post(api, `${path}/refunds`, { amount: 0.001 }), 'amount_precision')
  const rest = await post(api, `${path}/refunds`, {})
  expect(rest.body).toMatchObject({ amount: 75.05, reason: null })
  const empty = (await api.get(path)).body
  expect(empty).toMatchObject({ status: 'REFUNDED', refundedAmount: 100.1, revision: 3 })
  refusedWith(await post(api, `${path}/refunds`, {}), 'invalid_state')

  await world.drain()
  const events = (await api.get('/api/v1/events?sort=position')).body.data
  const told = events.filter(({ type }: { type: string }) => type === 'payment.refunded')
  expect(told.map(({ data }: { data: object }) => data)).toEqual([halfway, empty])
  const refunds = (await api.get(`${path}/refunds?sort=createdAt`)).body.data
  expect(refunds).toEqual([part.body, rest.body])
})

test('however many refunds come at once, no more goes back than came in', async () => {
  const api = await world.newTenant()
  const path = await pay(api, 100)
  const wishes = Array.from({ length: 12 }, () => post(api, `${path}/refunds`, { amount: 15 }))
  const answers = await Promise.all(wishes)
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(6)
  for (const answer of answers.filter(({ status }) => status !== 201)) {
    refusedWith(answer, 'amount_exceeds_rest')
  }
  expect((await api.get(path)).body).toMatchObject({ refundedAmount: 90, revision: 7 })
  const [sum] = await world.query('select sum(amount)::text from refund where payment_id = $1', [
    path.split('/').at(-1),
  ])
  expect(sum).toEqual({ sum: '90.0000' })
})

test('a refund sent twice under one key gives the money back once', async () => {
  const api = await world.newTenant()
  const path = await pay(api, 100)
  const first = await post(api, `${path}/refunds`, { amount: 10 }, 'back')
  const second = await post(api, `${path}/refunds`, { amount: 10 }, 'back')
  expect(second.body).toEqual(first.body)
  expect((await api.get(path)).body.refundedAmount).toBe(10)
})

test('a refund is found under its own payment and in its own tenant only', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const [path, elsewhere] = [await pay(api, 100), await pay(api, 100)]
  const { body } = await post(api, `${path}/refunds`, {})
  refusedWith(await api.get(`${elsewhere}/refunds/${body.id}`), 'not_found')
  expect((await api.get(`${elsewhere}/refunds`)).body.data).toEqual([])
  refusedWith(await other.get(path), 'not_found')
  refusedWith(await other.get(`${path}/refunds`), 'not_found')
  refusedWith(await other.get(`${path}/refunds/${body.id}`), 'not_found')
  refusedWith(await post(other, `${path}/refunds`, {}), 'not_found')
})

test('payments are listed by client and by state', async () => {
  const api = await world.newTenant()
  const client = await api.post('/api/v1/clients', { name: 'Ada Ltd', currency: 'USD' })
  const ofClient = { amount: 1, currency: 'USD', clientId: client.body.id, method: 'CARD' }
  const paid = await post(api, '/api/v1/payments', ofClient)
  const back = await pay(api, 2)
  await post(api, `${back}/refunds`, {})
  const { data } = (await api.get(`/api/v1/payments?clientId=${client.body.id}`)).body
  expect(data).toEqual([paid.body])
  expect((await api.get('/api/v1/payments?status=REFUNDED')).body.data).toHaveLength(1)
  expect((await api.get('/api/v1/payments?status=RECEIVED')).body.data).toEqual([paid.body])
})
