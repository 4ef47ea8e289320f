import { expect, test } from 'vitest'
import { commit, leasedForMs, newConsumer, typesOf, withBatch } from '#event-consumers/consumer.ts'

const now = new Date('2026-02-04T10:00:00.000Z')
const later = new Date('2026-02-04T10:01:00.000Z')
const fresh = newConsumer('evc_0', { name: 'W' }, 10, now)
const out = withBatch(fresh, { id: 'bat_1', leasedTo: 20, leasedUntil: later }, now)
const done = commit(out, { batchId: 'bat_1' }, now)
const doneConsumer = done.kind === 'committed' ? done.consumer : fresh

test.each([
  ['the whole batch', out, { batchId: 'bat_1' }, { kind: 'committed', at: 20 }],
  ['its last position', out, { batchId: 'bat_1', position: 20 }, { kind: 'committed', at: 20 }],
  ['a part of it', out, { batchId: 'bat_1', position: 15 }, { kind: 'committed', at: 15 }],
  ['what is behind already', out, { batchId: 'bat_1', position: 10 }, { kind: 'unchanged' }],
  ['more than it holds', out, { batchId: 'bat_1', position: 21 }, { kind: 'beyond' }],
  ['another batch', out, { batchId: 'bat_0' }, { kind: 'lost' }],
  ['a batch where none was', fresh, { batchId: 'bat_1' }, { kind: 'lost' }],
  ['the same once more', doneConsumer, { batchId: 'bat_1' }, { kind: 'unchanged' }],
  ['more than was done', doneConsumer, { batchId: 'bat_1', position: 21 }, { kind: 'beyond' }],
])('committing %s', (_, consumer, input, { kind, at }: { kind: string; at?: number }) => {
  const outcome = commit(consumer, input, later)
  expect(outcome.kind).toBe(kind)
  if (outcome.kind !== 'committed') return
  const isWhole = at === 20
  expect(outcome.consumer).toMatchObject({
    ...{ position: at, batchId: 'bat_1', leasedTo: isWhole ? null : 20 },
    ...{ leasedUntil: isWhole ? null : later, revision: consumer.revision + 1, updatedAt: later },
  })
})

test('a lease lasts until its moment, and what is done is leased no more', () => {
  expect(leasedForMs(out, now)).toBe(60_000)
  expect(leasedForMs(out, later)).toBe(0)
  expect(leasedForMs(doneConsumer, now)).toBe(0)
})

test('a consumer of everything looks for no types, also for those of the future', () => {
  expect(typesOf(fresh)).toBeUndefined()
  expect(typesOf({ eventTypes: ['client.created'] })).toEqual(['client.created'])
  expect(typesOf({ eventTypes: ['client.created', '*'] })).toBeUndefined()
})
