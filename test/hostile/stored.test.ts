import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

/** Strange, and allowed: a name is what its owner says it is, to the last code point. */
const names = {
  composed: '\u00e9t\u00e9',
  decomposed: 'e\u0301te\u0301',
  'right to left': '\u05d0\u05d1 \u202eevil\u202c \u2066x\u2069',
  'of no width': 'a\u200bb\u200cc\u200dd\ufeffe\u2060f',
  'of emoji': '\u{1f468}\u200d\u{1f469}\u200d\u{1f467} \u{1f1e9}\u{1f1ea} \u{1f3f4}',
  'of many marks': `Z${'\u0300'.repeat(150)}`,
  'of lines that are none': 'a\u2028b\u2029c\u0085d',
  'of what is not a character': '\ufffe\uffff\u{1fffe}\ufffd',
  'of capitals that grow': '\u0130\u00df\ufb03\u1e9e',
  'of spaces': '  a \u00a0\u3000b  ',
  'of SQL': "Robert'); drop table client; --",
  'of LIKE': '100%_\\%',
  'of markup': '<script>alert(1)</script>&amp;&#0;',
  'of a formula': '=cmd|"/c calc"!A1',
  'of templates': '{{7*7}}#{7*7}%{7*7}',
  'of escapes': '\\u0000\\x00\\0\\',
  'of a path': '../../etc/passwd',
  'of a prototype': '__proto__',
  'of code points past 2^16': '\u{10000}\u{10ffff}\u{20bb7}',
}

test.for(Object.entries(names))('a name %s comes back as it went in', async ([, name]) => {
  const body = { name, currency: 'EUR', externalId: name, metadata: { note: name } }
  const made = await api.post('/api/v1/clients', body)
  expect(made.body).toMatchObject(body)
  expect((await api.get(`/api/v1/clients/${made.body.id}`)).body).toEqual(made.body)
  const found = await api.get(`/api/v1/clients?externalId=${encodeURIComponent(name)}`)
  expect(found.body.data).toEqual([made.body])
})

/** What means more than itself in SQL, in LIKE, in a JSON path, in a pattern or in a query. */
const metacharacters = [
  '%',
  '_',
  '%%',
  '_%',
  'a%',
  'a_',
  '\\',
  '\\%',
  "'",
  "''",
  '"',
  "a' or '1'='1",
  "a';--",
  '--',
  '/*',
  '$',
  '$1',
  '$$',
  '?',
  '*',
  '.*',
  '^a',
  'a$',
  '[a]',
  '(a)',
  'a|b',
  'a+',
  '+',
  '&',
  '#',
  ';',
  '=',
  ':',
  '::text',
  '@',
  '@>',
  '$.*',
  '$.**',
  '{}',
  '[]',
  '{"$ne":1}',
  'null',
  'NULL',
  'true',
  '0',
  '-0',
  '1e1',
  'undefined',
  'NaN',
  '`',
  '~',
  '<>',
  '!a',
  'A',
  'a',
  '\u00e5',
  'a\u030a',
  '\u212b',
]

test('a filter finds what is equal to it, and nothing that it could be a pattern for', async () => {
  const own = await world.newTenant()
  const make = (externalId: string) =>
    own.post('/api/v1/clients', { name: 'Meta', currency: 'EUR', externalId })
  const made = await Promise.all(metacharacters.map(make))
  expect(made.map(({ status }) => status)).toEqual(metacharacters.map(() => 201))
  const found = await Promise.all(
    metacharacters.map(async (text) => {
      const path = `/api/v1/clients?externalId=${encodeURIComponent(text)}`
      const { body } = await own.get(path)
      return body.data.map(({ externalId }: { externalId: string }) => externalId)
    }),
  )
  expect(found).toEqual(metacharacters.map((text) => [text]))
})

test('what one tenant calls a thing finds nothing of another', async () => {
  const other = await world.newTenant()
  for (const text of ['%', '_', "' or 1=1 --", names.composed]) {
    const path = `/api/v1/clients?externalId=${encodeURIComponent(text)}`
    expect((await other.get(path)).body.data).toEqual([])
  }
})

test('numbers are kept as they are, or refused; zero has no sign', async () => {
  const made = await api.post('/api/v1/clients', { name: 'Numbers', currency: 'EUR' })
  const propose = (unitAmount: string) =>
    api.post(
      '/api/v1/proposals',
      `{"clientId":"${made.body.id}","title":"N","currency":"EUR",` +
        `"lines":[{"description":"n","quantity":1,"unitAmount":${unitAmount}}]}`,
    )
  for (const text of ['-0', '-0.0', '0e5', '0.01', '1e2', '99999999.99', '1.50', '1E+1']) {
    const { status, body } = await propose(text)
    expect([text, status]).toEqual([text, 201])
    expect(Object.is(body.lines[0].unitAmount, Number(text) + 0)).toBe(true)
  }
})

test('a patch of prototypes changes no object but the one that it is sent to', async () => {
  const made = await api.post('/api/v1/clients', {
    name: 'Patched',
    currency: 'EUR',
    address: { city: 'Ulm' },
    metadata: { kept: 'yes' },
  })
  const path = `/api/v1/clients/${made.body.id}`
  for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf']) {
    for (const body of [
      `{"${name}":{"polluted":"yes"}}`,
      `{"address":{"${name}":{"polluted":"yes"}}}`,
      `{"metadata":{"${name}":{"polluted":"yes"}}}`,
    ]) {
      const type = { 'content-type': 'application/merge-patch+json' }
      expect((await api.patch(path, body, type)).status).toBe(400)
    }
    const asText = `{"metadata":{"${name}":"text"}}`
    const patched = await api.patch(path, asText, {
      'content-type': 'application/merge-patch+json',
    })
    if (patched.status === 200) {
      expect(Object.hasOwn(patched.body.metadata, name)).toBe(true)
      expect((await api.get(path)).body.metadata).toEqual(patched.body.metadata)
    } else expect(patched.status).toBe(400)
  }
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  const { body } = await api.get(path)
  expect(body).toMatchObject({
    name: 'Patched',
    address: { city: 'Ulm' },
    metadata: { kept: 'yes' },
  })
})
