import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { createClock } from '#clock.ts'
import { readConfig } from '#config.ts'
import { startPostgres } from '#db/at-hand/postgres.ts'
import { urlOf } from '#db/login.ts'
import { ensureDatabase, migrate } from '#db/migrate.ts'
import type { openDatabases } from '#db/open.ts'
import { openInstallation } from '#organizations/bootstrap.ts'
import { type Program, startProgram } from '../../scripts/demo/program.ts'
import { until } from '../jobs/until.ts'
import { testLogin } from '../login.ts'
import { contextOf } from '../world.ts'

const endings: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const patienceMs = 60_000

/** Postgres of its own, and processes that can be killed and are replaced. */
async function aHouse() {
  const home = mkdtempSync(join(tmpdir(), 'ubos-receipts-'))
  endings.push(() => rmSync(home, { recursive: true, force: true }))
  const server = await startPostgres({ home, say: () => undefined })
  endings.push(() => server.stop())
  const ownerUrl = await ensureDatabase(server.ownerUrl, 'ubos')
  await migrate(ownerUrl, testLogin)
  const url = urlOf(ownerUrl, testLogin)
  const config = readConfig({ UBOS_LOG_LEVEL: 'silent' })
  const ctx = contextOf(config, createClock(), url)
  const keys = await openInstallation(ctx)
  await ctx.egress.close()
  await (ctx.db as ReturnType<typeof openDatabases>).close()

  const env = {
    ...{ DATABASE_URL: url, UBOS_PROFILE: 'development', UBOS_LOG_LEVEL: 'silent' },
    UBOS_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  }
  const start = async (role: 'api' | 'worker') => {
    const program = await startProgram({ dataDir: tmpdir(), role, env })
    endings.push(() => program.child.exitCode ?? program.child.signalCode ?? program.end('SIGKILL'))
    return program
  }
  return { server, ownerUrl, start, key: keys?.sandboxKey ?? '' }
}

async function sourceAt({ url }: Program, key: string, scheme: string): Promise<string> {
  const reply = await fetch(`${url}/api/v1/inbound-sources`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: scheme, scheme, secrets: [secret] }),
  })
  const body = (await reply.json()) as { id: string }
  expect(reply.status).toBe(201)
  return body.id
}

/** One webhook, signed as of now: its id and body are the same however often it is sent. */
function signed(scheme: string, id: string) {
  const at = String(Math.floor(Date.now() / 1_000))
  const body = JSON.stringify({ id, type: 'invoice.paid', data: { note: 'x'.repeat(500) } })
  if (scheme === 'STRIPE') {
    const mac = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex')
    return { body, headers: { 'stripe-signature': `t=${at},v1=${mac}` } }
  }
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')
  const headers = { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': `v1,${mac}` }
  return { body, headers }
}

/** The status of an answer, or 0 where there was none. */
function post(agent: Agent, url: string, { body, headers }: ReturnType<typeof signed>) {
  return new Promise<number>((resolve) => {
    const sent = request(url, { agent, method: 'POST', headers, timeout: 10_000 }, (reply) => {
      reply.resume().on('close', () => resolve(reply.complete ? (reply.statusCode ?? 0) : 0))
    })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => resolve(0))
    sent.end(body)
  })
}

interface Source {
  id: string
  scheme: string
}

/** Providers, each of which sends a webhook until it is acknowledged, and then the next. */
function providers(doors: () => readonly string[], sources: readonly Source[], count: number) {
  const acknowledged: string[] = []
  const statuses = new Set<number>()
  let isOver = false
  let turn = 0
  const running = Array.from({ length: count }, async (_, sender) => {
    const agent = new Agent({ keepAlive: true })
    for (let number = 0; !isOver; number += 1) {
      const source = sources[(sender + number) % sources.length]
      if (source === undefined) return
      const id = `evt_${sender}_${number}`
      for (let status = 0; status !== 200; ) {
        turn += 1
        const urls = doors()
        const url = `${urls[turn % urls.length]}/hooks/${source.id}`
        status = await post(agent, url, signed(source.scheme, id))
        statuses.add(status)
        if (status !== 200) await new Promise((rested) => setTimeout(rested, 50))
      }
      acknowledged.push(id)
      await new Promise((rested) => setTimeout(rested, 100))
    }
    agent.destroy()
  })
  return {
    acknowledged,
    statuses,
    /** Waits until so many more were acknowledged. */
    async more(howMany: number): Promise<void> {
      const before = acknowledged.length
      await until(() => acknowledged.length >= before + howMany, patienceMs)
    },
    async end(): Promise<void> {
      isOver = true
      await Promise.all(running)
    },
  }
}

test('what was acknowledged while everything was killed in turn is one receipt, passed on once', {
  timeout: 600_000,
}, async () => {
  const house = await aHouse()
  const apis = [await house.start('api'), await house.start('api')]
  const workers = [await house.start('worker')]
  const [first] = apis
  if (first === undefined) throw new Error('two were started')
  const sources = await Promise.all(
    ['STRIPE', 'STANDARD_WEBHOOKS'].map(async (scheme) => ({
      scheme,
      id: await sourceAt(first, house.key, scheme),
    })),
  )
  const load = providers(() => apis.map(({ url }) => url), sources, 8)
  const replace = async (role: 'api' | 'worker', programs: Program[]) => {
    const gone = programs.shift()
    await gone?.end('SIGKILL')
    programs.push(await house.start(role))
  }
  await load.more(20)
  await replace('api', apis)
  await load.more(20)
  await replace('worker', workers)
  await load.more(20)
  process.kill(house.server.pid, 'SIGQUIT')
  await load.more(20)
  // The next one begins while the database is away, or just back.
  process.kill(house.server.pid, 'SIGQUIT')
  await replace('worker', workers)
  await load.more(20)
  await load.end()
  // Refused politely, or not at all: nothing that was signed well was called forged.
  expect([...load.statuses].filter((status) => ![0, 200, 503].includes(status))).toEqual([])
  expect(load.statuses.size).toBeGreaterThan(1)

  const owner = new pg.Client({ connectionString: house.ownerUrl })
  await owner.connect()
  endings.push(() => owner.end())
  const count = async (query: string) => {
    const { rows } = await owner.query<{ count: number }>(`select count(*)::int as count ${query}`)
    return rows[0]?.count
  }
  await until(
    async () => (await count(`from inbound_receipt where status = 'RECEIVED'`)) === 0,
    240_000,
  )
  await until(
    async () =>
      (await count(`from job where status not in ('SUCCEEDED', 'FAILED', 'CANCELLED')`)) === 0,
    240_000,
  )

  const { rows: receipts } = await owner.query<{ id: string; provider_event_id: string }>(
    'select id, provider_event_id from inbound_receipt',
  )
  const kept = receipts.map((receipt) => receipt.provider_event_id)
  expect(kept.sort()).toEqual(load.acknowledged.toSorted())
  expect(new Set(kept).size).toBe(kept.length)
  expect(await count('from inbound_receipt where forward_count <> 1')).toBe(0)

  const { rows: told } = await owner.query<{ id: string }>(
    `select convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'id' as id
      from event join event_position using (tenant_id, created_on)
      where event.type = 'inbound.received' and event_id = event.id`,
  )
  expect(told.map(({ id }) => id).sort()).toEqual(receipts.map(({ id }) => id).sort())
  const { rows: done } = await owner.query<{ id: string; status: string }>(
    `select payload ->> 'receiptId' as id, status from job where task = 'FORWARD_RECEIPT'`,
  )
  expect(done.map(({ id }) => id).sort()).toEqual(receipts.map(({ id }) => id).sort())
  expect(new Set(done.map(({ status }) => status))).toEqual(new Set(['SUCCEEDED']))
})
