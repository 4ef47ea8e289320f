import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { startWorker } from '#app.ts'
import type { openDatabases } from '#db/open.ts'
import { check, settled } from '../../scripts/chaos/checker/check.ts'
import type { Ledger, Query } from '../../scripts/chaos/checker/finding.ts'
import type { Deed, Operation } from '../../scripts/chaos/deed.ts'
import { hireEditor } from '../../scripts/chaos/editor.ts'
import { chanceOf } from '../../scripts/chaos/random.ts'
import type { Arrivals } from '../../scripts/chaos/receivers.ts'
import { contextOf } from '../world.ts'
import { expectAllKept, patienceMs, type Scene, setScene } from './fixture.ts'

// A checker that cannot fail is worth nothing: every fault that it is for is made here, and is found.
let scene: Scene
let owner: pg.Client
beforeAll(async () => {
  scene = await setScene(4, { twice: 0.1, abandoned: 0, jobs: 0 })
  await scene.crew.work(90)
  await expectAllKept(scene)
  await changeEndpoints(scene)
  const { pathname } = new URL(scene.world.ctx.db.url)
  owner = new pg.Client(Object.assign(new URL(inject('ownerUrl')), { pathname }).href)
  await owner.connect()
}, 2 * patienceMs)
afterAll(async () => {
  await owner?.end()
  await scene?.stop()
})

/** A worker does what it asks for: single deliveries again, all again, and a late endpoint. */
async function changeEndpoints({ crew, world }: Scene): Promise<void> {
  const editor = hireEditor(crew, chanceOf(4))
  const all = { which: 'ALL', deliveriesPerSecond: 1_000, isWhole: false } as const
  const { ctx } = world
  const own = contextOf(ctx.config, ctx.clock, ctx.db.url)
  const worker = startWorker(own)
  const place = { at: 0, tenant: 0, endpoint: 0 }
  await editor.make({ ...place, kind: 'rotated', overlapSeconds: 60 })
  await editor.make({ ...place, kind: 'joined' })
  const request = { ...all, webhookId: 'NEW' } as const
  const replayed = { kind: 'replayed', request, cancelledAfterSeconds: undefined } as const
  await editor.make({ ...place, endpoint: 1, ...replayed })
  await settled(world.query, patienceMs)
  await editor.make({ ...place, kind: 'redelivered', count: 1 })
  await editor.catchUp()
  expect(await settled(world.query, patienceMs)).toBe(true)
  expect(await check(world.query, crew.ledger)).toEqual([])
  await worker.stop(1_000)
  await own.egress.close()
  await (own.db as ReturnType<typeof openDatabases>).close()
}

/** What is found after these statements, which are undone again. */
async function foundAfter(...statements: string[]): Promise<string[]> {
  const query: Query = async (text, values) =>
    (await owner.query({ text, values: values ?? [] })).rows
  await owner.query('begin')
  try {
    for (const text of statements) expect((await owner.query(text)).rowCount, text).toBe(1)
    return namesOf(await check(query, scene.crew.ledger))
  } finally {
    await owner.query('rollback')
  }
}

function namesOf(findings: Awaited<ReturnType<typeof check>>): string[] {
  return findings.map(({ kind, what }) => `${kind} ${what}`)
}

/** One row of a table of the crew's tenant, by its place. */
const one = (table: string, condition = 'true') =>
  `ctid = (select ctid from ${table} where ${condition} order by tableoid, ctid limit 1)
    and tableoid = (select tableoid from ${table} where ${condition} order by tableoid, ctid limit 1)`

const ours = "tenant_id <> 'ten_00000000000000000000000000'"
const told = (type: string) => `${ours} and type = '${type}'`

const planted: [name: string, found: RegExp, ...statements: string[]][] = [
  [
    'an event that is gone',
    /^LOST its events: none/,
    `delete from event where ${one('event', told('client.updated'))}`,
  ],
  [
    'an event without position',
    /^LOST an event without position/,
    `delete from event_position where ${one('event_position', told('client.created'))}`,
  ],
  [
    'positions with a gap',
    /^BROKEN positions with gaps/,
    `update event_position set position = position + 1000
      where ${one('event_position', told('client.created'))}`,
  ],
  [
    'an event told of twice in the log',
    /^DOUBLED its events/,
    `insert into event select tenant_id, 'evt_0000', created_on, type, version, occurred_at,
        correlation_id, body, traceparent from event
      where ${one('event', told('client.created'))}`,
  ],
  [
    'an event that was never numbered',
    /^LOST an event that was never numbered/,
    `insert into event_pending select tenant_id, id, created_on, type from event
      where ${one('event', told('client.created'))}`,
  ],
  [
    'an event of other bytes',
    /^BROKEN told in other bytes/,
    `update event set body = body || ' ' where ${one('event', told('client.created'))}`,
  ],
  [
    'an audit entry that is gone',
    /^LOST its audit entries: none/,
    `delete from audit where ${one('audit', `${ours} and action = 'client.created'`)}`,
  ],
  [
    'an audit entry that was edited',
    /^BROKEN the audit: /,
    `update audit set actor_id = 'x' where ${one('audit', ours)}`,
  ],
  [
    'a second delivery of an event',
    /^DOUBLED an event with 2 deliveries/,
    `insert into webhook_delivery select tenant_id, 'whd_0000', created_on, endpoint_id, event_id,
        event_created_on, event_type, status, attempt_count, last_attempt_at, last_response_status,
        delivered_at, created_at from webhook_delivery where ${one('webhook_delivery', ours)}`,
  ],
  [
    'a delivery that is gone',
    /^LOST an event without its delivery/,
    // Of an event from after its endpoint was made: what came just before it may be sent, too.
    `delete from webhook_delivery
      where ${one('webhook_delivery', `${ours} and event_type = 'client.updated'`)}`,
  ],
  [
    'a delivery that nobody was to get',
    /^DOUBLED 1 deliveries that do not add up/,
    `update webhook_matched set matched = matched - 1 where ${one('webhook_matched', ours)}`,
  ],
  [
    'a delivery that was matched and never made',
    /^LOST 1 deliveries that do not add up/,
    `update webhook_matched set matched = matched + 1 where ${one('webhook_matched', ours)}`,
  ],
  [
    'a delivery that was given up',
    /^LOST a delivery that is EXHAUSTED/,
    `update webhook_delivery set status = 'EXHAUSTED' where ${one('webhook_delivery', ours)}`,
  ],
  [
    'a delivery that is still due',
    /^LOST a delivery that is still due/,
    `insert into delivery_due (tenant_id, endpoint_id, delivery_id, created_on, event_id,
        event_created_on, due_at, attempt_count, retry_count)
      select tenant_id, endpoint_id, id, created_on, event_id, event_created_on, now(), 1, 0
      from webhook_delivery where ${one('webhook_delivery', ours)}`,
  ],
  [
    'an endpoint that was changed once more than was told of',
    /^BROKEN an endpoint of revision 2 and another number of changes/,
    `update webhook_endpoint set revision = 2 where ${one('webhook_endpoint', 'revision = 1')}`,
  ],
  [
    'a replay that made less due than it says',
    /^LOST 4\d\d deliveries that a replay made due/,
    `update webhook_replay set delivery_count = delivery_count + 500
      where ${one('webhook_replay')}`,
  ],
  [
    'an event that an endpoint was not told of when it caught up',
    /^LOST an event without its delivery/,
    `delete from webhook_delivery where ${one('webhook_delivery', ours)}`,
  ],
  [
    'an attempt that is gone',
    /^BROKEN attempts with gaps/,
    `delete from attempt where ${one('attempt', ours)}`,
  ],
  [
    'an attempt under another number',
    /^BROKEN attempts with gaps/,
    `update attempt set number = number + 1 where ${one('attempt', ours)}`,
  ],
  [
    'a kept reply that is gone',
    /^LOST its kept reply/,
    `delete from idempotency where ${one('idempotency', "key like 't0-%'")}`,
  ],
  [
    'a kept reply that was changed',
    /^BROKEN the kept reply is not what was answered/,
    `update idempotency set body = body || ' ' where ${one('idempotency', "key like 't0-%'")}`,
  ],
  [
    'a payment that is gone',
    /^LOST the payment pay_/,
    `delete from payment where ${one('payment')}`,
  ],
  [
    'a payment that was taken twice',
    /^BROKEN a payment that was told of 0 times/,
    `insert into payment select tenant_id, 'pay_0000', client_id, amount, currency, method,
        received_at, refunded_amount, status, revision, created_at, updated_at, null
      from payment where ${one('payment')}`,
  ],
  [
    'a change that was undone',
    /^BROKEN a client of revision 1 and another number of changes/,
    `update client set revision = 1 where ${one('client', 'revision = 2')}`,
  ],
  [
    'a deletion that was undone',
    /^BROKEN a client that is deleted without/,
    `update client set deleted_at = null where ${one('client', 'deleted_at is not null')}`,
  ],
  [
    'an invoice that forgot its payment',
    /^BROKEN an invoice that is paid with other money/,
    `update invoice set amount_paid = 0 where ${one('invoice', 'amount_paid > 0')}`,
  ],
  [
    'a number of an invoice that is missing',
    /^BROKEN numbers of invoices with gaps/,
    `update invoice_counter set issued = issued + 1 where ${one('invoice_counter')}`,
  ],
  [
    'a job that runs for ever',
    /^LOST a job that is RUNNING/,
    `insert into job (tenant_id, id, task, payload, status, priority, due_at, attempt_count,
        actor_type, actor_id, correlation_id, created_at)
      select tenant_id, 'job_0000', 'ANY', '{}', 'RUNNING', 2, now(), 1, 'API_KEY', 'x', 'x', now()
      from client where ${one('client')}`,
  ],
]

test.each(planted)('%s is found', async (_name, found, ...statements) => {
  expect(await foundAfter(...statements)).toEqual(
    expect.arrayContaining([expect.stringMatching(found)]),
  )
})

/** What is found when callers or receivers know something else. */
async function foundWith(change: (ledger: Told) => void): Promise<string[]> {
  const { ledger } = scene.crew
  const copy: Told = {
    ...ledger,
    deeds: ledger.deeds.map((deed) => ({ ...deed })),
    changes: ledger.changes.map((deed) => ({ ...deed })),
    endpoints: ledger.endpoints.map((endpoint) => ({
      ...endpoint,
      arrivals: new Map([...endpoint.arrivals].map(([id, each]) => [id, copyOf(each)])),
    })),
  }
  change(copy)
  return namesOf(await check(scene.world.query, copy))
}

const copyOf = (arrivals: Arrivals) => ({
  ...arrivals,
  webhookIds: new Set(arrivals.webhookIds),
})

const firstDeed = ({ deeds }: Ledger, operation: Operation) => {
  const deed = deeds.find((each) => each.operation === operation)
  if (deed === undefined) throw new Error(`no ${operation}`)
  return deed
}

const firstArrivals = ({ endpoints }: Ledger) => {
  const [arrivals] = endpoints[0]?.arrivals.values() ?? []
  if (arrivals === undefined) throw new Error('nothing came')
  return arrivals
}

const redelivery = ({ changes }: Ledger) => {
  const deed = changes.find(
    ({ operation, state }) => operation === 'redeliver' && state === 'ACKNOWLEDGED',
  )
  if (deed === undefined) throw new Error('nothing was redelivered')
  return deed
}

/** What came of the delivery that was made again. */
const redelivered = (ledger: Ledger) => {
  const { eventId, endpointId } = JSON.parse(redelivery(ledger).answer?.body ?? '{}')
  const arrivals = ledger.endpoints.find(({ id }) => id === endpointId)?.arrivals.get(eventId)
  if (arrivals === undefined) throw new Error('it never came')
  return arrivals
}

/** As the crew's own, to be changed in a copy. */
type Told = Ledger & { changes: Deed[] }

const misheard: [name: string, found: string, change: (ledger: Told) => void][] = [
  [
    'a deed that was acknowledged and left nothing',
    'LOST its kept reply',
    (ledger) => Object.assign(firstDeed(ledger, 'createClient'), { key: 'another' }),
  ],
  [
    'a deed that was answered in two ways',
    'DOUBLED answered in two ways',
    (ledger) => Object.assign(firstDeed(ledger, 'createClient'), { contradictions: 1 }),
  ],
  [
    'an event that an endpoint never took',
    'LOST never told',
    (ledger) => Object.assign(firstArrivals(ledger), { taken: 0 }),
  ],
  [
    'an event that came without an attempt',
    'DOUBLED came 2 times in 1 attempts',
    (ledger) => Object.assign(firstArrivals(ledger), { count: 2 }),
  ],
  [
    'an event that was taken twice with no attempt in doubt',
    'DOUBLED taken 2 times, of which 0 were in doubt',
    (ledger) => Object.assign(firstArrivals(ledger), { count: 2, taken: 2, resets: 1 }),
  ],
  [
    'an event that came in other bytes',
    'BROKEN told in other bytes than those of the event',
    (ledger) => Object.assign(firstArrivals(ledger), { isSame: false }),
  ],
  [
    'an event whose signature did not fit',
    'BROKEN told without a signature that fits',
    (ledger) => Object.assign(firstArrivals(ledger), { isSigned: false }),
  ],
  [
    'an event that was delivered and never came',
    'LOST taken 1 times, and delivered 2 times',
    (ledger) => Object.assign(redelivered(ledger), { taken: 1 }),
  ],
  [
    'an event that was delivered once more than anybody had asked for',
    'DOUBLED delivered 2 times, and asked for 1 times',
    (ledger) => ledger.changes.splice(ledger.changes.indexOf(redelivery(ledger)), 1),
  ],
  [
    'an event that came under an id that nobody had asked for',
    'BROKEN came under 1 ids that nobody had asked for',
    (ledger) => firstArrivals(ledger).webhookIds.add('msg_0000'),
  ],
  [
    'a change that was refused for no good reason',
    'BROKEN refused: 404 ',
    (ledger) =>
      ledger.changes.push({
        ...redelivery(ledger),
        ...{ key: 'refused', state: 'REFUSED', answer: { status: 404, body: '' } },
      }),
  ],
  [
    'an event that nobody was promised',
    'BROKEN told of an event that it was not promised',
    (ledger) => ledger.endpoints[1]?.arrivals.set('evt_0000', firstArrivals(ledger)),
  ],
]

test.each(misheard)('%s is found', async (_name, found, change) => {
  expect(await foundWith(change)).toContain(found)
})

test('an abandoned deed that was half done is found', async () => {
  const { deeds } = scene.crew.ledger
  const deed = deeds.find(({ operation }) => operation === 'createPayment')
  if (deed === undefined) throw new Error('no payment')
  const before = deed.state
  deed.state = 'ABANDONED'
  const audit = `delete from audit where correlation_id = '${deed.key}'`
  expect(await foundAfter(audit)).toContain('BROKEN half done: audit entries: none, reply: true')
  deed.state = before
})

test('a deed without an answer is found, and one that was refused', async () => {
  const { deeds } = scene.crew.ledger
  const asked = { ...firstDeed(scene.crew.ledger, 'createClient'), key: 'asked', state: 'ASKED' }
  const refused = { ...asked, key: 'refused', state: 'REFUSED', answer: { status: 404, body: '' } }
  const ledger = { ...scene.crew.ledger, deeds: [...deeds, asked, refused] as Ledger['deeds'] }
  expect(namesOf(await check(scene.world.query, ledger))).toEqual([
    'LOST never answered',
    'BROKEN refused: 404 ',
  ])
})
