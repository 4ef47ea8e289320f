import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { test } from 'vitest'
import { createSeal, SealBroken } from '#secrets/seal.ts'
import { keyring, otherKeyring } from './fixture.ts'

const { seal, open } = createSeal(keyring, randomBytes)
const place = {
  tenantId: 'ten_1',
  table: 'webhook_endpoint',
  rowId: 'whe_1',
  column: 'signing_secret',
}
const anyPlace = fc.record({
  tenantId: fc.string(),
  table: fc.string(),
  rowId: fc.string(),
  column: fc.string(),
})
const anyPlain = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))

test('what is sealed opens at its place, whatever the bytes', () => {
  fc.assert(
    fc.property(anyPlace, anyPlain, (somewhere, plain) => {
      assert.deepEqual(open(somewhere, seal(somewhere, plain)), plain)
    }),
  )
  assert.equal(open(place, seal(place, 'süß 🍬')).toString(), 'süß 🍬')
})

test('a seal with any flipped bit does not open', () => {
  const sealed = seal(place, 'whsec_abc')
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => open(place, changed), SealBroken)
  }
})

test('a seal that is cut or lengthened does not open', () => {
  const sealed = seal(place, 'whsec_abc')
  for (let length = 0; length < sealed.length; length++) {
    assert.throws(() => open(place, sealed.subarray(0, length)), SealBroken)
  }
  assert.throws(() => open(place, Buffer.concat([sealed, Buffer.of(0)])), SealBroken)
})

test('a secret that is moved to another tenant, table, row or column does not open there', () => {
  fc.assert(
    fc.property(anyPlace, anyPlace, anyPlain, (here, there, plain) => {
      fc.pre(JSON.stringify(here) !== JSON.stringify(there))
      assert.throws(() => open(there, seal(here, plain)), SealBroken)
    }),
  )
  const sealed = seal(place, 'x')
  for (const part of Object.keys(place)) {
    assert.throws(() => open({ ...place, [part]: 'another' }, sealed), SealBroken)
  }
})

test('no two places are the same to a seal, however their parts are cut', () => {
  const sealed = seal({ ...place, table: 'ab', rowId: 'c' }, 'x')
  assert.throws(() => open({ ...place, table: 'a', rowId: 'bc' }, sealed), SealBroken)
  const quoted = seal({ ...place, table: 'a","b', rowId: 'c' }, 'x')
  assert.throws(() => open({ ...place, table: 'a', rowId: 'b","c' }, quoted), SealBroken)
})

test('a seal of another master key says so and shows nothing of the secret', () => {
  const foreign = createSeal(otherKeyring, randomBytes).seal(place, 'whsec_abc')
  assert.throws(
    () => open(place, foreign),
    ({ message }: Error) => message.includes(otherKeyring.id) && !message.includes('whsec'),
  )
})

test('one secret sealed twice gives different bytes', () => {
  assert.notDeepEqual(seal(place, 'same'), seal(place, 'same'))
})

test('a sealed value is 33 bytes longer than the secret', () => {
  assert.equal(seal(place, 'abc').length, 1 + 4 + 12 + 3 + 16)
  assert.equal(seal(place, 'abc').subarray(1, 5).toString('hex'), keyring.id)
})
