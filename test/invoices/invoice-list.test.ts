import { afterAll, beforeAll, expect, test } from 'vitest'
import { kyselyOver } from '#db/database.ts'
import { pageInvoices } from '#invoices/page.sql.ts'
import { connectAs, databaseUrlOf, tenantOf } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { accepted, draft, idOf, newClient, open } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

async function listed(api: Api, query: string): Promise<string[]> {
  const { status, body } = await api.get(`/api/v1/invoices?${query}`)
  expect(status).toBe(200)
  return body.data.map(({ id }: { id: string }) => `/api/v1/invoices/${id}`)
}

async function walk(api: Api, query: string): Promise<string[]> {
  const met: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const after: string = cursor && `&cursor=${cursor}`
    const { body } = await api.get(`/api/v1/invoices?${query}${after}`)
    met.push(...body.data.map(({ id }: { id: string }) => `/api/v1/invoices/${id}`))
    cursor = body.nextCursor
  }
  return met
}

const lines = [{ description: 'Work', quantity: 1, unitAmount: 10 }]

test('invoices are found by client, proposal, state, number and the day that they are due', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const proposalId = idOf(await accepted(api, clientId))
  const issueDate = '2026-01-01'
  const soon = await open(api, 10, { clientId, issueDate, dueDate: '2026-03-01' })
  const late = await open(api, 10, { issueDate, dueDate: '2026-03-02' })
  const planned = await draft(api, { clientId, lines, proposalId, dueDate: '2026-03-03' })
  world.step(1_000)
  const undated = await draft(api, { lines })
  const all = [undated, planned, late, soon]

  expect(await listed(api, '')).toEqual(all)
  expect(await listed(api, 'sort=createdAt')).toEqual(all.toReversed())
  expect(await listed(api, `clientId=${clientId}`)).toEqual([planned, soon])
  expect(await listed(api, `proposalId=${proposalId}`)).toEqual([planned])
  expect(await listed(api, 'status=OPEN')).toEqual([late, soon])
  expect(await listed(api, 'number=INV-000002')).toEqual([late])
  expect(await listed(api, 'number=INV-000009')).toEqual([])
  expect(await listed(api, 'dueBefore=2026-03-02')).toEqual([soon])
  expect(await listed(api, 'dueAfter=2026-03-02')).toEqual([planned, late])
  expect(await listed(api, 'dueAfter=2026-03-04')).toEqual([])
  expect(await listed(api, 'dueAfter=2026-02-28&dueBefore=2026-03-03')).toEqual([late, soon])
  expect(await listed(api, 'status=OPEN&dueBefore=2026-03-03&sort=dueDate')).toEqual([soon, late])
  expect(await listed(api, `clientId=${clientId}&status=OPEN`)).toEqual([soon])
  const { createdAt } = (await api.get(undated)).body
  for (const sort of ['-createdAt', '-dueDate']) {
    const query = `sort=${sort}&createdAfter=${createdAt}`
    expect(await listed(api, query)).toEqual([undated])
  }
  const before = `sort=dueDate&createdBefore=${createdAt}`
  expect(await listed(api, before)).toEqual([soon, late, planned])
})

test('invoices due on one day, and drafts due on none, are each met once on pages of any size', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const days = ['2026-03-02', undefined, '2026-03-01', '2026-03-02', undefined, '2026-03-02']
  const made: { path: string; day: string }[] = []
  for (const dueDate of days) {
    const path = await draft(api, { clientId, lines, ...(dueDate ? { dueDate } : {}) })
    made.push({ path, day: dueDate ?? '9999' })
  }
  const inOrder = made
    .toSorted((a, b) => (a.day + a.path < b.day + b.path ? -1 : 1))
    .map(({ path }) => path)
  for (const limit of [1, 2, 3, 4, 6]) {
    expect(await walk(api, `sort=dueDate&limit=${limit}`)).toEqual(inOrder)
    expect(await walk(api, `sort=-dueDate&limit=${limit}`)).toEqual(inOrder.toReversed())
  }
  const dated = inOrder.slice(0, 4)
  expect(await walk(api, 'sort=dueDate&limit=1&dueBefore=2026-03-31')).toEqual(dated)
  expect(await walk(api, 'sort=-dueDate&limit=3&dueAfter=2026-01-01')).toEqual(dated.toReversed())
})

test('a page in the order of due dates is looked up, not read through, behind the fence too', async () => {
  const api = await world.newTenant()
  const tenant = await tenantOf(api)
  const client = await connectAs(databaseUrlOf(world), 'ubos_api')
  // With so few rows Postgres would rather read them all.
  await client.query('set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off')
  const explained: string[] = []
  const db = kyselyOver(async ({ sql, parameters }) => {
    const { rows } = await client.query(`explain ${sql}`, [...parameters])
    explained.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
    return { rows: [] }
  })
  await client.query(`begin; set local ubos.tenant_id = '${tenant}'`)
  const after = ['2026-03-01', `inv_${'0'.repeat(26)}`]
  await pageInvoices(db, tenant, { sort: 'dueDate' }, { limit: 50, after })
  await pageInvoices(db, tenant, { sort: '-dueDate' }, { limit: 50, after })
  const overdue = { status: 'OPEN', dueBefore: '2026-03-01', sort: 'dueDate' } as const
  await pageInvoices(db, tenant, overdue, { limit: 50, after: undefined })
  await client.end()
  const conditions = explained.map((plan) => /Index Cond: .*/.exec(plan)?.[0])
  expect(conditions).toHaveLength(3)
  for (const condition of conditions) expect(condition).toMatch(/tenant_id = .*due_date/)
  expect(explained[2]).toContain('invoice_open_due_idx')
})

test('a cursor of one order opens no other', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  for (let at = 0; at < 3; at += 1) await draft(api, { clientId, lines })
  const { nextCursor } = (await api.get('/api/v1/invoices?limit=1&sort=dueDate')).body
  for (const sort of ['-dueDate', 'createdAt']) {
    const reply = await api.get(`/api/v1/invoices?limit=1&sort=${sort}&cursor=${nextCursor}`)
    refusedWith(reply, 'invalid_cursor')
  }
  refusedWith(await api.get('/api/v1/invoices?sort=total'), 'invalid_request')
  refusedWith(await api.get('/api/v1/invoices?dueBefore=soon'), 'invalid_request')
})
