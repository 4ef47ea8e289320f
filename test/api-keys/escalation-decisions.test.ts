import { expect, test } from 'vitest'
import { isWider, type Reach, requireWithin } from '#api-keys/reach.ts'
import { Problem } from '#http/problem.ts'

const open: Reach = { scopes: ['*'], allowedIps: [], expiresAt: null, serviceAccountId: null }
const may = new Date('2026-05-01')
const june = new Date('2026-06-01')

/** What is said when a key that reaches `own` hands out `wanted`. */
function said(own: Partial<Reach>, wanted: Partial<Reach>): string {
  try {
    requireWithin({ ...open, ...own }, { ...open, ...wanted })
    return 'granted'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return [error.code, ...error.errors.map(({ pointer }) => pointer)].join(' ')
  }
}

test.for<[string, Partial<Reach>, Partial<Reach>, string]>([
  ['everything by whoever has everything', {}, {}, 'granted'],
  ['a scope that one lacks', { scopes: ['clients:read'] }, {}, 'scope_escalation'],
  ['an operator’s scope', {}, { scopes: ['operators:write'] }, 'scope_escalation'],
  ['any address by a bound key', { allowedIps: ['10.0.0.0/8'] }, {}, 'key_escalation /allowedIps'],
  [
    'other addresses than one’s own',
    { allowedIps: ['10.0.0.0/8'] },
    { allowedIps: ['10.0.0.1', '11.0.0.1'] },
    'key_escalation /allowedIps',
  ],
  [
    'some of one’s addresses',
    { allowedIps: ['10.0.0.0/8'] },
    { allowedIps: ['10.0.0.1'] },
    'granted',
  ],
  ['no end by a key that ends', { expiresAt: may }, {}, 'key_escalation /expiresAt'],
  ['a later end', { expiresAt: may }, { expiresAt: june }, 'key_escalation /expiresAt'],
  ['the same end', { expiresAt: may }, { expiresAt: may }, 'granted'],
  ['an earlier end', { expiresAt: june }, { expiresAt: may }, 'granted'],
  [
    'a key beside one’s account',
    { serviceAccountId: 'sva_1' },
    {},
    'key_escalation /serviceAccountId',
  ],
  [
    'a key of another account',
    { serviceAccountId: 'sva_1' },
    { serviceAccountId: 'sva_2' },
    'key_escalation /serviceAccountId',
  ],
  ['a key of any account by a key of none', {}, { serviceAccountId: 'sva_1' }, 'granted'],
])('%s: nobody hands out what reaches further than they do', ([, own, wanted, verdict]) => {
  expect(said(own, wanted)).toBe(verdict)
})

test.for<[string, Partial<Reach>, Partial<Reach>, boolean]>([
  ['the same', {}, {}, false],
  ['a scope more', { scopes: ['clients:read'] }, { scopes: ['clients:read', '*'] }, true],
  ['a scope less', { scopes: ['*'] }, { scopes: ['clients:read'] }, false],
  ['a later end', { expiresAt: may }, { expiresAt: june }, true],
  ['no end any more', { expiresAt: may }, { expiresAt: null }, true],
  ['an end', { expiresAt: null }, { expiresAt: may }, false],
  ['another address', { allowedIps: ['10.0.0.1'] }, { allowedIps: ['10.0.0.2'] }, true],
  ['no list any more', { allowedIps: ['10.0.0.1'] }, { allowedIps: [] }, true],
  ['a list', { allowedIps: [] }, { allowedIps: ['10.0.0.1'] }, false],
])('%s: what widens a key is told from what narrows it', ([, before, after, wider]) => {
  expect(isWider({ ...open, ...after }, { ...open, ...before })).toBe(wider)
})
