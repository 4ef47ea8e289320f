import { type Hostile, refusals, shareOf, written } from '../wire.ts'
import { keyed, pathOf } from './contract.ts'

/** What stands where a step of a path is expected. */
const steps: Readonly<Record<string, string>> = {
  up: '..',
  'up, escaped': '%2e%2e',
  'up, half escaped': '.%2e',
  'up, escaped twice': '%252e%252e',
  'up and on': '..%2f..%2fetc%2fpasswd',
  'up, overlong': '%c0%ae%c0%ae%c0%af',
  'up, backslash': '..%5c..%5cwindows',
  'up with parameters': '..;a=b',
  here: '.',
  'a slash': '%2f',
  'a slash, escaped twice': '%252f',
  'NUL at the end': 'a%00',
  'NUL and a name': '%00.json',
  'a line': 'a%0d%0aSet-Cookie:%20hostile=1',
  'a half escape': '%',
  'a broken escape': '%zz',
  'an escape of IIS': '%u002e',
  'bytes that are no UTF-8': '%ff%fe',
  'half a pair': '%ed%a0%80',
  parameters: ';jsessionid=hostile',
  'a trailing dot': 'a.',
  'a trailing space': 'a%20',
  'a type': 'a.json',
  'a prototype': '__proto__',
  constructor: 'constructor',
  toString: 'toString',
  wildcard: '*',
  colon: ':clientId',
  braces: '{clientId}',
  SQL: "'%20or%20'1'='1",
  'a comment': '1--',
  LIKE: '%25%25',
  'an id of another kind': `zzz_${'0'.repeat(26)}`,
  'an id in capitals': `CLI_${'0'.repeat(26)}`,
  'an id with a tail': `cli_${'0'.repeat(26)}0`,
  'an id past the end': `cli_7${'z'.repeat(25)}`,
  'an id with a line': `cli_${'0'.repeat(26)}%0a`,
  'two ids': `cli_${'0'.repeat(26)},cli_${'0'.repeat(26)}`,
  null: 'null',
  minus: '-1',
  'a number': '9'.repeat(400),
  emoji: '%F0%9F%A6%8A',
  'full-width': '%EF%BC%8E%EF%BC%8E',
  'four thousand letters': 'a'.repeat(4_000),
}

/** Each step in each place of an id; whatever is not an id finds nothing. */
export function* ids({ keyOf }: { keyOf: KeyOf }): Generator<Hostile> {
  const withIds = keyed.filter(({ path }) => path.includes('{'))
  const names = Object.entries(steps)
  for (const [turn, route] of withIds.entries()) {
    for (const [what, step] of shareOf(names, turn, 4)) {
      const body = route.body === null ? undefined : '{}'
      const type = route.body?.mediaTypes[0] ?? 'application/json'
      const headers = body === undefined ? [] : [`Content-Type: ${type}`]
      const path = pathOf(route, step)
      const bytes = written({ method: route.method, path, headers, body, key: keyOf(route) })
      yield { name: `id of ${route.operationId}: ${what}`, bytes, statuses: refusals }
    }
  }
}

type KeyOf = (route: { scopes: readonly string[] | null }) => string

const places = [
  '/',
  '/api/',
  '/api/v1/',
  '/api/v1/clients/',
  '/docs/',
  '/problems/',
  '/openapi.json/',
]

/** Paths to what is not there, or to what is, by another way. */
export function* urls({ key }: { key: string }): Generator<Hostile> {
  for (const [turn, place] of places.entries()) {
    for (const [what, step] of shareOf(Object.entries(steps), turn, 2)) {
      yield { name: `url ${place}: ${what}`, bytes: written({ path: place + step, key }) }
    }
  }
  for (const path of [
    '/api/v1/clients/',
    '/api/v1//clients',
    '//api/v1/clients',
    '/api/v1/clients//',
    '/API/V1/clients',
    '/api/v1/./clients',
    '/api/v1/x/../clients',
    '/api/v1/clients;a=b',
    '/api/v1/clients.',
    '/api/v9/me',
    '/api/v1/clients%20',
    '/api/v1/%63lients/x',
    '/api/v1/clients%3flimit=1',
    '/api/v1\\clients',
    '/api/v1/clients.json',
    '/api/v1/cl%00ients',
    '/api/v01/clients',
    '/api/v1%2fclients',
    '/api/v-1/me',
    '/api/../livez',
    '/livez/',
    '/livez.',
    '/metrics/..',
    '/.env',
    '/.git/config',
    '/admin',
    '/debug',
    '/api/v1/clients%E2%80%8B',
    '/api',
    '/api/',
    '/api/v1',
    '/api/v1/',
    '/docs/../../package.json',
    '/docs/%2e%2e/%2e%2e/package.json',
    '/docs/js/..%2f..%2fpackage.json',
    '/problems/__proto__',
    '/problems/constructor',
    '/problems/%3Cscript%3E',
    '/problems/..%2f..',
    '/server-status',
    '/?',
    '/api/v1/events/../me',
    '/openapi.json?a=%00',
    '/openapi.yaml?%ff',
    '/api/v18446744073709551617/me',
  ]) {
    yield { name: `url ${path}`, bytes: written({ path, key }) }
  }
  for (const length of [8_192, 8_193, 16_000, 60_000]) {
    const path = `/api/v1/${'a'.repeat(length)}`
    yield { name: `url of ${length}`, bytes: written({ path, key }), statuses: [404, 414] }
  }
  const manySteps = `/api/v1${'/a'.repeat(4_000)}`
  yield { name: 'url of 4,000 steps', bytes: written({ path: manySteps, key }), statuses: [404] }
}

/** Methods that a path does not know, by every way to say so. */
export function* methods({ key }: { key: string }): Generator<Hostile> {
  const others = [
    'PUT',
    'DELETE',
    'PATCH',
    'TRACE',
    'PROPFIND',
    'LOCK',
    'MKCOL',
    'SEARCH',
    'PURGE',
    'LINK',
    'REPORT',
    'SUBSCRIBE',
    'BIND',
    'ACL',
    'QUERY',
    'COPY',
    'MOVE',
    'SOURCE',
    'HEAD',
    'OPTIONS',
  ]
  for (const path of [
    '/api/v1/clients',
    '/api/v1/me',
    '/livez',
    '/metrics',
    '/docs',
    '/openapi.json',
  ]) {
    for (const method of others) {
      yield { name: `method ${method} ${path}`, bytes: written({ method, path, key }) }
    }
  }
  for (const override of ['DELETE', 'PATCH', 'hostile']) {
    const headers = [`X-HTTP-Method-Override: ${override}`, `X-Method: ${override}`]
    const request = {
      method: 'POST',
      path: `/api/v1/clients?_method=${override}`,
      headers,
      body: '{}',
    }
    yield { name: `method overridden by ${override}`, bytes: written({ ...request, key }) }
  }
}
