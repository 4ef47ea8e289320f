import { expect, test } from 'vitest'
import { disabledNotBefore, measureOf } from '#webhooks/failing.ts'
import { type Health, newHealth } from '#webhooks/health.ts'

const start = new Date('2026-02-04T10:00:00.000Z')
const hour = 60 * 60 * 1_000
const at = (hours: number) => new Date(start.getTime() + hours * hour)
const failing = (consecutiveFailures: number, more: Partial<Health> = {}): Health => ({
  ...newHealth(start),
  ...{ state: 'PROBING', consecutiveFailures, firstFailureAt: start, ...more },
})
const once = { warned: 1, warnedAt: at(24) }
const twice = { warned: 2, warnedAt: at(96) }

test.each<[string, Health, number, ReturnType<typeof measureOf>]>([
  ['many failures of an hour are an outage', failing(1_000), 1, undefined],
  ['few failures, however old, are an accident', failing(4), 500, undefined],
  ['after a day its tenant is warned', failing(5), 24, 'WARN'],
  ['… and not an hour before', failing(5), 23, undefined],
  ['one warning is enough for three days', failing(60, once), 95, undefined],
  ['after four days it is warned again', failing(25, once), 96, 'WARN'],
  ['after five days it is disabled', failing(50, twice), 120, 'DISABLE'],
  ['… and not before', failing(50, twice), 119, undefined],
  ['… nor after fewer failures', failing(49, twice), 200, undefined],
  [
    '… nor sooner than a day after its warning',
    failing(90, { ...twice, warnedAt: at(200) }),
    223,
    undefined,
  ],
  ['… but then', failing(90, { ...twice, warnedAt: at(200) }), 224, 'DISABLE'],
  ['nobody is disabled who was never warned', failing(500), 500, 'WARN'],
  ['nor who was warned once', failing(500, once), 500, 'WARN'],
  ['who was warned of recovers', { ...newHealth(start), ...once }, 30, 'RECOVER'],
  ['… once it is healthy', { ...newHealth(start), ...once, state: 'DEGRADED' }, 30, undefined],
  ['of whom nobody was warned nobody is told', newHealth(start), 30, undefined],
])('%s', (_, health, hours, expected) => {
  expect(measureOf(health, at(hours))).toBe(expected)
})

test.each<[string, Health, Date | null]>([
  ['does not fail', newHealth(start), null],
  ['has just begun to fail', failing(1), at(120)],
  ['was warned in time', failing(60, twice), at(120)],
  ['was warned late', failing(60, { ...twice, warnedAt: at(200) }), at(224)],
])('when an endpoint may be disabled that %s is told beforehand', (_, health, expected) => {
  expect(disabledNotBefore(health)).toEqual(expected)
})
