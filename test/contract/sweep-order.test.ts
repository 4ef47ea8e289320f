import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSecond } from '../api-keys/second-process.ts'
import { until } from '../db/fixture.ts'
import { stoppedClock } from '../http/fixture.ts'
import { type Cast, parallel, startCast } from './sweep/cast.ts'
import { type Operation, operations } from './sweep/contract.ts'
import { type Fault, faultsIn, flawless, sendFaulty } from './sweep/faults.ts'
import { makeWrongKeys, scopesOfTenants } from './sweep/keys.ts'
import { openLedger } from './sweep/ledger.ts'
import { type Prepared, prepare, prepareAll, succeed } from './sweep/prepare.ts'
import { changesBetween, type Rows, rowsOf } from './sweep/rows.ts'

/*
 * Of two things that are wrong with a request, that one is told which comes first in the order of
 * refusals: route, method, key, scope, rate, form, fields, idempotency key, resource, precondition,
 * business. Every operation is asked about every two of them.
 */

let cast: Cast
let exhausted: Awaited<ReturnType<typeof anExhaustedTenant>>
let second: Awaited<ReturnType<typeof startSecond>>
let faults: Fault[]
let before: Rows
let requestOf: (operation: Operation) => Prepared
const usedKey = 'used-before'

beforeAll(async () => {
  cast = await startCast()
  const keys = await makeWrongKeys(cast)
  requestOf = await prepareAll(cast, cast.ours)
  for (const audience of ['tenant', 'operator']) await useKey(audience)
  second = await startSecond(cast.world, (ctx) => ({ ...ctx, clock: stoppedClock().clock }))
  exhausted = await anExhaustedTenant()
  faults = faultsIn({
    keys,
    usedKey,
    exhausted: { url: second.url, keyOf: exhaustedKeyOf, poorKeyOf },
  })
  await cast.world.drain()
  before = await rowsOf(cast.world)
}, 60_000)
afterAll(async () => {
  await second.stop()
  await cast.stop()
})

/** Lets the idempotency key stand for a call, by some operation that this is for. */
async function useKey(audience: string): Promise<void> {
  const some = operations.find((one) => one.audience === audience && one.idempotency)
  if (some === undefined) throw new Error(`nothing for the ${audience} takes an idempotency key`)
  const request = await prepare(cast, some, cast.ours)
  const headers = { ...request.headers, 'idempotency-key': usedKey }
  await succeed(cast, { ...request, headers })
}

/** A tenant that may hardly ask anything, and has asked. */
async function anExhaustedTenant() {
  const { key } = await cast.world.newTenant()
  const api = cast.world.callsWith(key)
  const poor = await Promise.all(
    scopesOfTenants.slice(0, 2).map(async (scope) => {
      const { body } = await api.post('/api/v1/api-keys', { name: 'Poor', scopes: [scope] })
      return { scope, key: body.key as string }
    }),
  )
  const { organization, tenant } = (await api.get('/api/v1/me')).body
  const quota = { quota: 1, windowSeconds: 3_600 }
  const limits = { key: { read: quota, write: quota } }
  const path = `/api/v1/organizations/${organization.id}/tenants/${tenant.id}/limits`
  expect((await cast.world.operator.patch(path, limits)).status).toBe(200)
  for (const one of [key, ...poor.map((made) => made.key)]) {
    await until(async () => (await second.statusFor(one)) === 429)
  }
  return { key, poor }
}

const exhaustedKeyOf = ({ audience }: Operation): string =>
  audience === 'operator' ? cast.operator.spare : exhausted.key

const poorKeyOf = ({ scopes }: Operation): string =>
  exhausted.poor.find(({ scope }) => !scopes.includes(scope))?.key ?? ''

/**
 * Calls an operation in vain, where the clock stands still, until that is too much for the key itself:
 * what its tenant spends is shared with a process whose clock goes on.
 */
async function useUpRate(operation: Operation, rate: Fault, form: Fault): Promise<void> {
  const faulty = form.commit(rate.commit(flawless(cast, requestOf(operation))))
  for (let turn = 0; turn < 40; turn += 1) {
    const violated = new Set<string>()
    await parallel(Array.from({ length: Math.min(2 ** turn, 500) }), async () => {
      const { json } = await sendFaulty(cast, faulty)
      for (const name of json?.['violated-policies'] ?? []) violated.add(name)
    })
    if (violated.has('read') || violated.has('write')) return
  }
  throw new Error(`${operation.id} can be called without end`)
}

const ledger = openLedger('order', () => cast)

/** A fault by itself, with the one that comes next, and with all that come later. */
function combinationsOf(own: readonly Fault[]): [first: Fault, others: Fault[]][] {
  return own.flatMap((first, at) => {
    const later = own.slice(at + 1).filter(({ name }) => first.isAlike !== name)
    const combinations = [[], later.slice(0, 1), later.filter(({ isHeavy }) => !isHeavy)]
    return combinations.map((others): [Fault, Fault[]] => [first, others])
  })
}

test.each(ledger.of('order'))(
  '$id tells of what is wrong the first',
  async (operation) => {
    const own = faults.filter(({ applies }) => applies(operation))
    const [rate, form] = ['rate', 'accept'].map((name) => own.find((fault) => fault.name === name))
    if (rate && form) await useUpRate(operation, rate, form)

    const complaints: string[] = []
    async function tell([first, others]: [Fault, Fault[]]): Promise<void> {
      const flawed = others.reduceRight(
        (faulty, other) => other.commit(faulty),
        flawless(cast, requestOf(operation)),
      )
      const { status, json, text } = await sendFaulty(cast, first.commit(flawed))
      if (first.codes.includes(json?.code)) return
      const what = [first, ...others].map(({ name }) => name).join(' and ')
      complaints.push(`${what} → ${status} ${text.slice(0, 200)}, not ${first.codes.join(' or ')}`)
    }
    const combinations = combinationsOf(own)
    await parallel(
      combinations.filter(([{ isLate }]) => !isLate),
      tell,
    )
    // What reaches the transaction goes one by one: two calls under one key would be in each other's way.
    await parallel(
      combinations.filter(([{ isLate }]) => isLate),
      tell,
      1,
    )
    ledger.settle(operation, 'order', complaints)
  },
  60_000,
)

test('none of this changed anything', async () => {
  expect(changesBetween(before, await rowsOf(cast.world))).toEqual([])
})

test('no operation was left out', () => ledger.close())
