import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import contract from '#generated/openapi.json' with { type: 'json' }
import { delaysSumSecondsMax, usualDelaysSeconds } from '#webhooks/retry-policy.ts'
import { tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import type { Answer } from '../receiver.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, attemptsAt, createClients, deliveryTo } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const path = '/api/v1/webhook-settings'
const [second, hour, day] = [1_000, 3_600_000, 86_400_000]

test('settings begin as the usual ones, change where they are seen, and the change is audited', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const first = await api.get(path)
  expect(first.body).toEqual({ retryPolicy: null, revision: 1 })
  const seen = { 'if-match': first.headers.get('etag') ?? '' }
  const retryPolicy = { delaysSeconds: [10, 60] }
  const changed = await api.patch(path, { retryPolicy }, seen)
  expect(changed.body).toEqual({ retryPolicy, revision: 2 })
  expect((await api.get(path)).body).toEqual(changed.body)
  expect((await api.patch(path, {})).body).toEqual(changed.body)
  refusedWith(await api.patch(path, { retryPolicy: null }, seen), 'precondition_failed')
  expect((await api.patch(path, { retryPolicy: null })).body).toMatchObject({ retryPolicy: null })
  expect((await other.get(path)).body).toEqual({ retryPolicy: null, revision: 1 })
  const entries = await world.query(
    `select before, after from audit
      where action = 'webhook_settings.updated' and tenant_id = $1 order by id`,
    [await tenantOf(api)],
  )
  expect(entries).toEqual([
    { before: { retryPolicy: null }, after: { retryPolicy } },
    { before: { retryPolicy }, after: { retryPolicy: null } },
  ])
})

test('two changes of the settings at once do not both happen', async () => {
  const api = await world.newTenant()
  const changes = await Promise.all(
    [5, 6, 7, 8].map((delay) => api.patch(path, { retryPolicy: { delaysSeconds: [delay] } })),
  )
  const done = changes.filter(({ status }) => status === 200)
  for (const { status } of changes) expect(status).toBeOneOf([200, 409])
  expect((await api.get(path)).body.revision).toBe(1 + done.length)
})

test('a schedule that is no schedule, or goes on for too long, is refused, and it says where', async () => {
  const api = await world.newTenant()
  const { url } = await aReceiver()
  const endpoint = await anEndpoint(api, url)
  const week = 7 * 24 * 3_600
  const at = '/retryPolicy/delaysSeconds'
  const [rest, thrice] = [delaysSumSecondsMax - 3 * week, [week, week, week]]
  for (const [delaysSeconds, pointer] of [
    [[0], `${at}/0`],
    [[5, week + 1], `${at}/1`],
    [[1.5], `${at}/0`],
    [Array(21).fill(1), at],
    [[...thrice, rest + 1], at],
    [null, at],
  ] as const) {
    const body = { retryPolicy: { delaysSeconds } }
    for (const reply of [
      await api.patch(path, body),
      await api.patch(endpoint.path, body),
      await api.post('/api/v1/webhook-endpoints', { url, ...body }),
    ]) {
      expect(refusedWith(reply, 'invalid_request').errors[0].pointer).toBe(pointer)
    }
  }
  for (const delaysSeconds of [[], Array(20).fill(1), [...thrice, rest]]) {
    const body = { retryPolicy: { delaysSeconds } }
    expect((await api.patch(path, body)).body).toMatchObject(body)
    expect((await api.patch(endpoint.path, body)).body).toMatchObject(body)
  }
  expect((await api.patch(endpoint.path, { retryPolicy: null })).body.retryPolicy).toBe(null)
})

/** Something that goes out at once: when it has arrived, the worker has looked for what is due. */
async function aCanary(api: Api) {
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url, ['client.deleted'])
  return async () => {
    const count = receiver.requests.length + 1
    await api.post(`${endpoint.path}/test-events`)
    await receiver.received(count)
  }
}

/**
 * Thirty days in which a receiver fails whatever it is sent: answers how long after each try the
 * next one came, looking shortly before and at the moment that we were told.
 */
async function thirtyDays(api: Api, options: object, answer: () => Answer) {
  const receiver = await aReceiver()
  receiver.answersWith(answer)
  const endpoint = await anEndpoint(api, receiver.url)
  await api.patch(endpoint.path, options)
  const sawWork = await aCanary(api)
  const startMs = world.ctx.clock.now().getTime()
  await createClients(api)
  const delivery = () => deliveryTo(api, endpoint)
  for (let tries = 1; ; tries += 1) {
    await until(async () => (await delivery()).attemptCount === tries)
    const { nextAttemptAt } = await delivery()
    if (nextAttemptAt === null) break
    const waitMs = Date.parse(nextAttemptAt) - world.ctx.clock.now().getTime()
    // A look takes its time, too.
    const lookMs = Math.min(waitMs / 2, 10 * second)
    world.step(Math.max(waitMs - lookMs, 0))
    if (waitMs > 10 * second) {
      await sawWork()
      expect(receiver.requests).toHaveLength(tries)
    }
    world.step(lookMs)
  }
  const tries = (await attemptsAt(api, await delivery())).map(({ startedAt }) => startedAt)
  world.step(startMs + 30 * day - world.ctx.clock.now().getTime())
  await sawWork()
  expect(receiver.requests).toHaveLength(tries.length)
  expect(await delivery()).toMatchObject({
    ...{ status: 'EXHAUSTED', attemptCount: tries.length, nextAttemptAt: null },
    undelivered: { reason: 'EXHAUSTED' },
  })
  const places = tries.map((startedAt) => Date.parse(startedAt))
  return places.slice(1).map((place, at) => place - (places[at] ?? 0))
}

/** Each wait is within a fifth of its place in the schedule; a machine that is slow is no part of it. */
function expectSchedule(waitsMs: readonly number[], delaysSeconds: readonly number[]): void {
  expect(waitsMs).toHaveLength(delaysSeconds.length)
  for (const [at, waitMs] of waitsMs.entries()) {
    const delayMs = (delaysSeconds[at] ?? 0) * second
    expect(waitMs).toBeGreaterThanOrEqual(0.8 * delayMs)
    expect(waitMs).toBeLessThanOrEqual(1.2 * delayMs + 10 * second)
  }
}

const fails = (): Answer => ({ status: 500 })

test('in thirty days a receiver that always fails is tried at the documented times, and then no more', async () => {
  const api = await world.newTenant()
  const waitsMs = await thirtyDays(api, {}, fails)
  expectSchedule(waitsMs, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400])
})

test('the schedule of a tenant holds for its endpoints, and that of an endpoint before it', async () => {
  const api = await world.newTenant()
  const [tenants, own] = [
    [30, 600_000],
    [20, 86_400, 3_600, 604_800, 604_800, 10],
  ]
  await api.patch(path, { retryPolicy: { delaysSeconds: tenants } })
  expectSchedule(await thirtyDays(api, {}, fails), tenants)
  const options = { retryPolicy: { delaysSeconds: own } }
  expectSchedule(await thirtyDays(api, options, fails), own)
  expect(await thirtyDays(api, { retryPolicy: { delaysSeconds: [] } }, fails)).toEqual([])
})

test('Retry-After puts a try off, in seconds and as a date, by a day at most, and hastens none', async () => {
  const api = await world.newTenant()
  const inTwoHours = () => new Date(world.ctx.clock.now().getTime() + 2 * hour).toUTCString()
  const asked = ['7200', inTwoHours, '999999999', () => 'Fri, 01 Jan 2100 00:00:00 GMT', '1']
  let count = 0
  const answer = (): Answer => {
    const next = asked[count] ?? '60'
    count += 1
    return { status: 429, headers: { 'retry-after': typeof next === 'string' ? next : next() } }
  }
  const options = { retryPolicy: { delaysSeconds: [10, 10, 10, 10, 1_000] } }
  const waitsMs = await thirtyDays(api, options, answer)
  expectSchedule(waitsMs.slice(4), [1_000])
  for (const [at, expectedMs] of [2 * hour, 2 * hour, day, day].entries()) {
    // A date has no milliseconds.
    expect(waitsMs[at]).toBeGreaterThanOrEqual(expectedMs - second)
    expect(waitsMs[at]).toBeLessThanOrEqual(expectedMs + 10 * second)
  }
})

test('a schedule that becomes shorter than what was tried already ends it with the next failure', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(500)
  const endpoint = await anEndpoint(api, receiver.url)
  await createClients(api)
  const attempted = (count: number) =>
    until(async () => (await deliveryTo(api, endpoint)).attemptCount === count)
  await attempted(1)
  world.step(7 * second)
  await attempted(2)
  await api.patch(path, { retryPolicy: { delaysSeconds: [5] } })
  expect((await deliveryTo(api, endpoint)).status).toBe('PENDING')
  world.step(hour)
  await attempted(3)
  expect((await deliveryTo(api, endpoint)).status).toBe('EXHAUSTED')
})

/** `5 s, 5 min, 30 min, 2 h and 5 h` */
function inWords(delaysSeconds: readonly number[]): string {
  const words = delaysSeconds.map((delay) => {
    if (delay % 3_600 === 0) return `${delay / 3_600} h`
    return delay % 60 === 0 ? `${delay / 60} min` : `${delay} s`
  })
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

test('what the contract and the README say of the schedule is what is done', () => {
  const words = `${inWords(usualDelaysSeconds)}, `
  const { WebhookSettings, WebhookSettingsPatch, WebhookRetryPolicyInput } =
    contract.components.schemas
  for (const text of [
    WebhookSettings.properties.retryPolicy.description,
    WebhookSettingsPatch.properties.retryPolicy.description,
    readFileSync('README.md', 'utf8'),
  ]) {
    expect(text).toContain(words)
    expect(text).toContain('± 20 %')
  }
  const most = delaysSumSecondsMax.toLocaleString('en')
  expect(WebhookRetryPolicyInput.description).toContain(`at most ${most} seconds`)
})
