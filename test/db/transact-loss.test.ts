import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApi } from '#app.ts'
import { openDatabases } from '#db/open.ts'
import { type Reply, startWorld, type World } from '../world.ts'
import { databaseUrlOf, killConnections, until } from './fixture.ts'
import { startLossyProxy } from './lossy-proxy.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  await world.query(`
    create function test_sleep() returns trigger language plpgsql as
      $$ begin perform pg_sleep(4); return new; end $$;
    create trigger test_sleep before insert on client for each row
      when (new.name like 'Slow%') execute function test_sleep()`)
})
afterAll(() => world.stop())

const count = async (name: string) =>
  (await world.query('select 1 from client where name = $1', [name])).length

/** Posts a client whose insert takes seconds, and ends its connection in the middle. */
async function postAndKill(name: string, headers: Record<string, string>): Promise<Reply> {
  const posting = world.api.post('/api/v1/clients', { name, currency: 'EUR' }, headers)
  const isInserting = "usename = 'ubos' and wait_event = 'PgSleep'"
  await until(async () => (await killConnections(world, isInserting)) === 1)
  return posting
}

test('a write whose connection is ended in the middle says that it does not know, and is not there', async () => {
  const reply = await postAndKill('Slow one', {})
  expect(reply).toMatchObject({ status: 503, body: { code: 'commit_unknown' } })
  expect(await count('Slow one')).toBe(0)
})

test('a write under a key that was lost in the middle is done, once, by its repetition', async () => {
  const headers = { 'idempotency-key': 'lost-in-the-middle' }
  const reply = await postAndKill('Slow two', headers)
  expect(reply).toMatchObject({ status: 503, body: { code: 'commit_unknown' } })

  await world.query('alter table client disable trigger test_sleep')
  const again = await world.api.post(
    '/api/v1/clients',
    { name: 'Slow two', currency: 'EUR' },
    headers,
  )
  await world.query('alter table client enable trigger test_sleep')
  expect(again.status).toBe(201)
  expect(again.headers.get('idempotent-replayed')).toBeNull()
  expect(await count('Slow two')).toBe(1)
})

test('after every connection of the process was ended, idle or at work, it goes on', async () => {
  const writes = (round: string) =>
    Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        world.api.post('/api/v1/clients', { name: `${round} ${at}`, currency: 'EUR' }),
      ),
    )
  await writes('before')
  const under = writes('under')
  await killConnections(world, "usename = 'ubos'")
  for (const { status, body } of await under) {
    expect([201, 503]).toContain(status)
    const there = await count(body.name ?? '')
    if (status === 201) expect(there).toBe(1)
  }
  await killConnections(world, "usename = 'ubos'")
  const writers = world.ctx.db.writers
  await until(async () => writers.totalCount === 0)
  expect((await writes('after')).map(({ status }) => status)).toEqual(Array(20).fill(201))
  expect(writers.totalCount).toBeLessThanOrEqual(16)
})

test('a commit whose answer was lost is found again under its key; without one it is not known', async () => {
  const proxy = await startLossyProxy(databaseUrlOf(world))
  const db = openDatabases(proxy.url, world.ctx.log)
  const api = await startApi({ ...world.ctx, db })
  const post = async (name: string, headers: Record<string, string>) => {
    const response = await fetch(`${api.url}/api/v1/clients`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${world.api.key}`,
        'content-type': 'application/json',
        ...headers,
      },
      body: JSON.stringify({ name, currency: 'EUR' }),
    })
    return { response, body: await response.json() }
  }
  try {
    const headers = { 'idempotency-key': 'lost-answer' }
    proxy.loseAfter('envelope_with_reply')
    const kept = await post('Lost answer', headers)
    expect(proxy.lost()).toBe(1)
    expect(kept.response.status).toBe(201)
    expect(kept.response.headers.get('idempotent-replayed')).toBe('true')
    expect(await post('Lost answer', headers)).toMatchObject({ body: kept.body })
    expect(await count('Lost answer')).toBe(1)

    proxy.loseAfter('insert into event')
    const unknown = await post('No key', {})
    expect(proxy.lost()).toBe(2)
    expect(unknown).toMatchObject({ response: { status: 503 }, body: { code: 'commit_unknown' } })
    expect(await count('No key')).toBe(1)
  } finally {
    await api.stop(1_000)
    await db.close()
    proxy.stop()
  }
})
