import document from '#generated/openapi.json' with { type: 'json' }
import { nativeServer, type OpenApi } from '../contract/native.ts'
import { getSample } from '../contract/sample.ts'
import { serveParent } from '../server.ts'

/* The same operations on Fastify alone, which compiles their schemas now. */
const app = nativeServer(document as unknown as OpenApi, { getClient: async () => getSample() })
const url = await app.listen({ host: '127.0.0.1', port: 0 })
serveParent(url, () => app.close())
