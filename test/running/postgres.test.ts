import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { startApi, startWorker } from '#app.ts'
import { createClock } from '#clock.ts'
import { readConfig } from '#config.ts'
import { startPostgres } from '#db/at-hand/postgres.ts'
import { urlOf } from '#db/login.ts'
import { ensureDatabase, migrate } from '#db/migrate.ts'
import type { openDatabases } from '#db/open.ts'
import { openInstallation } from '#organizations/bootstrap.ts'
import { until } from '../jobs/until.ts'
import { testLogin } from '../login.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { contextOf } from '../world.ts'
import { aCaller } from './fixture.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

const endings: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

/** A disk of its own, where one may be made: a file system in memory that can be filled. */
function aSmallDisk(path: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=700m', 'tmpfs', path], { stdio: 'ignore' })
    endings.push(() => execFileSync('umount', ['-l', path]))
    return true
  } catch {
    return false
  }
}

/** API and worker on a Postgres of their own, which a test can do anything to. */
async function aHouse(home: string) {
  const server = await startPostgres({ home, say: () => undefined })
  endings.push(() => server.stop())
  const ownerUrl = await ensureDatabase(server.ownerUrl, 'ubos')
  await migrate(ownerUrl, testLogin)
  const config = readConfig({ PORT: '0', UBOS_LOG_LEVEL: 'silent' })
  const ctx = contextOf(config, createClock(), urlOf(ownerUrl, testLogin))
  const keys = await openInstallation(ctx)
  const api = await startApi(ctx)
  const worker = startWorker(ctx)
  endings.push(async () => {
    await Promise.all([api.stop(2_000), worker.stop(2_000)])
    await ctx.egress.close()
    await (ctx.db as ReturnType<typeof openDatabases>).close()
  })
  const receiver = await startReceiver()
  endings.push(() => receiver.stop())
  const key = keys?.sandboxKey ?? ''
  const made = await post(`${api.url}/api/v1/webhook-endpoints`, key, 'endpoint', {
    url: receiver.url,
    eventTypes: ['client.created'],
  })
  expect(made.status).toBe(201)
  return { server, ctx, url: api.url, key, receiver }
}

async function post(url: string, key: string, idempotencyKey: string, body: object) {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'idempotency-key': idempotencyKey,
    },
    body: JSON.stringify(body),
  })
  const retryAfter = response.headers.get('retry-after')
  return { status: response.status, retryAfter, body: (await response.json()) as { id: string } }
}

/** Callers who write one client after the other, each again under its key until it is done. */
function writers({ url, key }: { url: string; key: string }, count: number) {
  const done = new Map<string, string>()
  const refused: { status: number; retryAfter: string | null }[] = []
  let isOver = false
  const running = Array.from({ length: count }, async (_, caller) => {
    for (let turn = 0; !isOver; turn += 1) {
      const name = `${caller}-${turn}`
      for (let isDone = false; !isDone; ) {
        const metadata = { filling: 'x'.repeat(400) }
        const body = { name, currency: 'EUR', externalId: name, metadata }
        const answer = await post(`${url}/api/v1/clients`, key, name, body)
        isDone = answer.status === 201
        if (isDone) done.set(name, answer.body.id)
        else {
          refused.push(answer)
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
    }
  })
  return {
    done,
    refused,
    async end() {
      isOver = true
      await Promise.all(running)
    },
  }
}

/** What was acknowledged is there, once, and was told; what was refused was refused politely. */
async function expectNothingLost(
  { url, key, receiver }: { url: string; key: string; receiver: Receiver },
  { done, refused }: Pick<ReturnType<typeof writers>, 'done' | 'refused'>,
): Promise<void> {
  expect(refused.filter(({ status }) => status !== 503)).toEqual([])
  expect(refused.filter(({ retryAfter }) => retryAfter === null)).toEqual([])
  const told = () =>
    new Set(receiver.requests.map(({ body }) => JSON.parse(String(body)).data.id as string))
  await until(() => [...done.values()].every((id) => told().has(id)), 60_000)
  const ids: string[] = []
  const call = aCaller()
  for (let path = '/api/v1/clients?limit=200'; path !== ''; ) {
    const page = await call(url + path, key)
    if (!('status' in page) || page.status !== 200) throw new Error(JSON.stringify(page))
    const { data, nextCursor } = JSON.parse(page.body)
    ids.push(...data.map(({ id }: { id: string }) => id))
    path = nextCursor ? `/api/v1/clients?limit=200&cursor=${encodeURIComponent(nextCursor)}` : ''
  }
  expect(ids.sort()).toEqual([...done.values()].sort())
}

function aHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'ubos-trouble-'))
  endings.push(() => rmSync(home, { recursive: true, force: true }))
  return home
}

test('a Postgres that is stopped at once under load, twice, loses nothing, and calls are told to come back', async () => {
  const house = await aHouse(aHome())
  const load = writers(house, 6)
  for (let stop = 0; stop < 2; stop += 1) {
    const before = load.done.size
    await until(() => load.done.size > before + 30, 60_000)
    process.kill(house.server.pid, 'SIGQUIT')
    const refusedBefore = load.refused.length
    await until(() => load.refused.length > refusedBefore, 60_000)
  }
  const before = load.done.size
  await until(() => load.done.size > before + 30, 60_000)
  await load.end()
  await expectNothingLost(house, load)
})

test('a disk that is full refuses writes politely, and they go on when there is room', async ({
  skip,
}) => {
  const home = aHome()
  if (!aSmallDisk(home)) skip('only root may make a file system to fill')
  const house = await aHouse(home)
  const load = writers(house, 4)
  await until(() => load.done.size > 20, 60_000)
  const ballast = join(home, 'ballast')
  fill(ballast, home)
  await until(() => load.refused.length > 20, 60_000)
  rmSync(ballast)
  const before = load.done.size
  await until(() => load.done.size > before + 20, 90_000)
  await load.end()
  await expectNothingLost(house, load)
  // What lies on the disk is whole: it is read again by a server that had to recover.
  process.kill(house.server.pid, 'SIGQUIT')
  await until(async () => {
    const answer = await aCaller()(`${house.url}/readyz`)
    return 'status' in answer && answer.status === 200
  }, 60_000)
  await expectNothingLost(house, { done: load.done, refused: [] })
})

/** Leaves no block free, whatever others free or take meanwhile. */
function fill(path: string, disk: string): void {
  for (let left = 1; left > 0; ) {
    const { bavail, bsize } = statfsSync(disk)
    left = bavail
    try {
      writeFileSync(path, Buffer.alloc(Math.min(left * bsize, 64 * 1024 * 1024)), { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
}
