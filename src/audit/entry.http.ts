import type { Operation } from '#http/operation.ts'
import { pageOf, toPage } from '#http/page.ts'
import { found } from '#http/problem.ts'
import { findEntry, pageEntries } from './entry.sql.ts'
import { toEntry } from './entry.ts'

export const listAuditEntries: Operation<'listAuditEntries'> = async (ctx, call, { query }, db) => {
  const page = pageOf(ctx, call, 'audit-entries', query)
  const entries = await pageEntries(db, call.tenantId, query, page)
  return {
    status: 200,
    body: toPage(ctx, call, 'audit-entries', query, entries, ({ id }) => [id], toEntry),
  }
}

export const getAuditEntry: Operation<'getAuditEntry'> = async (_ctx, call, { path }, db) => {
  return {
    status: 200,
    body: toEntry(found(await findEntry(db, call.tenantId, path.auditEntryId))),
  }
}
