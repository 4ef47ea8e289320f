import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigRefusal, readConfig } from '#config.ts'
import { createEgress, type EgressOptions } from '#egress/send.ts'
import { startReceiver } from '../receiver.ts'
import { startWorld } from '../world.ts'
import { cert, host, key } from './certificate.ts'
import { canary, development, production, requestTo } from './fixture.ts'

/** A CONNECT proxy as operators have them, which notes where it was to lead. */
async function aProxy({ user, refuses }: { user?: string; refuses?: number } = {}) {
  const targets: string[] = []
  const open = new Set<Socket>()
  const keep = (socket: Socket) => {
    open.add(socket.on('error', () => undefined))
    socket.once('close', () => open.delete(socket))
  }
  const server = createServer((_request, response) => void response.writeHead(405).end())
  server.on('connect', (request, duplex) => {
    const near = duplex as Socket
    keep(near)
    targets.push(request.url ?? '')
    const expected = user && `Basic ${Buffer.from(user).toString('base64')}`
    if (expected !== undefined && request.headers['proxy-authorization'] !== expected) {
      near.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    if (refuses !== undefined) {
      near.end(`HTTP/1.1 ${refuses} No\r\n\r\n`)
      return
    }
    const [, hostname = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/.exec(request.url ?? '') ?? []
    const far = connect(Number(port), hostname, () => {
      near.write('HTTP/1.1 200 Connection established\r\n\r\n')
      near.pipe(far)
      far.pipe(near)
    })
    keep(far)
    near.once('close', () => far.destroy())
    far.once('close', () => near.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { url: new URL(`http://127.0.0.1:${port}`), targets }
}

function anEgress(options: EgressOptions, policy = development) {
  const egress = createEgress(policy, options)
  onTestFinished(() => egress.close())
  return egress
}

async function aReceiver(tls?: Parameters<typeof startReceiver>[0]) {
  const receiver = await startReceiver(tls)
  onTestFinished(() => receiver.stop())
  return receiver
}

test('plain HTTP goes through the proxy, to the vetted address, with the Host of the URL, and its connection is kept', async () => {
  const [proxy, receiver] = [await aProxy(), await aReceiver()]
  const egress = anEgress({ proxy: proxy.url, resolve: async () => ['127.0.0.1'] })
  const url = `http://hooks.customer.example:${receiver.port}/hook`
  for (let turn = 0; turn < 3; turn += 1) {
    const outcome = await egress.send(requestTo(url))
    expect(outcome).toMatchObject({ kind: 'answered', status: 204, address: '127.0.0.1' })
  }
  expect(proxy.targets).toEqual([`127.0.0.1:${receiver.port}`])
  expect(receiver.requests[0]?.headers.host).toBe(`hooks.customer.example:${receiver.port}`)
})

test('HTTPS goes through it unbroken: the certificate is that of the host in the URL, and another is refused', async () => {
  const proxy = await aProxy()
  const receiver = await aReceiver({ cert, key })
  const resolve = async () => ['127.0.0.1']
  const egress = anEgress({ proxy: proxy.url, resolve, ca: cert })
  const sent = await egress.send(requestTo(`https://${host}:${receiver.port}/hook`))
  expect(sent).toMatchObject({ kind: 'answered', status: 204, address: '127.0.0.1' })
  const other = await egress.send(requestTo(`https://other.example:${receiver.port}/hook`))
  expect(other).toMatchObject({ kind: 'failed', reason: 'tls_failed' })
  expect(proxy.targets).toEqual(Array(2).fill(`127.0.0.1:${receiver.port}`))
  const strict = anEgress({ proxy: proxy.url, resolve })
  const untrusted = await strict.send(requestTo(`https://${host}:${receiver.port}/hook`))
  expect(untrusted).toMatchObject({ kind: 'failed', reason: 'tls_failed' })
})

test('what may not be reached is refused before the proxy hears of it', async () => {
  await using bird = await canary()
  const proxy = await aProxy()
  const names: Record<string, string[]> = {
    'inside.example': ['127.0.0.1'],
    'half.example': ['203.0.113.7', '10.0.0.1'],
    'meta.example': ['169.254.169.254'],
    'six.example': ['::1'],
  }
  const resolve = async (name: string) => names[name] ?? []
  const egress = anEgress({ proxy: proxy.url, resolve }, production)
  const hosts = ['127.0.0.1', '[::1]', '10.0.0.1', '169.254.169.254', ...Object.keys(names)]
  for (const one of hosts) {
    const outcome = await egress.send(requestTo(`https://${one}:${bird.port}/`))
    expect(outcome, one).toMatchObject({ kind: 'failed', reason: 'address_forbidden' })
  }
  expect(proxy.targets).toEqual([])
  expect(bird.visits).toBe(0)
  const nowhere = await egress.send(requestTo('https://nowhere.example/'))
  expect(nowhere).toMatchObject({ kind: 'failed', reason: 'name_unresolved' })
})

test('a proxy that asks for a password gets it, and nobody is told of it', async () => {
  const [proxy, receiver] = [await aProxy({ user: 'ubos:p@ss' }), await aReceiver()]
  const url = new URL(`http://ubos:p%40ss@127.0.0.1:${proxy.url.port}`)
  const sent = await anEgress({ proxy: url }).send(requestTo(receiver.url))
  expect(sent).toMatchObject({ kind: 'answered', status: 204 })
  expect(JSON.stringify(receiver.requests[0]?.headers)).not.toContain('roxy')
  const wrong = new URL(`http://ubos:other@127.0.0.1:${proxy.url.port}`)
  const refused = await anEgress({ proxy: wrong }).send(requestTo(receiver.url))
  expect(refused).toMatchObject({ kind: 'failed', reason: 'connection_failed' })
  expect(JSON.stringify(refused)).toContain('407')
  expect(JSON.stringify(refused)).not.toContain('other')
})

test('a proxy that refuses, is away, hangs, or floods is a failure in words, within the time that there is', async () => {
  const receiver = await aReceiver()
  const send = (proxy: URL, limits = {}) =>
    anEgress({ proxy }).send(requestTo(receiver.url, limits))
  const no = await send((await aProxy({ refuses: 403 })).url)
  expect(no).toMatchObject({ reason: 'connection_failed', detail: expect.stringContaining('403') })
  const gone = await aReceiver()
  await gone.stop()
  const away = await send(new URL(`http://127.0.0.1:${gone.port}`))
  expect(away).toMatchObject({
    ...{ kind: 'failed', reason: 'connection_failed' },
    detail: 'The proxy that leads out cannot be reached.',
  })
  await using silent = await canary()
  const startedAt = performance.now()
  const hanging = await send(new URL(`http://127.0.0.1:${silent.port}`), { connectMs: 200 })
  expect(hanging).toMatchObject({ kind: 'failed', reason: 'timed_out' })
  expect(performance.now() - startedAt).toBeLessThan(2_000)
  await silent.isAlone()
  const flood = createTcpServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(`HTTP/1.1 200 OK\r\n${'x-more: more\r\n'.repeat(5_000)}`)
  })
  await new Promise<void>((resolve) => flood.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void flood.close())
  const { port } = flood.address() as AddressInfo
  const flooded = await send(new URL(`http://127.0.0.1:${port}`), { connectMs: 5_000 })
  expect(flooded).toMatchObject({ kind: 'failed', reason: 'connection_failed' })
  expect(receiver.requests).toHaveLength(0)
})

test('an installation with a proxy sends every webhook through it', async () => {
  const [proxy, receiver] = [await aProxy(), await aReceiver()]
  const world = await startWorld({ env: { UBOS_EGRESS_PROXY: proxy.url.href } })
  onTestFinished(() => world.stop())
  const eventTypes = ['client.created']
  await world.api.post('/api/v1/webhook-endpoints', { url: receiver.url, eventTypes })
  await world.api.post('/api/v1/clients', { name: 'Ada', currency: 'GBP' })
  await receiver.received(1)
  expect(proxy.targets).toEqual([`127.0.0.1:${receiver.port}`])
})

test('receivers are told the address of a proxy, unless the operator names others', () => {
  const at = (env: Record<string, string>) => readConfig(env).egressAddresses
  const proxied = { UBOS_EGRESS_PROXY: 'http://8.8.4.4:3128' }
  expect(at(proxied)).toEqual(['8.8.4.4'])
  expect(at({ ...proxied, UBOS_EGRESS_ADDRESSES: '198.51.100.7' })).toEqual(['198.51.100.7'])
  expect(at({ UBOS_EGRESS_PROXY: 'http://10.0.0.7:3128' })).toEqual([])
  expect(at({ UBOS_EGRESS_PROXY: 'http://proxy.internal:3128' })).toEqual([])
})

test.for(['proxy:3128', 'https://proxy:3128', 'socks5://proxy', 'http://user:hush@proxy/way', ''])(
  'UBOS_EGRESS_PROXY=%s is refused, or nothing, and a password in it is not repeated',
  (value) => {
    const read = () => readConfig({ UBOS_EGRESS_PROXY: value })
    if (value === '') return void expect(read().egressProxy).toBeUndefined()
    expect(read).toThrow(ConfigRefusal)
    expect(read).toThrow(/^UBOS_EGRESS_PROXY (?!.*hush)/)
  },
)
