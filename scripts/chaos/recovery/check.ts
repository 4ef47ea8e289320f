import { firstIdAt } from '../../../src/ids.ts'
import type { Finding, Query } from '../checker/finding.ts'
import type { Telling } from './receiver.ts'

/** What is to be told again, to whom, since when. */
export interface Loss {
  tenantId: string
  endpointId: string
  sinceMs: number
}

interface Owed {
  event_id: string
  digest: string
  /** Attempts after which nobody knew whether the receiver had it. */
  unsure: number
}

/** The exact set was told again: each event since the loss, none before, in the bytes of the first time. */
export async function checkRecovered(
  query: Query,
  { tenantId, endpointId, sinceMs }: Loss,
  tellings: ReadonlyMap<string, Telling>,
): Promise<{ findings: Finding[]; doubled: number; inDoubt: number }> {
  const findings: Finding[] = []
  const report = (kind: Finding['kind'], what: string, where: string) =>
    void findings.push({ kind, what, where })
  const firstId = firstIdAt('evt', sinceMs)
  const owed = await query<Owed>(owedText, [tenantId, endpointId, firstId])
  const ids = new Set(owed.map(({ event_id }) => event_id))
  let [doubled, inDoubt] = [0, 0]
  for (const { event_id, digest, unsure } of owed) {
    const telling = tellings.get(event_id)
    inDoubt += unsure
    if (telling === undefined || telling.before === 0) report('LOST', 'never told', event_id)
    else if (telling.since === 0) report('LOST', 'not told again', event_id)
    else if (telling.since > 1 + unsure) {
      report('DOUBLED', `told again ${telling.since} times, ${unsure} in doubt`, event_id)
    } else if (telling.since > 1) doubled += 1
    if (telling !== undefined && !(telling.isSame && telling.digest === digest)) {
      report('BROKEN', 'told again in other bytes', event_id)
    }
  }
  for (const [eventId, { since }] of tellings) {
    if (since > 0 && !ids.has(eventId)) report('BROKEN', 'told again, and not asked for', eventId)
  }
  return { findings, doubled, inDoubt }
}

const owedText = `
  select event.id as event_id, encode(sha256(event.body), 'base64') as digest,
    coalesce(tries.unsure, 0)::int as unsure
  from event
  left join (
    select delivery.event_id, count(*) as unsure
    from webhook_delivery as delivery join attempt
      on attempt.tenant_id = delivery.tenant_id and attempt.delivery_id = delivery.id
    where delivery.tenant_id = $1 and delivery.endpoint_id = $2 and attempt.outcome in
      ('INTERRUPTED', 'TIMED_OUT', 'CONNECTION_FAILED', 'PROTOCOL_ERROR')
    group by delivery.event_id
  ) as tries on tries.event_id = event.id
  where event.tenant_id = $1 and event.type = 'client.created' and event.id >= $3`
