import { badRequest, type Hostile, refusals, shareOf, written } from '../wire.ts'
import { emptyPathOf, exampleOf, keyed, nobodysId } from './contract.ts'

export interface Bodies {
  key: string
  keyOf: (route: { scopes: readonly string[] | null }) => string
  clientId: string
}

type Body = string | Buffer

const post = (key: string, path: string, body: Body, headers: readonly string[] = []): Buffer =>
  written({ method: 'POST', path: `/api/v1/${path}`, body, headers, key })

const named = (name: string): string => `{"name":${name},"currency":"EUR"}`

/** What is not JSON, or is but cannot be meant. */
const texts: Readonly<Record<string, Body>> = {
  nothing: '',
  space: ' \n\t ',
  'a byte order mark': `\ufeff${named('"a"')}`,
  'UTF-16': Buffer.from(named('"a"'), 'utf16le'),
  'UTF-16 and a mark': Buffer.from(`\ufeff${named('"a"')}`, 'utf16le'),
  'UTF-32': Buffer.from([0x7b, 0, 0, 0, 0x7d, 0, 0, 0]),
  'UTF-7': '+AHs-+AH0-',
  'bytes that are no UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  'an overlong quote': Buffer.from([0x7b, 0xc0, 0xa2, 0x7d]),
  'half a pair, raw': Buffer.concat([
    Buffer.from('{"name":"'),
    Buffer.from([0xed, 0xa0, 0x80, 0x22, 0x7d]),
  ]),
  gzip: Buffer.from('1f8b08000000000000ffabae0500b0c1e2a802000000', 'hex'),
  brotli: Buffer.from('0b01807b7d03', 'hex'),
  'depth 10,000 of lists': '['.repeat(10_000) + ']'.repeat(10_000),
  'depth 10,000 of objects': `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
  'depth 10,000 of both, in a field': `{"metadata":${'{"a":['.repeat(5_000)}${']}'.repeat(5_000)}}`,
  'depth 65': '['.repeat(65) + ']'.repeat(65),
  '500,000 brackets': '['.repeat(500_000),
  '50,000 keys': `{${Array.from({ length: 50_000 }, (_, at) => `"${at}":1`).join()}}`,
  '100,000 keys': `{${Array.from({ length: 100_000 }, (_, at) => `"${at.toString(36)}":0`).join()}}`,
  '300,000 numbers': `[${'1,'.repeat(300_000)}1]`,
  '50,000 keys of one name': `{${'"a":1,'.repeat(50_000)}"b":1}`,
  'keys as numbers': '{"0":1,"1":2,"4294967295":3}',
  'a key of 500,000': `{"${'a'.repeat(500_000)}":1}`,
  'duplicate keys': '{"name":"a","name":"b","currency":"EUR"}',
  'duplicate keys, one escaped': '{"name":"a","n\\u0061me":"b","currency":"EUR"}',
  'a comment': '{"name":"a"/**/,"currency":"EUR"}',
  'a comma at the end': '{"name":"a","currency":"EUR",}',
  'single quotes': "{'name':'a'}",
  'names without quotes': '{name:"a"}',
  'two values': '{}{}',
  'a value and a letter': `${named('"a"')}x`,
  'a value and NUL': `${named('"a"')}\0`,
  'half an object': '{"name":"a"',
  'half a text': '{"name":"a',
  'half an escape': '{"name":"\\u00',
  'an escape that is none': '{"name":"\\x41"}',
  'a raw line': '{"name":"a\nb"}',
  'a raw NUL': '{"name":"a\0b"}',
  'JSON of a callback': 'hostile({})',
  'a guard of XSSI': ")]}',\n{}",
  XML: '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
  YAML: '--- !!js/function "return 1"',
  'a form': 'name=hostile&currency=EUR',
  'pickled Python': "cos\nsystem\n(S'ls'\ntR.",
  'a Java object': Buffer.from('aced000573720000', 'hex'),
}

/** What stands where a text is expected. */
const noTexts: Readonly<Record<string, string>> = {
  null: 'null',
  true: 'true',
  zero: '0',
  'minus zero': '-0',
  '1e400': '1e400',
  NaN: 'NaN',
  Infinity: '-Infinity',
  hex: '0x1',
  'a leading zero': '01',
  'a plus': '+1',
  'a dot': '.5',
  undefined: 'undefined',
  'a list': '["a"]',
  'an object': '{"length":1}',
  'an operator': '{"$gt":""}',
  'an own toString': '{"toString":"a"}',
  'a prototype': '{"__proto__":{"length":1}}',
  nothing: '""',
  'half a pair': '"\\ud800"',
  'the other half': '"\\udc00a"',
  'a pair turned round': '"\\udc00\\ud800"',
  NUL: '"a\\u0000b"',
  'a bell': '"\\u0007"',
  'a line': '"a\\r\\nb"',
  DEL: '"\\u007f"',
  'an escape of terminals': '"\\u001b[31m"',
  '201 letters': `"${'a'.repeat(201)}"`,
  '900,000 letters': `"${'a'.repeat(900_000)}"`,
  '201 emoji': `"${'🦊'.repeat(201)}"`,
}

/** What stands where an amount of money is expected. */
const noAmounts: Readonly<Record<string, string>> = {
  'minus one': '-1',
  'minus zero and a bit': '-0.0001',
  '1e400': '1e400',
  '-1e400': '-1e400',
  NaN: 'NaN',
  'a text': '"10"',
  true: 'true',
  null: 'null',
  '2^53+1': '9007199254740993',
  '2^64': '18446744073709551616',
  'a fifth decimal': '0.00001',
  '400 digits': '9'.repeat(400),
  'a list': '[1]',
  '0.1+0.2': '0.30000000000000004',
  '1e21': '1e21',
  'a trillion and one': '1000000000001',
  hex: '0x10',
  octal: '010',
  'five thousand decimals': `0.${'1'.repeat(5_000)}`,
  '5e-324': '5e-324',
  'max double': '1.7976931348623157e308',
  'an exponent of 1,000 digits': `1e${'9'.repeat(1_000)}`,
  underscore: '1_000',
  comma: '1,5',
}

/** What would be somebody else's to say. */
const unearned = [
  'tenantId',
  'id',
  'createdAt',
  'updatedAt',
  'role',
  'isAdmin',
  'revision',
  'key',
  'hash',
  'secret',
  'organizationId',
  'actor',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'deletedAt',
]

export function* bodies({ key, keyOf, clientId }: Bodies): Generator<Hostile> {
  for (const [what, body] of Object.entries(texts)) {
    const bytes = post(key, 'clients', body, ['Content-Type: application/json'])
    yield { name: `body: ${what}`, bytes, statuses: badRequest }
  }
  const textFields: Record<string, (value: string) => [string, string]> = {
    name: (value) => ['clients', named(value)],
    externalId: (value) => ['clients', `{"name":"a","currency":"EUR","externalId":${value}}`],
    email: (value) => ['clients', `{"name":"a","currency":"EUR","email":${value}}`],
    currency: (value) => ['clients', `{"name":"a","currency":${value}}`],
    city: (value) => ['clients', `{"name":"a","currency":"EUR","address":{"country":${value}}}`],
    keyName: (value) => ['api-keys', `{"scopes":["clients:read"],"name":${value}}`],
    title: (value) => [
      'proposals',
      `{"clientId":"${clientId}","currency":"EUR","lines":[],"title":${value}}`,
    ],
    url: (value) => ['webhook-endpoints', `{"url":${value}}`],
  }
  for (const [field, bodyOf] of Object.entries(textFields)) {
    for (const [what, value] of Object.entries(noTexts)) {
      const [path, body] = bodyOf(value)
      const isAllowed = field === 'externalId' && ['201 letters', '201 emoji'].includes(what)
      const statuses = isAllowed ? [201] : badRequest
      yield { name: `text in ${field}: ${what}`, bytes: post(key, path, body), statuses }
    }
  }
  yield* amounts(key, clientId)
  yield* assignments(keyOf)
  yield* media(key)
}

function* amounts(key: string, clientId: string): Generator<Hostile> {
  const line = (field: string, value: string): string => {
    const fields = { description: '"a"', quantity: '1', unitAmount: '1', [field]: value }
    const members = Object.entries(fields).map(([name, text]) => `"${name}":${text}`)
    return `{"clientId":"${clientId}","title":"a","currency":"EUR","lines":[{${members}}]}`
  }
  for (const [what, value] of Object.entries(noAmounts)) {
    for (const field of ['quantity', 'unitAmount', 'taxRate']) {
      // A whole number that large is an amount, if one may be that large; as a rate none is.
      const bytes = post(key, 'proposals', line(field, value))
      yield { name: `number in ${field}: ${what}`, bytes, statuses: badRequest }
    }
    const payment = `{"currency":"EUR","clientId":"${clientId}","amount":${value}}`
    const headers = [`Idempotency-Key: amount-${Buffer.from(what).toString('hex')}`]
    const bytes = post(key, 'payments', payment, headers)
    yield { name: `number in amount: ${what}`, bytes, statuses: badRequest }
  }
}

/** In every write, at its top and in all that lies below: what only we may say, and prototypes. */
function* assignments(keyOf: Bodies['keyOf']): Generator<Hostile> {
  for (const [turn, route] of keyed.entries()) {
    const example = exampleOf(route)
    if (example === undefined) continue
    const own = Object.keys(example.body)
    const foreign = unearned.filter((name) => !own.includes(name) && !isField(route, name))
    const headers = [`Content-Type: ${example.type}`, 'Idempotency-Key: assigned', 'If-Match: "1"']
    for (const name of shareOf(foreign, turn, 2)) {
      for (const [place, body] of placesOf(example.body, name)) {
        if (isTheirs(route, place)) continue
        const path = emptyPathOf(route)
        const bytes = written({ method: route.method, path, headers, body, key: keyOf(route) })
        const what = `assigns ${name} in ${route.operationId}${place}`
        yield { name: what, bytes, statuses: refusals }
      }
    }
  }
}

/** A few names are the contract's own in one place. */
const isField = ({ operationId }: { operationId: string }, name: string): boolean =>
  operationId === 'updateTenantLimits' && name === 'key'

/** What a tenant says its own events hold may be named in any way. */
const isTheirs = ({ operationId }: { operationId: string }, place: string): boolean =>
  operationId === 'createEventType' && place === '.example'

/** The body with a member more: at its top, and in each object and list of objects that it has. */
function placesOf(body: Record<string, unknown>, name: string): [string, string][] {
  const with_ = (value: object): string =>
    `{${JSON.stringify(name)}:{"isAdmin":true},${JSON.stringify(value).slice(1)}`.replace(',}', '}')
  const places: [string, string][] = [['', with_(body)]]
  for (const [field, value] of Object.entries(body)) {
    const inner = Array.isArray(value) ? value[0] : value
    if (typeof inner !== 'object' || inner === null) continue
    const marked = Array.isArray(value) ? ['@'] : '@'
    places.push([
      `.${field}`,
      JSON.stringify({ ...body, [field]: marked }).replace('"@"', with_(inner)),
    ])
  }
  return places
}

/** Types and codings of a body that we do not take. */
function* media(key: string): Generator<Hostile> {
  const body = named('"Hostile media"')
  const types = [
    '',
    'text/plain',
    'text/html',
    'application/xml',
    'application/x-www-form-urlencoded',
    'json',
    '*/*',
    'multipart/form-data; boundary=a',
    'application/json; charset=utf-16',
    'application/json; charset=utf-7',
    'application/json; charset=iso-8859-1',
    'application/json;charset="utf-16"',
    'application/yaml',
    'application/json, text/plain',
    'application/json/x',
    'application/ json',
    'application/jsonp',
    'a'.repeat(5_000),
    'application/merge-patch+json',
    'application/json-patch+json',
    'application/vnd.ubos.v2+json',
    '\xff/\xfe',
    'application/json\t; charset=x',
    'application/x-java-serialized-object',
    '__proto__',
    'text/json',
    '/',
  ]
  for (const type of types) {
    const bytes = post(key, 'clients', body, [`Content-Type: ${type}`])
    yield { name: `type ${JSON.stringify(type.slice(0, 60))}`, bytes, statuses: [415] }
  }
  const bare = [
    'Host: a',
    'Connection: close',
    `Authorization: Bearer ${key}`,
    `Content-Length: ${body.length}`,
  ]
  const request = { method: 'POST', path: '/api/v1/clients', body, isBare: true }
  yield { name: 'type: none', bytes: written({ ...request, headers: bare }), statuses: [415] }
  const twice = ['Content-Type: application/json', 'Content-Type: text/plain']
  yield { name: 'type: two', bytes: post(key, 'clients', body, twice), statuses: [400, 415] }
  for (const coding of [
    'gzip',
    'br',
    'deflate',
    'zstd',
    'compress',
    'gzip, gzip',
    'x-gzip',
    'hostile',
    '\xff',
  ]) {
    const headers = ['Content-Type: application/json', `Content-Encoding: ${coding}`]
    const bytes = post(key, 'clients', body, headers)
    yield { name: `coding of a body: ${coding}`, bytes, statuses: [400, 415] }
  }
  const large = ' '.repeat(1024 * 1024 + 1)
  yield { name: 'body: a mebibyte and one', bytes: post(key, 'clients', large), statuses: [413] }
  // A body of a read means nothing (RFC 9110 §9.3.1), and nobody reads it.
  const onRead = written({ method: 'GET', path: '/api/v1/me', body: large, key })
  yield { name: 'body: a mebibyte and one for a read', bytes: onRead, statuses: [200] }
  const onDelete = {
    method: 'DELETE',
    path: `/api/v1/clients/${nobodysId('cli')}`,
    body: '{"a":1}',
    key,
  }
  yield { name: 'body: for a deletion', bytes: written(onDelete), statuses: badRequest }
}
