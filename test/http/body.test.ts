import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

const client = { name: 'Ada', currency: 'EUR' }
const clientId = `cli_${'0'.repeat(26)}`
const line = { description: 'Work', quantity: 1, unitAmount: 10 }
const proposal = { clientId, title: 'Offer', currency: 'EUR', lines: [line] }

/** The pointer and code of what was wrong with a body. */
async function complaint(path: string, body: unknown): Promise<[string, string]> {
  const reply = await api.post(path, body, { 'idempotency-key': 'never-kept' })
  expect(reply.status).toBe(400)
  const [error] = refusedWith(reply, 'invalid_request').errors
  return [error.pointer, error.code]
}

test.for([
  ['a number in quotes', { ...line, quantity: '42' }, '/lines/0/quantity', 'wrong_type'],
  ['true', { ...line, quantity: true }, '/lines/0/quantity', 'wrong_type'],
  ['null', { ...line, quantity: null }, '/lines/0/quantity', 'wrong_type'],
  ['a list of one', { ...line, unitAmount: [10] }, '/lines/0/unitAmount', 'wrong_type'],
  ['a fifth decimal', { ...line, quantity: 0.00001 }, '/lines/0/quantity', 'precision'],
] as const)('%s does not pass for a number', async ([, wrong, pointer, code]) => {
  const body = { ...proposal, lines: [wrong] }
  expect(await complaint('/api/v1/proposals', body)).toEqual([pointer, code])
})

test('a number in quotes does not pass for a whole number', async () => {
  const made = await api.post('/api/v1/api-keys', { name: 'K', scopes: ['clients:read'] })
  const path = `/api/v1/api-keys/${made.body.id}/rotations`
  expect(await complaint(path, { overlapSeconds: '42' })).toEqual(['/overlapSeconds', 'wrong_type'])
  expect(await complaint(path, { overlapSeconds: 1.5 })).toEqual(['/overlapSeconds', 'wrong_type'])
})

test.for([
  ['null', null],
  ['a number', 42],
  ['true', true],
  ['a list of one', ['Ada']],
  ['an object', { toString: 'Ada' }],
] as const)('%s does not pass for a text', async ([, name]) => {
  expect(await complaint('/api/v1/clients', { ...client, name })).toEqual(['/name', 'wrong_type'])
})

test('a text does not pass for a list, nor a list for an object', async () => {
  const key = { name: 'K', scopes: 'clients:read' }
  expect(await complaint('/api/v1/api-keys', key)).toEqual(['/scopes', 'wrong_type'])
  expect(await complaint('/api/v1/clients', [client])).toEqual(['', 'wrong_type'])
  expect(await complaint('/api/v1/clients', '"Ada"')).toEqual(['', 'wrong_type'])
})

test('an unknown field is refused by name, at every depth, and not left out', async () => {
  const shallow = { ...client, nmae: 'Ada' }
  expect(await complaint('/api/v1/clients', shallow)).toEqual(['/nmae', 'unknown_field'])
  const deep = { ...client, address: { city: 'Ulm', 'a/b~c': 1 } }
  expect(await complaint('/api/v1/clients', deep)).toEqual(['/address/a~1b~0c', 'unknown_field'])
  const computed = { ...proposal, lines: [{ ...line, amount: 10 }] }
  expect(await complaint('/api/v1/proposals', computed)).toEqual([
    '/lines/0/amount',
    'unknown_field',
  ])
  const hidden = '{"name":"Ada","currency":"EUR","__proto__":{"x":1}}'
  expect(await complaint('/api/v1/clients', hidden)).toEqual(['/__proto__', 'unknown_field'])
})

test('what is required is asked for by name', async () => {
  expect(await complaint('/api/v1/clients', { name: 'Ada' })).toEqual(['/currency', 'required'])
  expect(await complaint('/api/v1/clients', '')).toEqual(['', 'required'])
})

test('a NUL character is refused with its place, in a value and in a name', async () => {
  const inValue = { ...client, metadata: { note: 'a\0b' } }
  expect(await complaint('/api/v1/clients', inValue)).toEqual(['/metadata/note', 'nul_character'])
  const inName = { ...client, metadata: { 'no\0te': 'a' } }
  const [pointer, code] = await complaint('/api/v1/clients', inName)
  expect([pointer, code]).toEqual(['/metadata/no\0te', 'nul_character'])
  const harmless = await api.post('/api/v1/clients', { ...client, name: 'a\\u0000b' })
  expect(harmless.body.name).toBe('a\\u0000b')
})

test('half of a surrogate pair is no text', async () => {
  const body = '{"name":"\\ud800","currency":"EUR"}'
  expect(await complaint('/api/v1/clients', body)).toEqual(['/name', 'pattern'])
  const whole = await api.post('/api/v1/clients', { ...client, name: '\u{1f98a}' })
  expect(whole.body.name).toBe('\u{1f98a}')
})

const depth = 100_000
test.for([
  ['lists', '['.repeat(depth) + ']'.repeat(depth)],
  ['lists around a NUL', `${'['.repeat(depth)}"\\u0000"${']'.repeat(depth)}`],
  ['objects around a NUL', `${'{"a":'.repeat(depth)}"\\u0000"${'}'.repeat(depth)}`],
  ['objects in a field', `{"name":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)},"currency":"EUR"}`],
] as const)(
  'a body of %s, a hundred thousand deep, is refused before it is parsed',
  async ([, body]) => {
    expect(await complaint('/api/v1/clients', body)).toEqual(['', 'too_deep'])
  },
)

test.for([
  ['cut off', '{"name": "Ada"'],
  ['with a comment', '{"name": "Ada" /* me */, "currency": "EUR"}'],
  ['with single quotes', "{'name': 'Ada'}"],
  ['two values', '{} {}'],
  ['nothing but space', '   '],
  ['a raw control character', '{"name": "A\nda"}'],
  ['with a byte order mark', '\ufeff{"name":"Ada","currency":"EUR"}'],
  ['not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
  ['UTF-8 of half a surrogate pair', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ['UTF-16', Buffer.from('{"name":"Ada"}', 'utf16le')],
] as const)('a body that is not JSON (%s) is called that', async ([, body]) => {
  const reply = await api.post('/api/v1/clients', body)
  expect(reply.status).toBe(400)
  refusedWith(reply, 'malformed_json')
})

test('a body where none belongs is refused, and with its type does not matter', async () => {
  for (const type of ['application/json', 'text/plain', 'nonsense']) {
    const headers = { 'content-type': type }
    const accept = `/api/v1/proposals/pro_${'0'.repeat(26)}/acceptance`
    const posted = await api.post(accept, '{}', headers)
    expect(refusedWith(posted, 'invalid_request').errors[0].pointer).toBe('')
  }
  const response = await fetch(`${world.url}/api/v1/clients/${clientId}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'nonsense' },
    body: Buffer.alloc(2 * 1024 * 1024),
  })
  expect(response.status).toBe(400)
})

test.for([
  ['{"name":"Ada","currency":"EUR","name":"Eve"}', '/name'],
  ['{"name":"Ada","currency":"EUR","n\\u0061me":"Eve"}', '/name'],
  ['{"name":"{\\"a\\":1,\\"a\\":2}","currency":"EUR","metadata":{"a":"1","a":"1"}}', '/metadata/a'],
  ['{"name":"Ada","currency":"EUR","__proto__":{},"__proto__":{}}', '/__proto__'],
  [
    '{"name":"Ada","currency":"EUR","lines":[{"a":1},{"b":{"c":[[],{"d":1,"d":1}]}}]}',
    '/lines/1/b/c/1/d',
  ],
] as const)(
  'a name that is given twice is refused where it stands: %s',
  async ([body, pointer]) => {
    const [error] = refusedWith(await api.post('/api/v1/clients', body), 'invalid_request').errors
    expect([error.pointer, error.code]).toEqual([pointer, 'repeated'])
  },
)

test('more values than any body of the contract has are refused before they are parsed', async () => {
  const numbers = (count: number) => `{"name":[${'0,'.repeat(count - 1)}0]}`
  expect(await complaint('/api/v1/clients', numbers(10_001))).toEqual(['', 'too_long'])
  expect(await complaint('/api/v1/clients', numbers(10_000))).toEqual(['/currency', 'required'])
  const text = { ...client, metadata: { note: ','.repeat(500) } }
  const made = await Promise.all(Array.from({ length: 3 }, () => api.post('/api/v1/clients', text)))
  expect(made.map(({ status }) => status)).toEqual([201, 201, 201])
})

test('equal names in different objects, and colons in texts, are no repetition', async () => {
  const body = '{"name":"a:\\"b\\":c","currency":"EUR","metadata":{"name":"x","currency":":\\\\"}}'
  expect((await api.post('/api/v1/clients', body)).status).toBe(201)
})
