import net from 'node:net'
import { afterAll, beforeAll, test } from 'vitest'
import { startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  const t = performance.now()
  world = await startWorld({ parts: ['api'] })
  console.log('world', performance.now() - t)
})
afterAll(() => world.stop())

function raw(bytes: string | Buffer): Promise<string> {
  const { hostname, port } = new URL(world.url)
  return new Promise((resolve) => {
    const s = net.connect(Number(port), hostname, () => s.write(bytes))
    let text = ''
    s.on('data', (d) => { text += d })
    s.on('close', () => resolve(text))
    s.on('error', (e) => resolve(text + e.message))
    setTimeout(() => { s.destroy() }, 1500)
  })
}

test('probe', { timeout: 60_000 }, async () => {
  const show = (name: string, r: any) => console.log(name, r.status, JSON.stringify(r.body)?.slice(0, 400), JSON.stringify([...r.headers]).slice(0, 900))
  const { api } = world
  show('bad url', await api.get('/api/v1/clients/%zz'))
  show('long param', await api.get('/api/v1/clients/' + 'a'.repeat(150)))
  show('post garbage ct', await api.post('/api/v1/proposals/pro_01kgm1m1e0fe6b5k691h14rrmc/acceptance', 'x', { 'content-type': 'garbage' }))
  show('delete w body', await api.delete('/api/v1/clients/cli_01kgm1m1e0fe6b5k691h14rrmc', { 'content-type': 'garbage' }))
  const deep = '['.repeat(200_000) + '"\\u0000"' + ']'.repeat(200_000)
  show('deep', await api.post('/api/v1/clients', deep))
  show('deep2', await api.post('/api/v1/clients', '{"name":'.repeat(100_000) + '"\\u0000"' + '}'.repeat(100_000)))
  show('empty key', await api.post('/api/v1/payments', { amount: 1, currency: 'EUR' }, { 'idempotency-key': '""' }))
  show('corr on 401', await world.callsWith('x').get('/api/v1/me', { 'x-correlation-id': 'abc' }))
  show('corr on 404', await api.get('/api/v1/nope', { 'x-correlation-id': 'abc' }))
  show('bad corr', await api.get('/api/v1/me', { 'x-correlation-id': 'a b"' }))
  for (const m of ['PROPFIND', 'QUERY', 'TRACE', 'PUT', 'HEAD', 'OPTIONS', 'LOCK'])
    console.log(m, (await raw(`${m} /api/v1/clients HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)).slice(0, 1200))
  console.log('nohost', await raw(`GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n`))
  console.log('expect', await raw(`GET /livez HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nConnection: close\r\n\r\n`))
  console.log('upgrade', await raw(`GET /livez HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n`))
  console.log('connect', await raw(`CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`))
  console.log('garbage', await raw(`\x16\x03\x01 hello\r\n\r\n`))
  console.log('bigheader', await raw(`GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(20000)}\r\n\r\n`))
  console.log('bigurl', await raw(`GET /livez?a=${'a'.repeat(20000)} HTTP/1.1\r\nHost: a\r\n\r\n`))
  console.log('two cl', await raw(`POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`))
  console.log('badcl', await raw(`POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${api.key}\r\nContent-Type: application/json\r\nContent-Length: zz\r\n\r\nab`))
  console.log('http2', await raw(`GET /livez HTTP/2.5\r\nHost: a\r\n\r\n`))
  console.log('abs', await raw(`GET http://evil/livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`))
  console.log('star', await raw(`OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`))
  console.log('noslash', await raw(`GET livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`))
  console.log('chunk', await raw(`POST /api/v1/clients HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${api.key}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n`))
  console.log('head', await raw(`HEAD /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`))
})
