import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { type Running, startApi, startWorker } from '#app.ts'
import { type Clock, createClock } from '#clock.ts'
import { type Config, readConfig } from '#config.ts'
import type { Context } from '#context.ts'
import { urlOf } from '#db/login.ts'
import { openDatabases } from '#db/open.ts'
import { isConnectionLoss } from '#db/transact.ts'
import { createEgress, type EgressOptions } from '#egress/send.ts'
import type { ProblemCode } from '#generated/types.ts'
import type { Task } from '#jobs/task.ts'
import { createLog } from '#log.ts'
import { openInstallation } from '#organizations/bootstrap.ts'
import { keyringFrom } from '#secrets/keyring.ts'
import { createSecrets } from '#secrets/secrets.ts'
import { testLogin } from './login.ts'

/** A whole installation of its own: a database, the API on a port, a worker. */
export interface World {
  ctx: Context
  /** The API's address. */
  url: string
  /** Calls with the operator's key. */
  operator: Api
  /** Calls with the admin key of the sandbox of organization Demo. */
  api: Api
  /** Another customer: calls with the admin key of a sandbox of its own. */
  newTenant(name?: string): Promise<Api>
  callsWith(key: string): Api
  /** Queries as the superuser, past the fences. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** Waits until no job is due or runs, no event is without position, and no delivery is due. */
  drain(): Promise<void>
  /** Moves the installation's clock. */
  step(ms: number): void
  stop(): Promise<void>
}

export interface Reply {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests read what they expect to be there
  body: any
}

/** One caller. Bodies are JSON; a Buffer or a string is sent as it is. */
export interface Api {
  key: string
  get(path: string, headers?: Record<string, string>): Promise<Reply>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>
  patch(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>
  delete(path: string, headers?: Record<string, string>): Promise<Reply>
}

export interface WorldOptions {
  /** Which parts run; both unless told otherwise. */
  parts?: readonly ('api' | 'worker')[]
  env?: Record<string, string>
  /** Tasks that the worker knows; the product's unless told otherwise. */
  tasks?: readonly Task[]
  /** How it goes out, such as by a name server of one's own. */
  egress?: EgressOptions
}

/** A machine that is starved may be too slow for a new connection: then it is asked for again. */
async function patiently<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (!isConnectionLoss(error) || attempt === 3) throw error
    }
  }
}

/** Starts a world in a database of its own, cloned from the migrated template. */
export async function startWorld({
  parts = ['api', 'worker'],
  env = {},
  tasks,
  egress,
}: WorldOptions = {}) {
  const database = await cloneDatabase()
  const config = readConfig({ PORT: '0', UBOS_LOG_LEVEL: 'silent', ...env })
  let offsetMs = 0
  const clock = createClock(() => new Date(Date.now() + offsetMs))
  const ctx = contextOf(config, clock, database.url, egress)
  const keys = await patiently(() => openInstallation(ctx))
  if (keys === undefined) throw new Error('a new database has no keys')

  const worker = parts.includes('worker') ? startWorker(ctx, tasks) : undefined
  const listener = parts.includes('api') ? await startApi(ctx) : undefined
  const url = listener?.url ?? ''
  const operator = callsWith(url, keys.operatorKey)
  const running: Running[] = [listener, worker].filter((part) => part !== undefined)

  const world: World = {
    ctx,
    url,
    operator,
    api: callsWith(url, keys.sandboxKey),
    callsWith: (key) => callsWith(url, key),
    query: database.query,
    async newTenant(name = 'Another') {
      const { body } = await operator.post('/api/v1/organizations', { name })
      return callsWith(url, body.adminKeys[1].key)
    },
    drain: () => drain(database.query, clock),
    step: (ms) => {
      offsetMs += ms
    },
    async stop() {
      await Promise.all(running.map((part) => part.stop(5_000)))
      await ctx.egress.close()
      await (ctx.db as ReturnType<typeof openDatabases>).close()
      await database.drop()
    },
  }
  return world
}

/** The six capabilities over a database. */
export function contextOf(
  config: Config,
  clock: Clock,
  databaseUrl: string,
  egress: EgressOptions = {},
): Context {
  const log = createLog(config.logLevel)
  const master = Buffer.alloc(32, 7).toString('base64')
  return {
    config,
    db: openDatabases(databaseUrl, log),
    egress: createEgress(config.egress, { proxy: config.egressProxy, ...egress }),
    secrets: createSecrets(keyringFrom(master), clock.randomBytes),
    log,
    clock,
  }
}

export async function cloneDatabase() {
  const name = `world_${randomBytes(6).toString('hex')}`
  const server = inject('ownerUrl')
  const admin = new pg.Client({ connectionString: server })
  await admin.connect()
  await admin.query(`create database ${name} template ubos_template`)
  const ownerUrl = Object.assign(new URL(server), { pathname: `/${name}` }).href
  const owner = new pg.Pool({ connectionString: ownerUrl, max: 2 })
  owner.on('error', () => undefined)
  return {
    ownerUrl,
    url: urlOf(ownerUrl, testLogin),
    async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) {
      return (await owner.query<Row>(text, values)).rows
    },
    async drop() {
      await owner.end()
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
    },
  }
}

function callsWith(url: string, key: string): Api {
  const send =
    (method: string) =>
    async (path: string, body?: unknown, headers = {}) => {
      const isRaw = typeof body === 'string' || body instanceof Uint8Array
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(key ? { authorization: `Bearer ${key}` } : {}),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: isRaw ? (body as string) : JSON.stringify(body) }),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.includes('json')
      return {
        status: response.status,
        headers: response.headers,
        body: isJson ? JSON.parse(text) : text,
      }
    }
  return {
    key,
    get: (path, headers) => send('GET')(path, undefined, headers),
    post: send('POST'),
    patch: send('PATCH'),
    delete: (path, headers) => send('DELETE')(path, undefined, headers),
  }
}

async function drain(query: World['query'], clock: Clock): Promise<void> {
  for (let turn = 0; turn < 1_000; turn += 1) {
    const [open] = await query<{ jobs: string; pending: string; due: string }>(
      `select (
          select count(*) from job
          where (status = 'PENDING' and due_at <= $1) or (status = 'RUNNING' and lease_token is not null)
        ) as jobs, (select count(*) from event_pending) as pending, (
          select count(*) from delivery_due as due join webhook_endpoint as endpoint
            on endpoint.tenant_id = due.tenant_id and endpoint.id = due.endpoint_id
          left join webhook_endpoint_health as health
            on health.tenant_id = due.tenant_id and health.endpoint_id = due.endpoint_id
          where due.lease_token is not null or endpoint.deleted_at is not null
            or (greatest(due.due_at, health.open_until, health.paused_until) <= $1
              and endpoint.status = 'ENABLED')
        ) as due`,
      // A little ahead: what becomes due while we ask counts, and a retry is seconds away.
      [new Date(clock.now().getTime() + 1_000)],
    )
    if (open?.jobs === '0' && open.pending === '0' && open.due === '0') return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('the queues did not run dry')
}

/** What a refusal must be: a problem with this code; answers it for more questions. */
export function refusedWith(reply: Reply, code: ProblemCode): Reply['body'] {
  if (reply.body?.code !== code) {
    throw new Error(`expected ${code}, got ${reply.status} ${JSON.stringify(reply.body)}`)
  }
  return reply.body
}
