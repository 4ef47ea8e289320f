import { afterAll, beforeAll, expect, test } from 'vitest'
import { pruneJobs } from '#retention/prune.sql.ts'
import { purgeDeleted } from '#retention/purge.sql.ts'
import { tenantOf } from '../events/fixture.ts'
import { type Api, type Reply, refusedWith, startWorld, type World } from '../world.ts'
import { idAgo, noonAgo } from './fixture.ts'

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
})
afterAll(() => world.stop())

async function made(path: string, body: object): Promise<Reply['body']> {
  const headers = { 'idempotency-key': world.ctx.clock.newId('req') }
  const reply = await api.post(`/api/v1/${path}`, body, headers)
  if (reply.status !== 201) throw new Error(JSON.stringify(reply.body))
  return reply.body
}

const aClient = () =>
  made('clients', { name: 'Ada Lovelace', email: 'ada@example.com', phone: '1', currency: 'GBP' })
const lines = [{ description: 'For Ada alone', quantity: 1, unitAmount: 5 }]
const aProposal = (clientId: string) =>
  made('proposals', { clientId, title: 'For Ada', currency: 'GBP', lines })

/** Deletes things by the API, and lets that be so many days ago. */
async function deleteAgo(days: number, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    const { status } = await api.delete(`/api/v1/${path}`)
    if (status !== 204) throw new Error(`${path}: ${status}`)
    const [table, id] = path.split('/')
    await world.query(`update ${table?.slice(0, -1)} set deleted_at = $2 where id = $1`, [
      id,
      noonAgo(days),
    ])
  }
}

const rowOf = async (table: 'client' | 'proposal', id: string) =>
  (await world.query(`select * from ${table} where id = $1`, [id]))[0]

test('a client that was deleted a month ago is gone without a trace in its table, not before', async () => {
  const [old, young, kept] = [await aClient(), await aClient(), await aClient()]
  await deleteAgo(31, `clients/${old.id}`)
  await deleteAgo(29, `clients/${young.id}`)
  await purgeDeleted(world.ctx)
  expect(await rowOf('client', old.id)).toBeUndefined()
  expect(await rowOf('client', young.id)).toMatchObject({ name: 'Ada Lovelace', purged_at: null })
  expect((await api.get(`/api/v1/clients/${kept.id}`)).body).toEqual(kept)
})

test('a deleted client that money refers to loses its words; the money stays whole', async () => {
  const client = await aClient()
  const payment = await made('payments', { amount: 5, currency: 'GBP', clientId: client.id })
  const draft = await made('invoices', { clientId: client.id, currency: 'GBP', lines })
  await deleteAgo(31, `clients/${client.id}`)
  await purgeDeleted(world.ctx)
  const row = await rowOf('client', client.id)
  expect(row).toMatchObject({ name: '', email: null, phone: null, purged_at: expect.any(Date) })
  expect(JSON.stringify(row)).not.toContain('Ada')
  refusedWith(await api.get(`/api/v1/clients/${client.id}`), 'not_found')
  expect((await api.get(`/api/v1/payments/${payment.id}`)).body).toEqual(payment)
  expect((await api.get(`/api/v1/invoices/${draft.id}`)).body).toEqual(draft)

  await purgeDeleted(world.ctx)
  expect(await rowOf('client', client.id), 'once is enough').toEqual(row)
})

test('a deleted proposal goes, and its client with it, once no invoice came of it', async () => {
  const client = await aClient()
  const proposal = await aProposal(client.id)
  await deleteAgo(31, `proposals/${proposal.id}`, `clients/${client.id}`)
  await purgeDeleted(world.ctx)
  expect(await rowOf('proposal', proposal.id)).toBeUndefined()
  expect(await rowOf('client', client.id)).toBeUndefined()
})

test('a deleted proposal that an invoice came of loses its words, and the invoice nothing', async () => {
  const client = await aClient()
  const { id } = await aProposal(client.id)
  await api.post(`/api/v1/proposals/${id}/submission`)
  await api.post(`/api/v1/proposals/${id}/acceptance`)
  const invoice = await made('invoices', { proposalId: id })
  await deleteAgo(31, `proposals/${id}`)
  await purgeDeleted(world.ctx)
  const row = await rowOf('proposal', id)
  expect(row).toMatchObject({ title: '', lines: [], purged_at: expect.any(Date) })
  expect(JSON.stringify(row)).not.toContain('Ada')
  expect((await api.get(`/api/v1/invoices/${invoice.id}`)).body).toEqual(invoice)
})

test('a client whose proposal lives on is not purged under it', async () => {
  const client = await aClient()
  const proposal = await aProposal(client.id)
  await deleteAgo(31, `clients/${client.id}`)
  await purgeDeleted(world.ctx)
  expect(await rowOf('client', client.id)).toMatchObject({ name: '' })
  expect((await api.get(`/api/v1/proposals/${proposal.id}`)).body).toEqual(proposal)
})

async function aJob(caller: Api, status: string, finishedDays: number): Promise<string> {
  const id = idAgo('job', 40)
  const finishedAt = status === 'RUNNING' ? null : noonAgo(finishedDays)
  await world.query(
    `insert into job (tenant_id, id, task, payload, status, priority, due_at, attempt_count,
       actor_type, actor_id, correlation_id, created_at, finished_at)
     values ($1, $2, 'A', '{}', $3, 2, now(), 1, 'SYSTEM', 'then', 'then', now(), $4)`,
    [await tenantOf(caller), id, status, finishedAt],
  )
  return id
}

test('finished jobs go after a fortnight, or as their tenant says; what still runs stays', async () => {
  const [usual, short, long] = [api, await world.newTenant(), await world.newTenant()]
  await short.patch('/api/v1/retention-policy', { jobsDays: 2 })
  await long.patch('/api/v1/retention-policy', { jobsDays: 40 })
  const gone = [
    await aJob(usual, 'SUCCEEDED', 15),
    await aJob(usual, 'FAILED', 15),
    await aJob(short, 'CANCELLED', 3),
    await aJob(long, 'SUCCEEDED', 41),
  ]
  const kept = [
    await aJob(usual, 'SUCCEEDED', 13),
    await aJob(usual, 'RUNNING', 0),
    await aJob(short, 'FAILED', 1),
    await aJob(long, 'SUCCEEDED', 39),
  ]
  await pruneJobs(world.ctx)
  const ids = (await world.query<{ id: string }>('select id from job')).map(({ id }) => id)
  expect(ids.sort()).toEqual(kept.sort())
  expect(ids).not.toContain(gone[0])
})
