import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Program, postgresOf, startProgram } from '../../scripts/demo/program.ts'
import { type Receiver, startReceiver } from '../receiver.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'ubos-kill-'))
const running = new Set<Program>()
const receivers: Receiver[] = []

afterAll(async () => {
  for (const program of running) await program.end('SIGTERM')
  for (const receiver of receivers) await receiver.stop()
  await rm(dataDir, { recursive: true, force: true })
}, 60_000)

async function start(role: 'all' | 'api' | 'worker', port = '0'): Promise<Program> {
  const program = await startProgram({ dataDir, role, env: { PORT: port } })
  running.add(program)
  return program
}

async function kill(program: Program): Promise<void> {
  running.delete(program)
  await program.end('SIGKILL')
}

/** Posts until there is an answer, as a client does that lost its connection: under one key. */
async function postUntilAnswered(url: string, key: string, externalId: string): Promise<string> {
  for (;;) {
    try {
      const response = await fetch(`${url}/api/v1/clients`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'idempotency-key': externalId,
        },
        body: JSON.stringify({ name: externalId, currency: 'EUR', externalId }),
      })
      const body = (await response.json()) as { id: string }
      if (response.status === 201) return body.id
    } catch {
      // The process was killed under this request; the next one answers.
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('API, worker and Postgres killed in the middle: all that was acknowledged is there, told, and done once', async () => {
  const first = await start('all')
  const key = first.sandboxKey ?? ''
  await first.end('SIGTERM')
  running.delete(first)

  let api = await start('api')
  let worker = await start('worker')
  const port = new URL(api.url).port
  const receiver = await startReceiver()
  receivers.push(receiver)
  const endpoint = await fetch(`${api.url}/api/v1/webhook-endpoints`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url: receiver.url, eventTypes: ['client.created'] }),
  })
  const { secret } = (await endpoint.json()) as { secret: string }

  const names = Array.from({ length: 240 }, (_, number) => `kill-${number}`)
  const acknowledged = new Map<string, string>()
  const waiting = [...names]
  const writers = Array.from({ length: 8 }, async () => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      acknowledged.set(name, await postUntilAnswered(api.url, key, name))
    }
  })

  await reaches(() => acknowledged.size, 40)
  await kill(api)
  api = await start('api', port)
  await reaches(() => acknowledged.size, 90)
  await kill(worker)
  worker = await start('worker')
  await reaches(() => acknowledged.size, 140)
  const postgres = postgresOf(dataDir)
  await Promise.all([kill(api), kill(worker)])
  process.kill(postgres, 'SIGKILL')
  ;[api, worker] = await Promise.all([start('api', port), start('worker')])
  await Promise.all(writers)

  const told = () =>
    new Set(receiver.requests.map((request) => JSON.parse(String(request.body)).data.id as string))
  await reaches(() => told().size, names.length)
  expect([...acknowledged.values()].filter((id) => !told().has(id))).toEqual([])
  const eventIds = new Set(receiver.verified(secret).map(({ headers }) => headers['webhook-id']))
  expect(eventIds.size).toBe(names.length)
  expect(new Set(acknowledged.values()).size).toBe(names.length)
}, 120_000)

/** Waits until a count has come so far. */
async function reaches(count: () => number, goal: number): Promise<void> {
  const endMs = performance.now() + 60_000
  while (count() < goal) {
    if (performance.now() > endMs) throw new Error(`${count()} of ${goal}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
