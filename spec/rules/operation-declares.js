import { eachOperation, parametersOf, report } from './walk.js'

const reads = new Set(['get', 'head', 'options'])

/**
 * Every operation says who may call it, what it costs, whether it may be repeated, and each refusal
 * that can come of that. Whoever reads one operation knows all that can happen there.
 */
export const operationDeclares = () =>
  eachOperation((operation, ctx) => {
    const parameters = parametersOf(ctx, operation).map(({ node }) => node)
    const faults = operation.node['x-raw']
      ? faultsOfRaw(operation)
      : [
          faultOfSecurity(operation),
          faultOfCost(operation.node),
          faultOfIdempotency(operation, parameters),
          ...missingReplies(operation, parameters),
        ]
    for (const fault of faults) {
      if (fault) report(ctx, operation.location.key(), `${operation.node.operationId}: ${fault}`)
    }
  })

/** Whoever sends in a form of their own has no key of ours, and repeats by rules of their own. */
function faultsOfRaw({ path, node }) {
  const { security, responses = {} } = node
  return [
    path.startsWith('/hooks/') ? undefined : '`x-raw` is for what is sent to /hooks/.',
    security?.length === 0 ? undefined : '`security` must be `[]`: they have no key of ours.',
    faultOfCost(node),
    ...[401, 403, 404, 413, 500, 503]
      .filter((status) => !responses[status])
      .map((status) => `${status} must be declared, because it can happen to all of these.`),
  ]
}

function faultOfSecurity({ path, node }) {
  const { security } = node
  if (!Array.isArray(security)) return '`security` must be written out: `[]`, or the scopes.'
  const isApi = path.startsWith('/api/')
  if (security.length === 0) return isApi ? 'an operation of the API needs a key.' : undefined
  const names = security.flatMap((requirement) => Object.keys(requirement))
  if (names.length === 1 && names[0] === 'apiKey') return undefined
  return '`security` must be one requirement, `apiKey`, with the scopes.'
}

function faultOfCost(node) {
  const cost = node['x-cost']
  if (Number.isInteger(cost) && cost >= 1 && cost <= 100) return undefined
  return '`x-cost` must be a whole number from 1 to 100.'
}

/** What is declared for readers of the operation and for readers of the header must agree. */
function faultOfIdempotency({ node, method }, parameters) {
  const declared = node['x-idempotency']
  if (reads.has(method)) return declared && 'reading needs no `x-idempotency`.'
  if (declared !== 'required' && declared !== 'optional') {
    return '`x-idempotency` must be `required` or `optional`.'
  }
  const key = parameters.find(({ name }) => name === 'Idempotency-Key')
  if (!key) return 'it must take the header `Idempotency-Key`.'
  if ((key.required === true) === (declared === 'required')) return undefined
  return `\`x-idempotency\` is ${declared}, but its parameter says otherwise.`
}

function missingReplies({ node, path, method }, parameters) {
  const needs = (statuses, reason) =>
    statuses
      .filter((status) => !node.responses?.[status])
      .map((status) => `${status} must be declared, because ${reason}.`)
  const names = new Set(parameters.map(({ name }) => name))
  return [
    ...needs([400, 406, 500], 'it can happen everywhere'),
    ...(node.security?.length ? needs([401, 403, 429, 503], 'it asks for a key') : []),
    ...(path.includes('{') ? needs([404], 'its path has an id') : []),
    ...(reads.has(method) ? [] : needs([409, 422], 'it takes an Idempotency-Key')),
    ...(names.has('If-Match') ? needs([412], 'it takes If-Match') : []),
    ...(['post', 'patch'].includes(method) ? needs([413, 415], 'it may come with a body') : []),
  ]
}
