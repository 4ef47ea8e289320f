import { afterAll, beforeAll, expect, test } from 'vitest'
import { pruneMetrics } from '#retention/figures.sql.ts'
import { tenantOf } from '../events/fixture.ts'
import { until } from '../jobs/until.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aSource } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000]
const another = `whsec_${Buffer.alloc(24, 1).toString('base64')}`

const metrics = async (api: Api, query = '') =>
  (await api.get(`/api/v1/inbound-metrics${query}`)).body

const countsOf = ({ outcomes }: { outcomes: { outcome: string; count: number }[] }) =>
  Object.fromEntries(outcomes.map(({ outcome, count }) => [outcome, count]))

test('a tenant sees what became of all that was sent to it, refused webhooks too, source by source', async () => {
  const api = await world.newTenant()
  const [shop, barred] = [
    await aSource(world, api, { maxBodyBytes: 1_000 }),
    await aSource(world, api, { name: 'Barred', allowedIps: ['203.0.113.7'] }),
  ]
  await shop.send({ id: 'msg_once' })
  await shop.send({ id: 'msg_once' })
  await shop.send()
  await shop.send({ body: 'no JSON' })
  await shop.send({ signedWith: another })
  await shop.send({ at: new Date(world.ctx.clock.now().getTime() - hourMs) })
  await shop.send({ headers: { 'webhook-signature': '' } })
  await shop.send({ body: `"${'x'.repeat(1_000)}"` })
  const lastAt = world.ctx.clock.now().getTime()
  await barred.send()

  await until(async () => (await metrics(api)).total.received === 9, 10_000)
  const { total, groups, groupBy } = await metrics(api, '?groupBy=SOURCE')
  expect(groupBy).toBe('SOURCE')
  expect(countsOf(total)).toEqual({
    ...{ ACCEPTED: 2, DUPLICATE: 1, QUARANTINED: 1, TOO_LARGE: 1, SENDER_NOT_ALLOWED: 1 },
    ...{ REFUSED_SIGNATURE: 1, REFUSED_TIMESTAMP: 1, REFUSED_MISSING: 1 },
  })
  expect(total).toMatchObject({ accepted: 3, refused: 5, refusalRate: 5 / 9 })
  expect(groups.map(({ sourceId }: { sourceId: string }) => sourceId)).toEqual([shop.id, barred.id])
  expect(groups[1].figures).toMatchObject({ received: 1, accepted: 0, refused: 1, refusalRate: 1 })
  const [{ lastAt: refusedAt }] = groups[1].figures.outcomes
  expect(Date.parse(refusedAt)).toBeGreaterThanOrEqual(lastAt)

  const own = await api.get(`${shop.path}/metrics?groupBy=HOUR`)
  expect(own.body.total).toMatchObject({ received: 8, accepted: 3 })
  const hours: { sourceId: null; figures: { received: number } }[] = own.body.groups
  expect(hours.map(({ sourceId }) => sourceId)).toEqual(hours.map(() => null))
  expect(hours.reduce((sum, { figures }) => sum + figures.received, 0)).toBe(8)
  const overMinutes = (Date.parse(own.body.to) - Date.parse(own.body.from)) / minuteMs
  expect(own.body.total.receivedPerMinute).toBeCloseTo(8 / overMinutes, 5)

  const other = await world.newTenant()
  expect((await metrics(other)).total).toMatchObject({ received: 0, refusalRate: null })
  refusedWith(await other.get(`${shop.path}/metrics`), 'not_found')
})

test('several processes add up, and what a disabled source is sent is not counted', async () => {
  const api = await world.newTenant()
  const source = await aSource(world, api)
  await source.send()
  await until(async () => (await metrics(api)).total.received === 1, 10_000)
  await world.query(
    `insert into inbound_metric
     select tenant_id, span_seconds, starts_at, source_id, 'another', '{ACCEPTED,THROTTLED}', '{4,2}',
       array[starts_at, starts_at]
     from inbound_metric where tenant_id = $1`,
    [await tenantOf(api)],
  )
  expect(countsOf((await metrics(api)).total)).toEqual({ ACCEPTED: 5, THROTTLED: 2 })
  await api.patch(source.path, { status: 'DISABLED' })
  refusedWith(await source.send(), 'not_found')
  const later = await aSource(world, api)
  await later.send()
  const seen = async () => (await metrics(api, '?groupBy=SOURCE')).groups.length
  await expect.poll(seen, { timeout: 10_000 }).toBe(2)
  expect((await metrics(api)).total.received).toBe(8)
})

test('figures go when they are old, and a time that cannot be meant is refused with its name', async () => {
  const api = await world.newTenant()
  const source = await aSource(world, api)
  await source.send()
  const spans = async () => {
    const rows = await world.query<{ span_seconds: number }>(
      'select span_seconds from inbound_metric where tenant_id = $1 order by 1',
      [await tenantOf(api)],
    )
    return rows.map(({ span_seconds }) => span_seconds)
  }
  await expect.poll(spans, { timeout: 10_000 }).toEqual([300, 3_600])
  const now = world.ctx.clock.now().getTime()
  for (const [from, to] of [
    [now + hourMs, undefined],
    [now - 32 * dayMs, undefined],
    [now - hourMs, now - 2 * hourMs],
  ] as const) {
    const query = new URLSearchParams({ from: new Date(from).toISOString() })
    if (to !== undefined) query.set('to', new Date(to).toISOString())
    const { errors } = refusedWith(
      await api.get(`/api/v1/inbound-metrics?${query}`),
      'invalid_request',
    )
    expect(errors[0].parameter).toBe('from')
  }
  refusedWith(await api.get(`${source.path}/metrics?groupBy=SOURCE`), 'invalid_request')
  world.step(3 * dayMs)
  await pruneMetrics(world.ctx)
  expect(await spans()).toEqual([3_600])
  world.step(91 * dayMs)
  await pruneMetrics(world.ctx)
  expect(await spans()).toEqual([])
})
