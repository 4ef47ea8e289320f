import type { Readable } from 'node:stream'
import { Agent, request } from 'undici'
import { transact } from '#db/transact.ts'
import { systemCause } from '#http/operation.ts'
import { operatorTenantId } from '#ids.ts'
import { openOperator } from '#organizations/opening.ts'
import { type Receiver, startReceiver } from '../../receiver.ts'
import { startWorld, type World } from '../../world.ts'
import { methodsOf, type Operation } from './contract.ts'
import { type Json, judge, judgeProblem, type Observed } from './judge.ts'

/*
 * Who plays in a sweep: one installation, two tenants that must not see each other, and the
 * operator. Everything that is sent goes through `send`, which holds each answer to the contract.
 */

/** A caller with a handful of keys, so that no key meets its rate limit. */
export interface Tenant {
  label: 'ours' | 'theirs' | 'operator'
  tenantId: string
  keys: readonly string[]
  /** One more, which is not used unless by its name. */
  spare: string
}

export interface Cast {
  world: World
  receiver: Receiver
  ours: Tenant
  /** The other environment of the same organization: as near as a stranger can be. */
  theirs: Tenant
  operator: Tenant
  /** One more tenant, of another organization. */
  newTenant(): Promise<Tenant>
  /** Sends a request and notes what of its answer does not fit the contract. */
  send(operation: Operation, sent: Sent): Promise<Observed>
  /** What did not fit since this was last asked. */
  takeMisfits(): string[]
  /** How many answers were held to the contract so far. */
  judged(): number
  stop(): Promise<void>
}

/** A request as it goes out; what is absent is as the operation has it. */
export interface Sent {
  /** Null: none is sent. */
  key: string | null
  path: string
  query?: string
  method?: string
  headers?: Record<string, string>
  body?: string | Buffer
  /** Another process's address. */
  url?: string
}

const keysEach = 6

export async function startCast(): Promise<Cast> {
  const world = await startWorld()
  const receiver = await startReceiver()
  const made = await world.operator.post('/api/v1/organizations', { name: 'Swept' })
  const [production, sandbox] = made.body.adminKeys as { tenantId: string; key: string }[]
  if (!production || !sandbox) throw new Error('an organization has two tenants')
  // A fraction of what `fetch` costs, which adds up over thousands of calls.
  const connections = new Agent({ connections: 16 })
  const misfits: string[] = []
  let judged = 0

  return {
    world,
    receiver,
    ours: {
      label: 'ours',
      tenantId: sandbox.tenantId,
      ...(await moreKeys(world, sandbox.key)),
    },
    theirs: {
      label: 'theirs',
      tenantId: production.tenantId,
      ...(await moreKeys(world, production.key)),
    },
    operator: {
      label: 'operator',
      tenantId: operatorTenantId,
      keys: [world.operator.key, await anOperatorKey(world)],
      spare: await anOperatorKey(world),
    },
    async newTenant() {
      const { key } = await world.newTenant()
      const me = await world.callsWith(key).get('/api/v1/me')
      return { label: 'ours', tenantId: me.body.tenant.id, keys: [key], spare: key }
    },
    async send(operation, sent) {
      const observed = await exchange(connections, sent.url ?? world.url, operation.method, sent)
      judged += 1
      const what = `${sent.method ?? operation.method} ${sent.path.slice(0, 100)}${sent.query ?? ''}`
      for (const wrong of judgementOf(operation, sent, observed)) {
        misfits.push(`${operation.id}: ${what.slice(0, 150)} → ${observed.status}: ${wrong}`)
      }
      return observed
    },
    takeMisfits: () => [...new Set(misfits.splice(0, misfits.length))],
    judged: () => judged,
    async stop() {
      await connections.close()
      await receiver.stop()
      await world.stop()
    },
  }
}

async function moreKeys(world: World, key: string): Promise<Pick<Tenant, 'keys' | 'spare'>> {
  const make = async (name: string): Promise<string> => {
    const body = { name, scopes: ['*'] }
    return (await world.callsWith(key).post('/api/v1/api-keys', body)).body.key
  }
  const keys = [key]
  while (keys.length < keysEach) keys.push(await make(`Sweep ${keys.length}`))
  return { keys, spare: await make('Spare') }
}

/** No operation makes one. */
async function anOperatorKey({ ctx }: World): Promise<string> {
  return await transact(ctx, operatorTenantId, async (tx) =>
    openOperator(ctx, tx, systemCause(ctx, 'sweep')),
  )
}

/** Another method, or another path, is not the operation's: its refusal is a problem like any. */
function judgementOf(operation: Operation, sent: Sent, observed: Observed): string[] {
  const { method = operation.method } = sent
  if (method === 'OPTIONS') return []
  if (observed.status >= 500) return [`our own fault: ${observed.text}`]
  const isHead = method === 'HEAD' && methodsOf(operation.path).includes('HEAD')
  const isElsewhere = observed.json?.code === 'route_not_found'
  const isOwn = (method === operation.method || isHead) && !isElsewhere
  return isOwn ? judge(operation, observed, isHead) : judgeProblem(observed)
}

/** How often a caller that is told to come back does so, as on a machine that is very busy. */
const patience = 5

async function exchange(
  connections: Agent,
  url: string,
  method: string,
  sent: Sent,
): Promise<Observed> {
  for (let turn = 1; ; turn += 1) {
    const observed = await exchangeOnce(connections, url, method, sent)
    const isToWait = observed.status === 429 || observed.status === 503
    if (!isToWait || sent.url !== undefined || turn === patience) return observed
    const seconds = Number(observed.headers.get('retry-after'))
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
  }
}

async function exchangeOnce(
  connections: Agent,
  url: string,
  method: string,
  sent: Sent,
): Promise<Observed> {
  const { key, path, query = '', headers = {}, body } = sent
  const response = await request(url + path + query, {
    method: (sent.method ?? method) as 'GET',
    headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...headers },
    ...(body === undefined ? {} : { body }),
    dispatcher: connections,
  })
  const isStream = response.headers['content-type'] === 'text/event-stream'
  const text = isStream ? await beginningOf(response.body) : await response.body.text()
  const received = new Headers(response.headers as Record<string, string>)
  const isJson = received.get('content-type')?.includes('json') && text !== ''
  return {
    status: response.statusCode,
    headers: received,
    text,
    json: isJson ? (JSON.parse(text) as Json) : undefined,
  }
}

/** The first that comes of what has no end. */
async function beginningOf(body: Readable): Promise<string> {
  for await (const piece of body) return String(piece)
  return ''
}

/** Runs through `items` some at a time. */
export async function parallel<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
  width = 12,
): Promise<void> {
  const waiting = items.entries()
  const run = async () => {
    for (const [, item] of waiting) await work(item)
  }
  await Promise.all(Array.from({ length: width }, run))
}
