import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { transact } from '#db/transact.ts'
import { systemCause } from '#http/operation.ts'
import { confirmation } from '#inbound/confirmation.ts'
import { keysFreshMs, keysKeptMs } from '#inbound/public-keys.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { tenantOf } from '../db/fixture.ts'
import { startReceiver } from '../receiver.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { aSource, receiptsOf } from './fixture.ts'

/*
 * What senders demand of whoever they send to, through the whole of the house: the schemes themselves
 * are shown in schemes/.
 */

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

async function post(url: string, body: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { method: 'POST', body: Buffer.from(body), headers })
  const type = response.headers.get('content-type')
  return { status: response.status, type, body: await response.text(), headers: response.headers }
}

test('Xero is answered 200 to what it signed and 401 to what it did not, with nothing in it', async () => {
  const key =
    'LR+QgKlbRciIPYpi65tTKLaZ3FzLLofCNEQWrRXqWXJeDFrfexzfVI9SmnVuCWDJ4jnjHB9ECtOyxZSofRxwWw=='
  const source = await aSource(world, api, { scheme: 'XERO', secrets: [key] })
  const intent =
    '{"events":[],"firstEventSequence": 0,"lastEventSequence": 0, "entropy": "LUWDSUDGSWNZVALZXBEV"}'
  const signature = 'BjzNbYUfrzg4g8wxm+dKHaZVrKxr2m75E296fUbD1E4='
  const good = await post(source.url, intent, { 'x-xero-signature': signature })
  const bad = await post(source.url, intent, { 'x-xero-signature': `/${signature.slice(1)}` })
  for (const [reply, status] of [[good, 200] as const, [bad, 401] as const]) {
    expect([reply.status, reply.body, reply.type]).toEqual([status, '', null])
    expect(reply.headers.get('set-cookie')).toBeNull()
  }
  expect(await receiptsOf(world, source.id)).toEqual([])

  const news = '{"events":[{"eventCategory":"INVOICE","eventType":"UPDATE"}]}'
  const mac = createHmac('sha256', key).update(news).digest('base64')
  for (const _ of ['first', 'repeated']) {
    const taken = await post(source.url, news, { 'x-xero-signature': mac })
    expect([taken.status, taken.body, taken.type]).toEqual([200, '', null])
  }
  expect(await receiptsOf(world, source.id)).toHaveLength(1)
})

test('Slack is given its challenge back, once it has signed it', async () => {
  const secret = '8f742231b10e8888abcd99yyyzzz85a5'
  const source = await aSource(world, api, { scheme: 'SLACK', secrets: [secret] })
  const body = JSON.stringify({
    type: 'url_verification',
    challenge: '3eZbrw1aBm2rZgRN',
    token: 'x',
  })
  const at = String(Math.floor(world.ctx.clock.now().getTime() / 1_000))
  const mac = createHmac('sha256', secret).update(`v0:${at}:${body}`).digest('hex')
  const headers = { 'x-slack-request-timestamp': at, 'x-slack-signature': `v0=${mac}` }
  const reply = await post(source.url, body, { ...headers, 'content-type': 'application/json' })
  expect(reply.status).toBe(200)
  expect(reply.body).toContain('3eZbrw1aBm2rZgRN')
  const forged = await post(source.url, `${body} `, headers)
  expect(forged.status).toBe(401)
  expect(await receiptsOf(world, source.id)).toEqual([])
})

test('Microsoft Graph is given its token back as text, and nothing is kept of that', async () => {
  const source = await aSource(world, api, { scheme: 'MICROSOFT_GRAPH', secrets: ['our state'] })
  const reply = await post(`${source.url}?validationToken=Validation%3A+a%2Fb`, '')
  expect([reply.status, reply.body]).toEqual([200, 'Validation: a/b'])
  expect(reply.type).toMatch(/^text\/plain/)
  expect(await receiptsOf(world, source.id)).toEqual([])
})

test('Amazon SNS is refused with 403, since 401 would ask it for a password', async () => {
  const topic = 'arn:aws:sns:eu-central-1:123456789012:ours'
  const settings = { topicArns: [topic] }
  const source = await aSource(world, api, { scheme: 'SNS', secrets: [], settings })
  const message = {
    ...{ Type: 'Notification', MessageId: 'm', TopicArn: `${topic}s`, Message: '{}' },
    ...{ Timestamp: world.ctx.clock.now().toISOString(), SignatureVersion: '2', Signature: 'eA==' },
    SigningCertURL: 'https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem',
  }
  const reply = await post(source.url, JSON.stringify(message))
  expect([reply.status, JSON.parse(reply.body).code]).toEqual([403, 'sender_not_allowed'])
})

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

function anIssuer() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }
  return {
    keys: JSON.stringify({ keys: [jwk] }),
    token(claims: object) {
      const lead = `${part({ alg: 'RS256', kid: 'one', typ: 'JWT' })}.${part(claims)}`
      return `${lead}.${sign('sha256', Buffer.from(lead), privateKey).toString('base64url')}`
    },
  }
}

test('keys that an issuer publishes are fetched once for many webhooks, and again after ten minutes', async () => {
  const [issuer, publisher] = [anIssuer(), await startReceiver()]
  publisher.answers(200, {}, issuer.keys)
  const settings = { jwksUrl: publisher.url, issuer: 'https://shop.example', audience: 'us' }
  const more = { scheme: 'JWT', secrets: [], settings, acceptsUndedupable: true }
  const source = await aSource(world, api, more)
  const send = async () => {
    const seconds = Math.floor(world.ctx.clock.now().getTime() / 1_000)
    const claims = { iss: settings.issuer, aud: 'us', exp: seconds + 60, iat: seconds }
    return await post(source.url, '{}', { authorization: `Bearer ${issuer.token(claims)}` })
  }
  const statuses = (await Promise.all([send(), send(), send()])).map(({ status }) => status)
  expect(statuses).toEqual([200, 200, 200])
  expect(publisher.requests).toHaveLength(1)
  world.step(keysFreshMs)
  expect((await send()).status).toBe(200)
  expect(publisher.requests).toHaveLength(2)
  await publisher.stop()

  world.step(keysKeptMs)
  const unknown = await send()
  expect([unknown.status, unknown.headers.get('retry-after')]).toEqual([503, '5'])
})

test('a token that is used for several webhooks loses none of them; one for a body is for one', async () => {
  const [issuer, publisher] = [anIssuer(), await startReceiver()]
  publisher.answers(200, {}, issuer.keys)
  const settings = { jwksUrl: publisher.url, issuer: 'https://shop.example', audience: 'us' }
  const seconds = Math.floor(world.ctx.clock.now().getTime() / 1_000)
  const claims = { iss: settings.issuer, aud: 'us', exp: seconds + 600, iat: seconds }
  const sendTwice = async (more: object, digest: object) => {
    const source = await aSource(world, api, { scheme: 'JWT', secrets: [], ...more })
    const authorization = `Bearer ${issuer.token({ ...claims, ...digest })}`
    for (const _ of [1, 2]) {
      expect((await post(source.url, '{}', { authorization })).status).toBe(200)
    }
    return await receiptsOf(world, source.id)
  }
  const plain = await sendTwice({ settings, acceptsUndedupable: true }, {})
  expect(plain.map(({ signed_at }) => signed_at)).toEqual([null, null])
  const digest = createHash('sha256').update('{}').digest('hex')
  const whole = { settings: { ...settings, bodyDigestClaim: 'digest' } }
  expect(await sendTwice(whole, { digest })).toHaveLength(1)

  const input = { name: 'J', scheme: 'JWT', settings }
  const { status, body } = await api.post('/api/v1/inbound-sources', input)
  expect([status, body.errors?.[0].pointer]).toEqual([400, '/acceptsUndedupable'])
  await publisher.stop()
})

test('what its source takes no more by the time that its keys are there is judged once more, or put off', async () => {
  const issuer = anIssuer()
  let change = async () => {}
  const publisher = createServer(
    (_, response) => void change().then(() => response.end(issuer.keys)),
  )
  await new Promise<void>((listening) => publisher.listen(0, '127.0.0.1', listening))
  const { port } = publisher.address() as AddressInfo
  const jwksUrl = `http://127.0.0.1:${port}/keys`
  const settings = { jwksUrl, issuer: 'https://shop.example', audience: 'us' }
  const more = { scheme: 'JWT', secrets: [], settings, acceptsUndedupable: true }
  const source = await aSource(world, api, more)
  const send = async () => {
    const seconds = Math.floor(world.ctx.clock.now().getTime() / 1_000)
    const claims = { iss: settings.issuer, aud: 'us', exp: seconds + 7_200, iat: seconds }
    return await post(source.url, '{}', { authorization: `Bearer ${issuer.token(claims)}` })
  }
  const patch = async (body: object) => {
    expect((await api.patch(source.path, body)).status).toBe(200)
  }
  change = () => patch({ settings: { audience: 'others' } })
  const other = await send()
  expect([other.status, JSON.parse(other.body).code]).toEqual([401, 'webhook_refused'])

  // Each time that keys are fetched it is said that they lie elsewhere.
  let count = 0
  const move = () => patch({ settings: { audience: 'us', jwksUrl: `${jwksUrl}/${count}` } })
  await move()
  change = async () => {
    count += 1
    await move()
  }
  const late = await send()
  expect([late.status, JSON.parse(late.body).code]).toEqual([503, 'unavailable'])
  expect([late.headers.get('retry-after'), count]).toEqual(['1', 2])
  expect(await receiptsOf(world, source.id)).toEqual([])
  change = async () => {}
  expect((await send()).status).toBe(200)
  publisher.close()
})

test('the keys of an issuer are not fetched from where we may not go', async () => {
  const settings = { jwksUrl: 'http://169.254.169.254/keys', issuer: 'i', audience: 'a' }
  const input = { name: 'J', scheme: 'JWT', settings }
  const { status, body } = await api.post('/api/v1/inbound-sources', input)
  expect([status, body.errors?.[0].pointer]).toEqual([400, '/settings/jwksUrl'])
})

test('a subscription is confirmed by a job, which tries again until it is answered well', async () => {
  const sender = await startReceiver()
  sender.answers(500)
  await transact(world.ctx, await tenantOf(api), async (tx) => {
    const payload = { sourceId: 'src_1', url: sender.url }
    enqueue(tx, systemCause(world.ctx, 'inbound'), confirmation, payload)
  })
  await expect.poll(() => sender.requests.length, { timeout: 10_000 }).toBeGreaterThan(0)
  sender.answers(200)
  await expect
    .poll(
      async () => {
        world.step(5_000)
        const rows = await world.query<{ status: string }>(
          `select status from job where task = 'CONFIRM_SOURCE'`,
        )
        return rows.map(({ status }) => status)
      },
      { timeout: 20_000, interval: 250 },
    )
    .toEqual(['SUCCEEDED'])
  expect(sender.requests.map(({ method }) => method)).toEqual(['GET', 'GET'])
  await sender.stop()
})
