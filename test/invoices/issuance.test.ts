import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TenantId } from '#ids.ts'
import { tenantOf, until } from '../db/fixture.ts'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'
import { accepted, draft, idOf, newClient, open } from './fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

async function drafts(api: Api, count: number, clientId: string, description = 'Work') {
  const lines = [{ description, quantity: 1, unitAmount: 10 }]
  return await Promise.all(Array.from({ length: count }, () => draft(api, { clientId, lines })))
}

test('of many invoices issued at once, some of which fail, those that succeed are numbered without a gap', async () => {
  // Fails where it hurts: after the number was taken, in the same flush as the commit.
  await world.query(`
    create function test_fail() returns trigger language plpgsql as
      $$ begin perform ubos_raise('conflict'); return new; end $$;
    create trigger test_fail before update on invoice for each row
      when (new.status = 'OPEN' and new.lines::text like '%DOOMED%') execute function test_fail()`)
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  const clientId = await newClient(api)
  const good = await drafts(api, 13, clientId)
  const doomed = await drafts(api, 7, clientId, 'DOOMED')
  const mixed = good.flatMap((path, at) => [path, ...doomed.slice(at, at + 1)])
  const [replies, elsewhere] = await Promise.all([
    Promise.all(mixed.map((path) => api.post(`${path}/issuance`))),
    open(other, 5),
  ])
  for (const [at, reply] of replies.entries()) {
    if (doomed.includes(mixed[at] ?? '')) refusedWith(reply, 'conflict')
  }
  const numbers = replies.filter(({ status }) => status === 200).map(({ body }) => body.number)
  expect(numbers.sort()).toEqual(good.map((_, at) => `INV-${String(at + 1).padStart(6, '0')}`))
  expect((await other.get(elsewhere)).body.number).toBe('INV-000001')
  for (const path of doomed) {
    expect((await api.get(path)).body).toMatchObject({ status: 'DRAFT', number: null })
  }
  expect((await api.get(await open(api, 1))).body.number).toBe('INV-000014')
})

test('of many who issue one draft at once one does, and one number is taken', async () => {
  const api = await world.newTenant()
  const path = await draft(api)
  const replies = await Promise.all(Array.from({ length: 8 }, () => api.post(`${path}/issuance`)))
  expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(409)])
  expect((await api.get(await open(api, 1))).body.number).toBe('INV-000002')
})

test('whatever comes first, no open invoice is left without a client', async () => {
  const api = await world.newTenant()
  const outcomes = new Set<string>()
  for (let round = 0; round < 12; round += 1) {
    const clientId = await newClient(api)
    const path = await draft(api, { clientId })
    const issue = () => api.post(`${path}/issuance`)
    const remove = () => api.delete(`/api/v1/clients/${clientId}`)
    const [issued, deleted] =
      round % 2 === 0
        ? await Promise.all([issue(), remove()])
        : await Promise.all([remove(), issue()]).then(([first, second]) => [second, first])
    outcomes.add(`${issued?.status} ${deleted?.status}`)
    if (issued?.status === 409) refusedWith(issued, 'invalid_state')
    if (deleted?.status === 409) refusedWith(deleted, 'resource_in_use')
  }
  for (const outcome of outcomes) expect(['200 409', '409 204']).toContain(outcome)
})

/** Does `work` in a transaction of its own, and `meanwhile` before that is committed. */
async function holding<Done>(tenant: TenantId, work: string, meanwhile: () => Promise<Done>) {
  const client = await world.ctx.db.writers.connect()
  try {
    await client.query(`begin; set local ubos.tenant_id = '${tenant}'; ${work}`)
    const waiting = meanwhile()
    await until(async () => {
      const rows = await world.query(
        `select 1 from pg_stat_activity
         where wait_event_type = 'Lock' and datname = current_database()`,
      )
      return rows.length === 1
    })
    await client.query('commit')
    return await waiting
  } finally {
    client.release()
  }
}

test('an issuance waits for a deletion of its client that is under way, and then does not happen', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const path = await draft(api, { clientId })
  const issued = await holding(
    await tenantOf(api),
    `update client set deleted_at = now() where id = '${clientId}'`,
    () => api.post(`${path}/issuance`),
  )
  expect(refusedWith(issued, 'invalid_state').detail).toContain('client')
  const another = await newClient(api)
  await api.patch(path, { clientId: another }, { 'if-match': '"1"' })
  expect((await api.post(`${path}/issuance`)).body.number).toBe('INV-000001')
})

test('a deletion of a client waits for an issuance that is under way, and then does not happen', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const path = await draft(api, { clientId })
  const deleted = await holding(
    await tenantOf(api),
    `select 1 from client where id = '${clientId}' for share;
     update invoice set status = 'OPEN', number = 'INV-000001' where id = '${idOf(path)}'`,
    () => api.delete(`/api/v1/clients/${clientId}`),
  )
  expect(refusedWith(deleted, 'resource_in_use').detail).toContain('INV-000001')
})

test('a proposal is deleted before its invoice is issued or after it is settled, not between', async () => {
  const api = await world.newTenant()
  const clientId = await newClient(api)
  const [early, late] = [await accepted(api, clientId), await accepted(api, clientId)]
  const [first, second] = await Promise.all(
    [early, late].map(async (proposal) => {
      const made = await api.post('/api/v1/invoices', { proposalId: idOf(proposal) })
      return made.headers.get('location') ?? ''
    }),
  )
  expect((await api.delete(early)).status).toBe(204)
  expect((await api.post(`${first}/issuance`)).body).toMatchObject({ status: 'OPEN' })
  await api.post(`${second}/issuance`)
  refusedWith(await api.delete(late), 'resource_in_use')
  await api.post(`${second}/voidance`)
  expect((await api.delete(late)).status).toBe(204)
})
