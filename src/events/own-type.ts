import { isDeepStrictEqual } from 'node:util'
import type { EventTypeInfo, EventTypeInput, EventTypePatch } from '#generated/types.ts'
import { bodyError, type FieldError } from '#http/field-errors.ts'
import { mergePatch } from '#http/merge-patch.ts'
import type { TenantId } from '#ids.ts'
import { misfitsOf } from './misfits.ts'
import { breakIn, type JsonObject, judgeSchema, meaningOf } from './own-schema.ts'

/**
 * A type of event of a tenant's *own*: its product publishes events of it, and they go the way of ours.
 * Its name begins with `custom.`, as none of ours ever does.
 */
export interface OwnType {
  type: string
  /** Counts the changes of what its schema means. */
  version: number
  description: string
  schema: JsonObject
  example: JsonObject
  createdAt: Date
  updatedAt: Date
}

/** A tenant's types are looked at whenever they are listed, so there are only so many. */
export const ownTypesMax = 100

const exampleBytesMax = 16 * 1024

export function newOwnType(
  { type, description, schema, example }: EventTypeInput,
  now: Date,
): OwnType {
  return { type, version: 1, description, schema, example, createdAt: now, updatedAt: now }
}

/** A new version when its schema means something else. */
export function patchOwnType(own: OwnType, patch: EventTypePatch, now: Date): OwnType {
  const schema = mergePatch(own.schema, patch.schema ?? {}) as JsonObject
  const example = mergePatch(own.example, patch.example ?? {}) as JsonObject
  const isOther = !isDeepStrictEqual(meaningOf(schema), meaningOf(own.schema))
  const version = own.version + (isOther ? 1 : 0)
  const description = patch.description ?? own.description
  return { ...own, version, description, schema, example, updatedAt: now }
}

/** What is wrong with a type as it would be, by itself. */
export function judgeOwnType(
  tenantId: TenantId,
  { schema, example }: Pick<OwnType, 'schema' | 'example'>,
): FieldError[] {
  const errors = judgeSchema(tenantId, schema)
  if (errors.length > 0) return errors
  if (Buffer.byteLength(JSON.stringify(example)) > exampleBytesMax) {
    return [bodyError(['example'], 'too_large', 'is too large')]
  }
  return misfitsOf(tenantId, JSON.stringify(schema), example, 'example')
}

/** What of a change would break readers of events, as an error at its place. */
export function judgeChange(before: OwnType, after: OwnType): FieldError[] {
  const steps = breakIn(meaningOf(before.schema), meaningOf(after.schema), ['schema'])
  if (steps === undefined) return []
  return [bodyError(steps, 'breaking', 'says something else than before, which breaks readers')]
}

export function toOwnType({ type, version, description, ...own }: OwnType): EventTypeInfo {
  const example = {
    id: `evt_${'0'.repeat(26)}`,
    ...{ type, version, timestamp: own.updatedAt.toISOString(), data: own.example },
  }
  return { type, version, description, example, schema: envelopeOf(type, version, own.schema) }
}

/** The schema of a whole event. */
function envelopeOf(type: string, version: number, data: JsonObject) {
  return {
    type: 'object',
    required: ['id', 'type', 'version', 'timestamp', 'data'],
    properties: {
      id: { type: 'string' },
      type: { const: type },
      version: { const: version },
      timestamp: { type: 'string', format: 'date-time' },
      data,
    },
  }
}
