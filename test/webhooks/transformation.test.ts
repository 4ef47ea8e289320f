import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { transformer } from '#webhooks/transformer.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aReceiver, attempted, attemptsAt, deliveriesOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

async function transforming(api: Api, transformation: string) {
  const receiver = await aReceiver()
  const body = { url: receiver.url, eventTypes: ['client.created'], transformation }
  const made = await api.post('/api/v1/webhook-endpoints', body)
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  const { id, secret } = made.body
  return { id, secret, path: `/api/v1/webhook-endpoints/${id}`, receiver }
}

async function createClient(api: Api, name = 'Ada'): Promise<void> {
  const { status, body } = await api.post('/api/v1/clients', { name, currency: 'GBP' })
  if (status !== 201) throw new Error(JSON.stringify(body))
}

test('what the transformation makes is what is sent and signed, under the id of the event', async () => {
  const api = await world.newTenant()
  const { receiver, secret } = await transforming(api, '{"text": "Hello " & data.name}')
  const plain = await transforming(api, '$')
  await createClient(api)
  await world.drain()
  const [request] = receiver.verified(secret)
  expect(String(request?.body)).toBe('{"text":"Hello Ada"}')
  const { body } = await api.get('/api/v1/events?eventType=client.created')
  expect(request?.headers['webhook-id']).toBe(body.data[0].id)
  expect(JSON.parse(String(plain.receiver.requests[0]?.body)).data.name).toBe('Ada')
})

test('a retry and a redelivery send the bytes of the first try, whatever became of the expression', async () => {
  const api = await world.newTenant()
  const endpoint = await transforming(api, '{"random": $random()}')
  endpoint.receiver.answers(500)
  await createClient(api)
  await attempted(world, endpoint)
  await api.patch(endpoint.path, { transformation: '"other"' })
  world.step(10_000)
  await attempted(world, endpoint, 2)
  await api.patch(endpoint.path, { transformation: null })
  endpoint.receiver.answers(204)
  world.step(10 * 60_000)
  await attempted(world, endpoint, 3)
  await world.drain()
  const [delivery] = await deliveriesOf(api, `&endpointId=${endpoint.id}`)
  await api.post(`/api/v1/webhook-deliveries/${delivery?.id}/redeliveries`)
  await endpoint.receiver.received(4)
  await world.drain()
  const bodies = endpoint.receiver.requests.map(({ body }) => String(body))
  expect(bodies).toHaveLength(4)
  expect(bodies[0]).toMatch(/^\{"random":0\.\d+\}$/)
  expect(new Set(bodies).size).toBe(1)

  await createClient(api, 'Bob')
  await endpoint.receiver.received(5)
  await world.drain()
  expect(JSON.parse(String(endpoint.receiver.requests[4]?.body)).data.name).toBe('Bob')
})

test('what is sent can be read: what was made, the event itself, and nothing before it is made', async () => {
  const api = await world.newTenant()
  const endpoints = [
    await transforming(api, '{"n": $random()}'),
    await transforming(api, '$'),
    await transforming(api, '$error("no")'),
  ]
  await api.patch(endpoints[1]?.path ?? '', { transformation: null })
  await createClient(api)
  for (const endpoint of endpoints) await attempted(world, endpoint)
  const payloads = []
  for (const endpoint of endpoints) {
    const [delivery] = await deliveriesOf(api, `&endpointId=${endpoint.id}`)
    const { status, body } = await api.get(`/api/v1/webhook-deliveries/${delivery?.id}/payload`)
    expect(status).toBe(200)
    expect(body).toMatchObject({ deliveryId: delivery?.id, eventId: delivery?.eventId })
    payloads.push(body)
  }
  const sent = endpoints.map(({ receiver }) => receiver.requests[0]?.body.toString() ?? null)
  expect(payloads.map(({ body }) => body)).toEqual(sent)
  expect(payloads.map(({ isTransformed }) => isTransformed)).toEqual([true, false, true])
  expect(sent[2]).toBeNull()
  const entries = '/api/v1/audit-entries?action=webhook_delivery.payload_read'
  await until(async () => (await api.get(entries)).body.data.length === 3)
  const strange = `/api/v1/webhook-deliveries/${payloads[0]?.deliveryId}/payload`
  refusedWith(await (await world.newTenant()).get(strange), 'not_found')
})

test('what nobody had time to transform spends no attempt, and is sent later', async () => {
  const api = await world.newTenant()
  const endpoint = await transforming(api, '{"text": data.name}')
  const busy = { kind: 'busy', detail: 'It waited too long for its turn.' } as const
  const asked = vi.spyOn(transformer, 'run').mockResolvedValueOnce(busy)
  onTestFinished(() => asked.mockRestore())
  await createClient(api)
  await attempted(world, endpoint)
  expect(asked).toHaveBeenCalledTimes(2)
  const [delivery] = await deliveriesOf(api, `&endpointId=${endpoint.id}`)
  expect(delivery).toMatchObject({ status: 'DELIVERED', attemptCount: 1 })
})

test('a transformation that fails is seen, sends nothing, and is run again: mended, it delivers', async () => {
  const api = await world.newTenant()
  const endpoint = await transforming(api, '$error("no " & data.name)')
  await createClient(api)
  await attempted(world, endpoint)
  const [delivery] = await deliveriesOf(api, `&endpointId=${endpoint.id}`)
  expect(delivery).toMatchObject({ status: 'PENDING', attemptCount: 1, lastResponseStatus: null })
  expect(delivery?.nextAttemptAt).not.toBeNull()
  const [attempt] = await attemptsAt(api, { id: delivery?.id ?? '' })
  expect(attempt).toMatchObject({
    outcome: 'TRANSFORMATION_FAILED',
    responseStatus: null,
    error: expect.stringContaining('no Ada'),
  })
  expect(endpoint.receiver.requests).toEqual([])

  await api.patch(endpoint.path, { transformation: '{"name": data.name}' })
  world.step(10_000)
  await attempted(world, endpoint, 2)
  await world.drain()
  expect(endpoint.receiver.requests.map(({ body }) => String(body))).toEqual(['{"name":"Ada"}'])
})

test('one that never ends holds up nobody, and is told as a failure', async () => {
  const api = await world.newTenant()
  const endless = await transforming(api, '( $f := function($n) { $f($n + 1) }; $f(0) )')
  const quick = await transforming(api, '{"name": data.name}')
  for (const name of ['Ada', 'Bob', 'Eve']) await createClient(api, name)
  await attempted(world, endless)
  await attempted(world, quick)
  await world.drain()
  expect(quick.receiver.requests).toHaveLength(3)
  for (const { id } of await deliveriesOf(api, `&endpointId=${endless.id}`)) {
    const [attempt] = await attemptsAt(api, { id })
    expect(attempt).toMatchObject({ outcome: 'TRANSFORMATION_FAILED' })
  }
  expect(endless.receiver.requests).toEqual([])
})

test('what was made of an event is erased with it, as the policy of the tenant says', async () => {
  const api = await world.newTenant()
  const endpoint = await transforming(api, '{"name": data.name}')
  await createClient(api)
  await attempted(world, endpoint)
  await world.drain()
  const kept = async () =>
    await world.query('select from webhook_delivery where endpoint_id = $1 and body is not null', [
      endpoint.id,
    ])
  expect(await kept()).toHaveLength(1)
  await api.patch('/api/v1/retention-policy', { eventPayloadDays: 1 })
  const { eraseMadeBodies } = await import('#retention/payloads.sql.ts')
  const at = (days: number) => ({
    db: world.ctx.db,
    clock: { ...world.ctx.clock, now: () => new Date(Date.now() + days * 86_400_000) },
  })
  await eraseMadeBodies(at(0))
  expect(await kept()).toHaveLength(1)
  await eraseMadeBodies(at(3))
  expect(await kept()).toHaveLength(0)
})

test('what is no expression is refused by create, update and preview, and it says where', async () => {
  const api = await world.newTenant()
  const { path, receiver } = await transforming(api, '$')
  const transformation = '{"a": '
  for (const reply of [
    await api.post('/api/v1/webhook-endpoints', { url: receiver.url, transformation }),
    await api.patch(path, { transformation }),
    await api.post('/api/v1/webhook-previews', { eventType: 'client.created', transformation }),
  ]) {
    expect(reply.status).toBe(400)
    expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe('/transformation')
  }
})

test('a preview shows what would be sent, or why nothing would', async () => {
  const api = await world.newTenant()
  const preview = async (body: object) =>
    (await api.post('/api/v1/webhook-previews', { eventType: 'client.created', ...body })).body
  expect(await preview({ transformation: '{"type": type}' })).toEqual({
    ...{ eventType: 'client.created', isDelivered: true, decidedBy: null },
    ...{ body: '{"type":"client.created"}', error: null },
  })
  expect(await preview({ transformation: '$error("no")' })).toMatchObject({
    isDelivered: true,
    body: null,
    error: expect.stringContaining('no'),
  })
  const filtered = { transformation: 'type', filter: [{ path: '/type', equals: 'x' }] }
  expect(await preview(filtered)).toMatchObject({ isDelivered: false, body: null, error: null })
  expect(JSON.parse((await preview({})).body)).toMatchObject({ type: 'client.created' })
})

test('an endpoint says by which way and in which version it is told; there is one of each', async () => {
  const api = await world.newTenant()
  const { path } = await transforming(api, '$')
  expect((await api.get(path)).body).toMatchObject({ payloadVersion: 1, channel: 'HTTP' })
  const same = await api.patch(path, { payloadVersion: 1, channel: 'HTTP' })
  expect(same).toMatchObject({ status: 200, body: { revision: 1 } })
  for (const [part, pointer] of [
    [{ payloadVersion: 2 }, '/payloadVersion'],
    [{ channel: 'CARRIER_PIGEON' }, '/channel'],
  ] as const) {
    expect(refusedWith(await api.patch(path, part), 'invalid_request').errors[0].pointer).toBe(
      pointer,
    )
  }
})
