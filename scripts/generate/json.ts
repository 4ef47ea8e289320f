/** What YAML and JSON files hold, and the pointers (RFC 6901) that name places in them. */
export type Json = null | boolean | number | string | Json[] | JsonObject

export interface JsonObject {
  [key: string]: Json
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function asObject(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {}
}

export function asArray(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : []
}

export function asStrings(value: Json | undefined): string[] {
  return asArray(value).filter((item) => typeof item === 'string')
}

export function asText(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** One step further down: `at('/paths', '/clients')` is `/paths/~1clients`. */
export function at(pointer: string, ...steps: (string | number)[]): string {
  const escaped = steps.map((step) => String(step).replaceAll('~', '~0').replaceAll('/', '~1'))
  return [pointer, ...escaped].join('/')
}

export function stepsOf(pointer: string): string[] {
  if (pointer === '') return []
  const steps = pointer.slice(1).split('/')
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** What a pointer leads to, or undefined. */
export function lookUp(root: Json, pointer: string): Json | undefined {
  let here: Json | undefined = root
  for (const step of stepsOf(pointer)) {
    if (Array.isArray(here)) here = here[Number(step)]
    else if (isObject(here) && Object.hasOwn(here, step)) here = here[step]
    else return undefined
  }
  return here
}

/** Follows `$ref` until it reaches the thing itself. */
export function follow(document: JsonObject, value: Json | undefined): JsonObject {
  let here = asObject(value)
  while (typeof here.$ref === 'string') here = asObject(lookUp(document, here.$ref.slice(1)))
  return here
}

export const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export function sortedEntries<T>(record: Record<string, T>): [string, T][] {
  return Object.entries(record).sort(([a], [b]) => byName(a, b))
}
