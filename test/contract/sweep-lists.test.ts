import fc from 'fast-check'
import { afterAll, beforeAll, test } from 'vitest'
import { type Cast, startCast } from './sweep/cast.ts'
import type { Operation } from './sweep/contract.ts'
import type { Json, Observed } from './sweep/judge.ts'
import { openLedger } from './sweep/ledger.ts'
import { prepare } from './sweep/prepare.ts'
import { idKindOf, idOfNobody, sample } from './sweep/schema.ts'
import { type List, listOf, nameOf, ordersOf, pageOf, walk } from './sweep/walk.ts'

/*
 * Who reads a list page by page, in either order, meets every row that was there all the time
 * exactly once, whatever is added and deleted meanwhile; and a cursor opens nothing but the list
 * that it was given for.
 */

let cast: Cast
/** Each list in a tenant of its own, once it has rows. */
const lists = new Map<Operation, List>()
beforeAll(async () => {
  cast = await startCast()
})
afterAll(() => cast.stop())

const ledger = openLedger('lists', () => cast)

const stayingCount = 7
const leavingCount = 3
const comingCount = 4

/** A list in a new tenant, with a few rows in it. */
async function seeded(operation: Operation): Promise<List> {
  const list = listOf(await prepare(cast, operation, await cast.newTenant()))
  for (let at = 0; list.add && at < stayingCount; at += 1) await list.add()
  await cast.world.drain()
  lists.set(operation, list)
  return list
}

test.each(ledger.of('paging'))(
  '$id skips no row and repeats none while it changes',
  async (operation) => {
    const list = await seeded(operation)
    const staying = (await walk(list, { limit: '200' }, 200)).map(nameOf)
    const leaving: string[] = []
    for (let at = 0; list.add && list.remove && at < leavingCount; at += 1) {
      leaving.push(String(await list.add()))
    }
    async function change(): Promise<void> {
      for (const id of leaving) await list.remove?.(id)
    }
    async function grow(): Promise<void> {
      for (let at = 0; list.add && at < comingCount; at += 1) await list.add()
    }
    const complaints: string[] = []
    const orders = ordersOf(operation)
    const some = staying.length < 2 ? ['it has fewer than two rows to page through'] : []
    const readings = orders.flatMap((sort) =>
      limits().map((limit) => ({ sort, limit: `${limit}` })),
    )
    await Promise.all([
      change(),
      grow(),
      ...readings.map(async (query) => {
        const met = await walk(list, query, 2 * staying.length + 50)
        const what = `sort=${query.sort} limit=${query.limit}`
        complaints.push(...amissIn(met, staying, query.sort).map((one) => `${what}: ${one}`))
      }),
    ])
    ledger.settle(operation, 'paging', [...some, ...complaints])
  },
  60_000,
)

/** One row at a time, and two sizes by chance; a failure says which they were. */
const limits = (): number[] => [1, ...fc.sample(fc.integer({ min: 2, max: 9 }), 2)]

function amissIn(met: readonly Json[], staying: readonly string[], sort: string): string[] {
  const names = met.map(nameOf)
  const repeated = names.filter((name, at) => names.indexOf(name) !== at)
  const skipped = staying.filter((name) => !names.includes(name))
  const field = sort.replace(/^-/, '')
  const values = met
    .map((row) => row[field])
    .filter((value) => value !== undefined && value !== null)
  const isFalling = sort.startsWith('-')
  const isOrdered = values.every(
    (value, at) => at === 0 || (isFalling ? value <= values[at - 1] : value >= values[at - 1]),
  )
  return [
    ...(repeated.length > 0 ? [`repeats ${repeated.join(', ')}`] : []),
    ...(skipped.length > 0 ? [`skips ${skipped.join(', ')}`] : []),
    ...(isOrdered ? [] : [`is not in its order: ${values.join(', ')}`]),
  ]
}

test.each(ledger.of('cursors'))('a cursor of $id opens nothing else', async (operation) => {
  const list = lists.get(operation) ?? (await seeded(operation))
  const [sort = '', otherSort = ''] = ordersOf(operation)
  const own = { sort, limit: '1' }
  const first = await pageOf(list, own)
  const cursor: string | null = first.json.nextCursor
  if (cursor === null)
    throw new Error(`${operation.id} has fewer than two rows: see sweep/recipes.ts`)
  const complaints: string[] = []
  const refuse = (what: string, observed: Observed) => {
    const [error] = observed.json?.errors ?? []
    const isRefused = observed.status === 400 && observed.json.code === 'invalid_cursor'
    if (isRefused && error?.parameter === 'cursor') return
    complaints.push(`${what} → ${observed.status} ${observed.text.slice(0, 200)}`)
  }

  for (const [other, elsewhere] of lists) {
    if (other !== operation) refuse(other.id, await pageOf(elsewhere, { cursor }))
  }
  if (operation.audience === 'tenant') {
    const stranger = { ...list.request, ...(await prepare(cast, operation, cast.theirs)) }
    refuse('another tenant', await pageOf({ ...list, request: stranger }, { ...own, cursor }))
  }
  if (operation.path.includes('{')) {
    const { tenant } = list.request.maker
    const beside = listOf(await prepare(cast, operation, tenant))
    refuse('the same list of another thing', await pageOf(beside, { ...own, cursor }))
  }
  refuse('another order', await pageOf(list, { ...own, sort: otherSort, cursor }))
  for (const [name, text] of filtersOf(operation)) {
    refuse(`with the filter ${name}`, await pageOf(list, { ...own, [name]: text, cursor }))
  }
  for (const text of changed(cursor))
    refuse(`as ${text}`, await pageOf(list, { ...own, cursor: text }))
  for (const limit of ['1', '2']) {
    const next = await pageOf(list, { sort, limit, cursor })
    if (next.status !== 200) complaints.push(`by itself → ${next.status} ${next.text}`)
  }
  ledger.settle(operation, 'cursors', complaints)
})

/** Each filter of a list, with some value. */
function filtersOf({ id, parameters }: Operation): [name: string, text: string][] {
  const paging = ['cursor', 'limit', 'sort']
  return parameters
    .filter(({ in: place, name }) => place === 'query' && !paging.includes(name))
    .map(({ name, schema, example }) => {
      const kind = idKindOf(schema)
      const value = kind ? idOfNobody(kind) : (example ?? sample(schema, `${id} ${name}`))
      return [name, String(value)]
    })
}

function changed(cursor: string): string[] {
  const middle = Math.floor(cursor.length / 2)
  const letter = cursor[middle] === 'A' ? 'B' : 'A'
  return [cursor.slice(0, middle) + letter + cursor.slice(middle + 1), cursor.slice(1), 'AAAA']
}

test('no operation was left out', () => ledger.close())
