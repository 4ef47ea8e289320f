import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { Client } from '#db/client.ts'

test('a stranger on the port of the server does not get the password', async () => {
  const heard: Buffer[] = []
  const stranger = createServer((socket) => {
    socket.on('error', () => undefined)
    // AuthenticationCleartextPassword, as soon as somebody says hello.
    socket.once('data', () => socket.write(Buffer.from('520000000800000003', 'hex')))
    socket.on('data', (bytes: Buffer) => heard.push(bytes))
  })
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
  const { port } = stranger.address() as AddressInfo
  const client = new Client(`postgres://ubos:very-secret@127.0.0.1:${port}/ubos`)
  await expect(client.connect()).rejects.toThrow()
  expect(Buffer.concat(heard).toString('latin1')).not.toContain('very-secret')
  stranger.close()
})
