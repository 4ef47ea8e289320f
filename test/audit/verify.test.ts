import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { anchorAudit } from '#audit/anchor.task.ts'
import { genesis, linkHash } from '#audit/chain.ts'
import { readLinks } from '#audit/verify.sql.ts'
import type { ReadLink } from '#audit/verify-links.ts'
import { tenantOf } from '../events/fixture.ts'
import { createClients } from '../webhooks/fixture.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { chainAll, verify } from './fixture.ts'

/*
 * Whoever holds the database can do anything to it. Here somebody does, past all fences, and each
 * time the verifier must say so, and where.
 */

let world: World
let api: Api
let tenant: string
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  api = await world.newTenant()
  tenant = await tenantOf(api)
  await createClients(api, 20)
  await chainAll(world)
  await anchorAudit(world.ctx)
  await createClients(api, 10)
  await chainAll(world)
})
afterAll(() => world.stop())

const tables = ['audit', 'audit_chain', 'audit_head', 'audit_pending', 'audit_anchor']
beforeEach(async () => {
  expect((await verify(world)).damages).toEqual([])
  for (const table of tables) await world.query(`create table kept_${table} as table ${table}`)
})
afterEach(async () => {
  await restore()
  for (const table of tables) await world.query(`drop table kept_${table}`)
})

/** Puts everything back as it was when the test began. */
async function restore(): Promise<void> {
  for (const table of tables) {
    await world.query(`delete from ${table}`)
    await world.query(`insert into ${table} table kept_${table}`)
  }
}

const at = 'where tenant_id = $1 and position ='
const idAt = (position: number) => `(select audit_id from audit_chain ${at} ${position})`

/** What an operator is told first. */
async function told(options = {}): Promise<string> {
  const { damages } = await verify(world, options)
  const [first] = damages
  return first
    ? `${first.tenantId === tenant ? first.position : first.tenantId}: ${first.what}`
    : ''
}

const edits = [
  "action = 'client.deleted'",
  "resource_id = 'cli_other'",
  "actor_id = 'key_other'",
  "actor_type = 'SYSTEM'",
  "ip = '203.0.113.9'",
  "request_id = 'req_other'",
  "correlation_id = 'other'",
  "occurred_at = occurred_at + interval '1 microsecond'",
  "before = '{}'",
  "after = jsonb_set(after, '{name}', '\"Eve\"')",
  "details = '{}'",
]

test.for(edits)('an entry that was edited is found: %s', async (edit) => {
  await world.query(`update audit set ${edit} where tenant_id = $1 and id = ${idAt(7)}`, [tenant])
  expect(await told()).toMatch(/^7: entry aud_\w+ or its link was edited$/)
})

test('an entry that was removed is found, with or without its link', async () => {
  await world.query(`delete from audit where tenant_id = $1 and id = ${idAt(9)}`, [tenant])
  expect(await told()).toMatch(/^9: entry aud_\w+ is gone$/)
  await world.query(`delete from audit_chain ${at} 9`, [tenant])
  expect(await told()).toBe('9: links 9 to 9 are gone')
})

test('a removed entry is found though all positions behind it were moved up', async () => {
  await world.query(`delete from audit where tenant_id = $1 and id = ${idAt(9)}`, [tenant])
  await world.query(`delete from audit_chain ${at} 9`, [tenant])
  for (let position = 10; position < 40; position += 1) {
    await world.query(`update audit_chain set position = ${position - 1} ${at} ${position}`, [
      tenant,
    ])
  }
  await world.query('update audit_head set position = position - 1 where tenant_id = $1', [tenant])
  expect(await told()).toMatch(/^9: entry aud_\w+ or its link was edited$/)
})

test.for(['links', 'entries under their links'])(
  'a changed order is found: of %s',
  async (what) => {
    if (what === 'links') {
      await world.query(`update audit_chain set position = -position ${at} 11`, [tenant])
      await world.query(`update audit_chain set position = 11 ${at} 14`, [tenant])
      await world.query(`update audit_chain set position = 14 ${at} -11`, [tenant])
    } else {
      await world.query(
        `update audit_chain as link set audit_id = other.audit_id from audit_chain as other
       where link.tenant_id = $1 and other.tenant_id = $1
         and link.position in (11, 14) and other.position = 25 - link.position`,
        [tenant],
      )
    }
    expect(await told()).toBe('11: the order was changed: what belongs here stands at position 14')
  },
)

test('an entry that was slipped in past the chain is found', async () => {
  await world.query(
    `insert into audit select (jsonb_populate_record(audit, jsonb_build_object('id', $2::text))).*
     from audit where tenant_id = $1 and id = ${idAt(5)}`,
    [tenant, `aud_${'1'.repeat(26)}`],
  )
  expect((await verify(world)).damages).toEqual([
    { tenantId: tenant, position: undefined, what: expect.stringContaining('inserted past') },
  ])
})

test('an entry that was moved to another tenant is found in both', async () => {
  await world.query(
    `update audit set tenant_id = 'ten_00000000000000000000000000' where tenant_id = $1 and id = ${idAt(5)}`,
    [tenant],
  )
  const { damages } = await verify(world)
  expect(damages.map(({ what }) => what.replace(/aud_\w+/, 'it'))).toEqual([
    'entry it is gone',
    expect.stringContaining('entry it was inserted past the chain'),
  ])
})

test('a chain that was cut is found by its head, or by an anchor when the head was set back too', async () => {
  await world.query(
    `delete from audit where tenant_id = $1 and id = any(
    select audit_id from audit_chain where tenant_id = $1 and position > 15)`,
    [tenant],
  )
  await world.query('delete from audit_chain where tenant_id = $1 and position > 15', [tenant])
  expect(await told()).toMatch(/^16: the chain was cut: its last \d+ of \d+ links are gone$/)
  await world.query(
    `update audit_head as head set position = 15, hash = link.hash from audit_chain as link
     where head.tenant_id = $1 and link.tenant_id = $1 and link.position = 15`,
    [tenant],
  )
  expect(await told()).toMatch(/^\d+: the chain was cut: anchor 1 knows it up to position \d+$/)
})

test('a head that was set back or removed is found', async () => {
  await world.query('update audit_head set position = 3 where tenant_id = $1', [tenant])
  expect(await told()).toMatch(/^\d+: the head of the chain was changed: it says 3$/)
  await world.query('delete from audit_head where tenant_id = $1', [tenant])
  expect(await told()).toBe('undefined: the head of the chain is gone')
})

test('an entry that was removed before it was chained is found', async () => {
  await createClients(api, 1)
  await world.query(
    'delete from audit where tenant_id = $1 and id in (select audit_id from audit_pending)',
    [tenant],
  )
  expect(await told()).toMatch(/^undefined: entry aud_\w+ is gone: it was removed before/)
  await world.query('delete from audit_pending')
})

/** Makes a chain anew from its entries as they are now, as somebody would who knows how. */
async function forge(from: number): Promise<void> {
  const links: ReadLink[] = await readLinks(world.query, tenant, 0)
  let hash = genesis as Buffer
  for (const { position, entry, hash: stored } of links) {
    if (entry === null) throw new Error('its entries are there')
    hash = position < from ? stored : linkHash(hash, entry)
    await world.query(`update audit_chain set hash = $2 ${at} ${position}`, [tenant, hash])
  }
  await world.query('update audit_head set hash = $2 where tenant_id = $1', [tenant, hash])
}

test('a past that was made anew, hash by hash, contradicts the anchor', async () => {
  await world.query(
    `update audit set ip = '203.0.113.9' where tenant_id = $1 and id = ${idAt(6)}`,
    [tenant],
  )
  await forge(6)
  expect(await told()).toBe('1: the chain was made anew behind position 0: anchor 1 knows another')
})

test('an anchor that was made anew is forged, since the master key is not in the database', async () => {
  await world.query("update audit_anchor set heads = '[]'")
  expect(await told()).toBe('undefined: anchor 1 was edited')
  const { anchorDigest } = await import('#audit/anchor.ts')
  const [row] = await world.query<{ anchored_at: Date }>('select anchored_at from audit_anchor')
  const digest = anchorDigest({
    number: 1,
    anchoredAt: row?.anchored_at ?? new Date(),
    previousDigest: null,
    heads: [],
  })
  await world.query('update audit_anchor set digest = $1', [digest])
  expect(await told()).toBe('undefined: anchor 1 is forged: its mac is wrong')
  const { damages, macsChecked } = await verify(world, { attest: undefined })
  expect(macsChecked).toBe(0)
  expect(damages[0]?.what).toMatch(/^it was anchored up to position \d+, but the anchors know 0$/)
})

test('anchors that were removed are found by the heads, by their numbers, and by one kept elsewhere', async () => {
  world.step(3_600_000)
  await anchorAudit(world.ctx)
  const kept = await world.query<{ number: string; digest: Buffer }>(
    'select number, digest from audit_anchor order by number',
  )
  const keptAnchors = kept.map(({ number, digest }) => ({ number: Number(number), digest }))
  expect(keptAnchors).toHaveLength(2)
  expect(await told({ kept: keptAnchors })).toBe('')
  await world.query('delete from audit_anchor where number = 1')
  expect(await told()).toBe('undefined: anchors 1 to 1 are gone')
  await world.query('insert into audit_anchor table kept_audit_anchor')
  await world.query('delete from audit_anchor where number = 2')
  expect(await told()).toMatch(
    /^\d+: it was anchored up to position \d+, but the anchors know \d+$/,
  )
  await world.query('update audit_head set anchored_position = 0')
  await world.query('delete from audit_anchor')
  expect(await told({ kept: keptAnchors.slice(1) })).toMatch(
    /^undefined: anchor 2 is kept, but the last here is 0: this is an older copy, or cut$/,
  )
})

test('an older copy of everything is whole in itself, and only an anchor kept elsewhere tells', async () => {
  await createClients(api, 3)
  await chainAll(world)
  world.step(3_600_000)
  await anchorAudit(world.ctx)
  const [last] = await world.query<{ number: string; digest: Buffer }>(
    'select number, digest from audit_anchor order by number desc limit 1',
  )
  if (last === undefined) throw new Error('an anchor was made')
  const kept = [{ number: Number(last.number), digest: last.digest }]
  expect(await told({ kept })).toBe('')

  await restore()
  expect(await told()).toBe('')
  expect(await told({ kept })).toBe(
    'undefined: anchor 2 is kept, but the last here is 1: this is an older copy, or cut',
  )
  world.step(3_600_000)
  await anchorAudit(world.ctx)
  expect(await told({ kept })).toBe(
    'undefined: anchor 2 is not the one that was kept: the audit was made anew',
  )
})

test('entries whose days were dropped after their time are no damage, and the rest is verified on', async () => {
  await world.query(
    `delete from audit where tenant_id = $1 and id in (
    select audit_id from audit_chain where tenant_id = $1 and position < 12)`,
    [tenant],
  )
  const now = new Date(world.ctx.clock.now().getTime() + 401 * 86_400_000)
  const pruned = await verify(world, { now })
  expect(pruned.damages).toEqual([])
  expect(pruned.counted.dropped).toBe(11)
  await world.query(
    `update audit set ip = '203.0.113.9' where tenant_id = $1 and id = ${idAt(12)}`,
    [tenant],
  )
  expect(await told({ now })).toMatch(/^12: entry aud_\w+ or its link was edited$/)
})
