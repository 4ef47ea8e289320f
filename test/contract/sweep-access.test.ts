import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cast, type Sent, startCast } from './sweep/cast.ts'
import { methodsOf, type Operation, operations } from './sweep/contract.ts'
import type { Observed } from './sweep/judge.ts'
import { makeWrongKeys, type WrongKeys } from './sweep/keys.ts'
import { openLedger } from './sweep/ledger.ts'
import { type Prepared, prepareAll, render } from './sweep/prepare.ts'
import { changesBetween, type Rows, rowsOf } from './sweep/rows.ts'

/*
 * Whoever may not come in, or does not speak as the contract has it, is told so by every operation
 * alike, and nothing is done. Each request is one that would succeed but for what is wrong with it.
 */

let cast: Cast
let keys: WrongKeys
let before: Rows
let requestOf: (operation: Operation) => Prepared
beforeAll(async () => {
  cast = await startCast()
  keys = await makeWrongKeys(cast)
  for (const operation of operations) {
    for (const scope of operation.scopes) {
      if (operation.audience === 'tenant') await keys.without(scope)
    }
  }
  requestOf = await prepareAll(cast, cast.ours)
  before = await rowsOf(cast.world)
}, 60_000)
afterAll(() => cast.stop())

const ledger = openLedger('access', () => cast)

function complaintOf(what: string, { status, json, text }: Observed, wanted: [number, string]) {
  const isWanted = status === wanted[0] && json?.code === wanted[1]
  return isWanted ? [] : [`${what} → ${status} ${text.slice(0, 300)}, not ${wanted.join(' ')}`]
}

/** Sends what is wrong in some ways to an operation; every way has to be refused alike. */
async function refusals(
  operation: Operation,
  ways: readonly [what: string, change: Partial<Sent>][],
  wanted: [number, string],
): Promise<string[]> {
  const complaints: string[] = []
  for (const [what, change] of ways) {
    const sent = render(cast, requestOf(operation))
    const headers = { ...sent.headers, ...change.headers }
    const observed = await cast.send(operation, { ...sent, ...change, headers })
    complaints.push(...complaintOf(what, observed, wanted))
  }
  return complaints
}

test.each(ledger.of('keys'))('$id is for nobody without a good key', async (operation) => {
  const complaints: string[] = []
  for (const { what, key, code } of keys.refused) {
    complaints.push(...(await refusals(operation, [[what, { key }]], [401, code])))
  }
  const basic = {
    authorization: `Basic ${Buffer.from(`${cast.ours.keys[0]}:`).toString('base64')}`,
  }
  complaints.push(
    ...(await refusals(
      operation,
      [['Basic', { key: null, headers: basic }]],
      [401, 'unauthorized'],
    )),
  )
  ledger.settle(operation, 'keys', complaints)
})

test.each(ledger.of('scopes'))('$id is for no key without its scope', async (operation) => {
  const complaints: string[] = []
  for (const scope of operation.scopes) {
    const key = operation.audience === 'tenant' ? await keys.without(scope) : cast.ours.keys[0]
    const observed = await cast.send(operation, {
      ...render(cast, requestOf(operation)),
      key: key ?? null,
    })
    complaints.push(...complaintOf(scope, observed, [403, 'insufficient_scope']))
    if (!observed.json?.detail?.includes(scope)) complaints.push(`${scope} is not named`)
  }
  ledger.settle(operation, 'scopes', complaints)
})

/** One byte more than a request may have. */
const oversized = Buffer.alloc(1024 * 1024 + 1, 0x20)

test.each(ledger.of('oversized'))('$id takes no more than a mebibyte', async (operation) => {
  const ways: [string, Partial<Sent>][] = [['a byte too many', { body: oversized }]]
  const complaints = await refusals(operation, ways, [413, 'payload_too_large'])
  ledger.settle(operation, 'oversized', complaints)
})

test.each(ledger.of('content type'))('$id takes no body of another type', async (operation) => {
  const types = ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'nonsense']
  const sets = ['application/json; charset=latin1', 'application/x-www-form-urlencoded']
  const ways = [...types, ...sets].map(
    (type) => [type, { headers: { 'content-type': type } }] as [string, Partial<Sent>],
  )
  const complaints = await refusals(operation, ways, [415, 'unsupported_media_type'])
  ledger.settle(operation, 'content type', complaints)
})

test.each(ledger.of('malformed'))('$id says what is no JSON', async (operation) => {
  const bodies = ['{', '{"a":1,}', "{'a':1}", '{} {}', 'nothing', Buffer.from([0x22, 0xff, 0x22])]
  const ways = bodies.map((body) => [String(body), { body }] as [string, Partial<Sent>])
  const complaints = await refusals(operation, ways, [400, 'malformed_json'])
  ledger.settle(operation, 'malformed', complaints)
})

test.each(ledger.of('accept'))('$id answers in no other form', async (operation) => {
  const forms = ['image/png', 'application/*;q=0, text/*;q=0', 'nonsense', '*/*;q=0']
  const ways = forms.map((accept) => [accept, { headers: { accept } }] as [string, Partial<Sent>])
  const complaints = await refusals(operation, ways, [406, 'not_acceptable'])
  ledger.settle(operation, 'accept', complaints)
})

test.each(ledger.of('method'))('the path of $id says which methods it has', async (operation) => {
  const complaints: string[] = []
  const allowed = methodsOf(operation.path)
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
    if (allowed.includes(method)) continue
    const { body: _, ...sent } = render(cast, requestOf(operation))
    const observed = await cast.send(operation, { ...sent, method })
    complaints.push(...complaintOf(method, observed, [405, 'method_not_allowed']))
    const allow = observed.headers.get('allow')
    if (allow !== allowed.join(', ')) complaints.push(`${method}: Allow is ${allow}`)
  }
  ledger.settle(operation, 'method', complaints)
})

test('none of this changed anything', async () => {
  expect(changesBetween(before, await rowsOf(cast.world))).toEqual([])
})

test('no operation was left out', () => ledger.close())
