import { generateKeyPairSync, sign } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { transact } from '#db/transact.ts'
import { systemCause } from '#http/operation.ts'
import { confirmation } from '#inbound/confirmation.ts'
import { keysRestMs } from '#inbound/public-keys.ts'
import { schemes } from '#inbound/schemes.ts'
import { enqueue } from '#jobs/enqueue.ts'
import { tenantOf } from '../db/fixture.ts'
import { allTricks, neverReceivers, records, urlsFor } from '../egress/hostile-urls.ts'
import { nameServer } from '../egress/name-server.ts'
import { type Watch, watch } from '../egress/watched.ts'
import { until } from '../jobs/until.ts'
import { startReceiver } from '../receiver.ts'
import { inTurns } from '../turns.ts'
import { startWorld, type World } from '../world.ts'
import { aSource, receiptsOf } from './fixture.ts'
import { certify } from './schemes/certificate.ts'
import { now, requestOf } from './schemes/fixture.ts'

/*
 * The corpus of hostile URLs at each place where those who send to us, or the tenants that they send
 * to, say from where something is fetched: the keys of an issuer, and what Amazon SNS names.
 */

const patient = { timeout: 120_000 }
const profiles = { production: allTricks, development: neverReceivers } as const

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const token = `${part({ alg: 'RS256', kid: 'one' })}.${part({ iss: 'i', aud: 'a', exp: 9e9 })}.eHg`
const issued = { issuer: 'i', audience: 'a' }
const publicUrl = 'https://issuer.customer.example/keys'

const aJwt = (settings: object) => ({
  ...{ scheme: 'JWT', secrets: [], settings, acceptsUndedupable: true },
})

describe.each(Object.entries(profiles))('in %s', (profile, tricks) => {
  let world: World
  let server: Awaited<ReturnType<typeof nameServer>>
  let bird: Watch
  let urls: string[]
  beforeAll(async () => {
    server = await nameServer((name) => records[name])
    bird = await watch()
    world = await startWorld({
      env: { UBOS_PROFILE: profile },
      egress: { resolve: server.resolve },
    })
    urls = tricks.flatMap((trick) => urlsFor(trick, bird.port))
  })
  afterAll(async () => {
    await world.stop()
    server[Symbol.dispose]()
    await bird[Symbol.asyncDispose]()
  })

  const isJudgedLater = (url: string) => /\.hostile\.example|tencentyun/.test(url)

  test('the keys of an issuer can lie at none of them', patient, async () => {
    const { api } = world
    const settings = { jwksUrl: publicUrl, ...issued }
    const source = await aSource(world, api, aJwt(settings))
    const refused = urls.filter((url) => !isJudgedLater(url))
    await inTurns(refused, async (jwksUrl) => {
      const input = { name: 'J', scheme: 'JWT', settings: { jwksUrl, ...issued } }
      for (const reply of [
        await api.post('/api/v1/inbound-sources', input),
        await api.patch(source.path, { settings: { jwksUrl } }),
      ]) {
        expect([reply.status, reply.body.code], jwksUrl).toEqual([400, 'invalid_request'])
        expect(reply.body.errors[0].pointer, jwksUrl).toBe('/settings/jwksUrl')
      }
    })
    expect((await api.get(source.path)).body.settings.jwksUrl).toBe(publicUrl)
    expect(bird.visits).toEqual([])
  })

  test('from none are keys fetched, though it stands in the table', patient, async () => {
    const settings = { jwksUrl: publicUrl, ...issued }
    const source = await aSource(world, world.api, aJwt(settings))
    for (const jwksUrl of urls.filter((url) => url !== '' && !url.includes('\0'))) {
      await world.query('update inbound_source set settings = $2 where id = $1', [
        source.id,
        JSON.stringify({ jwksUrl, ...issued }),
      ])
      const headers = { authorization: `Bearer ${token}` }
      const reply = await fetch(source.url, { method: 'POST', headers, body: '{}' })
      expect(reply.status, jwksUrl).toBe(503)
      expect(await reply.text(), jwksUrl).not.toMatch(/127\.0|10\.0|169\.254|hostile/)
    }
    expect(await receiptsOf(world, source.id)).toEqual([])
    expect(bird.visits).toEqual([])
  })

  test('a confirmation is fetched from none, though a job should say so', patient, async () => {
    const tenantId = await tenantOf(world.api)
    const asked = urls.filter((url) => !url.includes('\0'))
    await transact(world.ctx, tenantId, async (tx) => {
      for (const url of asked) {
        enqueue(tx, systemCause(world.ctx, 'inbound'), confirmation, { sourceId: 'src_1', url })
      }
    })
    const tried = async () => {
      const [row] = await world.query<{ count: number }>(
        `select count(*)::int as count from job where task = 'CONFIRM_SOURCE' and attempt_count >= 1`,
      )
      return row?.count ?? 0
    }
    await until(async () => (await tried()) === asked.length, 60_000)
    expect(bird.visits).toEqual([])
  })
})

describe('what Amazon SNS is said to name', () => {
  const topic = 'arn:aws:sns:us-west-2:123456789012:ours'
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = certify({
    privateKey,
    from: new Date(now.getTime() - 1_000_000),
    to: new Date(now.getTime() + 1_000_000),
  })
  const good = {
    certificate: 'https://sns.us-west-2.amazonaws.com/SimpleNotificationService-1.pem',
    confirm: `https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37`,
  }

  async function verdictOn(certificate: string, confirm: string) {
    const fields: Record<string, string> = {
      ...{ Message: 'm', MessageId: 'm', SubscribeURL: confirm, Timestamp: now.toISOString() },
      ...{ Token: '2336412f37', TopicArn: topic, Type: 'SubscriptionConfirmation' },
    }
    const content = Object.entries(fields).map(([name, value]) => `${name}\n${value}\n`)
    const signature = sign('sha256', Buffer.from(content.join('')), privateKey).toString('base64')
    const message = { ...fields, SignatureVersion: '2', Signature: signature }
    const body = JSON.stringify({ ...message, SigningCertURL: certificate })
    const fetched: string[] = []
    const verdict = await schemes.SNS.verify(requestOf({ body, headers: {} }), {
      ...{ now, secrets: [], settings: { topicArns: [topic] } },
      fetchKeys: async (url, read) => {
        fetched.push(url)
        return read(pem)
      },
    })
    return { kind: verdict.kind, fetched }
  }

  /** And addresses that look like one of Amazon's. */
  const lookalikes = [
    'https://sns.us-west-2.amazonaws.com.evil.example/',
    'https://sns.us-west-2.amazonaws.com:8443/',
    'https://sns.us-west-2.amazonaws.com@evil.example/',
    'https://evil.example\\@sns.us-west-2.amazonaws.com/',
    'https://sns.s3-us-west-2.amazonaws.com/',
    'https://sns.us-west-2.amazonaws.com.cn.evil.example/',
    'https://xsns.us-west-2.amazonaws.com/',
    'https://sns.us-west-2.amazonaws.evil.com/',
    'http://sns.us-west-2.amazonaws.com/',
    'https://sns.us-west-2.amazonaws.com./',
    'https://user@sns.us-west-2.amazonaws.com/',
    'https://evil.example/?sns.us-west-2.amazonaws.com/',
    'https://evil.example/#sns.us-west-2.amazonaws.com/',
    'https://sns.us-west-2.amazonaws.com%2eevil.example/',
  ]

  test('is asked for at Amazon alone, whatever the message says', async () => {
    expect(await verdictOn(good.certificate, good.confirm)).toEqual({
      kind: 'handshake',
      fetched: [good.certificate],
    })
    for (const url of [...allTricks.flatMap((trick) => urlsFor(trick, 8_443)), ...lookalikes]) {
      const withFile = url.replace(/\/$/, '/SimpleNotificationService-1.pem')
      for (const certificate of [url, withFile]) {
        const verdict = await verdictOn(certificate, good.confirm)
        expect(verdict, certificate).toEqual({ kind: 'refused', fetched: [] })
      }
      const verdict = await verdictOn(good.certificate, url)
      expect(verdict.kind, url).toBe('refused')
    }
  })
})

test('what is allowed is seen, and a redirect from there is not followed', async () => {
  const [world, bird, lure] = [await startWorld(), await watch(), await startReceiver()]
  const settings = { jwksUrl: `http://127.0.0.1:${bird.port}/keys`, ...issued }
  const source = await aSource(world, world.api, aJwt(settings))
  const send = async () => {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(source.url, { method: 'POST', headers, body: '{}' })).status
  }
  expect(await send()).toBe(503)
  expect(bird.visits).toHaveLength(1)

  await world.api.patch(source.path, { settings: { jwksUrl: lure.url } })
  for (const status of [301, 302, 303, 307, 308]) {
    lure.answers(status, { location: `http://127.0.0.1:${bird.port}/keys` })
    world.step(keysRestMs + 1)
    expect(await send()).toBe(503)
  }
  expect(lure.requests).toHaveLength(5)
  expect(bird.visits).toHaveLength(1)
  await Promise.all([world.stop(), bird[Symbol.asyncDispose](), lure.stop()])
})
