import { createSocket } from 'node:dgram'
import ipaddr from 'ipaddr.js'
import { createResolver } from '#egress/resolve.ts'

const typeA = 1
const typeAaaa = 28

export type Records = Readonly<Record<string, { a?: Buffer[]; aaaa?: Buffer[] }>>

/** What a name server says of a name; undefined where there is none of that name. */
export type Answers = (name: string, count: number) => readonly string[] | undefined

/**
 * A name server that knows these names, denies others, and never answers for `hang.*`. Its answers are
 * good for no time at all, so that whoever asks again may be told something else.
 */
export async function nameServer(records: Records | Answers) {
  const questions: string[] = []
  const asked = new Map<string, number>()
  const find = typeof records === 'function' ? byAddress(records) : (name: string) => records[name]
  const socket = createSocket('udp4')
  socket.on('message', (query, peer) => {
    const { name, type, end } = question(query)
    questions.push(`${name} ${type === typeA ? 'A' : 'AAAA'}`)
    if (name.startsWith('hang.')) return
    const count = (asked.get(`${name} ${type}`) ?? 0) + 1
    asked.set(`${name} ${type}`, count)
    const known = find(name, count)
    const found = (type === typeA ? known?.a : type === typeAaaa ? known?.aaaa : []) ?? []
    const code = known === undefined ? 3 : 0
    const head = Buffer.from([...query.subarray(0, 2), 0x81, 0x80 | code, 0, 1, 0, found.length])
    const answers = found.map((data) =>
      Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, data.length, ...data]),
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

function byAddress(answers: Answers) {
  return (name: string, count: number) => {
    const known = answers(name, count)?.map((text) => ipaddr.parse(text))
    const of = (kind: string) =>
      known
        ?.filter((address) => address.kind() === kind)
        .map((address) => Buffer.from(address.toByteArray())) ?? []
    return known && { a: of('ipv4'), aaaa: of('ipv6') }
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
