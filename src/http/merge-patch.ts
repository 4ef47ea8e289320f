import { isDeepStrictEqual } from 'node:util'

/**
 * Applies a JSON merge patch (RFC 7396): absent stays, null removes, objects are merged, and all
 * else is replaced. Returns a new value; neither argument is changed.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch
  const merged: Record<string, unknown> = Object.create(null)
  if (isRecord(target)) Object.assign(merged, target)
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else merged[name] = mergePatch(merged[name], value)
  }
  return { ...merged }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What every change touches, and so says nothing. */
const bookkeeping = new Set(['updatedAt', 'revision'])

/** The names of the fields in which two views of a resource differ. */
export function changedFieldsOf(before: object, after: object): string[] {
  const earlier = before as Record<string, unknown>
  return Object.entries(after)
    .filter(([name, value]) => !bookkeeping.has(name) && !isDeepStrictEqual(value, earlier[name]))
    .map(([name]) => name)
}

/** The members of `view` that are named: what the audit keeps of a change. */
export function pick(view: object, names: readonly string[]): Record<string, unknown> {
  const members = view as Record<string, unknown>
  return Object.fromEntries(names.map((name) => [name, members[name]]))
}
