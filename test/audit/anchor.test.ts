import { spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { anchorAudit } from '#audit/anchor.task.ts'
import { canonicalJson, linkHash } from '#audit/chain.ts'
import { readKeptAnchors } from '../../scripts/audit-verify/kept.ts'
import { databaseUrlOf } from '../db/fixture.ts'
import { createClients } from '../webhooks/fixture.ts'
import { refusedWith, startWorld, type World } from '../world.ts'
import { chainAll } from './fixture.ts'

const hour = 3_600_000
const folder = mkdtempSync(join(tmpdir(), 'ubos-audit-'))
const lines: string[] = []

let world: World
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  await createClients(world.api, 5)
  await chainAll(world)
})
afterAll(async () => {
  await world.stop()
  await rm(folder, { recursive: true, force: true })
})

const anchor = () =>
  anchorAudit({
    ...world.ctx,
    log: pino({ level: 'info' }, { write: (line) => void lines.push(line) }),
  })

/** Runs the verifier as an operator does. */
async function runVerifier(...words: string[]) {
  const child = spawn(process.execPath, ['scripts/audit-verify.ts', ...words], {
    env: {
      ...process.env,
      DATABASE_URL: databaseUrlOf(world),
      UBOS_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text))
  const code = await new Promise((resolve) => child.once('close', resolve))
  return { code, said }
}

test('an anchor is made each hour, by whichever of many workers, and told to the log', async () => {
  await Promise.all([anchor(), anchor(), anchor()])
  await anchor()
  const count = async () => (await world.query('select from audit_anchor')).length
  expect(await count()).toBe(1)
  world.step(hour - 60_000)
  await anchor()
  expect(await count()).toBe(1)
  world.step(60_000)
  await createClients(world.api, 1)
  await chainAll(world)
  await Promise.all([anchor(), anchor()])
  expect(await count()).toBe(2)
  const [, second] = await world.query<{ heads: [string, number, string][] }>(
    'select heads from audit_anchor order by number',
  )
  expect(second?.heads).toHaveLength(1)
  expect(lines.map((line) => JSON.parse(line).anchor.number)).toEqual([1, 2])
})

test('operators list the anchors, newest first, page by page; no customer does', async () => {
  const { body } = await world.operator.get('/api/v1/audit-anchors?limit=1')
  expect(body.data).toEqual([JSON.parse(lines[1] ?? '').anchor])
  const next = await world.operator.get(`/api/v1/audit-anchors?limit=1&cursor=${body.nextCursor}`)
  expect(next.body.data).toEqual([JSON.parse(lines[0] ?? '').anchor])
  expect(body.data[0].previousDigest).toBe(next.body.data[0].digest)
  const upwards = await world.operator.get('/api/v1/audit-anchors?sort=number')
  expect(upwards.body.data.map(({ number }: { number: number }) => number)).toEqual([1, 2])
  refusedWith(await world.api.get('/api/v1/audit-anchors'), 'insufficient_scope')
})

test('the verifier says what it checked, and ends with 1 when an entry was edited', async () => {
  const log = join(folder, 'ubos.log')
  writeFileSync(log, `not a line of JSON\n{"level":30,"msg":"call"}\n${lines.join('')}`)
  const whole = await runVerifier('--anchors', log)
  expect(whole.said).toMatch(/Checked \d+ entries in \d+ chains, and 2 anchors\.\n/)
  expect(whole.said).toContain('Held against 2 anchors that were kept elsewhere.')
  expect(whole.said).toContain('No damage was found.')
  expect(whole.code).toBe(0)

  await world.query("update audit set action = 'client.forged' where action = 'client.created'")
  const damaged = await runVerifier()
  expect(damaged.said).toMatch(
    /DAMAGE {2}ten_\w+, position \d+: entry aud_\w+ or its link was edited/,
  )
  expect(damaged.code).toBe(1)
  expect((await runVerifier('--anchors', join(folder, 'none'))).code).toBe(2)
})

test('kept anchors are read from a reply of the API, too', async () => {
  const reply = JSON.stringify((await world.operator.get('/api/v1/audit-anchors')).body, null, 2)
  expect(readKeptAnchors(reply, 'reply').map(({ number }) => number)).toEqual([2, 1])
  expect(() => readKeptAnchors('{}', 'empty')).toThrow('empty holds no anchor')
})

test('the form of an entry is fixed: the same entry has the same hash for ever', () => {
  const entry = {
    tenantId: 'ten_01kgm1gc80er08wc1am3k500yv',
    id: 'aud_01kgm1m1e0f5wvsr8n3qd2hk7c',
    createdOn: '2026-02-04',
    occurredAt: '2026-02-04T10:02:00.000000Z',
    action: 'client.updated',
    resourceId: 'cli_01kgm1m1e0fe6b5k691h14rrmc',
    actorType: 'API_KEY',
    actorId: 'key_01kgm1gc80fyfbmxjrdrngc9dy',
    requestId: 'req_01kgm1m1e0eyv0a3c9bnhsw4gk',
    correlationId: 'order-4711',
    ip: null,
    before: { z: 1.5, a: ['ü', null, { y: 1, x: -0 }] },
    after: null,
    details: null,
  }
  expect(canonicalJson(entry.before)).toBe('{"a":["ü",null,{"x":0,"y":1}],"z":1.5}')
  const shuffled = Object.fromEntries(Object.entries(entry).toReversed()) as typeof entry
  const hash = linkHash(Buffer.alloc(32), entry).toString('hex')
  expect(linkHash(Buffer.alloc(32), shuffled).toString('hex')).toBe(hash)
  // Computed once by another program, in another language.
  expect(hash).toBe('81568f47caf614f3c7dcd5172c07ebbbe3eebbf7508dacf92fc9070be867d126')
})
