import { onTestFinished } from 'vitest'
import { runChainer } from '#audit/chainer.ts'
import { type VerifyOptions, verifyAudit } from '#audit/verify.ts'
import type { AuditEntryInfo } from '#generated/types.ts'
import { until } from '../jobs/until.ts'
import type { Api, World } from '../world.ts'

/** A row of the audit, as the superuser sees it. */
export interface AuditRow {
  id: string
  tenant_id: string
  action: string
  resource_id: string | null
  actor_type: string
  actor_id: string
  request_id: string
  correlation_id: string
  ip: string | null
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
  details: Record<string, unknown> | null
}

export async function rowsOf(world: World, condition: string, values: unknown[] = []) {
  return await world.query<AuditRow>(`select * from audit where ${condition} order by id`, values)
}

/** Entries of a list that a caller is shown, over all its pages. */
export async function entriesOf(api: Api, query = ''): Promise<AuditEntryInfo[]> {
  const entries: AuditEntryInfo[] = []
  for (let cursor = ''; ; ) {
    const { status, body } = await api.get(`/api/v1/audit-entries?limit=7${query}${cursor}`)
    if (status !== 200) throw new Error(JSON.stringify(body))
    entries.push(...body.data)
    if (body.nextCursor === null) return entries
    cursor = `&cursor=${body.nextCursor}`
  }
}

/** Another process that chains, until the test is over. */
export function aChainer(world: World) {
  const chainer = runChainer(world.ctx)
  onTestFinished(() => chainer.stop())
  return chainer
}

export async function isChained(world: World): Promise<boolean> {
  const [row] = await world.query('select from audit_pending limit 1')
  return row === undefined
}

/** Chains what is pending now, and stops. */
export async function chainAll(world: World): Promise<void> {
  const chainer = runChainer(world.ctx)
  await until(() => isChained(world))
  await chainer.stop()
}

/** What the verifier finds, by the words that an operator reads. */
export async function verify(world: World, options: Partial<VerifyOptions> = {}) {
  const client = await world.ctx.db.worker.connect()
  try {
    await client.query('begin transaction isolation level repeatable read read only')
    const found = await verifyAudit(
      async (text, values) => (await client.query({ text, values: values ?? [] })).rows,
      { now: new Date(), keptDays: 400, kept: [], attest: world.ctx.secrets, ...options },
    )
    await client.query('commit')
    return found
  } finally {
    client.release()
  }
}
