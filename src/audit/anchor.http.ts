import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { pageAnchors } from './anchor.sql.ts'
import { toAnchor } from './anchor.ts'

export const listAuditAnchors: Operation<'listAuditAnchors'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'audit-anchors', query)
  const anchors = await pageAnchors(db, query, page)
  return {
    status: 200,
    body: toPage(ctx, call, 'audit-anchors', query, anchors, ({ number }) => [number], toAnchor),
  }
}
