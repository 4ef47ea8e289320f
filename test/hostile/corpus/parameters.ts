import { badRequest, type Hostile, shareOf, written } from '../wire.ts'
import { emptyPathOf, keyed } from './contract.ts'

export interface Lists {
  keyOf: (route: { scopes: readonly string[] | null }) => string
  /** A cursor of the own list of clients, and of another tenant's. */
  cursor: string
  foreignCursor: string
}

/** Queries that no list takes, whatever it lists. */
function queriesOf({ cursor, foreignCursor }: Lists): Record<string, string> {
  const flipped = cursor.slice(0, -2) + (cursor.endsWith('AA') ? 'BB' : 'AA')
  return {
    'limit -1': 'limit=-1',
    'limit 0': 'limit=0',
    'limit 1e9': 'limit=1e9',
    'limit a billion': 'limit=1000000000',
    'limit 1.5': 'limit=1.5',
    'limit past 2^64': 'limit=18446744073709551617',
    'limit NaN': 'limit=NaN',
    'limit in hex': 'limit=0x10',
    'limit with a space': 'limit=%201',
    'limit in Arabic': 'limit=%D9%A3',
    'limit of nothing': 'limit=',
    'limit twice': 'limit=1&limit=2',
    'limit as a list': 'limit[]=1',
    'limit as an object': 'limit[gt]=1',
    'limit with a comment': 'limit=1;drop%20table%20client',
    'a foreign cursor': `cursor=${foreignCursor}`,
    'a changed cursor': `cursor=${flipped}`,
    'half a cursor': `cursor=${cursor.slice(0, 10)}`,
    'a cursor and more': `cursor=${cursor}AAAA`,
    'a cursor twice': `cursor=${cursor}&cursor=${cursor}`,
    'an invented cursor': `cursor=${Buffer.from('["cli_0"]').toString('base64url')}`,
    'a cursor of SQL': 'cursor=%27%20or%201=1--',
    'a cursor of nothing': 'cursor=',
    'a cursor of lines': 'cursor=a%0d%0aSet-Cookie:hostile=1',
    'a cursor of 9,000': `cursor=${'a'.repeat(7_000)}`,
    'sort by unknown': 'sort=hostile',
    'sort by SQL': 'sort=createdAt;select%20pg_sleep(9)',
    'sort by a subquery': 'sort=(select%20secret%20from%20api_key)',
    'sort by two': 'sort=createdAt,id',
    'sort by a prototype': 'sort=__proto__',
    'an unknown parameter': 'hostile=1',
    'another tenant': 'tenantId=ten_00000000000000000000000000',
    'a prototype': '__proto__=1',
    'a field of a prototype': '__proto__[isAdmin]=true',
    'a constructor': 'constructor.prototype.isAdmin=true',
    'a name that is broken': '%zz=1',
    'a name with NUL': 'a%00b=1',
    'no name': '=1',
    'two thousand names': Array.from({ length: 1_000 }, (_, at) => `a${at}=1`).join('&'),
    'two thousand marks': '&'.repeat(2_000).concat('x=1'),
    'a question in a question': '?limit=1',
  }
}

/** What filters are made of, by the kind of text they take. */
const filterValues: Readonly<Record<string, string>> = {
  SQL: "' or '1'='1",
  'a second statement': "a'; drop table client; --",
  'a comment': '/**/--',
  LIKE: '%',
  'one character of LIKE': '_',
  'a JSON path': '$.**?(@ like_regex ".*")',
  'a pattern that runs long': `${'a'.repeat(200)}!`,
  'an operator': '{"$ne":null}',
  NUL: 'a\0b',
  'a line': 'a\r\nSet-Cookie: hostile=1',
  'half a pair': '\ud800',
  nothing: '',
  'a time that is none': '2026-02-30T25:61:61Z',
  'a time before all': '-271821-04-20T00:00:00Z',
  'a time after all': '+275760-09-13T00:00:00.001Z',
  'year zero': '0000-00-00T00:00:00Z',
  'a leap second': '2016-12-31T23:59:60Z',
  infinity: 'infinity',
  prototype: '__proto__',
  'four thousand letters': 'a'.repeat(4_000),
}

/** Percent-encoded; what is no text is encoded as its broken bytes are. */
const escaped = (text: string): string =>
  text.isWellFormed() ? encodeURIComponent(text) : '%ED%A0%80'

export function* parameters(lists: Lists): Generator<Hostile> {
  const pages = keyed.filter(({ parameters: all }) => all.some(({ name }) => name === 'cursor'))
  for (const [turn, route] of pages.entries()) {
    for (const [what, query] of shareOf(Object.entries(queriesOf(lists)), turn, 3)) {
      const bytes = written({ path: `${emptyPathOf(route)}?${query}`, key: lists.keyOf(route) })
      const statuses = [400, 404, ...(query.length > 8_000 ? [414] : [])]
      yield { name: `query of ${route.operationId}: ${what}`, bytes, statuses }
    }
  }
  for (const [at, route] of keyed.filter(({ kind }) => kind === 'read').entries()) {
    const filters = route.parameters.filter(({ name, in: place }) => {
      return place === 'query' && !['limit', 'cursor', 'sort'].includes(name)
    })
    for (const [turn, { name }] of filters.entries()) {
      for (const [what, value] of shareOf(Object.entries(filterValues), turn + at, 3)) {
        const path = `${emptyPathOf(route)}?${name}=${escaped(value)}`
        const bytes = written({ path, key: lists.keyOf(route) })
        yield { name: `filter ${name} of ${route.operationId}: ${what}`, bytes }
      }
      const nested = `${emptyPathOf(route)}?${name}[$ne]=1`
      const bytes = written({ path: nested, key: lists.keyOf(route) })
      const what = `filter ${name} of ${route.operationId}: as an object`
      yield { name: what, bytes, statuses: badRequest }
    }
  }
}
