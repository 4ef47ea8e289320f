import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasPathIds } from './sweep/cases.ts'
import { type Cast, startCast } from './sweep/cast.ts'
import { itemOf, type Operation, operations } from './sweep/contract.ts'
import { removeConditions, removePolicies } from './sweep/fences.ts'
import type { Observed } from './sweep/judge.ts'
import { openLedger } from './sweep/ledger.ts'
import { filtersOf, inQuery, type Position, positionsOf } from './sweep/positions.ts'
import { type Prepared, prepare, prepareAll, render } from './sweep/prepare.ts'
import { changesBetween, type Rows, rowsOf } from './sweep/rows.ts'
import { idOfNobody } from './sweep/schema.ts'

/*
 * Another tenant's things do not exist, wherever in a request one of their ids is put. That is shown
 * three times: as it is, by the policies of the database alone, and by the conditions of our own SQL
 * alone. At last both are taken away, and then every one of those things is there: so it was the
 * fences that held.
 */

let cast: Cast
let ours: (operation: Operation) => Prepared
let theirs: (operation: Operation) => Prepared
let before: Rows
/** What the other tenant has in the database, by which a reply would be known to leak. */
let foreign: Set<string>

const ofTenants = operations.filter(({ audience }) => audience === 'tenant')

beforeAll(async () => {
  cast = await startCast()
  ours = await prepareAll(cast, cast.ours)
  theirs = await prepareAll(cast, cast.theirs)
  for (const operation of ofTenants) {
    for (const { kind } of positionsOf(operation)) await theirs(operation).maker.idOf(kind)
  }
  await look()
}, 120_000)
afterAll(() => cast.stop())

async function look(): Promise<void> {
  await cast.world.drain()
  foreign = await foreignIds()
  before = await rowsOf(cast.world)
}

async function foreignIds(): Promise<Set<string>> {
  const tables = await cast.world.query<{ name: string }>(
    `select relname as name from pg_class
     join pg_attribute as owner on owner.attrelid = pg_class.oid and owner.attname = 'tenant_id'
     join pg_attribute as id on id.attrelid = pg_class.oid and id.attname = 'id'
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
  )
  const parts = tables.map(({ name }) => `select id from "${name}" where tenant_id = $1`)
  const { tenantId } = cast.theirs
  const rows = await cast.world.query<{ id: string }>(parts.join(' union all '), [tenantId])
  return new Set([tenantId, ...rows.map(({ id }) => id)])
}

/** What we asked lists for: it stands in our own audit, which says what was read. */
const asked = new Set<string>()

/** Ids, and texts marked as theirs, in a reply: but for those that it repeats of the request. */
function leaksIn({ text }: Observed, sent: Prepared): string[] {
  for (const [, value] of sent.query) asked.add(value)
  const said = JSON.stringify([sent.path, [...asked], sent.body])
  const ids = text.match(/[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}/g) ?? []
  const found = [...ids.filter((id) => foreign.has(id)), ...(text.match(/~theirs\d+/g) ?? [])]
  return [...new Set(found)].filter((one) => !said.includes(one)).map((one) => `leaks ${one}`)
}

const ledger = openLedger('tenants', () => cast)

/** How a refusal, or an answer that knows of nothing, looks for an id in this place. */
function isIgnorant(place: Position['in'], { status, json }: Observed): boolean {
  if (place === 'path') return status === 404 && json?.code === 'not_found'
  const isEmpty = status === 200 && place === 'query' && json?.data?.length === 0
  return isEmpty || [404, 409, 422].includes(status)
}

/** Whether what is no list is told of an id as it is of one that names nothing, but for the time. */
async function isAsOfNobody({ kind, put }: Position, own: Prepared, told: Observed) {
  const request = put(own, idOfNobody(kind))
  const nobodys = await cast.send(own.operation, render(cast, request))
  const timeless = ({ text }: Observed) => text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '')
  return itemOf(own.operation) === undefined && timeless(nobodys) === timeless(told)
}

/** Puts their ids into each place of our request, one at a time, and all of its path at once. */
async function intrude(operation: Operation): Promise<string[]> {
  const complaints: string[] = []
  const [own, other] = [ours(operation), theirs(operation)]
  async function attempt(what: string, sent: Prepared): Promise<Observed> {
    const observed = await cast.send(operation, render(cast, sent))
    const leaks = leaksIn(observed, sent)
    if (leaks.length > 0) complaints.push(`${what} ${leaks.slice(0, 3).join(', ')}`)
    return observed
  }
  for (const position of positionsOf(operation)) {
    const { in: place, name, kind, put } = position
    const what = `their id in ${place} ${name}`
    const observed = await attempt(what, put(own, other.maker.made.get(kind) ?? ''))
    if (isIgnorant(place, observed)) continue
    if (place === 'query' && (await isAsOfNobody(position, own, observed))) continue
    complaints.push(`${what} → ${observed.status} ${observed.text.slice(0, 200)}`)
  }
  if (hasPathIds(operation)) {
    const observed = await attempt('their whole path', { ...own, path: other.path })
    if (!isIgnorant('path', observed)) complaints.push(`their whole path → ${observed.text}`)
  }
  if (operation.method === 'GET') {
    const limit = operation.parameters.find(({ name }) => name === 'limit')?.schema.maximum
    const widest = limit === undefined ? own : inQuery('limit')(own, String(limit))
    if (!hasPathIds(operation)) await attempt('our own view', widest)
    const theirPage = itemOf(operation) && (await cast.send(operation, render(cast, other)))
    for (const filter of filtersOf(operation)) {
      const value = theirPage?.json.data[0]?.[filter]
      if (typeof value !== 'string') continue
      await attempt(`their ${filter}`, inQuery(filter)(widest, value))
    }
  }
  return complaints
}

/** Both tenants give the same key to a call of their own. */
async function borrowKey(operation: Operation): Promise<string[]> {
  const [first, second] = [
    await prepare(cast, operation, cast.theirs),
    await prepare(cast, operation, cast.ours),
  ]
  const key = { 'idempotency-key': first.headers['idempotency-key'] ?? '' }
  await cast.send(operation, render(cast, first))
  const sent = { ...second, headers: { ...second.headers, ...key } }
  const observed = await cast.send(operation, render(cast, sent))
  const isOwn = observed.status < 300 && !observed.headers.has('idempotent-replayed')
  foreign = await foreignIds()
  return [
    ...(isOwn ? [] : [`our own call under their key → ${observed.status} ${observed.text}`]),
    ...leaksIn(observed, sent),
  ]
}

async function changes(): Promise<string[]> {
  const after = await rowsOf(cast.world)
  const found = changesBetween(before, after)
  before = after
  return found
}

function intrusions(mode: 'both fences' | 'policies alone' | 'conditions alone'): void {
  test.each(ledger.of(mode))('$id tells and takes nothing of another tenant', async (operation) => {
    const complaints = await intrude(operation)
    if (operation.method !== 'GET') complaints.push(...(await changes()))
    ledger.settle(operation, mode, complaints)
  })

  test('none of this changed anything', async () => {
    expect(await changes()).toEqual([])
  })

  const borrowed = `borrowed key, ${mode}` as const
  test.each(ledger.of(borrowed))('$id knows no key of another tenant', async (operation) => {
    ledger.settle(operation, borrowed, await borrowKey(operation))
  })
}

describe('with both fences', () => intrusions('both fences'))

describe('with the policies alone', () => {
  let removed: ReturnType<typeof removeConditions>
  beforeAll(async () => {
    await look()
    removed = removeConditions()
  })
  afterAll(() => {
    removed.restore()
    expect(removed.changed()).toBeGreaterThan(ofTenants.length)
  })
  intrusions('policies alone')
})

describe('with the conditions alone', () => {
  beforeAll(async () => {
    expect(await removePolicies(cast.world)).toBeGreaterThan(15)
    await look()
  })
  intrusions('conditions alone')
})

describe('with no fence', () => {
  let removed: ReturnType<typeof removeConditions>
  beforeAll(() => {
    removed = removeConditions()
  })
  afterAll(() => removed.restore())

  test.each(ledger.of('no fence'))('$id gives away what is theirs', async (operation) => {
    const isAway = hasPathIds(operation)
      ? await isFound({ ...ours(operation), path: theirs(operation).path })
      : await isListed(operation)
    // What breaks here was never promised to hold.
    cast.takeMisfits()
    const complaints = isAway ? [] : ['something else than the fences keeps it: what?']
    ledger.settle(operation, 'no fence', complaints)
  })
})

async function isFound(request: Prepared): Promise<boolean> {
  return (await cast.send(request.operation, render(cast, request))).status !== 404
}

async function isListed(operation: Operation): Promise<boolean> {
  const orders = operation.parameters.find(({ name }) => name === 'sort')?.schema.enum ?? []
  for (const order of orders) {
    const request = inQuery('sort')(inQuery('limit')(ours(operation), '200'), String(order))
    const page = await cast.send(operation, render(cast, request))
    if (leaksIn(page, request).length > 0) return true
  }
  return false
}

test('no operation was left out', () => ledger.close())
