import { record } from '#audit/record.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { requireMatch } from '#http/revision.ts'
import { requireEnd } from './retry-policy.ts'
import { findSettings, updateSettings } from './settings.sql.ts'
import { patchSettings, toSettings } from './settings.ts'

export const getWebhookSettings: Operation<'getWebhookSettings'> = async (
  _ctx,
  call,
  _request,
  db,
) => {
  return { status: 200, body: toSettings(await findSettings(db, call.tenantId)) }
}

export const updateWebhookSettings: Operation<'updateWebhookSettings'> = async (
  _ctx,
  call,
  { headers, body },
  tx,
) => {
  requireEnd(body.retryPolicy)
  const settings = await findSettings(tx, call.tenantId)
  const patched = patchSettings(settings, body)
  const [before, view] = [toSettings(settings), toSettings(patched)]
  requireMatch(headers['if-match'], before.revision)
  const changedFields = changedFieldsOf(before, view)
  if (changedFields.length === 0) return { status: 200, body: before }

  updateSettings(tx, patched, call.now)
  record(tx, call, 'webhook_settings.updated', call.tenantId, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  return { status: 200, body: view }
}
