import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as rest } from 'node:timers/promises'
import { expect, inject, onTestFinished, test } from 'vitest'
import { Client } from '#db/client.ts'
import { problemOf } from '#db/errors.ts'
import { isConnectionLoss } from '#db/transact.ts'

test('a server that takes connections and says nothing is away: callers are told to come again', async () => {
  const sockets = new Set<Socket>()
  const mute = createServer((socket) => void sockets.add(socket))
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
  const { port } = mute.address() as AddressInfo
  const client = new Client({ host: '127.0.0.1', port, connectionTimeoutMillis: 20 })
  client.on('error', () => undefined)
  const error = await client.connect().catch((cause: unknown) => cause)
  expect(isConnectionLoss(error)).toBe(true)
  expect(problemOf(error)).toMatchObject({ status: 503, code: 'unavailable' })
})

test('a server that ended a transaction whose next message came too late is away', async () => {
  const client = new Client({ connectionString: inject('ownerUrl') })
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end())
  await client.query("set idle_in_transaction_session_timeout = '20ms'; begin")
  const { stream } = client.connection
  // The message is on its way while the server gives up, as behind a connection that stands still.
  stream.pause()
  await rest(200)
  const asked = client.query('select 1').catch((cause: unknown) => cause)
  stream.resume()
  const error = await asked
  expect(error).toMatchObject({ code: '25P03' })
  expect(isConnectionLoss(error)).toBe(true)
  expect(problemOf(error)).toMatchObject({ status: 503, code: 'unavailable' })
})

test('a client whose server ends it while it waits ends no process: its query says why', async () => {
  const [waiting, other] = [1, 2].map(() => new Client({ connectionString: inject('ownerUrl') }))
  if (waiting === undefined || other === undefined) throw new Error('there are two')
  await Promise.all([waiting.connect(), other.connect()])
  onTestFinished(() => other.end())
  const { rows } = await waiting.query('select pg_backend_pid() as pid')
  const asked = waiting.query('select pg_sleep(30)').catch((cause: unknown) => cause)
  await other.query('select pg_terminate_backend($1)', [rows[0].pid])
  expect(isConnectionLoss(await asked)).toBe(true)
  await rest(50)
})
