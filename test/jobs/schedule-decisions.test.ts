import { expect, test } from 'vitest'
import type { JobScheduleInput } from '#generated/types.ts'
import {
  catchUpMax,
  fire,
  misfitOfSchedule,
  newSchedule,
  patchSchedule,
  pausedFor,
  type Schedule,
} from '#jobs/schedule.ts'

const midnight = new Date('2026-02-04T00:00:00Z')
const at = (text: string) => new Date(`2026-02-04T${text}Z`)

/** Every ten minutes, due for the first time at ten past midnight. */
function aSchedule(over: Partial<JobScheduleInput> = {}): Schedule {
  const input: JobScheduleInput = {
    ...{ name: 'N', task: 'USAGE_REPORT', payload: { days: 1 } },
    ...{ cron: '*/10 * * * *', timeZone: 'UTC', ...over },
  }
  return newSchedule(`sch_${'0'.repeat(26)}`, input, midnight)
}

const minutesOf = (runs: readonly Date[]) => runs.map((run) => run.toISOString().slice(11, 16))

test.for([
  // On time, whatever is to be made up for.
  ['NONE', '00:10:00', false, ['00:10'], null],
  ['NONE', '00:10:59', false, ['00:10'], null],
  ['LATEST', '00:10:01', false, ['00:10'], null],
  ['ALL', '00:10:01', false, ['00:10'], null],
  // Nothing ran for a while.
  ['NONE', '00:11:01', false, [], '00:10'],
  ['NONE', '00:30:30', false, ['00:30'], '00:20'],
  ['LATEST', '00:11:01', false, ['00:10'], null],
  ['LATEST', '00:35:00', false, ['00:30'], '00:20'],
  ['ALL', '00:35:00', false, ['00:10', '00:20', '00:30'], null],
  // The job before is not over.
  ['LATEST', '00:10:01', true, [], '00:10'],
  ['NONE', '00:10:01', true, [], '00:10'],
] as const)('%s at %s, busy %s: %j', ([catchUp, now, isBusy, expected, skipped]) => {
  const overlap = catchUp === 'ALL' ? 'ALLOW' : 'SKIP'
  const firing = fire(aSchedule({ catchUp, overlap }), isBusy, at(now))
  expect(minutesOf(firing.runs)).toEqual(expected)
  expect(firing.skippedAt?.toISOString().slice(11, 16) ?? null).toBe(skipped)
  expect(firing.nextRunAt?.getTime()).toBeGreaterThan(at(now).getTime())
})

test('what may overlap is not held up by the job before', () => {
  const firing = fire(aSchedule({ overlap: 'ALLOW' }), true, at('00:10:00'))
  expect(minutesOf(firing.runs)).toEqual(['00:10'])
})

test('after a month away no more than the newest hundred are made up for', () => {
  const schedule = aSchedule({ catchUp: 'ALL', overlap: 'ALLOW', cron: '* * * * *' })
  const { runs, nextRunAt } = fire(schedule, false, new Date('2026-03-04T00:00:30Z'))
  expect(runs).toHaveLength(catchUpMax)
  expect(runs.at(-1)?.toISOString()).toBe('2026-03-04T00:00:00.000Z')
  expect(nextRunAt?.toISOString()).toBe('2026-03-04T00:01:00.000Z')
})

test('a schedule that rested, or got other times, goes on from now', () => {
  const late = at('03:01:00')
  const resting = patchSchedule(aSchedule(), { status: 'PAUSED' }, at('00:05:00'))
  expect(resting.nextRunAt).toBeNull()
  expect(patchSchedule(resting, { cron: '5 * * * *' }, late).nextRunAt).toBeNull()
  expect(patchSchedule(resting, { status: 'ENABLED' }, late).nextRunAt).toEqual(at('03:10:00'))
  expect(patchSchedule(aSchedule(), { cron: '5 * * * *' }, late).nextRunAt).toEqual(at('03:05:00'))
  const elsewhere = patchSchedule(aSchedule(), { timeZone: 'Asia/Kathmandu' }, late)
  expect(elsewhere.nextRunAt).toEqual(at('03:05:00'))
})

test('another name does not put off what is due', () => {
  expect(patchSchedule(aSchedule(), { name: 'M' }, at('03:01:00')).nextRunAt).toEqual(
    at('00:10:00'),
  )
})

test('a schedule that we paused says why until it is enabled again', () => {
  const paused = pausedFor('no such zone', aSchedule(), at('00:10:00'))
  expect([paused.status, paused.pausedReason, paused.nextRunAt]).toEqual([
    'PAUSED',
    'no such zone',
    null,
  ])
  const enabled = patchSchedule(paused, { status: 'ENABLED' }, at('00:11:00'))
  expect([enabled.status, enabled.pausedReason]).toEqual(['ENABLED', null])
})

test('a patch of the payload leaves what it does not name', () => {
  const patched = patchSchedule(aSchedule(), { payload: { groupBy: 'KEY' } }, midnight)
  expect(patched.payload).toEqual({ days: 1, groupBy: 'KEY' })
})

test('jobs that are made at once cannot wait for each other', () => {
  expect(misfitOfSchedule({ ...aSchedule(), catchUp: 'ALL' }, midnight)?.pointer).toBe('/catchUp')
  const free = { ...aSchedule(), catchUp: 'ALL', overlap: 'ALLOW' } as const
  expect(misfitOfSchedule(free, midnight)).toBeUndefined()
})
