import type { OperationId } from '#generated/operations.ts'
import { itemOf, type Operation } from './contract.ts'
import { positionsOf } from './positions.ts'
import { rowKindOf } from './prepare.ts'

/*
 * What every operation is put through: by sweep, each with a test file of its own, the cases and the
 * operations that they are for. A new operation is in all of them that apply, by itself.
 */

export type Applies = (operation: Operation) => boolean

const all: Applies = () => true
const isRead: Applies = ({ method }) => method === 'GET'
const isClosed: Applies = ({ audience }) => audience !== 'open'
const isTenants: Applies = ({ audience }) => audience === 'tenant'
const takesBody: Applies = ({ bodies }) => bodies.length > 0
const takesJson: Applies = ({ bodies }) => /json/.test(bodies[0]?.mediaType ?? '')
const takesKey: Applies = ({ idempotency }) => idempotency !== undefined
const isList: Applies = (operation) => itemOf(operation) !== undefined

const answersBody: Applies = ({ replies }) =>
  Object.entries(replies).some(([status, { mediaType }]) => status.startsWith('2') && mediaType)

const mayTellOfOthers: Applies = (operation) =>
  isTenants(operation) && (isRead(operation) || positionsOf(operation).length > 0)

export const hasPathIds: Applies = (operation) =>
  positionsOf(operation).some((position) => position.in === 'path')

const showsThings: Applies = (operation) =>
  isTenants(operation) && (hasPathIds(operation) || rowKindOf(operation) !== undefined)

const takesTenantsKey: Applies = (operation) => isTenants(operation) && takesKey(operation)

export const cases = {
  success: { examples: all, head: isRead, options: all },
  access: {
    keys: isClosed,
    scopes: ({ scopes }) => scopes.length > 0,
    oversized: takesBody,
    'content type': takesBody,
    malformed: takesJson,
    accept: answersBody,
    method: all,
  },
  order: { order: all },
  fields: { parameters: all, 'unknown parameter': all, body: takesJson },
  idempotency: {
    replay: takesKey,
    reuse: takesKey,
    twin: takesKey,
    required: ({ idempotency }) => idempotency === 'required',
  },
  tenants: {
    'both fences': mayTellOfOthers,
    'policies alone': mayTellOfOthers,
    'conditions alone': mayTellOfOthers,
    'borrowed key, both fences': takesTenantsKey,
    'borrowed key, policies alone': takesTenantsKey,
    'borrowed key, conditions alone': takesTenantsKey,
    'no fence': showsThings,
  },
  lists: { paging: isList, cursors: isList },
} satisfies Record<string, Record<string, Applies>>

export type Sweep = keyof typeof cases
export type CaseOf<Name extends Sweep> = keyof (typeof cases)[Name] & string
type AnyCase = { [Name in Sweep]: CaseOf<Name> }[Sweep]

/**
 * What does not hold yet, and why, by operation and case. An entry that is no longer needed fails
 * the test: the list may only shrink.
 */
export const exceptions: Partial<Record<OperationId, Partial<Record<AnyCase, string>>>> = {}
