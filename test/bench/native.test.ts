import { expect, test } from 'vitest'
import document from '#generated/openapi.json' with { type: 'json' }
import { nativeServer, type OpenApi } from '../../scripts/bench/contract/native.ts'

test('what stands beside us takes the whole contract, and judges by it', {
  timeout: 60_000,
}, async () => {
  const app = nativeServer(document as unknown as OpenApi, {
    createClient: async (_request, reply) => reply.code(201).send({}),
    createWebhookEndpoint: async (_request, reply) => reply.code(501).send(),
  })
  const post = async (url: string, payload: object) =>
    (await app.inject({ method: 'POST', url: `/api/v1${url}`, payload })).statusCode
  expect(await post('/clients', { name: 7 })).toBe(400)
  const endpoint = { url: 'https://example.com/', eventTypes: ['*'] }
  expect(await post('/webhook-endpoints', { ...endpoint, filter: ['anything'] })).toBe(400)
  const filter = [{ all: [{ path: '/data/a', exists: true }] }]
  expect(await post('/webhook-endpoints', { ...endpoint, filter })).toBe(501)
  await app.close()
})
