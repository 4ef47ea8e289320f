import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cast, parallel, startCast } from './sweep/cast.ts'
import type { Operation, Parameter } from './sweep/contract.ts'
import type { Json, Observed } from './sweep/judge.ts'
import { misfit } from './sweep/judge.ts'
import { openLedger } from './sweep/ledger.ts'
import { pointerOf, type Wrong, wrongBodies, wrongParameters } from './sweep/mutate.ts'
import { type Prepared, prepareAll, render } from './sweep/prepare.ts'
import { changesBetween, type Rows, rowsOf } from './sweep/rows.ts'

/*
 * Each parameter and each field of each body, wrong in each way that its schema knows: the answer is
 * a 400 that names exactly that place, and nothing is changed.
 */

let cast: Cast
let before: Rows
let requestOf: (operation: Operation) => Prepared
beforeAll(async () => {
  cast = await startCast()
  requestOf = await prepareAll(cast, cast.ours)
  before = await rowsOf(cast.world)
}, 60_000)
afterAll(() => cast.stop())

const ledger = openLedger('fields', () => cast)

/** What is amiss with a refusal that has to name one place, and nothing else. */
function complaintOf(
  what: string,
  { status, text, json }: Observed,
  names: (error: Json) => boolean,
) {
  const isNamed = json?.errors?.length === 1 && names(json.errors[0])
  return status === 400 && isNamed ? [] : [`${what} → ${status} ${text.slice(0, 300)}`]
}

/** What a write changed all the same; what a read might have is looked at in the end. */
async function changesBy({ method }: Operation): Promise<string[]> {
  if (method === 'GET') return []
  await cast.world.drain()
  const after = await rowsOf(cast.world)
  const changes = changesBetween(before, after)
  before = after
  return changes
}

test.each(ledger.of('body'))('$id refuses each field that is wrong, by name', async (operation) => {
  const complaints: string[] = []
  const request = requestOf(operation)
  const [body] = operation.bodies
  if (body === undefined) return
  const unfit = misfit(body.at, request.body)
  if (unfit !== undefined) complaints.push(`its own example does not fit: ${unfit}`)
  await parallel(wrongBodies(body.schema, body.at, request.body), async (wrong) => {
    const observed = await cast.send(operation, render(cast, { ...request, body: wrong.value }))
    const what = `${pointerOf(wrong.at)} ${wrong.what}: ${JSON.stringify(wrong.value)?.slice(0, 120)}`
    complaints.push(...complaintOf(what, observed, ({ pointer }) => isAt(wrong, pointer)))
  })
  if (operation.isBodyRequired) {
    const { body: _, ...empty } = render(cast, request)
    const none = await cast.send(operation, empty)
    complaints.push(...complaintOf('no body', none, ({ pointer }) => pointer === ''))
  }
  complaints.push(...(await changesBy(operation)))
  ledger.settle(operation, 'body', complaints)
})

/**
 * Within a choice of schemas, a refusal may be of any of them, before what is wrong or within; and
 * of what is missing only one can be named.
 */
function isAt({ what, at, surely }: Wrong, pointer: string): boolean {
  const whole = pointerOf(at)
  if (surely === undefined) return pointer === whole
  const isOnTheWay = whole.startsWith(pointer) || pointer.startsWith(whole)
  return pointer.startsWith(pointerOf(at.slice(0, surely))) && (isOnTheWay || what === 'missing')
}

test.each(ledger.of('parameters'))(
  '$id refuses each parameter that is wrong',
  async (operation) => {
    const complaints: string[] = []
    const wrongs = operation.parameters.flatMap((parameter) => [
      ...wrongParameters(parameter.schema).map(([what, text]) => ({ parameter, what, text })),
      ...(parameter.isRequired && parameter.in !== 'path'
        ? [{ parameter, what: 'missing', text: undefined }]
        : []),
    ])
    await parallel(wrongs, async ({ parameter, what, text }) => {
      const sent = withParameter(requestOf(operation), parameter, text)
      if (sent === undefined) return
      const observed = await cast.send(operation, render(cast, sent))
      const place = `${parameter.in} ${parameter.name} ${what}: ${JSON.stringify(text)?.slice(0, 60)}`
      complaints.push(...complaintOf(place, observed, (error) => isAbout(parameter, error)))
    })
    complaints.push(...(await changesBy(operation)))
    ledger.settle(operation, 'parameters', complaints)
  },
)

/** The request with this text for a parameter; undefined where HTTP itself cannot carry it. */
function withParameter(
  request: Prepared,
  parameter: Parameter,
  value: unknown,
): Prepared | undefined {
  const { name } = parameter
  const text = value === undefined ? undefined : String(value)
  if (parameter.in === 'path') {
    // No step, or one of dots, is another path.
    if (text === '' || text === '..') return undefined
    return { ...request, path: { ...request.path, [name]: text ?? '' } }
  }
  if (parameter.in === 'query') {
    const others = request.query.filter(([one]) => one !== name)
    return { ...request, query: text === undefined ? others : [...others, [name, text]] }
  }
  const { [name.toLowerCase()]: _, ...others } = request.headers
  if (text === undefined) return { ...request, headers: others }
  return isHeaderValue(text)
    ? { ...request, headers: { ...others, [name.toLowerCase()]: text } }
    : undefined
}

/** As a client can send it: what surrounds it, and what HTTP does not carry, never arrives. */
const isHeaderValue = (text: string): boolean => text.trim() === text && /^[\x20-\xff]*$/.test(text)

function isAbout(parameter: Parameter, error: Json): boolean {
  if (parameter.in !== 'header') return error.parameter === parameter.name
  return error.header?.toLowerCase() === parameter.name.toLowerCase()
}

test.each(ledger.of('unknown parameter'))('$id refuses an unknown parameter', async (operation) => {
  const complaints: string[] = []
  const request = requestOf(operation)
  const single = operation.parameters.filter(({ in: place }) => place === 'query')
  for (const name of ['surprise', 'tenantId', 'LIMIT', 'a b', '__proto__']) {
    const observed = await cast.send(
      operation,
      render(cast, { ...request, query: [...request.query, [name, '1']] }),
    )
    const isNamed = (error: Json) => error.parameter === name
    complaints.push(...complaintOf(name, observed, isNamed))
    if (observed.json?.code !== 'unknown_parameter') complaints.push(`${name}: ${observed.text}`)
  }
  for (const { name, schema } of single) {
    const texts = ['1', '2'].map((text): [string, string] => [name, text])
    const observed = await cast.send(operation, render(cast, { ...request, query: texts }))
    const isNamed = (error: Json) => error.parameter === name
    if (schema.type !== 'array') complaints.push(...complaintOf(`${name} twice`, observed, isNamed))
  }
  complaints.push(...(await changesBy(operation)))
  ledger.settle(operation, 'unknown parameter', complaints)
})

test('none of this changed anything', async () => {
  expect(changesBetween(before, await rowsOf(cast.world))).toEqual([])
})

test('no operation was left out', () => ledger.close())
