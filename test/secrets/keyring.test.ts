import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'vitest'
import { keyringFrom } from '#secrets/keyring.ts'

const master = Buffer.from(
  '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
  'hex',
)

test('one master key gives the same sub-keys in every process, and each purpose its own', () => {
  const [one, same] = [
    keyringFrom(master.toString('base64')),
    keyringFrom(master.toString('base64')),
  ]
  const bytes = Object.values(one.keys).map((key) => key.export().toString('hex'))
  assert.deepEqual(
    bytes,
    Object.values(same.keys).map((key) => key.export().toString('hex')),
  )
  assert.equal(new Set(bytes).size, 4)
  assert.match(one.id, /^[0-9a-f]{8}$/)
  assert.equal(one.id, same.id)
})

test('what is sealed today opens after an upgrade: the derivation is fixed', () => {
  const { id, keys } = keyringFrom(master.toString('base64'))
  assert.equal(id, '5ef619a3')
  assert.equal(
    keys.seal.export().toString('hex'),
    'ea3ee0fe21224e929bdc963cdba76210c0e2c95a617b6acf4eeae0e2c48516c0',
  )
})

test('a master key that is not 32 bytes of base64 is refused, and not shown', () => {
  const wrong = [
    '',
    'tooshort',
    Buffer.alloc(31, 1).toString('base64'),
    Buffer.alloc(33, 1).toString('base64'),
    `${Buffer.alloc(32, 1).toString('base64').slice(0, 20)} ${'A'.repeat(23)}=`,
    master.toString('hex'),
  ]
  for (const text of wrong) {
    assert.throws(
      () => keyringFrom(text),
      ({ message }: Error) =>
        /must be 32 bytes in base64/.test(message) && (text === '' || !message.includes(text)),
    )
  }
  assert.doesNotThrow(() => keyringFrom(`${master.toString('base64')}\n`))
})

test('a keyring that is logged by mistake shows no key', () => {
  const ring = keyringFrom(master.toString('base64'))
  const shown = inspect(ring, { depth: 9, showHidden: true }) + JSON.stringify(ring)
  for (const key of Object.values(ring.keys)) {
    assert.equal(shown.includes(key.export().toString('hex')), false)
    assert.equal(shown.includes(key.export().toString('base64')), false)
  }
})
