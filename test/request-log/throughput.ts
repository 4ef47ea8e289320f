import { fork } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Agent, request } from 'undici'
import { runRecorder } from '#api-metrics/recorder.ts'
import { openDoor } from '#app.ts'
import { createClock } from '#clock.ts'
import { readConfig } from '#config.ts'
import type { Context } from '#context.ts'
import { startPostgres } from '#db/at-hand/postgres.ts'
import { urlOf } from '#db/login.ts'
import { ensureDatabase, migrate } from '#db/migrate.ts'
import { openDatabases } from '#db/open.ts'
import { createEgress } from '#egress/send.ts'
import { routes } from '#generated/routes.ts'
import { usualLimits } from '#http/limit.ts'
import { mount } from '#http/mount.ts'
import { createServer } from '#http/server.ts'
import { bodiesOf, finishedCall, type NoteCall } from '#http/trail.ts'
import { createLog } from '#log.ts'
import { operations } from '#operations.ts'
import { openInstallation } from '#organizations/bootstrap.ts'
import { runRequestLog } from '#request-log/writer.ts'
import { keyringFrom } from '#secrets/keyring.ts'
import { createSecrets } from '#secrets/secrets.ts'
import { testLogin } from '../login.ts'

/**
 * What the request log and the figures cost: `node test/request-log/throughput.ts` prints calls per
 * second to a server that keeps account and to one that does not, called from another process. They
 * take turns, so that a busy machine slows both; the figures are medians. Beside them stands what
 * the server's process worked for each call, its rows written included, and how long the account of
 * one call holds the event loop.
 */
const concurrency = 32
const callsPerRound = 4_000
const callsPerBlock = 900
const rounds = 7

/** Long enough for the rows and figures of a round to be written before the next one begins. */
const settledMs = 2_500

if (process.send !== undefined) await call()
else await compare()

/** Calls as often as it is told to, and answers how long that took. */
async function call(): Promise<void> {
  const agent = new Agent({ connections: concurrency })
  process.on('message', async ({ url, key }: { url: string; key: string }) => {
    let left = callsPerRound
    const headers = { authorization: `Bearer ${key}` }
    const startedMs = performance.now()
    const one = async () => {
      while (left > 0) {
        left -= 1
        const { statusCode, body } = await request(url, { dispatcher: agent, headers })
        await body.dump()
        if (statusCode !== 200) throw new Error(`answered ${statusCode}`)
      }
    }
    await Promise.all(Array.from({ length: concurrency }, one))
    process.send?.(performance.now() - startedMs)
  })
  process.send?.(0)
}

async function compare(): Promise<void> {
  for (const policy of [usualLimits.key.read, usualLimits.tenant.read]) {
    Object.assign(policy, { quota: 1e9 })
  }
  const { ctx, stop } = await installation()
  const keys = await openInstallation(ctx)
  const key = keys?.sandboxKey ?? ''
  const accounts = [runRequestLog(ctx), runRecorder(ctx)]
  const note: NoteCall = (finished, bodies) => {
    for (const account of accounts) account.note(finished, bodies)
  }
  const servers = { without: await serve(ctx), keeping: await serve(ctx, note) }
  const ends: End[] = []
  const timed = await serve(ctx, undefined, (end) => ends.push(end))
  const child = fork(fileURLToPath(import.meta.url))
  const answer = () => new Promise<number>((resolve) => child.once('message', resolve))
  await answer()
  const measure = async (url: string): Promise<Round> => {
    const before = process.cpuUsage()
    child.send({ url, key })
    const tookMs = await answer()
    await new Promise((resolve) => setTimeout(resolve, settledMs))
    const { user, system } = process.cpuUsage(before)
    return { rate: (callsPerRound * 1_000) / tookMs, cpu: (user + system) / callsPerRound }
  }
  for (const path of ['/api/v1/me', '/api/v1/clients']) {
    const without: Round[] = []
    const keeping: Round[] = []
    for (let round = 0; round <= rounds; round += 1) {
      const [one, other] = [
        await measure(servers.without + path),
        await measure(servers.keeping + path),
      ]
      if (round === 0) continue
      without.push(one)
      keeping.push(other)
    }
    const told = (of: Round[]) =>
      `${median(of.map(({ rate }) => rate)).toFixed(0)}/s, ${median(of.map(({ cpu }) => cpu)).toFixed(0)} µs`
    const ratio = median(keeping.map(({ rate }, at) => rate / (without[at]?.rate ?? Number.NaN)))
    console.log(
      `GET ${path}: without ${told(without)}; keeping account ${told(keeping)}; ratio ${ratio.toFixed(2)}`,
    )
  }
  await measure(`${timed}/api/v1/me`)
  const spent: number[] = []
  for (const _ of Array(20)) {
    const before = process.threadCpuUsage()
    for (const end of ends.slice(0, callsPerBlock)) end(note)
    const { user, system } = process.threadCpuUsage(before)
    spent.push((user + system) / callsPerBlock)
    await new Promise((resolve) => setTimeout(resolve, settledMs))
  }
  console.log(`account of one call: ${median(spent).toFixed(1)} µs`)
  child.kill()
  await Promise.all(accounts.map((account) => account.stop(10_000)))
  await stop()
  process.exit(0)
}

interface Round {
  rate: number
  /** µs of work per call, by all threads of this process. */
  cpu: number
}

type End = (note: NoteCall) => void

/** `onEnd` is given what keeps account of a call, to be done as often as is wanted. */
async function serve(ctx: Context, note?: NoteCall, onEnd?: (end: End) => void): Promise<string> {
  const all = Object.values(routes)
  const app = createServer(ctx, all, note)
  mount(app, openDoor(ctx), all, operations)
  app.addHook('onResponse', async (asked, reply) => {
    onEnd?.((told) => told(finishedCall(ctx, asked, reply), bodiesOf(asked)))
  })
  return await app.listen({ host: '127.0.0.1', port: 0 })
}

async function installation() {
  const home = mkdtempSync(join(tmpdir(), 'ubos-throughput-'))
  const server = await startPostgres({ home, say: () => undefined })
  const ownerUrl = await ensureDatabase(server.ownerUrl, 'ubos')
  await migrate(ownerUrl, testLogin)
  const config = readConfig({ UBOS_LOG_LEVEL: 'silent' })
  const [log, clock] = [createLog(config.logLevel), createClock()]
  const db = openDatabases(urlOf(ownerUrl, testLogin), log)
  const keyring = keyringFrom(Buffer.alloc(32, 7).toString('base64'))
  const secrets = createSecrets(keyring, clock.randomBytes)
  const ctx: Context = { config, db, egress: createEgress(config.egress), secrets, log, clock }
  const stop = async () => {
    await db.close()
    await server.stop()
    await rm(home, { recursive: true, force: true })
  }
  return { ctx, stop }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
