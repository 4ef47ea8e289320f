import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { cursorLengthMax, openCursor, sealCursor } from '#secrets/cursor.ts'
import { keyring, otherKeyring } from './fixture.ts'

const list = 'ten_1 listClients -createdAt'
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

test('a cursor opens on its own list and gives back the place', () => {
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), (bindings, value) => {
      const cursor = sealCursor(keyring, bindings, value)
      assert.match(cursor, /^[A-Za-z0-9_-]+$/)
      assert.deepEqual(openCursor(keyring, bindings, cursor), JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('a cursor does not open on another list, for another tenant or master key', () => {
  const cursor = sealCursor(keyring, list, ['2026-01-01', 'cli_1'])
  assert.equal(openCursor(keyring, list.replace('ten_1', 'ten_2'), cursor), undefined)
  assert.equal(openCursor(keyring, list.replace('-', ''), cursor), undefined)
  assert.equal(openCursor(otherKeyring, list, cursor), undefined)
})

test('a cursor with any one character changed, cut or added does not open', () => {
  const cursor = sealCursor(keyring, list, { after: 'cli_1' })
  for (let at = 0; at < cursor.length; at++) {
    assert.equal(openCursor(keyring, list, cursor.slice(0, at)), undefined)
    for (const character of alphabet) {
      if (character === cursor[at]) continue
      const changed = cursor.slice(0, at) + character + cursor.slice(at + 1)
      assert.equal(openCursor(keyring, list, changed), undefined)
    }
  }
  for (const tail of ['A', '=', ' ', '\n']) {
    assert.equal(openCursor(keyring, list, cursor + tail), undefined)
  }
})

test('anything that we did not make is no cursor, and never an exception', () => {
  fc.assert(fc.property(fc.string(), (text) => openCursor(keyring, list, text) === undefined))
  const anyBytes = fc.uint8Array({ maxLength: 300 })
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const text = Buffer.concat([Buffer.of(1), bytes]).toString('base64url')
      assert.equal(openCursor(keyring, list, text), undefined)
    }),
  )
  assert.equal(openCursor(keyring, list, 'A'.repeat(10_000_000)), undefined)
})

test('one place has one cursor, and two places have different ones', () => {
  const [one, same, other] = [1, 1, 2].map((value) => sealCursor(keyring, list, value))
  assert.equal(one, same)
  assert.notEqual(one?.slice(2, 17), other?.slice(2, 17))
  assert.notEqual(one, sealCursor(keyring, `${list} `, 1))
})

test('a place that cannot be written is our mistake and says so', () => {
  assert.throws(() => sealCursor(keyring, list, undefined), TypeError)
  assert.throws(() => sealCursor(keyring, list, 'x'.repeat(cursorLengthMax)), RangeError)
})
