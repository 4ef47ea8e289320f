import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { routes } from '#generated/routes.ts'
import { cases, exceptions } from './sweep/cases.ts'
import { type Cast, startCast } from './sweep/cast.ts'
import { methodsOf, operationBy, operations } from './sweep/contract.ts'
import { openLedger } from './sweep/ledger.ts'
import { positionsOf } from './sweep/positions.ts'
import { pathOfNobody, pathWith, prepare, render, succeed } from './sweep/prepare.ts'
import { needs, recipes, rows } from './sweep/recipes.ts'

/*
 * Each operation does what it is there for, with each of the examples that the contract gives.
 */

let cast: Cast
beforeAll(async () => {
  cast = await startCast()
})
afterAll(() => cast.stop())

const ledger = openLedger('success', () => cast)

test('the server answers the operations of the contract and no others', () => {
  const ours = Object.values(routes).filter(({ isRaw }) => !isRaw)
  const mounted = ours.map(({ method, path }) => `${method} ${path}`)
  expect(mounted.sort()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).sort())
})

test.each(ledger.of('examples'))('$id succeeds, with each example', async (operation) => {
  const bodies = operation.bodies.flatMap((body) =>
    body.examples.map(([example]) => ({ body, example })),
  )
  for (const options of bodies.length > 0 ? bodies : [{}]) {
    const prepared = await prepare(cast, operation, cast.ours, options)
    await succeed(cast, prepared)
  }
  ledger.settle(operation, 'examples', [])
})

/** Headers that tell of one answer, not of what is answered. */
const ownHeaders = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'ratelimit',
  'server-timing',
  'transfer-encoding',
  'x-correlation-id',
  'x-request-id',
])

test.each(ledger.of('head'))(
  'HEAD tells of $id what GET does, without a body',
  async (operation) => {
    const sent = render(cast, await prepare(cast, operation, cast.ours))
    const got = await cast.send(operation, sent)
    const told = await cast.send(operation, { ...sent, method: 'HEAD' })
    const again = await cast.send(operation, sent)
    // What tells of the moment differs from call to call; then only the names are the same.
    const isSteady = got.text === again.text
    const headersOf = ({ headers }: typeof got) =>
      [...headers]
        .filter(([name]) => !ownHeaders.has(name))
        .map(([name, value]) => (isSteady ? `${name}: ${value}` : name))
    expect([told.status, told.text]).toEqual([got.status, ''])
    expect(headersOf(told)).toEqual(headersOf(got))
    if (isSteady) {
      expect(told.headers.get('content-length')).toBe(got.headers.get('content-length'))
    }
    ledger.settle(operation, 'head', [])
  },
)

test.each(ledger.of('options'))('OPTIONS tells what the path of $id allows', async (operation) => {
  const path = pathWith(operation, pathOfNobody(operation))
  const told = await cast.send(operation, { key: null, path, method: 'OPTIONS' })
  expect([told.status, told.text]).toEqual([204, ''])
  expect(told.headers.get('allow')?.split(', ')).toEqual(methodsOf(operation.path))
  ledger.settle(operation, 'options', [])
})

test('what is said by hand is about operations, cases and ids that there are', () => {
  const kinds = new Set(operations.flatMap(positionsOf).map(({ kind }) => kind))
  const names = Object.values(cases).flatMap((ofSweep) => Object.keys(ofSweep))
  const excepted = Object.values(exceptions).flatMap((ofOperation) => Object.keys(ofOperation))
  expect(Object.keys(recipes).filter((kind) => !kinds.has(kind))).toEqual([])
  expect(excepted.filter((name) => !names.includes(name))).toEqual([])
  for (const id of [exceptions, needs, rows].flatMap(Object.keys)) operationBy(id)
})

test('every sweep has its file', async () => {
  const files = await readdir(new URL('.', import.meta.url))
  const wanted = Object.keys(cases).map((sweep) => `sweep-${sweep}.test.ts`)
  expect(files.filter((name) => name.startsWith('sweep-')).sort()).toEqual(wanted.sort())
})

test('no operation was left out', () => ledger.close())
