import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { pageSecurityEvents } from './security-event.sql.ts'
import { type SecurityEvent, toSecurityEvent } from './security-event.ts'

export const listApiSecurityEvents: Operation<'listApiSecurityEvents'> = async (
  ctx,
  call,
  { query },
  db,
) => {
  const list = 'api-security-events'
  const events = await pageSecurityEvents(db, call.tenantId, query, pageOf(ctx, call, list, query))
  const placeOf = ({ id }: SecurityEvent) => [id]
  return { status: 200, body: toPage(ctx, call, list, query, events, placeOf, toSecurityEvent) }
}
