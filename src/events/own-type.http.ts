import { record } from '#audit/record.ts'
import type { Tx } from '#db/transact.ts'
import type { FieldError } from '#http/field-errors.ts'
import { changedFieldsOf, pick } from '#http/merge-patch.ts'
import type { Operation } from '#http/operation.ts'
import { found, type Problem, problem } from '#http/problem.ts'
import type { TenantId } from '#ids.ts'
import { misfitsOf } from './misfits.ts'
import {
  deleteOwnType,
  findOwnType,
  findSubscribers,
  insertOwnType,
  lockOwnNames,
  lockOwnType,
  updateOwnType,
} from './own-type.sql.ts'
import {
  judgeChange,
  judgeOwnType,
  newOwnType,
  ownTypesMax,
  patchOwnType,
  toOwnType,
} from './own-type.ts'
import { envelopeBytesMax, newOwnEvent, publishOwn } from './publish.ts'

export const createEventType: Operation<'createEventType'> = async (_ctx, call, { body }, tx) => {
  const own = newOwnType(body, call.now)
  refuse('invalid_request', judgeOwnType(call.tenantId, own))
  await requireRoom(tx, call.tenantId, own.type)

  const view = toOwnType(own)
  insertOwnType(tx, call.tenantId, own)
  record(tx, call, 'event_type.created', own.type, { after: view })
  return { status: 201, headers: { Location: `/api/v1/event-types/${own.type}` }, body: view }
}

async function requireRoom(tx: Tx, tenantId: TenantId, type: string): Promise<void> {
  const names = await lockOwnNames(tx, tenantId)
  if (names.includes(type)) {
    refuse('invalid_state', [{ pointer: '/type', code: 'taken', message: 'is a type already' }])
  }
  if (names.length >= ownTypesMax) {
    throw problem('limit_reached', { detail: `A tenant has at most ${ownTypesMax} own types.` })
  }
}

export const updateEventType: Operation<'updateEventType'> = async (
  _ctx,
  call,
  { path, body },
  tx,
) => {
  const own = found(await lockOwnType(tx, call.tenantId, path.eventType))
  const patched = patchOwnType(own, body, call.now)
  const [before, view] = [toOwnType(own), toOwnType(patched)]
  const changedFields = changedFieldsOf(
    { ...before, example: own.example },
    { ...view, example: patched.example },
  )
  if (changedFields.length === 0) return { status: 200, body: before }
  refuse('invalid_request', judgeOwnType(call.tenantId, patched))
  refuse('invalid_state', judgeChange(own, patched))

  updateOwnType(tx, call.tenantId, patched)
  record(tx, call, 'event_type.updated', own.type, {
    before: pick(before, changedFields),
    after: pick(view, changedFields),
  })
  return { status: 200, body: view }
}

export const deleteEventType: Operation<'deleteEventType'> = async (_ctx, call, { path }, tx) => {
  const own = found(await lockOwnType(tx, call.tenantId, path.eventType))
  const subscribers = await findSubscribers(tx, call.tenantId, own.type)
  if (subscribers.length > 0) {
    const detail = `It is named by ${subscribers.join(', ')}. Have them subscribe to others first.`
    throw problem('resource_in_use', { detail })
  }

  deleteOwnType(tx, call.tenantId, own.type)
  record(tx, call, 'event_type.deleted', own.type, { before: toOwnType(own) })
  return { status: 204 }
}

export const createEvent: Operation<'createEvent'> = async (_ctx, call, { body }, tx) => {
  const own = await findOwnType(tx, call.tenantId, body.type)
  if (own === undefined) {
    const message = 'is not a type of your own'
    throw problem('reference_unknown', {
      errors: [{ pointer: '/type', code: 'reference_unknown', message }],
    })
  }
  // Its size comes first: holding data against a schema takes time by that.
  const event = newOwnEvent(tx, call, own, body.data)
  if (event === undefined) {
    const message = `makes an event of more than ${envelopeBytesMax} bytes`
    throw refusal('invalid_request', [{ pointer: '/data', code: 'too_large', message }])
  }
  const schema = JSON.stringify(own.schema)
  refuse('invalid_request', misfitsOf(call.tenantId, schema, body.data, 'data'))

  publishOwn(tx, call, event)
  record(tx, call, 'event.published', event.envelope.id, { after: { type: own.type } })
  return { status: 202, body: { ...event.envelope, position: null } }
}

type Code = 'invalid_request' | 'invalid_state'

function refuse(code: Code, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw refusal(code, errors)
}

function refusal(code: Code, errors: readonly FieldError[]): Problem {
  const [first] = errors
  return problem(code, { detail: `${first?.pointer} ${first?.message}.`, errors })
}
