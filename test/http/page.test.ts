import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, type Reply, refusedWith, startWorld, type World } from '../world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
})
afterAll(() => world.stop())

const clients = '/api/v1/clients'

async function makeClients(api: Api, count: number, name = 'Row'): Promise<string[]> {
  const ids: string[] = []
  for (let at = 0; at < count; at += 1) {
    ids.push((await api.post(clients, { name: `${name} ${at}`, currency: 'EUR' })).body.id)
  }
  return ids
}

const idsOf = ({ body }: Reply): string[] => body.data.map(({ id }: { id: string }) => id)

/** Reads a list to its end; `between` happens before each further page. */
async function walk(api: Api, path: string, between: () => Promise<unknown> = async () => {}) {
  const pages: string[][] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const reply: Reply = await api.get(cursor ? `${path}&cursor=${cursor}` : path)
    expect(reply.status).toBe(200)
    pages.push(idsOf(reply))
    cursor = reply.body.nextCursor
    await between()
  }
  return pages
}

test('a list is read to its end in pages, newest or oldest first, each row once', async () => {
  const api = await world.newTenant()
  const ids = await makeClients(api, 7)
  const newest = await walk(api, `${clients}?limit=3`)
  expect(newest.map((page) => page.length)).toEqual([3, 3, 1])
  expect(newest.flat()).toEqual(ids.toReversed())
  expect((await walk(api, `${clients}?limit=3&sort=createdAt`)).flat()).toEqual(ids)
  expect(await walk(api, `${clients}?limit=7`)).toHaveLength(1)
})

test.for(['createdAt', '-createdAt'])(
  'while others add and delete, who reads sorted by %s meets every row that stays exactly once',
  async (sort) => {
    const api = await world.newTenant()
    const staying = await makeClients(api, 20)
    const leaving = await makeClients(api, 10, 'Leaving')
    const between = async () => {
      const gone = leaving.pop()
      await Promise.all([
        makeClients(api, 1, 'New'),
        gone ? api.delete(`${clients}/${gone}`) : undefined,
      ])
    }
    const met = (await walk(api, `${clients}?limit=4&sort=${sort}`, between)).flat()
    expect(new Set(met).size, 'nothing twice').toBe(met.length)
    expect(met.filter((id) => staying.includes(id)).sort()).toEqual(staying)
  },
)

test('the cursor of a row that was deleted still leads on', async () => {
  const api = await world.newTenant()
  const ids = await makeClients(api, 6)
  const first = await api.get(`${clients}?limit=3&sort=createdAt`)
  for (const id of ids.slice(0, 4)) await api.delete(`${clients}/${id}`)
  const path = `${clients}?limit=3&sort=createdAt&cursor=${first.body.nextCursor}`
  expect(idsOf(await api.get(path))).toEqual(ids.slice(4))
})

test('the Link header leads to the next page, filters and limit included, and ends', async () => {
  const api = await world.newTenant()
  const ids = await makeClients(api, 5)
  const met: string[] = []
  let path: string | undefined = `${clients}?sort=createdAt&limit=2`
  while (path !== undefined) {
    const reply: Reply = await api.get(path)
    met.push(...idsOf(reply))
    const link = reply.headers.get('link')
    expect(link === null).toBe(reply.body.nextCursor === null)
    path = /^<([^>]+)>; rel="next"$/.exec(link ?? '')?.[1]
  }
  expect(met).toEqual(ids)
})

test('a cursor holds for its tenant, list, filters and order only, at whatever limit', async () => {
  const [api, other] = [await world.newTenant(), await world.newTenant()]
  await makeClients(api, 4)
  await makeClients(other, 4)
  const first = await api.get(`${clients}?limit=2`)
  const cursor: string = first.body.nextCursor
  const elsewhere = [
    await other.get(`${clients}?limit=2&cursor=${cursor}`),
    await api.get(`/api/v1/payments?cursor=${cursor}`),
    await api.get(`/api/v1/proposals?cursor=${cursor}`),
    await api.get(`${clients}?sort=createdAt&cursor=${cursor}`),
    await api.get(`${clients}?email=a@example.com&cursor=${cursor}`),
  ]
  for (const reply of elsewhere) {
    expect(reply.status).toBe(400)
    expect(refusedWith(reply, 'invalid_cursor').errors[0].parameter).toBe('cursor')
  }
  expect(idsOf(await api.get(`${clients}?limit=1&cursor=${cursor}`))).toHaveLength(1)
  expect(idsOf(await api.get(`${clients}?sort=-createdAt&cursor=${cursor}`))).toHaveLength(2)
})

test('a cursor that was changed in any place does not open', async () => {
  const api = await world.newTenant()
  await makeClients(api, 3)
  const cursor: string = (await api.get(`${clients}?limit=1`)).body.nextCursor
  const changed = Array.from({ length: 12 }, (_, step) => {
    const at = Math.floor((step * cursor.length) / 12)
    const letter = cursor[at] === 'A' ? 'B' : 'A'
    return cursor.slice(0, at) + letter + cursor.slice(at + 1)
  })
  for (const text of [...changed, cursor.slice(1), cursor.slice(0, -4), `${cursor}AAAA`, 'AAAA']) {
    refusedWith(await api.get(`${clients}?cursor=${text}`), 'invalid_cursor')
  }
})

test('a cursor tells nothing: no id stands in it', async () => {
  const api = await world.newTenant()
  const ids = await makeClients(api, 3)
  const cursor: string = (await api.get(`${clients}?limit=1`)).body.nextCursor
  const bytes = Buffer.from(cursor, 'base64url').toString('latin1')
  for (const id of ids) expect(bytes).not.toContain(id.slice(4))
})

test('a filter holds on every page', async () => {
  const api = await world.newTenant()
  const email = 'Same+one@example.com'
  for (let at = 0; at < 6; at += 1) {
    const more = at % 2 === 0 ? { email } : {}
    await api.post(clients, { name: `N ${at}`, currency: 'EUR', ...more })
  }
  const query = new URLSearchParams({ email, limit: '2' })
  const pages = await walk(api, `${clients}?${query}`)
  expect(pages.map((page) => page.length)).toEqual([2, 1])
  const link = (await api.get(`${clients}?${query}`)).headers.get('link') ?? ''
  expect((await api.get(/<(.*)>/.exec(link)?.[1] ?? '')).body.data).toHaveLength(1)
})
