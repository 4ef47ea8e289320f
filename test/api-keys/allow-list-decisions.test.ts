import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isWithin, matcherOf, readRange } from '#api-keys/allow-list.ts'

test.for([
  ['203.0.113.7', '203.0.113.7'],
  ['203.0.113.7/32', '203.0.113.7'],
  ['198.51.100.0/24', '198.51.100.0/24'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['2001:DB8:0012:0:0::1', '2001:db8:12::1'],
  ['2001:db8::/32', '2001:db8::/32'],
  ['2001:db8::1/128', '2001:db8::1'],
  ['::/0', '::/0'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::FFFF:cb00:7107', '203.0.113.7'],
  ['::ffff:203.0.113.0/120', '203.0.113.0/24'],
] as const)('%s is kept as %s, so that equal lists are equal', ([given, kept]) => {
  expect(readRange(given)).toEqual({ ok: true, text: kept })
})

test.for([
  ['', 'is not'],
  ['localhost', 'is not'],
  ['203.0.113', 'is not'],
  ['203.0.113.256', 'is not'],
  ['127.1', 'is not'],
  ['010.0.0.1', 'is not'],
  ['0x7f.0.0.1', 'is not'],
  ['2130706433', 'is not'],
  ['1:2:3', 'is not'],
  ['::1::', 'is not'],
  [':', 'is not'],
  ['fe80::1%eth0', 'is not'],
  ['10.0.0.0/8/8', 'is not'],
  ['10.0.0.0/', 'no such prefix'],
  ['10.0.0.0/08', 'no such prefix'],
  ['10.0.0.0/-1', 'no such prefix'],
  ['10.0.0.0/33', 'longer than 32'],
  ['2001:db8::/129', 'longer than 128'],
  ['::ffff:10.0.0.0/104.5', 'no such prefix'],
  ['::ffff:0:0/90', 'write it as IPv4'],
  ['203.0.113.7/24', 'write 203.0.113.0/24'],
  ['2001:db8::1/64', 'write 2001:db8::/64'],
] as const)(
  '%s is refused, because it may mean something else than its author thinks',
  ([given, reason]) => {
    const verdict = readRange(given)
    expect(verdict.ok ? 'taken' : verdict.reason).toContain(reason)
  },
)

test.for([
  [['203.0.113.7'], '203.0.113.7', true],
  [['203.0.113.7'], '203.0.113.8', false],
  [['203.0.113.7'], '::ffff:203.0.113.7', true],
  [['203.0.113.0/24'], '203.0.113.255', true],
  [['203.0.113.0/24'], '203.0.114.0', false],
  [['203.0.113.0/24'], '::ffff:203.0.113.9', true],
  [['2001:db8:12::/48'], '2001:DB8:12:ffff::9', true],
  [['2001:db8:12::/48'], '2001:db8:13::', false],
  [['::/0'], '203.0.113.7', false],
  [['0.0.0.0/0'], '2001:db8::1', false],
  [['0.0.0.0/0'], '203.0.113.7', true],
  [['10.0.0.0/8', '192.0.2.1'], '192.0.2.1', true],
  [['fe80::/10'], 'fe80::1%eth0', true],
  [['10.0.0.0/8'], 'unknown', false],
  [['10.0.0.0/8'], null, false],
  [[], '203.0.113.7', true],
  [[], null, true],
] as const)('a key for %j is good from %s: %s', ([list, ip, expected]) => {
  expect(matcherOf(list)(ip)).toBe(expected)
})

test.for([
  [['10.1.0.0/16'], ['10.0.0.0/8'], true],
  [['10.0.0.0/8'], ['10.1.0.0/16'], false],
  [['10.0.0.0/8'], ['10.0.0.0/8'], true],
  [['10.1.2.3', '192.0.2.1'], ['10.0.0.0/8'], false],
  [['10.1.2.3', '192.0.2.1'], ['10.0.0.0/8', '192.0.2.0/24'], true],
  [[], ['10.0.0.0/8'], false],
  [['10.0.0.0/8'], [], true],
  [[], [], true],
  [['2001:db8::/33'], ['2001:db8::/32'], true],
  [['::/0'], ['0.0.0.0/0'], false],
] as const)(
  '%j lies within %j: %s, so nobody hands out more than they have',
  ([inner, outer, is]) => {
    expect(isWithin(inner, outer)).toBe(is)
  },
)

test('whatever lies within a list can be used from nowhere else', () => {
  const byte = fc.integer({ min: 0, max: 255 })
  const address = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join('.'))
  const range = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([first, bits]) => {
    const verdict = readRange(`${first}/${bits}`)
    return verdict.ok ? verdict.text : (verdict.reason.match(/write (.+)$/)?.[1] ?? '')
  })
  const list = fc.array(range, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(list, list, address, (inner, outer, ip) => {
      if (!isWithin(inner, outer) || !matcherOf(inner)(ip)) return true
      return matcherOf(outer)(ip)
    }),
    { numRuns: 2_000 },
  )
})
