import pg from 'pg'
import { afterAll, beforeAll, inject, test } from 'vitest'
import { databaseUrlOf, until } from '../db/fixture.ts'
import { type Cast, type Sent, startCast } from './sweep/cast.ts'
import type { Observed } from './sweep/judge.ts'
import { openLedger } from './sweep/ledger.ts'
import { pathOfNobody, pathWith, prepare, render, succeed } from './sweep/prepare.ts'
import { changesBetween, rowsOf } from './sweep/rows.ts'

/*
 * What is repeated under its idempotency key is done once: by every operation that takes a key.
 */

let cast: Cast
beforeAll(async () => {
  cast = await startCast()
})
afterAll(() => cast.stop())

const ledger = openLedger('idempotency', () => cast)

async function settledRows() {
  await cast.world.drain()
  return await rowsOf(cast.world)
}

const short = ({ status, text }: Observed): string => `${status} ${text.slice(0, 200)}`
const isReplayed = ({ headers }: Observed) => headers.get('idempotent-replayed') === 'true'

/** What is amiss with a second answer that must be the first one again. */
function unlike(first: Observed, again: Observed): string[] {
  const complaints: string[] = []
  if (isReplayed(first)) complaints.push('the first answer calls itself a replay')
  if (!isReplayed(again)) complaints.push(`no Idempotent-Replayed: ${short(again)}`)
  if (short(again) !== short(first) || again.text !== first.text) {
    complaints.push(`first ${short(first)}, then ${short(again)}`)
  }
  for (const name of ['location', 'etag', 'content-type']) {
    const [was, is] = [first.headers.get(name), again.headers.get(name)]
    if (was !== is) complaints.push(`${name} was ${was}, then is ${is}`)
  }
  return complaints
}

test.each(ledger.of('replay'))('$id, repeated under its key, is done once', async (operation) => {
  const request = await prepare(cast, operation, cast.ours)
  const before = await settledRows()
  // By one key: another is not told a secret that was not shown to it.
  const sent = render(cast, request)
  const first = await cast.send(operation, sent)
  const done = await settledRows()
  const again = await cast.send(operation, sent)
  const { 'idempotency-key': key } = sent.headers ?? {}
  const quoted = { ...sent, headers: { ...sent.headers, 'idempotency-key': `"${key}"` } }
  const complaints = [
    ...(first.status < 300 ? [] : [`it was not done: ${short(first)}`]),
    ...(changesBetween(before, done).length > 0 ? [] : ['it changed nothing the first time']),
    ...unlike(first, again),
    ...unlike(first, await cast.send(operation, quoted)),
    ...changesBetween(done, await settledRows()),
  ]
  ledger.settle(operation, 'replay', complaints)
})

test.each(ledger.of('reuse'))('$id refuses the key of another call', async (operation) => {
  const request = await prepare(cast, operation, cast.ours)
  const { body } = await prepare(cast, operation, cast.ours)
  const sent = render(cast, request)
  const others: [what: string, other: Sent][] = [
    ['another body', { ...sent, ...render(cast, { ...request, body }) }],
    ['a space more', { ...sent, ...(sent.body ? { body: `${sent.body} ` } : {}) }],
    ['another path', { ...sent, path: pathWith(operation, pathOfNobody(operation)) }],
  ]
  const isOther = ({ path, body }: Sent) => path !== sent.path || body !== sent.body
  await succeed(cast, request)
  const done = await settledRows()
  const complaints: string[] = []
  for (const [what, other] of others.filter(([, one]) => isOther(one))) {
    const observed = await cast.send(operation, { ...other, key: sent.key })
    const isRefused = observed.status === 422 && observed.json?.code === 'idempotency_key_reused'
    if (!isRefused) complaints.push(`${what} → ${short(observed)}`)
  }
  complaints.push(...changesBetween(done, await settledRows()))
  ledger.settle(operation, 'reuse', complaints)
})

test.each(ledger.of('required'))('$id is not done without a key', async (operation) => {
  const request = await prepare(cast, operation, cast.ours)
  const before = await settledRows()
  const sent = render(cast, request)
  const { 'idempotency-key': _, ...others } = sent.headers ?? {}
  const complaints: string[] = []
  for (const [what, headers, code] of [
    ['no key', others, 'idempotency_key_required'],
    ['an empty one', { ...others, 'idempotency-key': '""' }, 'invalid_request'],
  ] as const) {
    const observed = await cast.send(operation, { ...sent, headers })
    if (observed.status === 400 && observed.json?.code === code) continue
    complaints.push(`${what} → ${short(observed)}, not 400 ${code}`)
  }
  complaints.push(...changesBetween(before, await settledRows()))
  ledger.settle(operation, 'required', complaints)
})

test.each(ledger.of('twin'))('$id refuses a twin that is under way', async (operation) => {
  const request = await prepare(cast, operation, cast.ours)
  const sent = render(cast, request)
  const complaints: string[] = []
  const release = await holdUpKeys()
  const first = cast.send(operation, sent)
  try {
    await until(isHeldUp)
    const twin = await cast.send(operation, sent)
    const isRefused = twin.status === 409 && twin.json?.code === 'idempotency_in_progress'
    if (!isRefused) complaints.push(`the twin → ${short(twin)}`)
  } finally {
    await release()
  }
  const answer = await first
  if (answer.status >= 300) complaints.push(`the first → ${short(answer)}`)
  complaints.push(...unlike(answer, await cast.send(operation, sent)))
  ledger.settle(operation, 'twin', complaints)
})

/** The superuser's address of the cast's database. */
const ownerUrl = (): string =>
  Object.assign(new URL(inject('ownerUrl')), {
    pathname: new URL(databaseUrlOf(cast.world)).pathname,
  }).href

/** Lets no call keep its answer, so that it stays under way, until it is released. */
async function holdUpKeys(): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: ownerUrl() })
  await client.connect()
  await client.query('begin; lock table idempotency in share mode')
  return async () => {
    await client.query('rollback')
    await client.end()
  }
}

async function isHeldUp(): Promise<boolean> {
  const waiting = await cast.world.query(
    `select 1 from pg_locks where not granted and relation = 'idempotency'::regclass`,
  )
  return waiting.length > 0
}

test('no operation was left out', () => ledger.close())
