import document from '#generated/openapi.json' with { type: 'json' }
import type { ClientInput } from '#generated/types.ts'
import { newClient, toClient } from '../../../src/clients/client.ts'
import { createClock } from '../../../src/clock.ts'
import { serveParent } from '../server.ts'
import { nativeServer, type OpenApi } from './native.ts'
import { sampleClient, samplePage } from './sample.ts'

/* The alternative: the same operations on Fastify alone, with the same three handlers. */
const clock = createClock()
const kept = sampleClient()
const page = samplePage(50)
const app = nativeServer(document as unknown as OpenApi, {
  createClient: async ({ body }, reply) => {
    const client = newClient(clock.newId('cli'), body as ClientInput, clock.now())
    return reply
      .code(201)
      .headers({ location: `/api/v1/clients/${client.id}`, etag: `"${client.revision}"` })
      .send(toClient(client))
  },
  getClient: async (_request, reply) => reply.header('etag', '"1"').send(toClient(kept)),
  listClients: async () => ({ data: page.map(toClient), nextCursor: null }),
})
const url = await app.listen({ host: '127.0.0.1', port: 0 })
serveParent(url, () => app.close())
