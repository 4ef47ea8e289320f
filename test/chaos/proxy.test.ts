import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startProxy } from '../../scripts/chaos/proxy.ts'

test('however slow and quick again the proxy is, bytes come in the order in which they went', async () => {
  const came: Buffer[] = []
  const server = createServer((socket) => {
    socket.on('data', (bytes) => came.push(bytes)).on('error', () => undefined)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const proxy = await startProxy((server.address() as AddressInfo).port)
  const near = connect(proxy.port, '127.0.0.1').setNoDelay(true)
  // It is cut off at the end.
  near.on('error', () => undefined)
  onTestFinished(() => {
    near.destroy()
    proxy.stop()
    server.close()
  })
  await once(near, 'connect')
  const count = 2_000
  for (let at = 0; at < count; at += 1) {
    proxy.slow(at % 7 < 3 ? 4 : 0)
    near.write(`${String(at).padStart(6, '0')}\n`)
    await new Promise((later) => (at % 3 === 0 ? setTimeout(later, 1) : setImmediate(later)))
    // A busy process: what is due by the clock is late.
    for (const endMs = performance.now() + (at % 50 === 0 ? 6 : 0); performance.now() < endMs; );
  }
  const all = () => Buffer.concat(came).toString().trim().split('\n').map(Number)
  while (Buffer.concat(came).length < 7 * count) await new Promise((r) => setTimeout(r, 5))
  expect(all()).toEqual(Array.from({ length: count }, (_, at) => at))
})
