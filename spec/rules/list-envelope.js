import { child, eachOperation, parametersOf, report } from './walk.js'

/**
 * All lists are alike: `limit`, `cursor` and `sort` in the query, `data` and `nextCursor` in the
 * reply, and a `Link` to the next page. Whoever has read one list can read them all.
 */
export const listEnvelope = () =>
  eachOperation((operation, ctx) => {
    if (operation.method !== 'get') return
    const schema = child(ctx, operation, 'responses', '200')
    const json = child(ctx, schema, 'content', 'application/json', 'schema')
    const isList = /^list[A-Z]/.test(operation.node.operationId ?? '')
    const faults = isList
      ? [
          ...faultsOfQuery(
            parametersOf(ctx, operation).map(({ node }) => node),
            ctx,
            operation,
          ),
          ...faultsOfReply(ctx, schema, json),
        ]
      : faultsOfSingle(ctx, json)
    for (const fault of faults) report(ctx, operation.location.key(), fault)
  })

function faultsOfQuery(parameters, ctx, operation) {
  const schemaOf = (name) => {
    const found = parameters.find((one) => one.in === 'query' && one.name === name)
    return found && child(ctx, { node: found, location: operation.location }, 'schema').node
  }
  const limit = schemaOf('limit')
  const sort = schemaOf('sort')
  const faults = []
  if (limit?.minimum !== 1 || limit.maximum !== 200 || limit.default !== 50) {
    faults.push('A list takes `limit` from 1 to 200, by default 50.')
  }
  if (!schemaOf('cursor')) faults.push('A list takes a `cursor`.')
  if (!sort?.enum?.includes(sort.default)) {
    faults.push('A list takes `sort` with an enum, and one of it as default.')
  }
  return faults
}

function faultsOfReply(ctx, reply, { node, location }) {
  const names = Object.keys(node?.properties ?? {})
    .sort()
    .join()
  const required = [...(node?.required ?? [])].sort().join()
  const faults = []
  if (names !== 'data,nextCursor' || required !== names) {
    faults.push('A list answers with `data` and `nextCursor`, both required, and nothing else.')
  } else if (child(ctx, { node, location }, 'properties', 'data').node?.type !== 'array') {
    faults.push('`data` of a list is an array.')
  }
  if (!reply.node?.headers?.Link) faults.push('A list answers with a `Link` header.')
  return faults
}

function faultsOfSingle(ctx, schema) {
  const data = child(ctx, schema, 'properties', 'data')
  const looksLikeList = schema.node?.type === 'array' || data.node?.type === 'array'
  return looksLikeList ? ['What returns many is a list: its operationId begins with `list`.'] : []
}
