import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { accepted, draft, hosting, idOf, newClient, open, pay, work } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const dayMs = 24 * 60 * 60 * 1_000
const dayAfter = (days: number) =>
  new Date(world.ctx.clock.now().getTime() + days * dayMs).toISOString().slice(0, 10)

/** What was told of invoices, in order. */
async function told(api: Api) {
  await world.drain()
  const { body } = await api.get('/api/v1/events?sort=position&limit=200')
  return body.data.filter(({ type }: { type: string }) => type.startsWith('invoice.'))
}

test('an invoice is drafted, changed, issued and voided, and each step is told and written down', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  const created = await api.get(path)
  expect(created.body).toMatchObject({
    status: 'DRAFT',
    number: null,
    totals: { subtotal: 1299.9, tax: 259.98, total: 1559.88 },
    amountPaid: 0,
    amountDue: 1559.88,
  })

  const lines = [{ ...work, quantity: 0.3333 }]
  const seen = { 'if-match': created.headers.get('etag') ?? '' }
  const patched = await api.patch(path, { lines, dueDate: dayAfter(7) }, seen)
  expect(patched.body).toMatchObject({
    revision: 2,
    totals: { subtotal: 159.98, tax: 32, total: 191.98 },
    amountDue: 191.98,
    dueDate: dayAfter(7),
  })
  const again = await api.patch(path, {}, { 'if-match': '"2"' })
  expect([again.status, again.body]).toEqual([200, patched.body])

  const issued = await api.post(`${path}/issuance`)
  expect(issued.body).toMatchObject({
    status: 'OPEN',
    number: 'INV-000001',
    issueDate: dayAfter(0),
    dueDate: dayAfter(7),
    revision: 3,
  })
  expect(issued.headers.get('etag')).toBe('"3"')
  refusedWith(await api.patch(path, { lines }, { 'if-match': '"3"' }), 'invalid_state')
  refusedWith(await api.post(`${path}/issuance`), 'invalid_state')

  const voided = await api.post(`${path}/voidance`)
  expect(voided.body).toMatchObject({ status: 'VOIDED', number: 'INV-000001', amountDue: 0 })
  refusedWith(await api.post(`${path}/voidance`), 'invalid_state')
  expect((await api.get(path)).body).toEqual(voided.body)

  const events = await told(api)
  expect(events.map(({ type }: { type: string }) => type)).toEqual([
    'invoice.created',
    'invoice.updated',
    'invoice.issued',
    'invoice.voided',
  ])
  expect(events.map(({ data }: { data: object }) => data)).toEqual([
    created.body,
    patched.body,
    issued.body,
    voided.body,
  ])
  expect(events[1].changedFields.sort()).toEqual(['amountDue', 'dueDate', 'lines', 'totals'])
  const audits = await world.query<{ action: string; before: object; after: object }>(
    'select action, before, after from audit where resource_id = $1 order by id',
    [idOf(path)],
  )
  expect(audits).toMatchObject([
    { action: 'invoice.created', before: null, after: { status: 'DRAFT' } },
    { action: 'invoice.updated', before: { amountDue: 1559.88 }, after: { amountDue: 191.98 } },
    { action: 'invoice.issued', before: { number: null }, after: { number: 'INV-000001' } },
    { action: 'invoice.voided', before: { status: 'OPEN' }, after: { status: 'VOIDED' } },
  ])
})

test('a draft is changed by those only who have seen it, and in the order of refusals', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  const patch = { dueDate: dayAfter(1) }
  const nobody = `/api/v1/invoices/inv_${'0'.repeat(26)}`
  refusedWith(await api.patch(nobody, patch), 'not_found')
  const blind = await api.patch(path, patch)
  expect(blind.status).toBe(428)
  expect(refusedWith(blind, 'precondition_required').errors[0].header).toBe('If-Match')
  const stale = await api.patch(path, patch, { 'if-match': '"7"' })
  expect(stale.status).toBe(412)
  refusedWith(await api.patch(path, { number: 'INV-1' }), 'invalid_request')

  await api.post(`${path}/issuance`)
  refusedWith(await api.patch(path, patch), 'precondition_required')
  refusedWith(await api.patch(path, patch, { 'if-match': '"1"' }), 'precondition_failed')
  refusedWith(await api.patch(path, patch, { 'if-match': '"2"' }), 'invalid_state')
  expect((await api.get(path)).body.revision).toBe(2)
})

test('who issues or voids what has changed since they saw it is stopped', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  await api.patch(path, { lines: [work] }, { 'if-match': '"1"' })
  for (const step of ['issuance', 'voidance']) {
    const seen = { 'if-match': '"1"' }
    refusedWith(await api.post(`${path}/${step}`, undefined, seen), 'precondition_failed')
  }
  expect((await api.post(`${path}/issuance`, undefined, { 'if-match': '"2"' })).status).toBe(200)
  refusedWith(
    await api.post(`${path}/issuance`, undefined, { 'if-match': '"2"' }),
    'precondition_failed',
  )
})

test('of many changes of one revision of a draft exactly one is made', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  const replies = await Promise.all(
    Array.from({ length: 10 }, (_, at) =>
      api.patch(path, { dueDate: dayAfter(at + 1) }, { 'if-match': '"1"' }),
    ),
  )
  expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(412)])
})

test('a proposal that the client accepted is invoiced by its id alone', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const proposal = await accepted(api, clientId)
  const proposalId = idOf(proposal)
  const whole = await api.post('/api/v1/invoices', { proposalId })
  expect(whole.body).toMatchObject({
    proposalId,
    clientId,
    currency: 'GBP',
    lines: (await api.get(proposal)).body.lines,
    amountDue: 1559.88,
  })
  const named = await api.post('/api/v1/invoices', { proposalId, clientId, dueDate: dayAfter(9) })
  expect(named.body).toMatchObject({ status: 'DRAFT', dueDate: dayAfter(9) })
  const deposit = { proposalId, clientId, currency: 'GBP', lines: [hosting] }
  const part = await api.post('/api/v1/invoices', deposit)
  expect(part.body).toMatchObject({ proposalId, totals: { total: 119.88 } })
})

test('an invoice names its own client’s accepted proposal, or none', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const [clientId, stranger] = [await newClient(api), await newClient(api)]
  const proposalId = idOf(await accepted(api, clientId))
  const foreign = idOf(await accepted(other, await newClient(other)))
  const offer = { clientId, title: 'Relaunch', currency: 'GBP', lines: [work] }
  const sent = (await api.post('/api/v1/proposals', offer)).body.id
  await api.post(`/api/v1/proposals/${sent}/submission`)
  const path = await draft(api, { clientId })
  const seen = { 'if-match': '"1"' }
  const lines = { currency: 'GBP', lines: [work] }
  const wrong = [
    [{ proposalId: foreign }, 'reference_unknown', '/proposalId'],
    [{ proposalId: sent }, 'invalid_state', '/proposalId'],
    [{ proposalId, clientId: stranger }, 'reference_mismatch', '/proposalId'],
    [{ clientId: `cli_${'0'.repeat(26)}` }, 'reference_unknown', '/clientId'],
  ] as const
  for (const [body, code, pointer] of wrong) {
    const made = await api.post('/api/v1/invoices', { clientId, ...lines, ...body })
    expect(refusedWith(made, code).errors[0].pointer).toBe(pointer)
    if ('proposalId' in body) refusedWith(await api.post('/api/v1/invoices', body), code)
    refusedWith(await api.patch(path, body, seen), code)
  }
  const referring = await api.patch(path, { proposalId }, seen)
  expect(referring.body).toMatchObject({ proposalId, amountDue: 1559.88 })
  const now = { 'if-match': '"2"' }
  refusedWith(await api.patch(path, { clientId: stranger }, now), 'reference_mismatch')
  const moved = await api.patch(path, { clientId: stranger, proposalId: null }, now)
  expect(moved.body).toMatchObject({ clientId: stranger, proposalId: null })
})

test('what is computed, missing or impossible is refused with the field at fault', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const fine = { clientId, currency: 'GBP', lines: [work] }
  const proposalId = `pro_${'0'.repeat(26)}`
  const wrong: [object, string, string][] = [
    [{ ...fine, number: 'INV-000007' }, 'invalid_request', '/number'],
    [{ ...fine, amountDue: 1 }, 'invalid_request', '/amountDue'],
    [{ ...fine, totals: {} }, 'invalid_request', '/totals'],
    [{ ...fine, lines: [{ ...work, amount: 1 }] }, 'invalid_request', '/lines/0/amount'],
    [{ ...fine, lines: [] }, 'invalid_request', '/lines'],
    [{ clientId, currency: 'GBP' }, 'invalid_request', '/lines'],
    [{ clientId, lines: [work] }, 'invalid_request', '/currency'],
    [{ currency: 'GBP', lines: [work] }, 'invalid_request', '/clientId'],
    // Of a proposal, the currency is its own.
    [{ proposalId, clientId, currency: 'GBP' }, 'invalid_request', '/currency'],
    [{ ...fine, currency: 'XXX' }, 'currency_unknown', '/currency'],
    [
      { ...fine, lines: [{ ...work, unitAmount: 0.001 }] },
      'amount_precision',
      '/lines/0/unitAmount',
    ],
    [{ ...fine, issueDate: '2026-03-02', dueDate: '2026-03-01' }, 'invalid_request', '/dueDate'],
    // Validity comes before existence.
    [{ proposalId, issueDate: '2026-03-02', dueDate: '2026-03-01' }, 'invalid_request', '/dueDate'],
    [{ ...fine, proposalId, currency: 'XXX' }, 'currency_unknown', '/currency'],
    [{ ...fine, issueDate: '2026-02-30' }, 'invalid_request', '/issueDate'],
  ]
  for (const [body, code, pointer] of wrong) {
    const reply = await api.post('/api/v1/invoices', body)
    expect([reply.status, reply.body.code, reply.body.errors?.[0].pointer]).toEqual([
      400,
      code,
      pointer,
    ])
  }
  expect((await api.get('/api/v1/invoices')).body.data).toEqual([])
})

test('an invoice that would be due before it is issued, or over nothing, is not left to be paid', async () => {
  const api = await world.newTenant()
  const late = await draft(api, { dueDate: dayAfter(-1) })
  refusedWith(await api.post(`${late}/issuance`), 'invalid_state')
  expect((await api.get(late)).body).toMatchObject({ status: 'DRAFT', number: null })

  const free = await draft(api, { lines: [{ ...work, unitAmount: 0 }] })
  const issued = await api.post(`${free}/issuance`)
  expect(issued.body).toMatchObject({ status: 'PAID', number: 'INV-000001', amountDue: 0 })
  const events = (await told(api)).slice(-2)
  expect(events).toMatchObject([
    { type: 'invoice.issued', data: issued.body },
    { type: 'invoice.paid', data: issued.body },
  ])
  refusedWith(await pay(api, free, 1), 'invalid_state')
})

test('a step repeated under its key is answered again, and takes one number', async () => {
  const api = await world.newTenant()
  const key = { 'idempotency-key': 'issue-once' }
  const path = await draft(api)
  const first = await api.post(`${path}/issuance`, undefined, key)
  const second = await api.post(`${path}/issuance`, undefined, key)
  expect(second.body).toEqual(first.body)
  expect(second.headers.get('idempotent-replayed')).toBe('true')
  expect((await api.get(await open(api, 1))).body.number).toBe('INV-000002')
})

test('another tenant’s invoices do not exist, and numbers are each tenant’s own', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const [ours, theirs] = [await open(api, 10), await open(other, 10)]
  for (const path of [ours, theirs]) {
    const owner = path === ours ? api : other
    expect((await owner.get(path)).body.number).toBe('INV-000001')
  }
  refusedWith(await api.get(theirs), 'not_found')
  refusedWith(await api.patch(theirs, { dueDate: null }), 'not_found')
  refusedWith(await api.post(`${theirs}/issuance`), 'not_found')
  refusedWith(await api.post(`${theirs}/voidance`), 'not_found')
  refusedWith(await pay(api, theirs, 10), 'reference_unknown')
  expect((await api.get(`/api/v1/payments?invoiceId=${idOf(theirs)}`)).body.data).toEqual([])
  expect((await other.get(theirs)).body).toMatchObject({ status: 'OPEN', amountPaid: 0 })
})

test('a key does with invoices what its scopes say', async () => {
  const api = await world.newTenant()
  const withScopes = async (scopes: string[]) =>
    world.callsWith((await api.post('/api/v1/api-keys', { name: 'K', scopes })).body.key)
  const path = await open(api, 10)
  const reader = await withScopes(['invoices:read'])
  expect((await reader.get(path)).status).toBe(200)
  expect(refusedWith(await reader.post(`${path}/voidance`), 'insufficient_scope').detail).toContain(
    'invoices:write',
  )
  const writer = await withScopes(['invoices:write'])
  refusedWith(await writer.get(path), 'insufficient_scope')
  const cashier = await withScopes(['payments:write'])
  expect((await pay(cashier, path, 10)).status).toBe(201)
})

const decimal = (max: number, places: number) =>
  fc.integer({ min: 1, max: max * 10 ** places }).map((count) => count / 10 ** places)

test('whoever adds up the lines of an invoice comes to its total, and what is paid and due to it too', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const anyLine = fc.record({
    description: fc.constant('Work'),
    quantity: decimal(100, 4),
    unitAmount: decimal(10_000, 2),
    taxRate: decimal(100, 4),
  })
  const anyLines = fc.array(anyLine, { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(
      anyLines,
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      async (lines, share) => {
        const path = await draft(api, { clientId, lines })
        await api.post(`${path}/issuance`)
        const { totals, lines: priced } = (await api.get(path)).body
        const cents = (amount: number) => Math.round(amount * 100)
        const sum = priced.reduce(
          (all: number, line: { amount: number }) => all + cents(line.amount),
          0,
        )
        expect(cents(totals.subtotal)).toBe(sum)
        expect(cents(totals.total)).toBe(sum + cents(totals.tax))

        const part = Math.floor(cents(totals.total) * share) / 100
        if (part > 0) expect((await pay(api, path, part)).status).toBe(201)
        const { amountPaid, amountDue, status } = (await api.get(path)).body
        expect(cents(amountPaid)).toBe(cents(part))
        expect(cents(amountPaid) + cents(amountDue)).toBe(cents(totals.total))
        expect(status).toBe(amountDue === 0 ? 'PAID' : 'OPEN')
      },
    ),
    { numRuns: 25 },
  )
})
