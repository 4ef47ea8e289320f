import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import type { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, test } from 'vitest'
import { formats } from '../../scripts/generate/runtime.js'
import { fieldErrorsOf, type Place } from '../../src/http/field-errors.ts'

const idPattern = '^cli_[0-6][0-9a-hjkmnp-tv-z]{25}$'

const { Ajv2020: Constructor } = createRequire(import.meta.url)('ajv/dist/2020.js') as {
  Ajv2020: typeof Ajv2020
}
const ajv = new Constructor({ formats })

/** What the caller is told when a value does not fit a schema. */
function told(schema: object, value: unknown, place: Place = 'body') {
  const validate = ajv.compile(schema)
  assert.equal(validate(value), false)
  return fieldErrorsOf(place, validate.errors ?? [])
}

const oneField = (schema: object) => ({ type: 'object', properties: { it: schema } })

describe('each keyword has its code and says in words what it wants', () => {
  const text = (more: object) => ({ type: 'string', ...more })
  const number = (more: object) => ({ type: 'number', ...more })
  const cases: [schema: object, value: unknown, code: string, message: string][] = [
    [text({}), 1, 'wrong_type', 'must be a string'],
    [{ type: ['string', 'null'] }, 1, 'wrong_type', 'must be a string or null'],
    [{ type: 'integer' }, 1.5, 'wrong_type', 'must be a whole number'],
    [{ enum: ['A', 'B'] }, 'C', 'not_in_enum', 'must be one of A, B'],
    [{ const: 'mail' }, 'x', 'not_in_enum', 'must be mail'],
    [text({ minLength: 1 }), '', 'too_short', 'must not be empty'],
    [text({ minLength: 3 }), 'ab', 'too_short', 'must have at least 3 characters'],
    [text({ maxLength: 1 }), 'ab', 'too_long', 'must have at most 1 character'],
    [{ type: 'array', maxItems: 2 }, [1, 2, 3], 'too_long', 'must have at most 2 items'],
    [{ type: 'object', minProperties: 2 }, {}, 'too_short', 'must have at least 2 fields'],
    [number({ minimum: 1 }), 0, 'out_of_range', 'must be at least 1'],
    [number({ exclusiveMinimum: 0 }), 0, 'out_of_range', 'must be more than 0'],
    [number({ maximum: 9 }), 10, 'out_of_range', 'must be at most 9'],
    [number({ multipleOf: 0.01 }), 0.001, 'precision', 'must have at most 2 decimal places'],
    [number({ multipleOf: 5 }), 3, 'precision', 'must be a multiple of 5'],
    [{ type: 'array', uniqueItems: true }, [1, 1], 'repeated', 'must not repeat item 0 as item 1'],
    [text({ pattern: '^[A-Z]{3}$' }), 'usd', 'pattern', 'must be 3 capital letters'],
    [text({ pattern: '^[a-d]$' }), 'usd', 'pattern', 'must match ^[a-d]$'],
    [text({ pattern: idPattern }), '1', 'pattern', 'must be an id that begins with cli_'],
    [
      text({ pattern: '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]*$' }),
      '\n',
      'pattern',
      'must not contain control characters',
    ],
    [text({ format: 'email' }), 'x', 'format', 'must be an e-mail address'],
    [
      { type: 'integer', format: 'int32' },
      2 ** 31,
      'out_of_range',
      'must be a whole number of 32 bits',
    ],
  ]
  test.each(cases)('%j', (schema, value, code, message) => {
    assert.deepEqual(told(oneField(schema), { it: value }), [{ pointer: '/it', code, message }])
  })
})

describe('the field is named', () => {
  test('also when it is missing or unknown, and escaped as JSON pointers are', () => {
    const closed = {
      type: 'object',
      required: ['a/b'],
      properties: { 'a/b': {} },
      additionalProperties: false,
    }
    assert.equal(told(closed, {})[0]?.pointer, '/a~1b')
    assert.equal(told(closed, { 'a/b': 1, 'x~y': 1 })[0]?.pointer, '/x~0y')
    assert.equal(told(closed, [])[0]?.pointer, '')
  })

  test('deep in a list', () => {
    const lines = { type: 'array', items: { type: 'object', required: ['amount'] } }
    const [error] = told(oneField(lines), { it: [{ amount: 1 }, {}] })
    assert.deepEqual(error, { pointer: '/it/1/amount', code: 'required', message: 'is required' })
  })

  test('when its name is what is wrong', () => {
    const names = { type: 'object', propertyNames: { type: 'string', maxLength: 2 } }
    const [error] = told(oneField(names), { it: { long: 1 } })
    assert.deepEqual(error, {
      pointer: '/it/long',
      code: 'invalid_name',
      message: 'is a name that must have at most 2 characters',
    })
  })

  test('as a parameter or header', () => {
    const query = {
      type: 'object',
      properties: { ids: { type: 'array', items: { maxLength: 1, type: 'string' } } },
    }
    assert.deepEqual(told(query, { ids: ['a', 'bb'] }, 'query'), [
      { parameter: 'ids', code: 'too_long', message: 'item 1 must have at most 1 character' },
    ])
    const headers = { type: 'object', properties: { 'if-match': { type: 'string', minLength: 1 } } }
    assert.deepEqual(told(headers, { 'if-match': '' }, 'header'), [
      { header: 'if-match', code: 'too_short', message: 'must not be empty' },
    ])
  })
})

describe('of a choice, the branch that was meant is told', () => {
  const address = { type: 'object', properties: { city: { type: 'string', maxLength: 3 } } }

  test('null is not proposed to somebody who sent an object', () => {
    const nullable = { anyOf: [address, { type: 'null' }] }
    const [error] = told(oneField(nullable), { it: { city: 'Berlin' } })
    assert.equal(error?.pointer, '/it/city')
    assert.equal(error?.code, 'too_long')
  })

  test('of two shapes, the one whose fields are there says which field is unknown', () => {
    const shape = (name: string) => ({
      type: 'object',
      required: [name],
      properties: { [name]: { type: 'string' } },
      additionalProperties: false,
    })
    const schema = { anyOf: [shape('lines'), shape('proposalId')] }
    const [error] = told(schema, { proposalId: 'pro_1', surprise: 1 })
    assert.equal(error?.pointer, '/surprise')
    assert.equal(error?.code, 'unknown_field')
  })

  test('the branch that went deepest wins', () => {
    const either = { anyOf: [{ type: 'string' }, address] }
    assert.equal(told(oneField(either), { it: { city: 1 } })[0]?.pointer, '/it/city')
  })
})

test('what is told fits the contract, however long the names and lists are', () => {
  const closed = { type: 'object', additionalProperties: false }
  const [error] = told(closed, { ['x'.repeat(5000)]: 1 })
  assert.ok((error?.pointer ?? '').length <= 500)
  const many = Array.from({ length: 400 }, (_, index) => `VALUE_${index}`)
  const [other] = told(oneField({ enum: many }), { it: 'x' })
  assert.match(String(other?.message), /VALUE_19 or 380 others$/)
  assert.deepEqual(fieldErrorsOf('body', []), [
    { pointer: '', code: 'invalid', message: 'does not fit the contract' },
  ])
})
