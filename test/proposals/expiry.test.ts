import { afterAll, beforeAll, expect, test } from 'vitest'
import { expireProposals } from '#proposals/expiry.task.ts'
import { todayOf } from '#proposals/proposal.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

const dayMs = 24 * 60 * 60 * 1_000

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

/** A proposal that can be accepted today, and not tomorrow. */
async function anOffer(api: Api, ...steps: string[]): Promise<string> {
  const client = await api.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
  const { body } = await api.post('/api/v1/proposals', {
    clientId: client.body.id,
    title: 'Engine',
    currency: 'GBP',
    lines: [{ description: 'Design', quantity: 1, unitAmount: 5 }],
    validUntil: todayOf(world.ctx.clock.now()),
  })
  for (const step of steps) await api.post(`/api/v1/proposals/${body.id}/${step}`)
  return `/api/v1/proposals/${body.id}`
}

const toldOf = async (api: Api) =>
  (await api.get('/api/v1/events?eventType=proposal.expired')).body.data.map(
    ({ data }: { data: object }) => data,
  )

test('customers hear once that an offer has run out, and see what they were told', async () => {
  const api = await world.newTenant()
  const path = await anOffer(api, 'submission')
  await expireProposals(world.ctx)
  expect(await toldOf(api), 'on its last day').toEqual([])

  const before = await api.get(path)
  world.step(dayMs)
  expect((await api.get(path)).body.status, 'from midnight on').toBe('EXPIRED')
  await Promise.all([expireProposals(world.ctx), expireProposals(world.ctx)])
  await expireProposals(world.ctx)
  const after = await api.get(path, { 'if-none-match': before.headers.get('etag') ?? '' })
  expect(after.body).toMatchObject({ status: 'EXPIRED', revision: before.body.revision + 1 })
  expect(await toldOf(api)).toEqual([after.body])
  refusedWith(await api.post(`${path}/acceptance`), 'invalid_state')

  const entries = await world.query(
    `select actor_type, before, after from audit where action = 'proposal.expired'`,
  )
  expect(entries).toEqual([
    { actor_type: 'SYSTEM', before: { status: 'SENT' }, after: { status: 'EXPIRED' } },
  ])
})

test('what was never sent, was answered, or is deleted does not run out', async () => {
  const api = await world.newTenant()
  await anOffer(api)
  await anOffer(api, 'submission', 'acceptance')
  await anOffer(api, 'submission', 'declination')
  await api.delete(await anOffer(api, 'submission'))
  world.step(2 * dayMs)
  await expireProposals(world.ctx)
  expect(await toldOf(api)).toEqual([])
})

test('an offer that cannot be told of keeps the others from nothing', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const broken = (await anOffer(api, 'submission')).split('/').at(-1)
  await anOffer(other, 'submission')
  await world.query(`update proposal set lines = '[{}]' where id = $1`, [broken])
  world.step(2 * dayMs)
  await expireProposals(world.ctx)
  expect(await toldOf(other)).toHaveLength(1)
  expect(await toldOf(api)).toEqual([])
})
