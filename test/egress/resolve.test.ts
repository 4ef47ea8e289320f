import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { test } from 'vitest'
import { createResolver } from '#egress/resolve.ts'

const typeA = 1
const typeAaaa = 28

type Records = Readonly<Record<string, { a?: Buffer[]; aaaa?: Buffer[] }>>

/** A name server that knows these names, denies others, and never answers for `hang.*`. */
async function nameServer(records: Records) {
  const questions: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, peer) => {
    const { name, type, end } = question(query)
    questions.push(`${name} ${type === typeA ? 'A' : 'AAAA'}`)
    if (name.startsWith('hang.')) return
    const known = records[name]
    const found = (type === typeA ? known?.a : type === typeAaaa ? known?.aaaa : []) ?? []
    const code = known === undefined ? 3 : 0
    const head = Buffer.from([...query.subarray(0, 2), 0x81, 0x80 | code, 0, 1, 0, found.length])
    const answers = found.map((data) =>
      Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data]),
    )
    socket.send(
      Buffer.concat([head, Buffer.alloc(4), query.subarray(12, end), ...answers]),
      peer.port,
    )
  })
  await new Promise<void>((bound) => socket.bind(0, '127.0.0.1', bound))
  return {
    resolve: createResolver([`127.0.0.1:${socket.address().port}`]),
    questions,
    [Symbol.dispose]: () => void socket.close(),
  }
}

function question(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

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
