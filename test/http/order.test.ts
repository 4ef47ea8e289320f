import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSecond } from '../api-keys/second-process.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { exhaust, limitKeys, stoppedClock } from './fixture.ts'

let world: World
let admin: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  admin = await world.newTenant()
})
afterAll(() => world.stop())

interface Wrong {
  method: string
  path: string
  headers: Record<string, string | undefined>
  body: string
}

/** Sends a request and answers the code of the refusal, or the status of an answer. */
async function outcome(url: string, { method, path, headers, body }: Wrong) {
  const sent = Object.entries(headers).filter((header): header is [string, string] => !!header[1])
  const response = await fetch(url + path, { method, headers: sent, body })
  const text = await response.text()
  return response.status < 400 ? response.status : JSON.parse(text).code
}

test('of many things that are wrong the first in the order of refusals is told', async () => {
  const make = async (scopes: string[]): Promise<Api> => {
    const { body } = await admin.post('/api/v1/api-keys', { name: 'K', scopes })
    return world.callsWith(body.key)
  }
  const reader = await make(['clients:read'])
  const writer = await make(['clients:write'])
  const one = await admin.post('/api/v1/clients', { name: 'A', currency: 'EUR', externalId: 'a' })
  await admin.post('/api/v1/clients', { name: 'B', currency: 'EUR', externalId: 'b' })
  const used = { 'idempotency-key': 'used' }
  await admin.patch(`/api/v1/clients/${one.body.id}`, { phone: '1' }, used)
  const { clock, step } = stoppedClock()
  const second = await startSecond(world, (ctx) => ({ ...ctx, clock }))
  await limitKeys(world, admin)
  await exhaust(second.url, writer.key, 'write')

  const request: Wrong = {
    method: 'PUT',
    path: `/api/v1/clientele/cli_${'0'.repeat(26)}`,
    headers: {
      accept: 'image/png',
      'content-type': 'text/plain',
      'if-match': '"1"',
      ...used,
    },
    body: `{"externalId":"b","unknown":"${'x'.repeat(1024 * 1024)}"}`,
  }
  const steps: [expected: string | number, mend: () => unknown][] = [
    ['route_not_found', () => (request.path = request.path.replace('clientele', 'clients'))],
    ['method_not_allowed', () => (request.method = 'PATCH')],
    ['unauthorized', () => (request.headers.authorization = `Bearer ${reader.key}`)],
    ['insufficient_scope', () => (request.headers.authorization = `Bearer ${writer.key}`)],
    ['quota_exceeded', () => step(60_000)],
    ['not_acceptable', () => (request.headers.accept = 'application/json')],
    ['unsupported_media_type', () => (request.headers['content-type'] = 'application/json')],
    ['payload_too_large', () => (request.body = '{"externalId":"b","unknown":1}')],
    ['invalid_request', () => (request.body = '{"externalId":"b"}')],
    ['idempotency_key_reused', () => (request.headers['idempotency-key'] = undefined)],
    ['not_found', () => (request.path = `/api/v1/clients/${one.body.id}`)],
    ['precondition_failed', () => (request.headers['if-match'] = '"2"')],
    ['external_id_taken', () => (request.body = '{"externalId":"c"}')],
    [200, () => undefined],
  ]
  const told: (string | number)[] = []
  for (const [, mend] of steps) {
    told.push(await outcome(second.url, request))
    mend()
  }
  expect(told).toEqual(steps.map(([expected]) => expected))
  await second.stop()
})

test('a required key that is missing is a 400 of its own, before the business', async () => {
  const nothing = { amount: 1, currency: 'EUR', clientId: `cli_${'0'.repeat(26)}` }
  const reply = await admin.post('/api/v1/payments', nothing)
  expect(reply).toMatchObject({ status: 400, body: { code: 'idempotency_key_required' } })
  const empty = await admin.post('/api/v1/payments', nothing, { 'idempotency-key': '""' })
  expect(empty).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
  const known = await admin.post('/api/v1/payments', nothing, { 'idempotency-key': 'k' })
  expect(known).toMatchObject({ status: 409, body: { code: 'reference_unknown' } })
})
