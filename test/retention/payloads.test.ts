import { afterAll, beforeAll, expect, test } from 'vitest'
import { eraseAnswers, eraseEvents } from '#retention/payloads.sql.ts'
import { endLongWaits } from '#retention/waiting.sql.ts'
import { tenantOf } from '../events/fixture.ts'
import { anEndpoint } from '../webhooks/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { anOldDelivery, anOldEvent, noonAgo } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const policyPath = '/api/v1/retention-policy'
const nowhere = 'http://127.0.0.1:1099/hook'
const usual = { eventPayloadDays: 90, deliveryPayloadDays: 30, jobsDays: 14, heldSince: null }

const eventOf = async (api: Api, id: string) => (await api.get(`/api/v1/events/${id}`)).body
async function answerOf(api: Api, deliveryId: string): Promise<string | null> {
  const { body } = await api.get(`/api/v1/webhook-deliveries/${deliveryId}/attempts`)
  return body.data[0].responseBody
}
const erase = async () => {
  await eraseEvents(world.ctx)
  await eraseAnswers(world.ctx)
}

test('the policy begins as the usual one, changes where it is seen, and the change is audited', async () => {
  const api = await world.newTenant()
  const first = await api.get(policyPath)
  expect(first.body).toEqual({ ...usual, revision: 1 })
  const seen = { 'if-match': first.headers.get('etag') ?? '' }
  const changed = await api.patch(policyPath, { eventPayloadDays: 7 }, seen)
  expect(changed.body).toEqual({ ...usual, eventPayloadDays: 7, revision: 2 })
  expect((await api.get(policyPath)).body).toEqual(changed.body)
  refusedWith(await api.patch(policyPath, { jobsDays: 1 }, seen), 'precondition_failed')
  expect((await api.patch(policyPath, { eventPayloadDays: 7 })).body).toEqual(changed.body)

  const tenant = await tenantOf(api)
  const entries = await world.query(
    `select before, after from audit where action = 'retention_policy.updated' and tenant_id = $1`,
    [tenant],
  )
  expect(entries).toEqual([{ before: { eventPayloadDays: 90 }, after: { eventPayloadDays: 7 } }])
})

test('no policy keeps longer than the rows live, or forgets at once', async () => {
  const api = await world.newTenant()
  for (const days of [
    { eventPayloadDays: 91 },
    { deliveryPayloadDays: 31 },
    { jobsDays: 91 },
    { eventPayloadDays: 0 },
    { auditDays: 1 },
  ]) {
    refusedWith(await api.patch(policyPath, days), 'invalid_request')
  }
})

test('two changes of a policy at once do not both happen', async () => {
  const api = await world.newTenant()
  const changes = await Promise.all(
    [5, 6, 7, 8].map((jobsDays) => api.patch(policyPath, { jobsDays })),
  )
  const done = changes.filter(({ status }) => status === 200)
  for (const { status } of changes) expect(status).toBeOneOf([200, 409])
  expect((await api.get(policyPath)).body.revision).toBe(1 + done.length)
})

test('payloads go when the tenant says, for that tenant only; that something happened stays', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const old = await anOldEvent(world, api, 6)
  const young = await anOldEvent(world, api, 5)
  const theirs = await anOldEvent(world, other, 6)
  const delivery = await anOldDelivery(world, api, 6, { endpointId, eventId: old })
  const later = await anOldDelivery(world, api, 5, { endpointId, eventId: young })
  await api.patch(policyPath, { eventPayloadDays: 5, deliveryPayloadDays: 5 })
  await erase()

  expect(await eventOf(api, old)).toEqual({
    ...{ id: old, type: 'client.created', version: 1, position: expect.any(Number) },
    ...{ timestamp: noonAgo(6).toISOString(), data: null },
  })
  expect((await eventOf(api, young)).data).toMatchObject({ name: 'Ada' })
  expect((await eventOf(other, theirs)).data).toMatchObject({ name: 'Ada' })
  expect(await answerOf(api, delivery)).toBeNull()
  expect(await answerOf(api, later)).toBe('what it answered')
  for (const list of ['?limit=200', '?sort=position&limit=200', '?eventType=client.created']) {
    const { status, body } = await api.get(`/api/v1/events${list}`)
    expect(status).toBe(200)
    expect(body.data.find(({ id }: { id: string }) => id === old)).toMatchObject({ data: null })
  }
})

test('a policy that becomes shorter reaches what was kept before; longer, it brings nothing back', async () => {
  const api = await world.newTenant()
  const [older, newer] = [await anOldEvent(world, api, 20), await anOldEvent(world, api, 10)]
  await api.patch(policyPath, { eventPayloadDays: 15 })
  await erase()
  expect((await eventOf(api, older)).data).toBeNull()
  expect((await eventOf(api, newer)).data).not.toBeNull()
  await api.patch(policyPath, { eventPayloadDays: 60 })
  await erase()
  expect((await eventOf(api, older)).data).toBeNull()
  await api.patch(policyPath, { eventPayloadDays: 8 })
  await erase()
  expect((await eventOf(api, newer)).data).toBeNull()
})

test('what is still to be delivered keeps its payload, and loses it once it was', async () => {
  const api = await world.newTenant()
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 4)
  const delivery = await anOldDelivery(world, api, 4, { endpointId, eventId, isDue: true })
  await api.patch(policyPath, { eventPayloadDays: 2, deliveryPayloadDays: 2 })
  await erase()
  await endLongWaits(world.ctx)
  expect((await eventOf(api, eventId)).data).not.toBeNull()
  expect((await api.get(`/api/v1/webhook-deliveries/${delivery}`)).body.status).toBe('PENDING')

  await world.query('delete from delivery_due where delivery_id = $1', [delivery])
  await erase()
  expect((await eventOf(api, eventId)).data).toBeNull()
})

test('an answer that comes days later, to a delivery made once more, is erased as well', async () => {
  const api = await world.newTenant()
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 9)
  const delivery = await anOldDelivery(world, api, 9, { endpointId, eventId })
  await api.patch(policyPath, { deliveryPayloadDays: 3 })
  await erase()
  const again = await api.post(`/api/v1/webhook-deliveries/${delivery}/redeliveries`)
  expect(again.status).toBe(202)
  await erase()
  await world.query(`update attempt set response_body = 'once more' where delivery_id = $1`, [
    delivery,
  ])
  await world.query('delete from delivery_due where delivery_id = $1', [delivery])
  await erase()
  expect(await answerOf(api, delivery)).toBeNull()
})

test('without a payload nothing is sent again, and what was to be sent is cancelled', async () => {
  const api = await world.newTenant()
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 7)
  const delivery = await anOldDelivery(world, api, 7, { endpointId, eventId })
  const racing = await anOldDelivery(world, api, 7, { endpointId, eventId, isDue: true })
  await world.query('update event set body = null where id = $1', [eventId])
  const path = `/api/v1/webhook-deliveries/${delivery}`
  refusedWith(await api.post(`${path}/redeliveries`), 'invalid_state')
  await endLongWaits(world.ctx)
  expect((await api.get(`/api/v1/webhook-deliveries/${racing}`)).body.status).toBe('CANCELLED')
  expect((await api.get(path)).body.status).toBe('DELIVERED')
})

test('what waited for a disabled endpoint for 28 days is cancelled, and is seen to be', async () => {
  const api = await world.newTenant()
  const endpoint = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 40)
  const due = { endpointId: endpoint.id, eventId, eventDays: 40, isDue: true }
  const [old, young] = [
    await anOldDelivery(world, api, 29, due),
    await anOldDelivery(world, api, 27, due),
  ]
  await api.patch(endpoint.path, { status: 'DISABLED' })
  await endLongWaits(world.ctx)
  const statusOf = async (id: string) =>
    (await api.get(`/api/v1/webhook-deliveries/${id}`)).body.status
  expect(await statusOf(old)).toBe('CANCELLED')
  expect(await statusOf(young)).toBe('HELD')
  await api.patch(endpoint.path, { status: 'ENABLED' })
  expect(await statusOf(old)).toBe('CANCELLED')
  expect(await statusOf(young)).toBe('PENDING')
})

test('a delivery that is too old to wait is not made once more', async () => {
  const api = await world.newTenant()
  const { id: endpointId } = await anEndpoint(api, nowhere)
  const eventId = await anOldEvent(world, api, 40)
  const made = { endpointId, eventId, eventDays: 40 }
  const [old, young] = [
    await anOldDelivery(world, api, 29, made),
    await anOldDelivery(world, api, 27, made),
  ]
  const again = (id: string) => api.post(`/api/v1/webhook-deliveries/${id}/redeliveries`)
  refusedWith(await again(old), 'invalid_state')
  expect((await again(young)).status).toBe(202)
})
