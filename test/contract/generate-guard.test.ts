import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, describe, test } from 'vitest'
import { bundle } from '../../scripts/generate/bundle.ts'
import { contractFiles } from '../../scripts/generate/files.ts'
import { findBreaches } from '../../scripts/generate/guard.ts'
import { isObject, type Json, type JsonObject, lookUp } from '../../scripts/generate/json.ts'
import { ledger } from '../../scripts/generate/ledger.ts'

const house = join(import.meta.dirname, 'fixtures/house/spec/v1')
const { document: sound } = bundle(join(house, 'openapi.yaml'))

/** The fixture with one key more, or other, at a place. */
function spoil(pointer: string, key: string, value: Json): JsonObject {
  const document = structuredClone(sound)
  const place = lookUp(document, pointer)
  assert.ok(isObject(place), `the fixture has ${pointer}`)
  place[key] = value
  return document
}

const name = '/components/schemas/ClientInput/properties/name'
const input = '/components/schemas/ClientInput'
const limit = '/components/parameters/Limit'
const create = '/paths/~1api~1v1~1clients/post'

describe('what a layer cannot keep is refused with its pointer', () => {
  test('the fixture has nothing of that kind', () => {
    assert.deepEqual(findBreaches(sound), [])
  })

  const refused: [pointer: string, key: string, value: Json][] = [
    [input, 'allOf', [{ type: 'object' }]],
    [input, 'discriminator', { propertyName: 'kind' }],
    [input, 'unevaluatedProperties', false],
    [input, 'patternProperties', {}],
    [input, 'dependentRequired', { name: ['email'] }],
    [input, 'if', { required: ['email'] }],
    [input, 'not', { required: ['email'] }],
    [input, '$defs', {}],
    [input, '$id', 'https://example.com/'],
    [input, 'xml', {}],
    [input, 'x-limits', {}],
    [name, 'readOnly', true],
    [name, 'writeOnly', true],
    [name, 'nullable', true],
    [name, 'example', 'Ada'],
    [name, 'contentEncoding', 'base64'],
    [name, 'format', 'hostname'],
    [name, 'pattern', '['],
    [name, 'type', ['string', 'integer']],
    [name, 'type', 'text'],
    [name, 'x-sensitive', 'yes'],
    [name, 'multipleOf', 0.03],
    [`${input}/properties/contact`, 'minProperties', 1],
    [limit, 'allowReserved', true],
    [limit, 'allowEmptyValue', true],
    [limit, 'content', {}],
    [limit, 'x-whatever', 1],
    [create, 'callbacks', {}],
    [create, 'servers', []],
    [create, 'x-cost', -1],
    [create, 'x-idempotency', 'maybe'],
    [create, 'x-websocket', true],
    [create, 'x-deprecation', { since: 'now' }],
    [create, 'security', [{ apiKey: [] }, { other: [] }]],
    [`${create}/requestBody/content`, 'application/xml', {}],
    [`${create}/requestBody/content/application~1json`, 'encoding', {}],
    [`${create}/responses/201/content`, 'text/csv', {}],
    [`${create}/responses/201`, 'links', {}],
    ['/components/securitySchemes/apiKey', 'type', 'oauth2'],
    ['/components', 'callbacks', {}],
    ['', 'jsonSchemaDialect', 'https://json-schema.org/draft/2020-12/schema'],
    ['', 'openapi', '3.2.0'],
  ]
  test.each(refused)('%s %s', (pointer, key, value) => {
    const step = key.replaceAll('~', '~0').replaceAll('/', '~1')
    const breaches = findBreaches(spoil(pointer, key, value)).map(({ at }) => at)
    const isAt = (at: string) => at === `${pointer}/${step}` || at === `${pointer}/$ref`
    const isMedia = pointer.endsWith('/content') && breaches.includes(pointer)
    assert.ok(
      isMedia || breaches.some(isAt),
      `${JSON.stringify(breaches)} names ${pointer}/${step}`,
    )
  })

  test('a choice whose variants share no constant', () => {
    const document = spoil('/components/schemas/PhoneContact/properties/kind', 'const', 'mail')
    const [breach] = findBreaches(document)
    assert.equal(breach?.at, '/components/schemas/Contact/oneOf')
  })
})

describe('the ledger tells the truth', () => {
  test('what it says the validators keep is a keyword of ajv', () => {
    const { Ajv2020: Constructor } = createRequire(import.meta.url)('ajv/dist/2020.js') as {
      Ajv2020: typeof Ajv2020
    }
    const ajv = new Constructor()
    for (const [keyword, { by }] of Object.entries(ledger.schema)) {
      if (by.includes('validators')) assert.ok(ajv.getKeyword(keyword), `${keyword} is in ajv`)
    }
  })

  test('every keyword is kept by somebody', () => {
    for (const [kind, fields] of Object.entries(ledger)) {
      for (const [key, { by }] of Object.entries(fields)) assert.ok(by.length > 0, `${kind} ${key}`)
    }
  })
})

describe('what only shows when the files are made is refused with its place too', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ubos-guard-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const patch = '\n        schema:\n          $ref: ../../components/schemas/ClientPatch.yaml'
  const edits: [what: string, file: string, from: string, to: string, message: RegExp][] = [
    [
      'an operationId that is no name',
      'paths/clients/clients.yaml',
      'operationId: listClients',
      'operationId: List-Clients',
      /operationId/,
    ],
    [
      'a repeated operationId',
      'paths/clients/client.yaml',
      'getClient',
      'createClient',
      /createClient/,
    ],
    [
      'a status range',
      'paths/clients/client.yaml',
      '"204"',
      '2XX',
      /client\.yaml#\/delete\/responses\/2XX/,
    ],
    [
      'a cookie',
      'components/parameters/Limit.yaml',
      'in: query',
      'in: cookie',
      /clients\.yaml#\/get\/parameters\/0\/in/,
    ],
    [
      'a style',
      'paths/clients/clients.yaml',
      'style: form',
      'style: spaceDelimited',
      /spaceDelimited/,
    ],
    [
      'an object as parameter',
      'components/parameters/Cursor.yaml',
      'type: string',
      'type: object',
      /string, integer/,
    ],
    [
      'a code without words',
      'components/schemas/ProblemCode.yaml',
      'enum: [not_found,',
      'enum: [gone, not_found,',
      /ProblemCode\.yaml#\/x-problems\n.*'gone'/,
    ],
    [
      'words without a code',
      'components/schemas/ProblemCode.yaml',
      'enum: [not_found,',
      'enum: [',
      /not_found/,
    ],
    [
      'an event of another name',
      'components/schemas/ClientCreatedEvent.yaml',
      'client.created',
      'client.made',
      /client\.created/,
    ],
    [
      'required but unknown',
      'components/schemas/ClientInput.yaml',
      'required: [name,',
      'required: [nam,',
      /ClientInput\.yaml#\n.*nam/,
    ],
    [
      'two bodies',
      'paths/clients/client.yaml',
      `application/json:${patch}`,
      `application/json:${patch.replace('Patch', 'Input')}`,
      /differs/,
    ],
  ]
  test.each(edits)('%s', async (_what, file, from, to, message) => {
    const copy = mkdtempSync(join(folder, 'house-'))
    cpSync(house, copy, { recursive: true })
    const text = readFileSync(join(copy, file), 'utf8')
    assert.ok(text.includes(from), `${file} has ${from}`)
    writeFileSync(join(copy, file), text.replace(from, to))
    await assert.rejects(contractFiles(join(copy, 'openapi.yaml')), message)
  })
})
