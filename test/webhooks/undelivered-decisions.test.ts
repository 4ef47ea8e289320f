import { expect, test } from 'vitest'
import { undeliveredOf, type Waiting } from '#webhooks/undelivered.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 1, 4, 10, minute))
const now = at(30)
const waiting: Waiting = {
  ...{ status: 'PENDING', createdAt: at(0), nextAttemptAt: at(1), lastAttemptAt: null },
  ...{
    retryCount: 0,
    inFlight: 0,
    inFlightMax: 10,
    isRateSpent: false,
    isBehind: false,
    batchWaitSeconds: null,
  },
  ...{ endpointDisabledAt: null, endpointDeletedAt: null },
  ...{ endpointStateSince: null, endpointOpenUntil: null, endpointPausedUntil: null },
  ...{ endpointInFlightLimit: null, skippedAt: null },
}

const limited = { endpointInFlightLimit: 1 }

test.each<[string, Partial<Waiting>, ReturnType<typeof undeliveredOf>]>([
  ['what was accepted is not told', { status: 'DELIVERED' }, null],
  ['what is due waits for a worker', {}, told('DUE', at(1))],
  ['what is due this moment is due', { nextAttemptAt: now }, told('DUE', now)],
  ['nine under way are no cap', { inFlight: 9 }, told('DUE', at(1))],
  ['ten under way are', { inFlight: 10 }, told('ENDPOINT_BUSY', at(1))],
  ['as many as may be are', { inFlight: 2, inFlightMax: 2 }, told('ENDPOINT_BUSY', at(1))],
  [
    'what is behind another about the same resource waits for that, also when it was put off',
    { isBehind: true, isRateSpent: true, nextAttemptAt: at(31) },
    told('ORDER', null),
  ],
  [
    'what waits for others to go with it is told so',
    { batchWaitSeconds: 1_741 },
    told('BATCH', at(1)),
  ],
  ['… until it goes anyway', { batchWaitSeconds: 1_740 }, told('DUE', at(1))],
  [
    'what has spent its rate waits for its turn',
    { isRateSpent: true },
    told('RATE_LIMITED', at(1)),
  ],
  [
    'what comes later waits for its retry, whatever is spent',
    { nextAttemptAt: at(31), lastAttemptAt: at(20), isRateSpent: true },
    told('RETRY', at(20)),
  ],
  ['one under way is as many as may be', { inFlight: 1, ...limited }, told('ENDPOINT_BUSY', at(1))],
  ['none under way leaves room for one', { inFlight: 0, ...limited }, told('DUE', at(1))],
  [
    'what is due waits while a circuit is open',
    { endpointOpenUntil: at(31), endpointStateSince: at(7), inFlight: 1, ...limited },
    told('CIRCUIT_OPEN', at(7)),
  ],
  ['… and no longer', { endpointOpenUntil: now, endpointStateSince: at(7) }, told('DUE', at(1))],
  [
    '… or while its endpoint asked for it',
    { endpointPausedUntil: at(31) },
    told('RETRY_AFTER', null),
  ],
  [
    'what comes later waits for its retry, whatever is under way',
    { nextAttemptAt: at(31), lastAttemptAt: at(20), retryCount: 3, inFlight: 10 },
    told('RETRY', at(20), 3),
  ],
  [
    'what is held is so since its endpoint was disabled',
    { status: 'HELD', endpointDisabledAt: at(5), nextAttemptAt: null },
    told('HELD', at(5)),
  ],
  [
    '… or since it was made, where that came later',
    { status: 'HELD', endpointDisabledAt: at(5), createdAt: at(6), nextAttemptAt: null },
    told('HELD', at(6)),
  ],
  [
    'what is being sent is under way',
    { status: 'SENDING', retryCount: 2 },
    told('SENDING', null, 2),
  ],
  [
    'what has failed for good did so at the last attempt',
    { status: 'EXHAUSTED', lastAttemptAt: at(9), nextAttemptAt: null, retryCount: null },
    told('EXHAUSTED', at(9)),
  ],
  [
    'what was left out when its endpoint was resumed was so then',
    { status: 'CANCELLED', skippedAt: at(8), nextAttemptAt: null, retryCount: null },
    told('SKIPPED', at(8)),
  ],
  [
    'what was cancelled was so with its endpoint',
    { status: 'CANCELLED', endpointDeletedAt: at(7), nextAttemptAt: null, retryCount: null },
    told('CANCELLED', at(7)),
  ],
])('%s', (_, change, expected) => {
  expect(undeliveredOf({ ...waiting, ...change }, now)).toEqual(expected)
})

function told(reason: string, since: Date | null, retryNumber: number | null = null) {
  return { reason, since: since?.toISOString() ?? null, retryNumber } as ReturnType<
    typeof undeliveredOf
  >
}
