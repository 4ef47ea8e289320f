import { routes } from '#generated/routes.ts'
import { runRecorder } from '../../../src/api-metrics/recorder.ts'
import { openDoor } from '../../../src/app.ts'
import { newClient, toClient } from '../../../src/clients/client.ts'
import { mount } from '../../../src/http/mount.ts'
import type { Handlers } from '../../../src/http/operation.ts'
import { createServer } from '../../../src/http/server.ts'
import { operations } from '../../../src/operations.ts'
import { runRequestLog } from '../../../src/request-log/writer.ts'
import { serveParent } from '../server.ts'
import { deafContext } from './context.ts'
import { sampleClient, samplePage } from './sample.ts'

/*
 * The whole contract layer of the product in the profile `production`: every operation is mounted,
 * keys are verified from the cache, quotas and calls at once are counted, requests are validated, one
 * in a hundred replies of reads is checked and every one of writes, each call leaves its trail, and
 * rows for the request log, the figures and the uses of keys are made. Three handlers answer from
 * memory, nobody is there to take the rows, and the log has no line for each call, as theirs has none.
 */
const { ctx, key } = deafContext()

const kept = sampleClient()
const page = samplePage(50)
const handlers: Handlers = {
  ...operations,
  createClient: async (_ctx, call, { body }, tx) => {
    const client = newClient(tx.newId('cli'), body, call.now)
    const location = `/api/v1/clients/${client.id}`
    return { status: 201, headers: { Location: location }, body: toClient(client) }
  },
  getClient: async () => ({ status: 200, body: toClient(kept) }),
  listClients: async () => ({
    status: 200,
    body: { data: page.map(toClient), nextCursor: null },
  }),
}

const door = openDoor(ctx)
const accounts = [runRequestLog(ctx), runRecorder(ctx)]
const app = createServer(ctx, Object.values(routes), (call, bodies) => {
  for (const account of accounts) account.note(call, bodies)
})
mount(app, door, Object.values(routes), handlers)
const url = await app.listen({ host: '127.0.0.1', port: 0 })
serveParent(url, () => app.close(), { key })
