import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { webhookVerifier } from 'ubos/receiver'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { aClient, publishAtOnce, tenantOf } from '../events/fixture.ts'
import { aReceiver } from '../webhooks/fixture.ts'
import { startWorld, type World } from '../world.ts'
import { aBrittleWay, runCli, startCli } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const within = { timeout: 15_000, interval: 20 }
const api = () => ['--api', world.url]
const aSecret = `whsec_${Buffer.alloc(32, 9).toString('base64')}`

/** Starts to listen and waits until it does. */
async function listening(words: readonly string[], key: string, base = world.url) {
  const cli = startCli(['listen', ...words, '--json', '--api', base], key)
  await expect.poll(() => cli.told()[0]?.kind, within).toBe('listening')
  return cli
}

test('ubos listen forwards events as deliveries are, and both libraries verify them by the secret that it prints', async () => {
  const tenant = await world.newTenant()
  const receiver = await aReceiver()
  const cli = await listening([receiver.url], tenant.key)
  const { secret } = cli.told()[0]
  const client = await aClient(tenant)
  await receiver.received(1)
  const [request] = receiver.verified(secret)
  if (request === undefined) throw new Error('nothing came')
  const verify = webhookVerifier({ keys: [secret] })
  const { id, event } = await verify({ headers: request.headers, body: request.body })
  expect(event).toMatchObject({ id, type: 'client.created', data: { id: client.id } })
  expect(request.headers['x-ubos-signature']).toMatch(/^[\da-f]{64}$/)
  await expect
    .poll(() => cli.told()[1], within)
    .toMatchObject({
      ...{ kind: 'event', type: 'client.created', id, status: 204, position: expect.any(Number) },
    })
  cli.interrupt()
  expect(await cli.ended).toBe(0)
  expect(cli.told().at(-1)).toMatchObject({ kind: 'ended', forwarded: 1, taken: 1, refused: 0 })
})

test('what the URL does not take is shown and counted, and the end says so by its code', async () => {
  const tenant = await world.newTenant()
  const receiver = await aReceiver()
  receiver.answers(500)
  const cli = startCli(['listen', receiver.url, '--secret', aSecret, ...api()], tenant.key)
  await expect.poll(() => cli.lines.length, within).toBe(1)
  expect(cli.lines[0]).toContain(`verify with ${aSecret}`)
  await aClient(tenant)
  await expect.poll(() => cli.lines.length, within).toBe(2)
  expect(cli.lines[1]).toMatch(/^\d\d:\d\d:\d\d {2}client\.created +evt_\w+ {2}500 {2}\d+ ms$/)
  await receiver.stop()
  await aClient(tenant)
  await expect.poll(() => cli.lines[2], within).toContain('--- connection refused')
  cli.interrupt()
  expect(await cli.ended).toBe(3)
  expect(cli.lines.at(-1)).toContain('2 forwarded: 0 taken, 2 not.')
})

test('ubos listen goes on where it was whenever its connection breaks: nothing is lost, and nothing that was taken comes again', async () => {
  const tenant = await world.newTenant()
  const id = await tenantOf(tenant)
  const client = await aClient(tenant)
  await world.drain()
  const receiver = await aReceiver()
  const way = await aBrittleWay(world.url)
  const cli = await listening([receiver.url], tenant.key, way.url)
  // Before the first event: where it began is known all the same.
  way.cut()
  const ids = await publishAtOnce(world, id, client, 40)
  for (const count of [10, 25, 50]) {
    await expect.poll(() => receiver.requests.length, within).toBeGreaterThanOrEqual(count - 10)
    way.cut()
    ids.push(...(await publishAtOnce(world, id, client, 20)))
  }
  await expect
    .poll(() => cli.told().filter(({ kind }) => kind === 'event').length, within)
    .toBe(100)
  const told = cli.told().filter(({ kind }) => kind === 'event')
  expect(told.map((one) => one.id).toSorted()).toEqual(ids.toSorted())
  expect(cli.told().some(({ kind }) => kind === 'resumed')).toBe(true)
}, 60_000)

test('ubos listen takes some types alone, and says of one that there is not which may have been meant', async () => {
  const tenant = await world.newTenant()
  const receiver = await aReceiver()
  const cli = await listening([receiver.url, '--types', 'client.*'], tenant.key)
  await tenant.post('/api/v1/api-keys', { name: 'K', scopes: ['events:read'] })
  await aClient(tenant)
  await receiver.received(1)
  expect(JSON.parse(String(receiver.requests[0]?.body)).type).toBe('client.created')
  cli.interrupt()
  await cli.ended
  const wrong = await runCli(
    ['listen', receiver.url, '--types', 'invoice.payed', ...api()],
    tenant.key,
  )
  expect(wrong.code).toBe(2)
  expect(wrong.errors).toContain(
    'There is no event type "invoice.payed". Did you mean invoice.paid',
  )
})

test('a key that is revoked ends it, and one that is refused never begins', async () => {
  const tenant = await world.newTenant()
  const { body } = await tenant.post('/api/v1/api-keys', { name: 'K', scopes: ['events:read'] })
  const cli = await listening(['http://127.0.0.1:9/'], body.key)
  await tenant.post(`/api/v1/api-keys/${body.id}/revocation`)
  expect(await cli.ended).toBe(1)
  expect(cli.errors()).toContain('401')
  const again = await runCli(['listen', 'http://127.0.0.1:9/', ...api()], body.key)
  expect(again).toMatchObject({ code: 1, errors: expect.stringContaining('key_revoked') })
})

test.for<[string, string[], string]>([
  ['no command', ['serve'], 'There is no command "serve"'],
  ['no URL', ['listen'], 'Give a URL'],
  ['a URL that is none', ['listen', 'localhost:4000'], 'must be a URL'],
  ['an option that there is not', ['listen', 'http://a/', '--loud'], "Unknown option '--loud'"],
  ['a secret that is none', ['listen', 'http://a/', '--secret', 'x'], '--secret must be whsec_'],
  ['a position that is none', ['listen', 'http://a/', '--after', 'x'], '--after must be'],
  ['a key where others read it', ['listen', 'http://a/', 'ubk_test_x'], 'does not belong'],
  ['a file that is not there', ['listen', 'http://a/', '--key-file', '/no/such'], 'cannot be read'],
  ['no key', ['listen', 'http://a/'], 'Set UBOS_API_KEY'],
])('%s is refused with a sentence and 2', async ([, words, sentence]) => {
  const { code, output, errors } = await runCli(words)
  expect({ code, output }).toEqual({ code: 2, output: '' })
  expect(errors).toContain(sentence)
})

test('where nobody answers, that is said, and how to name another place', async () => {
  const gone = await aReceiver()
  await gone.stop()
  const base = `http://127.0.0.1:${gone.port}`
  const words = ['listen', 'http://127.0.0.1:9/', '--api', base]
  const { code, errors } = await runCli(words, 'ubk_x')
  expect(code).toBe(1)
  expect(errors).toContain(`Nothing answers at ${base}: connection refused`)
  expect(errors).toContain('--api')
})

test('help is at hand for everything, and the version', async () => {
  for (const words of [['--help'], ['listen', '--help'], ['trigger', '-h']]) {
    expect(await runCli(words)).toMatchObject({ code: 0, output: expect.stringContaining('Usage') })
  }
  expect(await runCli(['--version'])).toMatchObject({ code: 0, output: '0.1.0' })
})

test('ubos trigger sends an example to an endpoint, marked as a test, which ubos listen hears too', async () => {
  const tenant = await world.newTenant()
  const [receiver, local] = [await aReceiver(), await aReceiver()]
  const none = await runCli(['trigger', 'invoice.paid', ...api()], tenant.key)
  expect(none).toMatchObject({ code: 2, errors: expect.stringContaining('--to <url>') })
  const url = receiver.url
  const wants = { url, eventTypes: ['client.created'] }
  const { body: endpoint } = await tenant.post('/api/v1/webhook-endpoints', wants)
  const folder = mkdtempSync(join(tmpdir(), 'ubos-cli-'))
  const keyFile = join(folder, 'key')
  writeFileSync(keyFile, `${tenant.key}\n`)
  const cli = await listening([local.url, '--types', 'invoice.*'], tenant.key)
  const words = ['trigger', 'invoice.paid', '--json', '--key-file', keyFile, ...api()]
  const { code, told } = await runCli(words)
  rmSync(folder, { recursive: true })
  expect(code).toBe(0)
  const { id } = told()[0]
  await receiver.received(1)
  const [request] = receiver.verified(endpoint.secret)
  const sent = JSON.parse(String(request?.body))
  expect(sent).toMatchObject({ id, type: 'invoice.paid', isTest: true, data: { status: 'PAID' } })
  await local.received(1)
  expect(JSON.parse(String(local.requests[0]?.body))).toEqual(sent)
  cli.interrupt()
  await cli.ended
  await tenant.post('/api/v1/webhook-endpoints', { url })
  const two = await runCli(['trigger', 'invoice.paid', ...api()], tenant.key)
  expect(two).toMatchObject({ code: 2, errors: expect.stringContaining(endpoint.id) })
})

test('ubos trigger publishes a type of one’s own, sends past the API, and knows names that are nearly right', async () => {
  const tenant = await world.newTenant()
  const receiver = await aReceiver()
  const type = 'custom.order.shipped'
  const made = await tenant.post('/api/v1/event-types', {
    type,
    description: 'It left the house.',
    schema: { type: 'object', properties: { orderId: { type: 'string', maxLength: 20 } } },
    example: { orderId: 'A-1' },
  })
  expect(made.status).toBe(201)
  const own = await runCli(['trigger', type, ...api()], tenant.key)
  expect(own).toMatchObject({ code: 0, output: expect.stringContaining('was published') })
  await world.drain()
  const feed = (await tenant.get('/api/v1/events?sort=position&limit=200')).body.data
  expect(feed.at(-1)).toMatchObject({ type, data: { orderId: 'A-1' } })

  const past = ['trigger', 'client.created', '--to', receiver.url, '--secret', aSecret, ...api()]
  expect((await runCli(past, tenant.key)).code).toBe(0)
  const [request] = receiver.verified(aSecret)
  const body = JSON.parse(String(request?.body))
  expect(body).toMatchObject({ type: 'client.created', isTest: true })
  receiver.answers(500)
  expect((await runCli(past, tenant.key)).code).toBe(3)
  const wrong = await runCli(['trigger', 'client.create', ...api()], tenant.key)
  expect(wrong).toMatchObject({ code: 2, errors: expect.stringContaining('client.created') })
})
