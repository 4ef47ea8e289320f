import { expect, test } from 'vitest'
import { startWorld } from '../world.ts'
import { ask, errands, jobRow, tenantOf } from './fixture.ts'
import { until } from './until.ts'

test('a job that fails for good is told, what the system does by itself is not news', async () => {
  const errand = errands(async ({ payload: { name } }) => {
    if (name === 'bad') throw new Error('no')
    return undefined
  })
  const world = await startWorld({ tasks: [errand] })
  const [good = '', bad = ''] = await ask(world, await tenantOf(world.api), ['good', 'bad'])
  await until(async () => (await jobRow(world, bad)).status === 'FAILED')
  await until(async () => (await jobRow(world, good)).status === 'SUCCEEDED')
  const told = await world.query<{ type: string; data: object }>(
    `select type, convert_from(body, 'UTF8')::jsonb -> 'data' as data from event
     where type like 'job.%'`,
  )
  expect(told).toEqual([
    { type: 'job.failed', data: expect.objectContaining({ id: bad, attemptCount: 3 }) },
  ])
  await world.stop()
})
