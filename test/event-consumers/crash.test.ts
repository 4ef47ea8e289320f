import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, startWorld, type World } from '../world.ts'
import { aClient, aConsumer, commit, everything } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

/** A program of a customer: fetches a batch, commits its first event, says so, and works on. */
const program = `
  const [consumer, key] = process.argv.slice(1)
  const post = async (path, body) => {
    const headers = { authorization: 'Bearer ' + key, 'content-type': 'application/json' }
    const answer = await fetch(consumer + path, { method: 'POST', headers, body: JSON.stringify(body) })
    return await answer.json()
  }
  const batch = await post('/batches', { limit: 4, leaseSeconds: 2 })
  await post('/commits', { batchId: batch.id, position: batch.data[0].position })
  console.log(JSON.stringify(batch))
  setInterval(() => undefined, 1_000)
`

test('a consumer killed in the middle of a batch loses nothing, and what it committed is not repeated', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  for (const name of ['Ada', 'Bob', 'Eve']) await aClient(api, name)
  await world.drain()
  const child = spawn(process.execPath, [
    ...['--input-type=module', '-e', program],
    ...[world.url + consumer, api.key],
  ])
  const [line] = await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const lost = JSON.parse(String(line))

  await expect
    .poll(async () => (await api.post(`${consumer}/batches`)).status, { timeout: 5_000 })
    .toBe(200)
  const held = await world.query<{ batch_id: string }>(
    'select batch_id from event_consumer where id = $1',
    [consumer.split('/').at(-1)],
  )
  expect(held[0]?.batch_id).not.toBe(lost.id)
  const audits = await api.get(`/api/v1/audit-entries?action=event_consumer.leased`)
  expect(audits.body.data).toHaveLength(2)
  expect(audits.body.data[0].before.position).toBe(1)
  expect((await commit(api, consumer, lost.id)).status).toBe(409)
  expect((await api.get(consumer)).body.position).toBe(1)
})

interface Handed {
  batchId: string
  positions: number[]
}

test('two programs on one consumer, one that keeps dying, and writers at once: each event is committed once and in order', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  const handed: Handed[] = []
  const committed: Handed[] = []
  let isWriting = true

  async function write(api: Api): Promise<void> {
    for (let count = 0; count < 15; count += 1) await aClient(api, `Client ${count}`)
  }
  async function work(diesAtEach: number): Promise<void> {
    for (let turn = 1; ; turn += 1) {
      const { status, body } = await api.post(`${consumer}/batches`, { limit: 5, leaseSeconds: 1 })
      const isIdle = status !== 200
      if (status === 204 && !isWriting && (await isDone())) return
      if (isIdle) {
        await new Promise((resolve) => setTimeout(resolve, 30))
        continue
      }
      const batch = { batchId: body.id, positions: body.data.map(positionOf) }
      handed.push(batch)
      if (turn % diesAtEach === 0) continue
      const reply = await commit(api, consumer, body.id)
      if (reply.status === 200) committed.push(batch)
    }
  }
  const isDone = async () => {
    await world.drain()
    return (await api.get(`${consumer}/lag`)).body.eventsBehind === 0
  }
  const writers = Promise.all([write(api), write(api), write(api), write(api)]).then(() => {
    isWriting = false
  })
  await Promise.all([writers, work(Number.POSITIVE_INFINITY), work(3)])

  const all = (await everything(world, api)).map(({ position }) => position)
  expect(all.length).toBeGreaterThan(60)
  expect(committed.flatMap(({ positions }) => positions)).toEqual(all)
  // What was handed out more than once was so by batches that nobody committed.
  const done = new Set(committed.map(({ batchId }) => batchId))
  const lost = handed.filter(({ batchId }) => !done.has(batchId))
  expect(lost.length).toBeGreaterThan(0)
  const repeated = all.length + lost.flatMap(({ positions }) => positions).length
  expect(handed.flatMap(({ positions }) => positions)).toHaveLength(repeated)
}, 60_000)

const positionOf = ({ position }: { position: number }) => position

test('of many that ask at once for a consumer, one gets a batch', async () => {
  const api = await world.newTenant()
  const consumer = await aConsumer(api, { startAfter: 0 })
  await world.drain()
  const replies = await Promise.all(
    Array.from({ length: 8 }, () => api.post(`${consumer}/batches`, { leaseSeconds: 30 })),
  )
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(replies.filter(({ status }) => status === 409)).toHaveLength(7)
})
