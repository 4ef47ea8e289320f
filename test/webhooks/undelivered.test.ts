import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../world.ts'
import { anEndpoint, aPatientReceiver, aReceiver, createClients } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const types = ['client.created']
const undelivered = async (api: World['api'], more = '') =>
  (await api.get(`/api/v1/webhook-deliveries?isDelivered=false${more}`)).body.data

test('what is not delivered is listed with the reason: held, waiting for a retry, behind a cap, cancelled', async () => {
  const api = await world.newTenant()
  const [good, bad, slow] = [await aReceiver(), await aReceiver(), await aPatientReceiver()]
  bad.answers(500)
  const paused = await anEndpoint(api, good.url, types)
  await api.patch(paused.path, { status: 'DISABLED' })
  const [open, failing] = [
    await anEndpoint(api, good.url, types),
    await anEndpoint(api, bad.url, types),
  ]
  await createClients(api, 1)
  await world.drain()
  const busy = await anEndpoint(api, slow.url, types)
  await createClients(api, 12)
  await expect.poll(() => slow.waiting.length, { timeout: 5_000 }).toBe(10)
  const reasonsAt = async ({ id }: { id: string }) => {
    const rows = await undelivered(api, `&endpointId=${id}`)
    return rows.map(({ undelivered: told }: { undelivered: { reason: string } }) => told.reason)
  }
  await expect
    .poll(async () => (await reasonsAt(busy)).sort(), { timeout: 5_000 })
    .toEqual([...Array(2).fill('ENDPOINT_BUSY'), ...Array(10).fill('SENDING')])
  await expect
    .poll(async () => await reasonsAt(failing), { timeout: 5_000 })
    .toEqual(Array(13).fill('RETRY'))
  expect(await reasonsAt(paused)).toEqual(Array(13).fill('HELD'))
  expect(await reasonsAt(open)).toEqual([])

  const [retry] = await undelivered(api, `&endpointId=${failing.id}`)
  expect(retry).toMatchObject({
    status: 'PENDING',
    undelivered: { reason: 'RETRY', since: retry.lastAttemptAt, retryNumber: 1 },
  })
  await api.delete(paused.path)
  await expect
    .poll(async () => await reasonsAt(paused), { timeout: 5_000 })
    .toEqual(Array(13).fill('CANCELLED'))

  while (slow.waiting.length > 0) slow.answer(200)
  await expect.poll(() => slow.waiting.length, { timeout: 5_000 }).toBe(2)
  while (slow.waiting.length > 0) slow.answer(200)
  await world.drain()
  expect(await reasonsAt(busy)).toEqual([])
  const delivered = await api.get('/api/v1/webhook-deliveries?isDelivered=true&limit=200')
  expect(delivered.body.data).toHaveLength(13 + 12)
  for (const { status, undelivered: told } of delivered.body.data) {
    expect([status, told]).toEqual(['DELIVERED', null])
  }
}, 30_000)
