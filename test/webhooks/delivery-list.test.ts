import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import {
  type AnEndpoint,
  anEndpoint,
  aReceiver,
  attempted,
  createClients,
  deliveriesOf,
  deliveryTo,
} from './fixture.ts'

let world: World
let api: Api
/** Endpoints by the state that their deliveries of client.created are in, all in one tenant. */
const endpoints: Record<string, AnEndpoint> = {}

beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

test('deliveries can be listed by each state that they can be in', async () => {
  const [good, bad, slow] = [await aReceiver(), await aReceiver(), await aReceiver()]
  bad.answers(500)
  slow.behaves('hang')
  const urls = { DELIVERED: good, PENDING: bad, SENDING: slow, HELD: good, CANCELLED: good }
  for (const [status, { url }] of Object.entries(urls)) {
    endpoints[status] = await anEndpoint(api, url)
  }
  const { DELIVERED, PENDING, HELD, CANCELLED, SENDING } = endpoints as Record<string, AnEndpoint> &
    Record<keyof typeof urls, AnEndpoint>
  for (const { path } of [HELD, CANCELLED]) await api.patch(path, { status: 'DISABLED' })
  await createClients(api, 2)
  await Promise.all([attempted(world, DELIVERED), attempted(world, PENDING), slow.received(2)])
  await until(async () => (await deliveriesOf(api, '&status=HELD')).length === 4)
  await api.delete(CANCELLED.path)

  for (const [status, endpoint] of Object.entries({
    DELIVERED,
    PENDING,
    SENDING,
    HELD,
    CANCELLED,
  })) {
    const listed = await deliveriesOf(api, `&status=${status}&eventType=client.created`)
    expect(
      listed.map(({ endpointId }) => endpointId),
      status,
    ).toEqual([endpoint.id, endpoint.id])
    expect(listed.every((delivery) => delivery.status === status)).toBe(true)
  }
  expect(await deliveriesOf(api, '&status=EXHAUSTED')).toEqual([])
  slow.hangsUp()
  await attempted(world, SENDING)
})

test('deliveries can be listed by endpoint, by event and by type of event', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url, ['client.created', 'client.deleted'])
  const [id] = await createClients(api, 3)
  await api.delete(`/api/v1/clients/${id}`)
  await receiver.received(4)
  await world.drain()
  const ofEndpoint = `&endpointId=${endpoint.id}`
  expect(await deliveriesOf(api, ofEndpoint)).toHaveLength(4)
  const deleted = await deliveryTo(api, endpoint, 'client.deleted')
  expect(await deliveriesOf(api, `${ofEndpoint}&eventType=client.created`)).toHaveLength(3)
  expect(await deliveriesOf(api, `&eventId=${deleted.eventId}`)).toEqual([deleted])
  expect(await deliveriesOf(api, `&eventId=evt_${'0'.repeat(26)}`)).toEqual([])
  expect(await deliveriesOf(api, `${ofEndpoint}&eventId=${deleted.eventId}&status=HELD`)).toEqual(
    [],
  )
})

test('deliveries are listed newest first or oldest first, page by page, each once', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api, 7)
  await receiver.received(7)
  await world.drain()
  async function idsOf(sort: string): Promise<string[]> {
    const ids: string[] = []
    const path = `/api/v1/webhook-deliveries?limit=3&sort=${sort}&endpointId=${endpoint.id}`
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await api.get(`${path}${cursor && `&cursor=${cursor}`}`)
      ids.push(...body.data.map(({ id }: { id: string }) => id))
      cursor = body.nextCursor
    }
    return ids
  }
  const oldestFirst = await idsOf('createdAt')
  expect(oldestFirst).toHaveLength(7)
  expect(oldestFirst).toEqual(oldestFirst.toSorted())
  expect(await idsOf('-createdAt')).toEqual(oldestFirst.toReversed())
})

test("another tenant's deliveries are neither listed nor found, nor sent again", async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  await receiver.received(1)
  await world.drain()
  const { id } = await deliveryTo(api, endpoint)
  const other = await world.newTenant()
  const path = `/api/v1/webhook-deliveries/${id}`
  expect(await deliveriesOf(other, `&endpointId=${endpoint.id}`)).toEqual([])
  refusedWith(await other.get(path), 'not_found')
  refusedWith(await other.get(`${path}/attempts`), 'not_found')
  refusedWith(await other.post(`${path}/redeliveries`), 'not_found')
  expect((await api.get(path)).status).toBe(200)
})
