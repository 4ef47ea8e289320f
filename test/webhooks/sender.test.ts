import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigRefusal, readConfig } from '#config.ts'
import { startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, createClients } from './fixture.ts'

let world: World
beforeAll(async () => {
  const env = { UBOS_EGRESS_ADDRESSES: ' 198.51.100.0/24, 2001:db8:12::/48,203.0.113.7' }
  world = await startWorld({ env })
})
afterAll(() => world.stop())

const path = '/api/v1/webhook-sender'

test('receivers are told the addresses that the operator named, and the User-Agent that they see', async () => {
  const { status, body } = await world.api.get(path)
  expect(status).toBe(200)
  const addresses = ['198.51.100.0/24', '2001:db8:12::/48', '203.0.113.7']
  const receiver = await aReceiver()
  await anEndpoint(world.api, receiver.url)
  await createClients(world.api)
  await receiver.received(1)
  expect(body).toEqual({ addresses, userAgent: receiver.requests[0]?.headers['user-agent'] })
})

test('an installation whose operator named none tells none', () => {
  expect(readConfig({}).egressAddresses).toEqual([])
})

test.for([
  'example.com',
  '198.51.100.0/33',
  '2001:db8::/129',
  '198.51.100.1/-1',
  '198.51.100.1/',
  '198.51.100.1/8/8',
  'fe80::1%eth0',
  '198.51.100.1,',
  ',198.51.100.1',
  Array(101).fill('198.51.100.1').join(','),
])('%s is no list of addresses, and the start says which variable is wrong', (value) => {
  const read = () => readConfig({ UBOS_EGRESS_ADDRESSES: value })
  expect(read).toThrow(ConfigRefusal)
  expect(read).toThrow(/^UBOS_EGRESS_ADDRESSES /)
})
