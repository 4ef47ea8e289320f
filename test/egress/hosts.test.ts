import { expect, test } from 'vitest'
import { allowsUrl } from '#egress/hosts.ts'

test.for<[string, readonly string[] | null, string, boolean]>([
  ['no list', null, 'https://anything.example/', true],
  ['an empty list', [], 'https://anything.example/', false],
  ['a name', ['hooks.example'], 'https://hooks.example:8443/a?b', true],
  ['a name in capitals', ['hooks.example'], 'https://HOOKS.Example/', true],
  ['another name', ['hooks.example'], 'https://other.example/', false],
  ['a name below it', ['hooks.example'], 'https://a.hooks.example/', false],
  ['a name that ends alike', ['hooks.example'], 'https://badhooks.example/', false],
  ['a suffix', ['*.corp.example'], 'https://a.b.corp.example/', true],
  ['the suffix itself', ['*.corp.example'], 'https://corp.example/', false],
  ['a suffix that only ends alike', ['*.corp.example'], 'https://badcorp.example/', false],
  ['the name as a user', ['hooks.example'], 'https://hooks.example@evil.example/', false],
  ['the name as a path', ['hooks.example'], 'https://evil.example/hooks.example', false],
  ['a dot at the end', ['hooks.example'], 'https://hooks.example./', false],
  ['an address', ['203.0.113.7'], 'https://203.0.113.7/', true],
  ['a URL that is none', ['hooks.example'], 'hooks.example', false],
])('%s', ([, allowed, url, isAllowed]) => {
  expect(allowsUrl(allowed, url)).toBe(isAllowed)
})
