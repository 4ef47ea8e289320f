import { expect, test } from 'vitest'
import { addedUp, type CallGroup } from '#api-metrics/api-metrics.ts'
import { judgeTargets } from '#api-metrics/api-targets.ts'
import { addTo, newSketch } from '#figures/sketch.ts'

function callsOf(count: number, told: { ms?: number; serverErrors?: number; limitHits?: number }) {
  const sketch = newSketch()
  for (let at = 0; at < count; at += 1) addTo(sketch, told.ms ?? 5)
  const group: CallGroup = {
    operationId: undefined,
    apiKeyId: undefined,
    startsAt: undefined,
    sums: {
      calls: count,
      clientErrors: 0,
      serverErrors: told.serverErrors ?? 0,
      limitHits: told.limitHits ?? 0,
      requestBytes: 0,
      responseBytes: 0,
      sketch,
    },
  }
  return addedUp([group])
}

const up = (share: number) => ({ up: share, all: 10_000 })

test.each([
  ['all is well', up(10_000), callsOf(2_000, {}), 'MET MET MET MET'],
  ['uptime is exactly 99.9 %', up(9_990), callsOf(2_000, {}), 'MISSED MET MET MET'],
  ['uptime is just above 99.9 %', up(9_991), callsOf(2_000, {}), 'MET MET MET MET'],
  ['calls take 210 ms', up(10_000), callsOf(2_000, { ms: 210 }), 'MET MISSED MET MET'],
  ['1 in 1 000 fails', up(10_000), callsOf(2_000, { serverErrors: 2 }), 'MET MET MISSED MET'],
  ['1 in 2 000 fails', up(10_000), callsOf(2_000, { serverErrors: 1 }), 'MET MET MET MET'],
  ['1 in 100 is limited', up(10_000), callsOf(2_000, { limitHits: 20 }), 'MET MET MET MISSED'],
  ['nobody called', up(10_000), callsOf(0, {}), 'MET NO_DATA NO_DATA NO_DATA'],
  ['nothing ever ran', { up: 0, all: 0 }, callsOf(0, {}), 'NO_DATA NO_DATA NO_DATA NO_DATA'],
])('when %s, the targets say so', (_, minutes, calls, expected) => {
  const targets = judgeTargets({ minutes, calls })
  expect(targets.map(({ status }) => status).join(' ')).toBe(expected)
  expect(
    targets.every(({ status, current }) => (current === null) === (status === 'NO_DATA')),
  ).toBe(true)
})
