import { expect, test } from 'vitest'
import type { Context } from '#context.ts'
import { createLimiter } from '#http/limiter.ts'
import { tenantId } from '#ids.ts'

const caller = {
  tenantId: tenantId(`ten_${'1'.padStart(26, '0')}`),
  key: { id: `key_${'1'.padStart(26, '0')}` as const },
}

test('a call that had to wait for the others to be told gets the rest of its quota all the same', async () => {
  let nowMs = Date.UTC(2026, 0, 1)
  let arrivalMs = 0
  // Others take a while to tell, and count from when they were told.
  async function query({ values }: { values: [unknown, unknown, number[], number] }) {
    const [, , spent, toldMs] = values
    nowMs += 5
    arrivalMs = spent.reduce((sum, spentMs) => sum + spentMs, Math.max(arrivalMs, toldMs))
    return { rows: [{ arrival_ms: arrivalMs }] }
  }
  const clock = { now: () => new Date(nowMs) }
  const ctx = { db: { worker: { query } }, clock, log: { warn: () => undefined } }
  const limiter = createLimiter(ctx as unknown as Context)
  const policy = { name: 'read', quota: 2, windowSeconds: 3_600 }
  const take = (askedMs: number) => limiter.take(caller, [{ holder: 'key', policy }], 1, askedMs)

  const askedMs = nowMs
  expect((await take(askedMs)).violated).toEqual([])
  nowMs += 3
  // Asked before, and judged only now: its key took so long to be looked up.
  expect((await take(askedMs)).violated).toEqual([])
  expect((await take(nowMs)).violated).toEqual(['read'])
  await limiter.stop()
})
