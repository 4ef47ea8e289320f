import { afterAll, beforeAll, expect, test } from 'vitest'
import { secretsMax } from '#webhooks/secret.ts'
import type { Receiver } from '../receiver.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { type AnEndpoint, anEndpoint, aReceiver, createClients } from './fixture.ts'
import { isAccepted, isSimplySigned } from './verdict.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

const hourMs = 60 * 60 * 1_000

async function rotate({ path }: AnEndpoint, body?: object) {
  const reply = await api.post(`${path}/secret-rotations`, body)
  expect(reply.status, JSON.stringify(reply.body)).toBe(201)
  return reply.body
}

/** Who of those with these secrets accepts what is sent next, and by whose X-UBOS-Signature. */
async function nextSent(receiver: Receiver, secrets: readonly string[]) {
  await createClients(api)
  await world.drain()
  const request = receiver.requests.at(-1)
  if (request === undefined) throw new Error('nothing was sent')
  return {
    accepted: secrets.map((secret) => isAccepted(request, secret)),
    simply: secrets.map((secret) => isSimplySigned(request, secret)),
    count: receiver.requests.length,
  }
}

/** Its deliveries no longer reach the receiver of the next test. */
async function anEndpointOfOurs(receiver: Receiver): Promise<AnEndpoint> {
  api = await world.newTenant()
  return await anEndpoint(api, receiver.url)
}

test('old and new receivers both accept for the overlap, and then the new one alone, though the worker keeps keys', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  const before = await nextSent(receiver, [endpoint.secret])
  expect(before).toEqual({ accepted: [true], simply: [true], count: 1 })

  const { secret } = await rotate(endpoint)
  const both = [endpoint.secret, secret]
  expect(await nextSent(receiver, both)).toMatchObject({ accepted: [true, true] })
  world.step(24 * hourMs - 60_000)
  expect(await nextSent(receiver, both)).toMatchObject({ accepted: [true, true] })
  world.step(60_000)
  expect(await nextSent(receiver, both)).toMatchObject({ accepted: [false, true], count: 4 })
})

test('X-UBOS-Signature is made with the oldest secret that still signs, so it changes when the overlap ends', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  const { secret } = await rotate(endpoint, { overlapSeconds: 3_600 })
  const both = [endpoint.secret, secret]
  expect(await nextSent(receiver, both)).toMatchObject({ simply: [true, false] })
  world.step(hourMs)
  expect(await nextSent(receiver, both)).toMatchObject({ simply: [false, true] })
})

test('a revocation ends the former secrets with the next attempt', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  const { secret } = await rotate(endpoint, { overlapSeconds: 604_800 })
  const both = [endpoint.secret, secret]
  expect(await nextSent(receiver, both)).toMatchObject({ accepted: [true, true] })

  const revoked = await api.post(`${endpoint.path}/secret-revocation`)
  expect(revoked.status).toBe(200)
  expect(revoked.body.signingSecrets).toHaveLength(1)
  const after = await nextSent(receiver, both)
  expect(after).toMatchObject({ accepted: [false, true], simply: [false, true] })

  const again = await api.post(`${endpoint.path}/secret-revocation`)
  expect(again.body).toEqual(revoked.body)
})

test('a secret that leaked signs no more from the moment that it is rotated without overlap', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  const second = await rotate(endpoint, { overlapSeconds: 3_600 })
  const third = await rotate(endpoint, { overlapSeconds: 0 })
  const all = [endpoint.secret, second.secret, third.secret]
  const sent = await nextSent(receiver, all)
  expect(sent).toMatchObject({ accepted: [false, false, true], simply: [false, false, true] })
})

test('a second rotation in the overlap shortens the first one and never prolongs it', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  await rotate(endpoint, { overlapSeconds: 3_600 })
  const { signingSecrets } = await rotate(endpoint, { overlapSeconds: 7_200 })
  const ends = signingSecrets.map(({ expiresAt }: { expiresAt: string | null }) => expiresAt)
  const inHours = ends.map((end: string | null) =>
    end === null ? null : Math.round((Date.parse(end) - world.ctx.clock.now().getTime()) / hourMs),
  )
  expect(inHours).toEqual([null, 2, 1])
  const shortened = await rotate(endpoint, { overlapSeconds: 60 })
  const latest = world.ctx.clock.now().getTime() + 60_000
  for (const { expiresAt } of shortened.signingSecrets.slice(1)) {
    expect(Date.parse(expiresAt)).toBeLessThanOrEqual(latest)
  }
})

test('which secrets sign is told by ids and ends; a secret itself is shown once and lies sealed', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  const rotated = await rotate(endpoint)
  const { body } = await api.get(endpoint.path)
  expect(body.signingSecrets).toEqual(rotated.signingSecrets)
  expect(body.revision).toBe(2)
  const [newest, former] = body.signingSecrets
  expect(newest).toEqual({ id: newest.id, createdAt: body.updatedAt, expiresAt: null })
  expect(former).toMatchObject({ createdAt: body.createdAt })
  expect(Date.parse(former.expiresAt)).toBe(Date.parse(newest.createdAt) + 24 * hourMs)
  expect(new Set([newest.id, former.id]).size).toBe(2)

  await world.drain()
  const places = ['webhook_endpoint', 'event', 'audit', 'idempotency', 'attempt']
  for (const place of places) {
    const rows = await world.query<{ text: string }>(
      `select to_jsonb(t)::text as text from ${place} as t`,
    )
    const text = rows.map((row) => row.text).join()
    for (const secret of [endpoint.secret, rotated.secret]) {
      expect(text, place).not.toContain(secret.slice('whsec_'.length))
    }
  }
})

test('endpoints hear that their secrets changed, and whoever reads the audit sees who did it', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  await rotate(endpoint)
  const events = await api.get('/api/v1/events?eventType=webhook_endpoint.updated')
  expect(events.body.data[0]).toMatchObject({ changedFields: ['signingSecrets'] })
  const audit = await api.get('/api/v1/audit-entries?action=webhook_endpoint.secret_rotated')
  const [entry] = audit.body.data
  expect(entry.before.signingSecrets).toHaveLength(1)
  expect(entry.after.signingSecrets).toHaveLength(2)
})

test('what an endpoint signs with survives a change of the endpoint', async () => {
  const receiver = await aReceiver()
  const endpoint = await anEndpointOfOurs(receiver)
  const { secret, signingSecrets } = await rotate(endpoint)
  const patched = await api.patch(endpoint.path, { description: 'Other' })
  expect(patched.body.signingSecrets).toEqual(signingSecrets)
  expect(await nextSent(receiver, [endpoint.secret, secret])).toMatchObject({
    accepted: [true, true],
  })
})

test('an overlap is between nothing and a week', async () => {
  const endpoint = await anEndpointOfOurs(await aReceiver())
  for (const overlapSeconds of [-1, 604_801, 0.5, '60', null]) {
    const reply = await api.post(`${endpoint.path}/secret-rotations`, { overlapSeconds })
    const { errors } = refusedWith(reply, 'invalid_request')
    expect(errors[0].pointer).toBe('/overlapSeconds')
  }
})

test('only so many secrets sign at once, and a revocation makes room', async () => {
  const endpoint = await anEndpointOfOurs(await aReceiver())
  for (let count = 1; count < secretsMax; count += 1) await rotate(endpoint)
  refusedWith(await api.post(`${endpoint.path}/secret-rotations`), 'limit_reached')
  expect((await api.get(endpoint.path)).body.signingSecrets).toHaveLength(secretsMax)
  await api.post(`${endpoint.path}/secret-revocation`)
  await rotate(endpoint)
})
