import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, refusedWith, startWorld, type World } from '../world.ts'

let world: World
let api: Api
let path: string
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
  const made = await api.post('/api/v1/clients', { name: 'Ada', currency: 'EUR' })
  path = made.headers.get('location') ?? ''
})
afterAll(() => world.stop())

test.for(['"1"', 'W/"1"', '*', '"7", "1"', '"7" , W/"1"'])(
  'who has seen the current state (%s) gets it by name only',
  async (tag) => {
    const reply = await api.get(path, { 'if-none-match': tag })
    expect(reply.status).toBe(304)
    expect(reply.body).toBe('')
    expect(reply.headers.get('etag')).toBe('"1"')
    expect(reply.headers.get('content-type')).toBeNull()
    expect(reply.headers.get('x-request-id')).toMatch(/^req_/)
  },
)

test('who has seen another state gets the current one', async () => {
  for (const tag of ['"2"', '"11"', '""']) {
    const reply = await api.get(path, { 'if-none-match': tag })
    expect(reply.status).toBe(200)
    expect(reply.body.name).toBe('Ada')
  }
})

test('HEAD knows the state too, and a tag that is none is refused', async () => {
  const head = await fetch(world.url + path, {
    method: 'HEAD',
    headers: { authorization: `Bearer ${api.key}`, 'if-none-match': '"1"' },
  })
  expect(head.status).toBe(304)
  const [error] = refusedWith(
    await api.get(path, { 'if-none-match': '1' }),
    'invalid_request',
  ).errors
  expect(error.header).toBe('if-none-match')
})

test('a list has no tag, and a missing thing has no state that could have been seen', async () => {
  const list = await api.get('/api/v1/clients', { 'if-none-match': '*' })
  expect(list.status).toBe(200)
  const nobody = `/api/v1/clients/cli_${'0'.repeat(26)}`
  refusedWith(await api.get(nobody, { 'if-none-match': '*' }), 'not_found')
})
