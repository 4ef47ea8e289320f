/**
 * How the rules walk the contract. The linter visits a shared schema once, wherever it met it
 * first; a rule that asks "is this part of a request?" must follow references itself, from each
 * operation. A place is `{ node, location }`: what is there once references are followed, and
 * where that is.
 */

export const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

/** Where a child of a place is, its reference followed. */
export function child(ctx, place, ...keys) {
  const node = keys.reduce((one, key) => one?.[key], place.node)
  return follow(ctx, { node, location: place.location.child(keys) })
}

/** The place that a reference leads to; any other place is returned as it is. */
export function follow(ctx, place) {
  if (typeof place.node?.$ref !== 'string') return place
  const { node, location } = ctx.resolve(place.node, place.location.source.absoluteRef)
  return node === undefined ? { node: undefined, location: place.location } : { node, location }
}

/** Every operation of a map of path items. */
export function operationsOf(ctx, items) {
  return Object.keys(items.node).flatMap((path) => {
    const item = child(ctx, items, path)
    return methods
      .filter((method) => item.node?.[method])
      .map((method) => ({ path, method, item, ...child(ctx, item, method) }))
  })
}

/** A rule's visitor that calls `visit(operation, ctx)` for each operation below `paths`. */
export function eachOperation(visit) {
  return {
    Paths(node, ctx) {
      for (const one of operationsOf(ctx, { node, location: ctx.location })) visit(one, ctx)
    },
  }
}

/** The parameters of an operation and of its path. */
export function parametersOf(ctx, operation) {
  return [operation.item, operation].flatMap((owner) =>
    (owner.node.parameters ?? []).map((_, index) => child(ctx, owner, 'parameters', index)),
  )
}

/** `[status, reply]` for every declared reply of an operation. */
export function repliesOf(ctx, operation) {
  const statuses = Object.keys(operation.node.responses ?? {})
  return statuses.map((status) => [status, child(ctx, operation, 'responses', status)])
}

/** The schemas of the media types of a body or reply. */
export function bodySchemas(ctx, owner) {
  return Object.keys(owner.node?.content ?? {}).map((mediaType) =>
    child(ctx, owner, 'content', mediaType, 'schema'),
  )
}

/** A schema and all schemas within it, each place once in the life of `seen`. */
export function schemasWithin(ctx, schema, seen) {
  const { node, location } = schema
  if (node === null || typeof node !== 'object' || seen.has(location.absolutePointer)) return []
  seen.add(location.absolutePointer)
  const below = childSchemas(node).map((keys) => child(ctx, schema, ...keys))
  return [schema, ...below.flatMap((one) => schemasWithin(ctx, one, seen))]
}

function childSchemas(node) {
  const maps = ['properties', 'patternProperties', '$defs', 'dependentSchemas']
  const lists = ['anyOf', 'oneOf', 'allOf', 'prefixItems']
  const singles = ['items', 'additionalProperties', 'not', 'if', 'then', 'else', 'contains']
  return [
    ...[...maps, ...lists].flatMap((key) =>
      Object.keys(node[key] ?? {}).map((name) => [key, name]),
    ),
    ...singles.filter((key) => typeof node[key] === 'object').map((key) => [key]),
  ]
}

/** Whether a schema allows a type; `type` may be one or a list. */
export function allows(schema, type) {
  return [schema?.type].flat().includes(type)
}

/** The name of a shared schema, or undefined for one that is written in place. */
export function schemaName(location) {
  const [file, pointer = ''] = location.absolutePointer.split('#')
  const inRoot = pointer.match(/^\/components\/schemas\/([^/]+)$/)
  const ownFile = file.match(/\/schemas\/([^/]+)\.yaml$/)
  if (inRoot) return inRoot[1]
  return ownFile && (pointer === '' || pointer === '/') ? ownFile[1] : undefined
}

export function report(ctx, location, message) {
  ctx.report({ message, location })
}
