import type { Operation } from './contract.ts'
import { itemOf } from './contract.ts'
import type { Schema } from './document.ts'
import type { Prepared } from './prepare.ts'
import { idKindOf, resolve, sample } from './schema.ts'

/** A place in a request where the id of a thing can stand. */
export interface Position {
  in: 'path' | 'query' | 'body'
  name: string
  kind: string
  /** The request with another id in this place. */
  put(request: Prepared, id: string): Prepared
}

/** Every place in the requests of an operation where an id can stand, by their schemas. */
export function positionsOf(operation: Operation): Position[] {
  const parameters = operation.parameters.flatMap(({ in: place, name, schema }): Position[] => {
    const kind = idKindOf(schema)
    if (kind === undefined || place === 'header') return []
    if (place === 'path') return [{ in: place, name, kind, put: inPath(name) }]
    return [{ in: place, name, kind, put: inQuery(name) }]
  })
  const [body] = operation.bodies
  const fields = body ? idsIn(body.schema, []) : []
  return [
    ...parameters,
    ...fields.map(({ steps, kind }): Position => {
      const put = (request: Prepared, id: string) => ({
        ...request,
        body: withValue(body?.schema ?? {}, request.body ?? {}, steps, id),
      })
      return { in: 'body', name: steps.join('/'), kind, put }
    }),
  ]
}

/** Filters of a list that are fields of its rows, ids aside: what a stranger's rows have there. */
export function filtersOf(operation: Operation): string[] {
  const item = itemOf(operation)
  const fields = item ? (resolve(item).properties ?? {}) : {}
  return operation.parameters
    .filter(({ in: place, name, schema }) => place === 'query' && fields[name] && !idKindOf(schema))
    .map(({ name }) => name)
}

const inPath = (name: string) => (request: Prepared, id: string) => ({
  ...request,
  path: { ...request.path, [name]: id },
})

export const inQuery =
  (name: string) =>
  (request: Prepared, text: string): Prepared => ({
    ...request,
    query: [...request.query.filter(([one]) => one !== name), [name, text]],
  })

interface Place {
  steps: readonly string[]
  kind: string
}

/** The steps to each id in a body; `-` is a new item of a list. */
function idsIn(schema: Schema, steps: readonly string[], above: readonly string[] = []): Place[] {
  // Of a schema that holds itself, one level shows all that there is.
  const { $ref = '' } = schema
  if (above.includes($ref)) return []
  const path = $ref === '' ? above : [...above, $ref]
  const kind = idKindOf(schema)
  if (kind !== undefined) return [{ steps, kind }]
  const { properties = {}, items, anyOf = [], oneOf = [] } = resolve(schema)
  return [
    ...Object.entries(properties).flatMap(([name, inner]) => idsIn(inner, [...steps, name], path)),
    ...(items ? idsIn(items, [...steps, '-'], path) : []),
    ...[...anyOf, ...oneOf].flatMap((branch) => idsIn(branch, steps, path)),
  ]
}

/** The value with `id` at the end of the steps; what is missing on the way is made up. */
function withValue(
  schema: Schema,
  value: unknown,
  [step, ...others]: readonly string[],
  id: string,
): unknown {
  if (step === undefined) return id
  const whole = resolve(schema)
  if (step === '-') {
    const list = Array.isArray(value) ? value : []
    const item = list.at(-1) ?? (others.length > 0 ? sample(whole.items ?? {}, step) : undefined)
    return [...list.slice(0, -1), withValue(whole.items ?? {}, item, others, id)]
  }
  const inner = whole.properties?.[step] ?? {}
  const members = typeof value === 'object' && value !== null ? value : {}
  const member = (members as Record<string, unknown>)[step] ?? sample(inner, step)
  return { ...members, [step]: withValue(inner, member, others, id) }
}
