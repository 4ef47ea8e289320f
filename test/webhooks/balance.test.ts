import { afterAll, beforeAll, expect, test } from 'vitest'
import { metricsText } from '#http/metrics.ts'
import { checkBalance } from '#webhooks/balance.task.ts'
import { refusedWith, startWorld, type World } from '../world.ts'
import { anEndpoint, aReceiver, createClients, deliveriesOf } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const none = {
  ...{ matched: 0, pending: 0, sending: 0, delivered: 0, held: 0, exhausted: 0, cancelled: 0 },
  isBalanced: true,
}
const balanceOf = async (api: World['api'], { path }: { path: string }) =>
  (await api.get(`${path}/balance`)).body

/** The rows of all endpoints that do not add up. */
const unbalanced = () =>
  world.query<{ endpoint_id: string; missing: string }>(
    'select endpoint_id, missing from webhook_balance where missing <> 0',
  )

const told = async (api: World['api']) =>
  (await api.get('/api/v1/audit-entries?action=webhook_endpoint.unbalanced')).body.data

async function missingMetric(): Promise<number> {
  const line = (await metricsText()).match(/^ubos_webhook_deliveries_missing (\d+)$/m)
  return Number(line?.[1])
}

test('what was matched is what became of it: delivered, held, waiting for a retry, cancelled', async () => {
  const api = await world.newTenant()
  const [good, bad] = [await aReceiver(), await aReceiver()]
  bad.answers(500)
  const types = ['client.created']
  const [open, failing, paused, other] = [
    await anEndpoint(api, good.url, types),
    await anEndpoint(api, bad.url, types),
    await anEndpoint(api, good.url, types),
    await anEndpoint(api, good.url, ['client.deleted']),
  ]
  await api.patch(paused.path, { status: 'DISABLED' })
  await createClients(api, 3)
  await world.drain()
  const since = new Date(world.ctx.clock.now().getTime() - 28 * 86_400_000).toISOString()
  const rest = { ...none, matched: 3, since: since.slice(0, 10) }
  expect(await balanceOf(api, open)).toEqual({ ...rest, endpointId: open.id, delivered: 3 })
  expect(await balanceOf(api, failing)).toEqual({ ...rest, endpointId: failing.id, pending: 3 })
  expect(await balanceOf(api, paused)).toEqual({ ...rest, endpointId: paused.id, held: 3 })
  expect(await balanceOf(api, other)).toMatchObject(none)

  await api.delete(failing.path)
  await world.drain()
  const [row] = await world.query<{ cancelled: number; missing: number }>(
    'select cancelled::int, missing::int from webhook_balance where endpoint_id = $1',
    [failing.id],
  )
  expect(row).toEqual({ cancelled: 3, missing: 0 })
  refusedWith(await api.get(`${failing.path}/balance`), 'not_found')

  const [delivered] = await deliveriesOf(api, `&endpointId=${open.id}`)
  await api.post(`/api/v1/webhook-deliveries/${delivered?.id}/redeliveries`)
  await world.drain()
  expect(await balanceOf(api, open)).toMatchObject({ matched: 3, delivered: 3, isBalanced: true })
  expect(await unbalanced()).toEqual([])
})

/** Each undoes itself, so that the next begins in balance. */
const losses = [
  ['a delivery that is gone', 'delete from webhook_delivery where endpoint_id = $1', 2],
  ['work that is gone', 'delete from delivery_due where endpoint_id = $1', 2],
  [
    'a delivery that nobody was to get',
    `update webhook_matched set matched = matched - 1 where endpoint_id = $1`,
    -1,
  ],
] as const

test.for(losses)('%s is found, told once, and shown', async ([, loss, missing]) => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const endpoint = await anEndpoint(api, receiver.url, ['client.created'])
  await api.patch(endpoint.path, { status: 'DISABLED' })
  await createClients(api, 2)
  await world.drain()
  await checkBalance(world.ctx)
  expect([await told(api), await missingMetric()]).toEqual([[], 0])

  await world.query(loss, [endpoint.id])
  await Promise.all([checkBalance(world.ctx), checkBalance(world.ctx)])
  await checkBalance(world.ctx)
  const [entry, ...others] = await told(api)
  expect(others).toEqual([])
  expect(entry).toMatchObject({
    ...{ resourceId: endpoint.id, actor: { type: 'SYSTEM' } },
    after: { missing, matched: missing === -1 ? 1 : 2 },
  })
  expect(await missingMetric()).toBe(Math.abs(missing))
  expect((await balanceOf(api, endpoint)).isBalanced).toBe(false)

  await world.query('update webhook_matched set matched = matched - $2 where endpoint_id = $1', [
    endpoint.id,
    missing,
  ])
  await checkBalance(world.ctx)
  const [again] = await told(api)
  expect(again).toMatchObject({ before: { missing }, after: { missing: 0 } })
  expect(await missingMetric()).toBe(0)
})

test('while events come and are delivered, the balance holds at every moment', async () => {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answersWith((_request, count) => ({ status: count % 3 === 0 ? 500 : 200 }))
  const endpoint = await anEndpoint(api, receiver.url, ['client.created'])
  let isOver = false
  const writing = Promise.all([1, 2, 3].map(() => createClients(api, 20))).then(async () => {
    await world.drain()
    isOver = true
  })
  let looks = 0
  while (!isOver) {
    expect(await unbalanced()).toEqual([])
    looks += 1
  }
  await writing
  expect(looks).toBeGreaterThan(5)
  expect(await balanceOf(api, endpoint)).toMatchObject({ matched: 60, isBalanced: true })
})

test('what was matched is forgotten with the days of its deliveries', async () => {
  const api = await world.newTenant()
  const { id } = await anEndpoint(api, (await aReceiver()).url)
  const { tenant } = (await api.get('/api/v1/me')).body
  await world.query(
    `insert into webhook_matched (tenant_id, endpoint_id, day, matched)
     values ($1, $2, current_date - 40, 7)`,
    [tenant.id, id],
  )
  await checkBalance(world.ctx)
  const rows = await world.query('select from webhook_matched where day < current_date - 35')
  expect(rows).toEqual([])
  expect(await told(api)).toEqual([])
})
