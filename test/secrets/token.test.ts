import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { test } from 'vitest'
import { type ApiKeyKind, newApiKey, readApiKey } from '#secrets/token.ts'
import { keyring, otherKeyring, seededBytes } from './fixture.ts'

const kinds: readonly ApiKeyKind[] = ['live', 'test', 'op']
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_'
const anyKey = fc
  .record({
    kind: fc.constantFrom(...kinds),
    luck: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  })
  .map(({ kind, luck }) => ({ kind, ...newApiKey(keyring, kind, () => Buffer.from(luck)) }))

test('every key that we make reads back as its kind and its hash', () => {
  fc.assert(
    fc.property(anyKey, ({ key, kind, hash, prefix }) => {
      assert.match(key, new RegExp(`^ubk_${kind}_[0-9A-Za-z]{49}$`))
      assert.deepEqual(readApiKey(keyring, key), { kind, hash })
      assert.equal(hash.length, 32)
      assert.equal(prefix, key.slice(0, `ubk_${kind}_`.length + 4))
    }),
  )
})

test('the least and the greatest luck make keys of the same length', () => {
  for (const byte of [0x00, 0xff]) {
    const { key, hash } = newApiKey(keyring, 'live', (size) => Buffer.alloc(size, byte))
    assert.equal(key.length, 9 + 43 + 6)
    assert.deepEqual(readApiKey(keyring, key)?.hash, hash)
  }
})

test('a key with any one character changed is refused without a query', () => {
  const { key } = newApiKey(keyring, 'live', seededBytes('change'))
  for (let at = 0; at < key.length; at++) {
    for (const character of alphabet) {
      if (character === key[at]) continue
      assert.equal(readApiKey(keyring, key.slice(0, at) + character + key.slice(at + 1)), undefined)
    }
  }
})

test('a key with a character lost, added or swapped is refused', () => {
  fc.assert(
    fc.property(anyKey, fc.nat(48), fc.constantFrom(...alphabet), ({ key }, place, character) => {
      const at = key.length - 1 - place
      assert.equal(readApiKey(keyring, key.slice(0, at) + key.slice(at + 1)), undefined)
      assert.equal(readApiKey(keyring, key.slice(0, at) + character + key.slice(at)), undefined)
      const swapped = key.slice(0, at - 1) + key[at] + key[at - 1] + key.slice(at + 1)
      if (swapped !== key) assert.equal(readApiKey(keyring, swapped), undefined)
    }),
  )
})

test('a live key cannot pass for a test or an operator key', () => {
  const { key } = newApiKey(keyring, 'live', randomBytes)
  assert.equal(readApiKey(keyring, key.replace('_live_', '_test_')), undefined)
  assert.equal(readApiKey(keyring, key.replace('_live_', '_op_')), undefined)
})

test('a well-formed key that somebody invented, or of another master key, is refused', () => {
  const invent = seededBytes('junk')
  for (let count = 0; count < 5_000; count++) {
    const { key } = newApiKey(otherKeyring, 'live', invent)
    assert.equal(readApiKey(keyring, key), undefined)
  }
})

test('whatever else a stranger sends is refused', () => {
  const { key } = newApiKey(keyring, 'test', randomBytes)
  const texts = ['', ' ', 'Bearer', `${key} `, ` ${key}`, `${key}\n`, `${key}\0`, key.toUpperCase()]
  for (const text of [
    ...texts,
    `${key}${key}`,
    'ubk_live_'.repeat(100_000),
    key.replace('u', 'ú'),
  ]) {
    assert.equal(readApiKey(keyring, text), undefined)
  }
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (text) => readApiKey(keyring, text) === undefined),
  )
})

test('the stored hash is not the checksum and does not open without the master key', () => {
  const luck = seededBytes('same')(32)
  const [here, there] = [keyring, otherKeyring].map((ring) => newApiKey(ring, 'live', () => luck))
  assert.notDeepEqual(here?.hash, there?.hash)
  assert.notEqual(here?.key.slice(-6), there?.key.slice(-6))
  assert.equal(here?.key.slice(0, -6), there?.key.slice(0, -6))
})

test('junk costs microseconds, so that guessing keys is no way to stop the API', () => {
  const { key } = newApiKey(otherKeyring, 'live', randomBytes)
  for (const text of [key, 'junk', 'x'.repeat(100_000)]) {
    const startedAt = performance.now()
    for (let count = 0; count < 5_000; count++) readApiKey(keyring, text)
    const microseconds = ((performance.now() - startedAt) * 1000) / 5_000
    assert.ok(microseconds < 100, `${microseconds} µs`)
  }
})
