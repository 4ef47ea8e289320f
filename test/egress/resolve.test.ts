import assert from 'node:assert/strict'
import { test } from 'vitest'
import { nameServer } from './name-server.ts'

const four = Buffer.of(192, 0, 2, 1)
const six = Buffer.from('20010db8000000000000000000000001', 'hex')

test('all addresses of a name are told, of both families, so that all can be judged', async () => {
  using server = await nameServer({
    'both.example': { a: [four, Buffer.of(10, 0, 0, 5)], aaaa: [six] },
    'four.example': { a: [four] },
    'six.example': { aaaa: [six] },
  })
  assert.deepEqual(await server.resolve('both.example'), ['192.0.2.1', '10.0.0.5', '2001:db8::1'])
  assert.deepEqual(await server.resolve('four.example'), ['192.0.2.1'])
  assert.deepEqual(await server.resolve('six.example'), ['2001:db8::1'])
})

test('a name that does not exist, or has no address, says so', async () => {
  using server = await nameServer({ 'mail.example': {} })
  await assert.rejects(server.resolve('nobody.example'), { code: 'ENOTFOUND' })
  await assert.rejects(server.resolve('mail.example'), { code: 'ENODATA' })
})

test('names that hang do not delay the others', async () => {
  using server = await nameServer({ 'four.example': { a: [four] } })
  const hanging = Array.from({ length: 50 }, (_, count) => server.resolve(`hang.n${count}.example`))
  for (const one of hanging) one.catch(() => {})
  const first = await Promise.race([server.resolve('four.example'), ...hanging])
  assert.deepEqual(first, ['192.0.2.1'])
})

test('many connections to one name ask once, and later ones ask again', async () => {
  using server = await nameServer({ 'four.example': { a: [four] } })
  await Promise.all(Array.from({ length: 16 }, () => server.resolve('four.example')))
  assert.equal(server.questions.length, 2)
  await server.resolve('four.example')
  assert.equal(server.questions.length, 4)
})

test('localhost is this machine, whatever name servers say', async () => {
  using server = await nameServer({ localhost: { a: [four] } })
  assert.deepEqual(await server.resolve('localhost'), ['127.0.0.1', '::1'])
  assert.deepEqual(await server.resolve('hooks.localhost'), ['127.0.0.1', '::1'])
  assert.equal(server.questions.length, 0)
})
