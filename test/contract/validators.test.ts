import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import type { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { afterAll, describe, test } from 'vitest'
import { type EventType, eventTypes } from '#generated/events.ts'
import { type Route, routes } from '#generated/routes.ts'
import { contractFiles } from '../../scripts/generate/files.ts'
import { asObject, follow, type Json, lookUp } from '../../scripts/generate/json.ts'
import { formats } from '../../scripts/generate/runtime.js'
import { unitCompiler } from '../../scripts/generate/unit.ts'
import { staleFiles, writeFiles } from '../../scripts/generate/write.ts'

const document = asObject(JSON.parse(readFileSync('generated/openapi.json', 'utf8')))
const { Ajv2020: Constructor } = createRequire(import.meta.url)('ajv/dist/2020.js') as {
  Ajv2020: typeof Ajv2020
}

/** ajv as it comes, compiling the bundle in memory: it must agree with what we laid out. */
const oracle = new Constructor({ strict: false, formats, multipleOfPrecision: 6 })
oracle.addSchema({ $id: 'house:', ...document })

interface ToldEvent {
  id: string
  type: string
}

interface Contract {
  paths: {
    '/api/v1/events/stream': {
      get: {
        responses: {
          '200': { content: { 'text/event-stream': { examples: { one: { value: string } } } } }
        }
      }
    }
  }
  components: { schemas: { EventStreamItem: { examples: { event: ToldEvent }[] } } }
}

interface Sample {
  name: string
  pointer: string
  validate: (value: unknown) => boolean
  values: Json[]
}

/** The examples of a media type, which validate. */
function valuesOf(media: Json | undefined): Json[] {
  const examples = Object.values(asObject(asObject(media).examples))
  return examples.map((example) => follow(document, example).value ?? null)
}

function samplesOf(route: Route): Sample[] {
  const operation = `/paths/${route.path.replaceAll('/', '~1')}/${route.method.toLowerCase()}`
  const source = asObject(lookUp(document, operation))
  const samples: Sample[] = []
  const add = (name: string, media: Json | undefined, pointer: string, validate: unknown) => {
    if (typeof validate !== 'function') return
    const check = validate as Sample['validate']
    samples.push({ name, pointer, validate: check, values: valuesOf(media) })
  }
  const body = asObject(follow(document, source.requestBody).content)
  for (const [type, media] of Object.entries(body)) {
    const pointer = `${operation}/requestBody/content/${type.replace('/', '~1')}/schema`
    add(`${route.operationId} body`, media, pointer, route.validate.body)
  }
  for (const [status, reply] of Object.entries(asObject(source.responses))) {
    const content = Object.entries(asObject(follow(document, reply).content))
    const own = asObject(reply).$ref
      ? String(asObject(reply).$ref).slice(1)
      : `${operation}/responses/${status}`
    for (const [type, media] of content) {
      const pointer = `${own}/content/${type.replace('/', '~1')}/schema`
      add(`${route.operationId} ${status}`, media, pointer, route.validate.replies[Number(status)])
    }
  }
  return samples
}

const samples = Object.values(routes).flatMap(samplesOf)

describe('the validators say what the contract says', () => {
  test('every example of every operation is valid', () => {
    assert.ok(samples.length > 100)
    for (const { name, validate, values } of samples) {
      for (const value of values) assert.ok(validate(value), `${name}: ${errorOf(validate)}`)
    }
  })

  test('every example of every event is valid, and of no other event', () => {
    const types = Object.entries(eventTypes)
    for (const [type, { example }] of types) {
      for (const [other, { validate }] of types) {
        assert.equal(validate(example), type === other, `${type} as ${other}: ${errorOf(validate)}`)
      }
    }
  })

  test('the events in the examples of a stream are such events', () => {
    const { paths, components } = document as unknown as Contract
    const { examples } =
      paths['/api/v1/events/stream'].get.responses['200'].content['text/event-stream']
    const lines = examples.one.value.split('\n').filter((line) => line.startsWith('data: '))
    const told = lines.map((line) => JSON.parse(line.slice('data: '.length)))
    const items = components.schemas.EventStreamItem.examples.map(({ event }) => event)
    assert.ok(told.length > 0)
    for (const event of [...told, ...items]) {
      const { validate } = eventTypes[event.type as EventType]
      assert.ok(validate(event), `${event.id}: ${errorOf(validate)}`)
    }
  })

  test('and so does ajv as it comes, of thousands of spoilt examples', () => {
    const good = samples.filter(({ values }) => values.length > 0)
    // Refusals are shared by all operations: each is compiled once.
    const schemas = [...new Set(good.map(({ pointer }) => pointer))].map(
      (pointer) => [pointer, oracle.compile({ $ref: `house:#${encodeURI(pointer)}` })] as const,
    )
    const judges = new Map(schemas)
    fc.assert(
      fc.property(fc.nat(), fc.nat(), edits, (which, pick, edit) => {
        const { name, pointer, validate, values } = good[which % good.length] ?? assert.fail()
        const value = spoilt(values[pick % values.length] ?? null, edit)
        const expected = judges.get(pointer)?.(value)
        assert.equal(validate(value), expected, `${name}: ${JSON.stringify(value)}`)
      }),
      { numRuns: 5000 },
    )
  })
})

function errorOf(validate: unknown): string {
  return JSON.stringify((validate as { errors?: unknown }).errors)
}

const junk = fc.constantFrom<Json>(
  null,
  '',
  ' ',
  'x'.repeat(3000),
  'A',
  0,
  -1,
  1.5,
  1e15,
  true,
  [],
  {},
  [null],
  { a: 1 },
  '2026-02-30',
  'ACTIVE',
)
const edits = fc.array(
  fc.record({
    depth: fc.nat(3),
    at: fc.nat(40),
    how: fc.constantFrom('drop', 'add', 'put'),
    value: junk,
  }),
  { minLength: 1, maxLength: 2 },
)
type Edit = { depth: number; at: number; how: string; value: Json }

function spoilt(value: Json, edits: readonly Edit[]): Json {
  return edits.reduce((before, edit) => spoil(before, edit, edit.depth), structuredClone(value))
}

/** Walks down by the numbers of the edit, and drops, adds or puts something there. */
function spoil(value: Json, edit: Edit, depth: number): Json {
  const keys = Object.keys(Object(value))
  const isScalar = typeof value !== 'object' || value === null
  if (isScalar || keys.length === 0) return structuredClone(edit.value)
  const key = keys[edit.at % keys.length] ?? ''
  const holder = value as Record<string, Json>
  if (depth > 0) holder[key] = spoil(holder[key] ?? null, edit, depth - 1)
  else if (edit.how === 'put' || Array.isArray(value)) holder[key] = structuredClone(edit.value)
  else if (edit.how === 'drop') delete holder[key]
  else holder.unknown = structuredClone(edit.value)
  return value
}

describe('a unit', () => {
  const compile = unitCompiler()

  test('has names that say what they are, and none that ajv numbered', () => {
    const schema = {
      type: 'object',
      properties: { next: { $ref: 'ubos:Node' }, at: { type: 'string', format: 'date' } },
    }
    const { text, constants } = compile('validateNode', schema)
    assert.match(text, /^function validateNode\(/)
    assert.match(text, /validateNode\(data\.next/)
    assert.doesNotMatch(text, /validate\d|schema\d|func\d|wrapper\d|dynamicAnchors|require\(/)
    assert.deepEqual(constants, ['formats["date"]'])
  })

  test('is refused when a property bears a name that ajv uses', () => {
    const schema = {
      type: 'object',
      required: ['schema12'],
      properties: { schema12: { type: 'string' } },
    }
    assert.throws(() => compile('validateOdd', schema), /validateOdd uses schema12/)
  })

  test('depends on its own schema alone, whatever was compiled before', () => {
    const schema = { type: 'object', properties: { other: { $ref: 'ubos:Other' } } }
    assert.deepEqual(unitCompiler()('validateIt', schema), compile('validateIt', schema))
  })
})

describe('modules of a small contract, loaded by Node itself', () => {
  const root = join(import.meta.dirname, 'fixtures/house/spec/v1/openapi.yaml')
  const folder = 'node_modules/.cache/ubos-test-validators'
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** Loaded outside vitest, which would forgive a `require`. */
  function judge(name: string, values: readonly unknown[]): { keyword: string; at: string }[][] {
    const program = `
      const { ${name} } = await import(${JSON.stringify(resolve(folder, 'validators/clients.js'))})
      const judge = (value) => (${name}(value) ? [] : ${name}.errors)
      console.log(JSON.stringify(${JSON.stringify(values)}.map(judge)))`
    const words = ['--input-type=module', '--eval', program]
    const verdicts = JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }))
    return verdicts.map((errors: { keyword: string; instancePath: string }[]) => {
      return errors.map(({ keyword, instancePath }) => ({ keyword, at: instancePath }))
    })
  }

  test('a choice among tagged variants reports on the one that was meant', async () => {
    const files = await contractFiles(root)
    writeFiles(folder, files, staleFiles(folder, files))
    const client = { name: 'Ada', currency: 'USD' }
    const [good, incomplete, unknown] = judge('validateClientInput', [
      { ...client, contact: { kind: 'phone', number: '1' } },
      { ...client, contact: { kind: 'mail', number: '1' } },
      { ...client, contact: { kind: 'fax', number: '1' } },
    ])
    assert.deepEqual(good, [])
    assert.deepEqual(incomplete?.[0], { keyword: 'required', at: '/contact' })
    assert.ok(incomplete?.every(({ keyword }) => keyword !== 'oneOf'))
    assert.deepEqual(unknown, [{ keyword: 'enum', at: '/contact/kind' }])
  })
})
