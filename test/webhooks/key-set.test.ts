import { createPublicKey, verify } from 'node:crypto'
import { webhookVerifier } from 'ubos/receiver'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { WebhookKeySet } from '#generated/types.ts'
import { privateKey, signatureHeaders } from '#secrets/signature.ts'
import type { ReceivedRequest } from '../receiver.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { aReceiver, createClients } from './fixture.ts'
import { isAccepted } from './verdict.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const path = '/api/v1/webhook-key-set'
const rotations = '/api/v1/webhook-key-rotations'

async function keysOf(api: Api): Promise<WebhookKeySet['keys']> {
  const { status, body } = await api.get(path)
  expect(status).toBe(200)
  return body.keys
}

/** A tenant of its own with an endpoint that is signed for as told, and how to send to it. */
async function aSigned(signatureSchemes?: string[]) {
  const api = await world.newTenant()
  const receiver = await aReceiver()
  const { status, body } = await api.post('/api/v1/webhook-endpoints', {
    ...{ url: receiver.url, eventTypes: ['client.created'] },
    ...(signatureSchemes ? { signatureSchemes } : {}),
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return {
    api,
    endpoint: body,
    async nextSent(): Promise<ReceivedRequest> {
      await createClients(api)
      await world.drain()
      const request = receiver.requests.at(-1)
      if (request === undefined) throw new Error('nothing was sent')
      return request
    },
  }
}

const signaturesOf = ({ headers }: ReceivedRequest) =>
  (headers['webhook-signature'] ?? '').split(' ').map((one) => one.split(',') as [string, string])

/** Whether one of the signatures is by this key, as node:crypto has it. */
function isBy(request: ReceivedRequest, jwk: WebhookKeySet['keys'][number]): boolean {
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  const lead = `${request.headers['webhook-id']}.${request.headers['webhook-timestamp']}.`
  const signed = Buffer.concat([Buffer.from(lead), request.body])
  return signaturesOf(request).some(
    ([version, text]) =>
      version === 'v1a' && verify(null, signed, key, Buffer.from(text, 'base64')),
  )
}

test('the published vector of v1a comes out', () => {
  const pair = Buffer.from(
    '6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
    'base64',
  )
  const headers = signatureHeaders({
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestampSeconds: 1614265330,
    body: Buffer.from('{"test": 2432232314}'),
    secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    schemes: ['V1A'],
    privateKeys: [privateKey(pair.subarray(0, 32))],
  })
  expect(headers['webhook-signature']).toBe(
    'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
  )
})

test('nobody has a key pair, and nothing is signed by one, until an endpoint asks for it', async () => {
  const { api, endpoint, nextSent } = await aSigned()
  expect(endpoint.signatureSchemes).toEqual(['V1'])
  expect(await keysOf(api)).toEqual([])
  expect(signaturesOf(await nextSent()).map(([version]) => version)).toEqual(['v1'])
})

test('an endpoint that asks for both is signed for by its secret and by the pair of its tenant', async () => {
  const { api, endpoint, nextSent } = await aSigned(['V1', 'V1A'])
  const [key, ...others] = await keysOf(api)
  if (key === undefined) throw new Error('there is no key')
  expect(others).toEqual([])
  expect(key).toMatchObject({ kty: 'OKP', crv: 'Ed25519', use: 'sig', expiresAt: null })
  const request = await nextSent()
  expect(signaturesOf(request).map(([version]) => version)).toEqual(['v1', 'v1a'])
  expect(isBy(request, key)).toBe(true)
  expect(isAccepted(request, endpoint.secret)).toBe(true)

  const { headers, body } = request
  for (const one of [key, key.encoded, endpoint.secret]) {
    const { event } = await webhookVerifier({ keys: [one] })({ headers, body })
    expect(event.type).toBe('client.created')
  }
})

test('an endpoint that asks for v1a alone has no signature that its secret could make', async () => {
  const { api, endpoint, nextSent } = await aSigned(['V1A'])
  const request = await nextSent()
  expect(signaturesOf(request).map(([version]) => version)).toEqual(['v1a'])
  expect(isAccepted(request, endpoint.secret)).toBe(false)
  const keys = await keysOf(api)
  expect(keys.map((key) => isBy(request, key))).toEqual([true])
})

test('an endpoint can ask for it later, and give it up again; one pair serves all endpoints', async () => {
  const { api, endpoint, nextSent } = await aSigned()
  const at = `/api/v1/webhook-endpoints/${endpoint.id}`
  const patched = await api.patch(at, { signatureSchemes: ['V1A', 'V1'] })
  expect(patched.body).toMatchObject({ signatureSchemes: ['V1A', 'V1'], revision: 2 })
  const [key] = await keysOf(api)
  if (key === undefined) throw new Error('there is no key')
  expect(isBy(await nextSent(), key)).toBe(true)
  const other = { url: endpoint.url, signatureSchemes: ['V1A'] }
  await Promise.all([1, 2, 3].map(() => api.post('/api/v1/webhook-endpoints', other)))
  expect(await keysOf(api)).toHaveLength(1)
  await api.patch(at, { signatureSchemes: ['V1'] })
  const { body } = await api.get(at)
  expect(body.signatureSchemes).toEqual(['V1'])
})

test('endpoints that ask for it at the same moment get one pair', async () => {
  const api = await world.newTenant()
  const { url } = await aReceiver()
  const replies = await Promise.all(
    Array.from({ length: 6 }, () =>
      api.post('/api/v1/webhook-endpoints', { url, signatureSchemes: ['V1A'] }),
    ),
  )
  expect(replies.map(({ status }) => status)).toEqual(Array(6).fill(201))
  expect(await keysOf(api)).toHaveLength(1)
})

test('rotations and first wishes at the same moment are all done, one after the other', async () => {
  const api = await world.newTenant()
  const { url } = await aReceiver()
  const endpoints: string[] = []
  for (let count = 0; count < 4; count += 1) {
    endpoints.push((await api.post('/api/v1/webhook-endpoints', { url })).body.id)
  }
  const wishes = await Promise.all(
    endpoints.map((id) =>
      api.patch(`/api/v1/webhook-endpoints/${id}`, { signatureSchemes: ['V1A'] }),
    ),
  )
  expect(wishes.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  expect(await keysOf(api)).toHaveLength(1)
  const rotated = await Promise.all([1, 2, 3, 4].map(() => api.post(rotations)))
  expect(rotated.map(({ status }) => status)).toEqual([201, 201, 201, 201])
  expect(await keysOf(api)).toHaveLength(5)
})

test('whoever is sent to reads the keys without a key of ours, and verifies by them', async () => {
  const { api, nextSent } = await aSigned(['V1A'])
  const { body: set } = await api.get(path)
  await api.post(rotations, { overlapSeconds: 3_600 })
  const { status, body, headers } = await world.callsWith('').get(new URL(set.url).pathname)
  expect(status).toBe(200)
  expect(body).toEqual({ keys: await keysOf(api) })
  expect(headers.get('access-control-allow-origin')).toBe('*')
  const { headers: sent, body: bytes } = await nextSent()
  const { event } = await webhookVerifier({ keys: body.keys })({ headers: sent, body: bytes })
  expect(event.type).toBe('client.created')
})

test('old and new public keys both verify for the overlap of a rotation, and then the new one alone', async () => {
  const { api, nextSent } = await aSigned(['V1A'])
  const [old] = await keysOf(api)
  expect(isBy(await nextSent(), old as never)).toBe(true)
  const rotated = await api.post(rotations, { overlapSeconds: 3_600 })
  expect(rotated.status).toBe(201)
  const [fresh, former] = await keysOf(api)
  expect(former?.kid).toBe(old?.kid)
  expect(rotated.body.keys).toEqual([fresh, former])
  const verdicts = async () => {
    const request = await nextSent()
    return [former, fresh].map((key) => isBy(request, key as never))
  }
  expect(await verdicts()).toEqual([true, true])
  world.step(60 * 60 * 1_000)
  expect(await verdicts()).toEqual([false, true])
  expect((await keysOf(api)).map(({ kid }) => kid)).toEqual([fresh?.kid, former?.kid])

  await api.post(rotations, { overlapSeconds: 0 })
  const request = await nextSent()
  const verified = (await keysOf(api)).map((key) => isBy(request, key))
  expect(verified).toEqual([true, false, false])
})

test('only so many pairs sign at once, and only so many former ones are shown', async () => {
  const api = await world.newTenant()
  for (let count = 0; count < 10; count += 1) {
    expect((await api.post(rotations)).status).toBe(201)
  }
  refusedWith(await api.post(rotations), 'limit_reached')
  for (let count = 0; count < 12; count += 1) {
    expect((await api.post(rotations, { overlapSeconds: 0 })).status).toBe(201)
  }
  const keys = await keysOf(api)
  expect(keys).toHaveLength(20)
  expect(keys.filter(({ expiresAt }) => expiresAt === null)).toHaveLength(1)
})

test('the set is read again only when it changed, and never holds what signs', async () => {
  const { api } = await aSigned(['V1A'])
  const { headers, body } = await api.get(path)
  const etag = headers.get('etag') ?? ''
  expect((await api.get(path, { 'if-none-match': etag })).status).toBe(304)
  await api.post(rotations)
  expect((await api.get(path, { 'if-none-match': etag })).status).toBe(200)
  const members = ['kty', 'crv', 'x', 'kid', 'use', 'alg', 'encoded', 'createdAt', 'expiresAt']
  expect(Object.keys(body.keys[0])).toEqual(members)
})

test('a pair that signs no more is shown to its tenant alone, and to the kit it is none', async () => {
  const { api, nextSent } = await aSigned(['V1A'])
  const [leaked] = await keysOf(api)
  const { headers, body } = await nextSent()
  await api.post(rotations, { overlapSeconds: 0 })
  const [fresh, ...former] = await keysOf(api)
  expect(former.map(({ kid }) => kid)).toEqual([leaked?.kid])
  const { body: shown } = await world
    .callsWith('')
    .get(new URL((await api.get(path)).body.url).pathname)
  expect(shown.keys).toEqual([fresh])

  const sentMs = Number(headers['webhook-timestamp']) * 1_000
  const ended = (ms: number) => ({ ...leaked, expiresAt: new Date(ms).toISOString() }) as never
  const now = () => sentMs
  const verify = (ms: number) => webhookVerifier({ keys: [ended(ms)], now })({ headers, body })
  expect((await verify(sentMs + 1)).event.type).toBe('client.created')
  await expect(verify(sentMs)).rejects.toMatchObject({ code: 'wrong_signature' })
})

test('where there are no keys, nothing tells whether there is a tenant', async () => {
  const without = (await (await world.newTenant()).get('/api/v1/me')).body.tenant.id
  const nobody = `ten_${'0'.repeat(25)}1`
  const [one, other] = await Promise.all(
    [without, nobody].map(async (tenantId) => {
      const { requestId, ...told } = refusedWith(
        await world.callsWith('').get(`/jwks/${tenantId}`),
        'not_found',
      )
      return told
    }),
  )
  expect(one).toEqual(other)
  for (const tenantId of ['ten_1', "ten_' or true", '%00']) {
    refusedWith(await world.callsWith('').get(`/jwks/${tenantId}`), 'invalid_request')
  }
})

test('a rotation is told, with the keys as they are then', async () => {
  const api = await world.newTenant()
  const { body: set } = await api.post(rotations)
  await world.drain()
  const { body } = await api.get('/api/v1/events?eventType=webhook_key_set.rotated')
  expect(body.data).toMatchObject([{ data: set }])
})

test('the keys of one tenant are not those of another', async () => {
  const [ours, theirs] = [await aSigned(['V1A']), await aSigned(['V1A'])]
  const [key] = await keysOf(ours.api)
  expect(await keysOf(theirs.api)).not.toContainEqual(key)
  expect(isBy(await theirs.nextSent(), key as never)).toBe(false)
})

test('schemes are known ones, at least one, and none twice', async () => {
  const { api, endpoint } = await aSigned()
  for (const signatureSchemes of [[], ['V2'], ['v1'], ['V1', 'V1'], 'V1', null]) {
    for (const reply of [
      await api.post('/api/v1/webhook-endpoints', { url: endpoint.url, signatureSchemes }),
      await api.patch(`/api/v1/webhook-endpoints/${endpoint.id}`, { signatureSchemes }),
    ]) {
      const { errors } = refusedWith(reply, 'invalid_request')
      expect(errors[0].pointer).toMatch(/^\/signatureSchemes/)
    }
  }
})
