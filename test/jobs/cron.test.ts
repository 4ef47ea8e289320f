import fc from 'fast-check'
import { expect, test } from 'vitest'
import { misfitOfTiming, nextRun, runsWithin } from '#jobs/cron.ts'

function runs(cron: string, timeZone: string, after: string, count: number): string[] {
  const found: string[] = []
  for (let at = new Date(after); found.length < count; ) {
    const next = nextRun({ cron, timeZone }, at)
    if (next === undefined) break
    found.push(next.toISOString().replace(':00.000Z', 'Z'))
    at = next
  }
  return found
}

const [berlin, newYork, kolkata, lordHowe] = [
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
]

test.for([
  // Clocks go forward: the time that is not there comes right after the gap.
  ['30 2 * * *', berlin, '2026-03-27T12:00Z', '03-28T01:30Z 03-29T01:00Z 03-30T00:30Z'],
  ['30 2 * * *', newYork, '2026-03-06T12:00Z', '03-07T07:30Z 03-08T07:00Z 03-09T06:30Z'],
  ['15 2 * * *', lordHowe, '2026-10-02T12:00Z', '10-02T15:45Z 10-03T15:30Z 10-04T15:15Z'],
  ['30 2,14 * * *', berlin, '2026-03-28T14:00Z', '03-29T01:00Z 03-29T12:30Z 03-30T00:30Z'],
  // They go back: what comes twice counts once, and the first.
  ['30 2 * * *', berlin, '2026-10-23T12:00Z', '10-24T00:30Z 10-25T00:30Z 10-26T01:30Z'],
  ['30 1 * * *', newYork, '2026-10-30T12:00Z', '10-31T05:30Z 11-01T05:30Z 11-02T06:30Z'],
  ['45 1 * * *', lordHowe, '2026-04-03T12:00Z', '04-03T14:45Z 04-04T14:45Z 04-05T15:15Z'],
  // Where clocks stay as they are, and where half an hour is all the difference.
  ['30 2 * * *', kolkata, '2026-03-28T12:00Z', '03-28T21:00Z 03-29T21:00Z 03-30T21:00Z'],
  // What goes by the hour goes on by the hour.
  ['0 * * * *', newYork, '2026-11-01T04:30Z', '11-01T05:00Z 11-01T06:00Z 11-01T07:00Z'],
  ['*/30 * * * *', berlin, '2026-03-29T00:29Z', '03-29T00:30Z 03-29T01:00Z 03-29T01:30Z'],
  // Ends of months, and days that most months do not have.
  ['0 0 L * *', 'UTC', '2026-01-30T00:00Z', '01-31T00:00Z 02-28T00:00Z 03-31T00:00Z'],
  ['0 0 31 * *', 'UTC', '2026-01-30T00:00Z', '01-31T00:00Z 03-31T00:00Z 05-31T00:00Z'],
  ['0 6 1 * *', newYork, '2026-02-15T00:00Z', '03-01T11:00Z 04-01T10:00Z 05-01T10:00Z'],
  // Either day will do when both are given.
  ['0 0 1 * MON', 'UTC', '2026-01-28T00:00Z', '02-01T00:00Z 02-02T00:00Z 02-09T00:00Z'],
  ['0 12 * * 7', berlin, '2026-06-01T00:00Z', '06-07T10:00Z 06-14T10:00Z 06-21T10:00Z'],
] as const)('%s in %s comes when its clocks say so', ([cron, zone, after, expected]) => {
  const found = runs(cron, zone, after, 3).map((run) => run.slice(5))
  expect(found.join(' ')).toBe(expected)
})

test('29 February comes in leap years alone, 2100 not among them', () => {
  const leap = '0 0 29 2 *'
  expect(runs(leap, 'UTC', '2026-01-01T00:00Z', 2)).toEqual([
    '2028-02-29T00:00Z',
    '2032-02-29T00:00Z',
  ])
  expect(runs(leap, 'UTC', '2096-03-01T00:00Z', 1)).toEqual(['2104-02-29T00:00Z'])
})

const aZone = fc.constantFrom(
  berlin,
  newYork,
  kolkata,
  lordHowe,
  'Africa/Cairo',
  'America/Santiago',
)
// Around the changes of the clocks of this year in any of these zones.
const changes = [
  ...['2026-03-08', '2026-03-29', '2026-04-05', '2026-04-24', '2026-09-06', '2026-10-04'],
  ...['2026-10-25', '2026-10-29', '2026-11-01'],
]
const dayMs = 24 * 60 * 60 * 1_000

test('a daily schedule runs once on each day of its zone, also when the clocks change', () => {
  const aTimeOfDay = fc.tuple(fc.nat(59), fc.oneof(fc.nat(3), fc.constantFrom(12, 23)))
  fc.assert(
    fc.property(aZone, aTimeOfDay, fc.constantFrom(...changes), (timeZone, [m, h], change) => {
      const calendar = new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' })
      const start = new Date(Date.parse(change) - 3 * dayMs)
      const end = new Date(Date.parse(change) + 4 * dayMs)
      const found = runsWithin({ cron: `${m} ${h} * * *`, timeZone }, start, end, 100)
      const days = found.map((run) => Date.parse(calendar.format(run)) / dayMs)
      const [first = 0] = days
      expect(days).toEqual(days.map((_, at) => first + at))
      expect(days.length).toBeGreaterThanOrEqual(6)
    }),
    { numRuns: 200 },
  )
})

test('looking back finds the times that looking ahead does, both ends included', () => {
  const crons = ['30 2 * * *', '*/20 1-3 * * *', '0 */6 * * *', '15 2,3 * * 0', '7 * * * *']
  fc.assert(
    fc.property(
      aZone,
      fc.constantFrom(...crons),
      fc.constantFrom(...changes),
      fc.nat(24 * 60),
      (timeZone, cron, day, minutes) => {
        const timing = { cron, timeZone }
        const from = new Date(Date.parse(day) - 20 * 3_600_000 + minutes * 60_000)
        const to = new Date(from.getTime() + 26 * 3_600_000)
        const ahead: string[] = []
        for (let at = nextRun(timing, new Date(from.getTime() - 1_000)); at && at <= to; ) {
          ahead.push(at.toISOString())
          at = nextRun(timing, at)
        }
        const back = runsWithin(timing, from, to, 200).map((run) => run.toISOString())
        expect(back).toEqual(ahead)
      },
    ),
    { numRuns: 60 },
  )
})

test('a time that is now is one of those up to now, to the millisecond', () => {
  const timing = { cron: '30 2 * * *', timeZone: 'UTC' }
  const run = new Date('2026-02-04T02:30:00.000Z')
  expect(runsWithin(timing, run, run, 10)).toEqual([run])
  expect(runsWithin(timing, run, new Date(run.getTime() - 1), 10)).toEqual([])
})

test('of many times the newest are taken, oldest first', () => {
  const timing = { cron: '* * * * *', timeZone: 'UTC' }
  const from = new Date('2026-01-01T00:00:00Z')
  const found = runsWithin(timing, from, new Date('2026-03-01T00:00:30Z'), 3)
  expect(found.map((run) => run.toISOString())).toEqual([
    '2026-02-28T23:58:00.000Z',
    '2026-02-28T23:59:00.000Z',
    '2026-03-01T00:00:00.000Z',
  ])
})

test.for([
  ['60 * * * *', 'UTC', '/cron'],
  ['* * * * * *', 'UTC', '/cron'],
  ['*/0 * * * *', 'UTC', '/cron'],
  ['0 0 * * MON#6', 'UTC', '/cron'],
  ['0 0 31 2 *', 'UTC', '/cron'],
  ['0 0 * * *', 'Mars/Olympus', '/timeZone'],
  ['0 0 * * *', 'Europe', '/timeZone'],
] as const)('%s in %s is refused, and the field is named', ([cron, timeZone, pointer]) => {
  const misfit = misfitOfTiming({ cron, timeZone }, new Date('2026-01-01T00:00:00Z'))
  expect(misfit?.pointer).toBe(pointer)
  expect(misfit?.message).not.toMatch(/Cron[A-Z]/)
})
