import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, test } from 'vitest'
import type { Parameter } from '#generated/routes.ts'
import { decodeParameters, type SentParameters } from '../../src/http/decode.ts'

function parameter(given: Partial<Parameter> & Pick<Parameter, 'name' | 'in'>): Parameter {
  return {
    key: given.in === 'header' ? given.name.toLowerCase() : given.name,
    isRequired: false,
    style: given.in === 'query' ? 'form' : 'simple',
    explode: given.in === 'query',
    type: 'string',
    ...given,
  }
}

const nothing: SentParameters = { path: {}, rawQuery: '', headers: {} }

/** What one query parameter is read as; the code of the error when it is refused. */
function readQuery(rawQuery: string, given: Partial<Parameter> = {}): unknown {
  const declared = parameter({ name: 'it', in: 'query', ...given })
  const decoded = decodeParameters([declared], { ...nothing, rawQuery })
  return decoded.ok ? decoded.query.it : decoded.errors.map(({ code }) => code).join(' ')
}

describe('a scalar is read by its type, and nothing is guessed', () => {
  test.each([
    ['0', 0],
    ['42', 42],
    ['-7', -7],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('the integer %s', (text, value) => {
    assert.equal(readQuery(`it=${text}`, { type: 'integer' }), value)
  })

  const noIntegers = [
    '',
    ' 1',
    '1 ',
    '+1',
    '1.0',
    '1e3',
    '0x1',
    '01',
    '-0',
    '１',
    'NaN',
    'Infinity',
    '1_0',
    'true',
    'null',
  ]
  test.each(noIntegers)('%j is no integer', (text) => {
    const raw = `it=${encodeURIComponent(text)}`
    assert.equal(readQuery(raw, { type: 'integer' }), 'wrong_type')
  })

  test('an integer that would lose digits is out of range', () => {
    assert.equal(readQuery('it=9007199254740993', { type: 'integer' }), 'out_of_range')
    assert.equal(readQuery(`it=${'9'.repeat(400)}`, { type: 'number' }), 'out_of_range')
  })

  test.each([
    ['1.50', 1.5],
    ['-0.25', -0.25],
    ['-0.0', 0],
    ['100', 100],
  ])('the number %s', (text, value) => {
    assert.equal(readQuery(`it=${text}`, { type: 'number' }), value)
  })

  test.each(['', '.5', '5.', '1e3', '0x1', '--1', '1,5', '00.1'])('%j is no number', (text) => {
    assert.equal(readQuery(`it=${text}`, { type: 'number' }), 'wrong_type')
  })

  test('only true and false are boolean', () => {
    assert.equal(readQuery('it=true', { type: 'boolean' }), true)
    assert.equal(readQuery('it=false', { type: 'boolean' }), false)
    for (const text of ['TRUE', 'True', '1', '0', 'yes', '']) {
      assert.equal(readQuery(`it=${text}`, { type: 'boolean' }), 'wrong_type')
    }
  })
})

describe('a query', () => {
  test('that names what the operation does not have is refused by that name', () => {
    const limit = parameter({ name: 'limit', in: 'query' })
    const decoded = decodeParameters([limit], { ...nothing, rawQuery: 'pageSize=5&limit=1' })
    assert.deepEqual(decoded, {
      ok: false,
      errors: [
        {
          parameter: 'pageSize',
          code: 'unknown_field',
          message: 'is not one of the query parameters limit',
        },
      ],
    })
  })

  test('that repeats a scalar is refused', () => {
    assert.equal(readQuery('it=1&it=1'), 'repeated')
  })

  test('gives the default of what is absent, and nothing without one', () => {
    assert.equal(readQuery('', { type: 'integer', default: 50 }), 50)
    assert.equal(readQuery(''), undefined)
  })

  test('without something required says so', () => {
    assert.equal(readQuery('', { isRequired: true }), 'required')
  })

  test('reads + as a space and %2B as a plus, as forms have it', () => {
    assert.equal(readQuery('it=a+b%2Bc%20d'), 'a b+c d')
  })

  test('an empty value and a name alone are the empty text', () => {
    assert.equal(readQuery('it='), '')
    assert.equal(readQuery('it'), '')
  })

  test('a list is repeated when exploded, and divided by bare commas when not', () => {
    const list = { type: 'array', items: 'integer' } as const
    assert.deepEqual(readQuery('it=1&it=2', { ...list, explode: true }), [1, 2])
    assert.deepEqual(readQuery('it=1,2', { ...list, explode: false }), [1, 2])
    const texts = { type: 'array', items: 'string', explode: false } as const
    assert.deepEqual(readQuery('it=a%2Cb,c', texts), ['a,b', 'c'])
    assert.equal(readQuery('it=1,x', { ...list, explode: false }), 'wrong_type')
  })

  test.each(['%', '%G0', '%00', '%C0%80', '%FF', '%ED%A0%80'])('%s is refused', (bytes) => {
    assert.match(String(readQuery(`it=${bytes}`)), /^(encoding|nul_character)$/)
  })

  test('with a broken name is refused, not thrown', () => {
    assert.equal(readQuery('%=1'), 'unknown_field')
  })

  test('cannot reach the prototype of anything', () => {
    const declared = ['__proto__', 'constructor'].map((name) => parameter({ name, in: 'query' }))
    const rawQuery = '__proto__=a&constructor=b'
    const decoded = decodeParameters(declared, { ...nothing, rawQuery })
    assert.ok(decoded.ok)
    assert.equal(Object.getPrototypeOf(decoded.query), null)
    assert.deepEqual(Object.entries(decoded.query), [
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ])
    assert.equal(readQuery('__proto__=a'), 'unknown_field')
  })

  test('with a thousand mistakes lists fifty', () => {
    const rawQuery = Array.from({ length: 1000 }, (_, index) => `x${index}=1`).join('&')
    const decoded = decodeParameters([], { ...nothing, rawQuery })
    assert.equal(decoded.ok ? 0 : decoded.errors.length, 50)
  })
})

describe('paths and headers', () => {
  test('are found by name, headers whatever their case, and named as in the contract', () => {
    const id = parameter({ name: 'clientId', in: 'path', isRequired: true })
    const key = parameter({ name: 'Idempotency-Key', in: 'header', isRequired: true })
    const found = decodeParameters([id, key], {
      ...nothing,
      path: { clientId: 'cli_1' },
      headers: { 'idempotency-key': 'k', host: 'x' },
    })
    assert.ok(found.ok)
    assert.deepEqual(
      { ...found.path, ...found.headers },
      { clientId: 'cli_1', 'idempotency-key': 'k' },
    )

    const missing = decodeParameters([id, key], nothing)
    assert.deepEqual(missing.ok ? [] : missing.errors, [
      { parameter: 'clientId', code: 'required', message: 'is required' },
      { header: 'Idempotency-Key', code: 'required', message: 'is required' },
    ])
  })

  test('divide lists by commas', () => {
    const tags = parameter({ name: 'X-Tags', in: 'header', type: 'array', items: 'string' })
    const decoded = decodeParameters([tags], { ...nothing, headers: { 'x-tags': 'a, b' } })
    assert.deepEqual(decoded.ok && decoded.headers['x-tags'], ['a', 'b'])
  })

  test('a NUL in a path is refused', () => {
    const id = parameter({ name: 'clientId', in: 'path' })
    const decoded = decodeParameters([id], { ...nothing, path: { clientId: 'a\0' } })
    assert.equal(decoded.ok ? '' : decoded.errors[0]?.code, 'nul_character')
  })
})

/** As a client writes it, by the style and explode of the contract. */
function encodeQuery(declared: Parameter, value: unknown): string {
  const values = Array.isArray(value) ? value.map(String) : [String(value)]
  const texts = values.map(encodeURIComponent)
  const isJoined = declared.type === 'array' && !declared.explode
  return isJoined ? `it=${texts.join(',')}` : texts.map((text) => `it=${text}`).join('&')
}

const scalars = {
  string: fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
  integer: fc.maxSafeInteger(),
  number: fc.double({ noNaN: true, noDefaultInfinity: true }).filter(isPlain),
  boolean: fc.boolean(),
} as const

/** Numbers that JavaScript writes without an exponent; minus zero is written as zero. */
function isPlain(value: number): boolean {
  return !String(value).includes('e') && !Object.is(value, -0)
}

describe('what was encoded by the contract is decoded to the same', () => {
  const types = Object.keys(scalars) as (keyof typeof scalars)[]
  test.each(types)('%s', (type) => {
    fc.assert(
      fc.property(scalars[type], (value) => {
        const declared = parameter({ name: 'it', in: 'query', type })
        assert.deepEqual(readQuery(encodeQuery(declared, value), declared), value)
      }),
    )
  })

  test.each(types)('a list of %s, exploded or not', (items) => {
    const lists = fc.array(scalars[items] as fc.Arbitrary<unknown>, { minLength: 1 })
    fc.assert(
      fc.property(lists, fc.boolean(), (value, explode) => {
        const declared = parameter({ name: 'it', in: 'query', type: 'array', items, explode })
        assert.deepEqual(readQuery(encodeQuery(declared, value), declared), value)
      }),
    )
  })

  test('and any bytes whatever are decoded or refused, never thrown', () => {
    const declared = parameter({ name: 'it', in: 'query', type: 'array', items: 'string' })
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (rawQuery) => {
        const decoded = decodeParameters([declared], { ...nothing, rawQuery })
        const texts = decoded.ok ? JSON.stringify(decoded.query) : JSON.stringify(decoded.errors)
        assert.ok(!texts.includes('\\u0000') || !decoded.ok)
      }),
      { numRuns: 1000 },
    )
  })
})
