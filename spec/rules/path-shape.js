import { report } from './walk.js'

/** Outside the API proper: probes, doors that others prescribe the shape of, and what never ends. */
const exempt =
  /^\/(livez|readyz|metrics|graphql|jwks\/\{tenantId\}|hooks\/\{sourceId\}|api\/v1\/events\/stream)$/
const singletons = new Set([
  'me',
  'request-log-policy',
  'egress-policy',
  'retention-policy',
  'legal-hold',
  'health',
  'lag',
  'payload',
  'risk',
  'usage',
  'webhook-key-set',
  'webhook-sender',
  'webhook-settings',
])
const noun = /^[a-z]+(-[a-z]+)*$/
const parameter = /^\{[a-z][A-Za-z]*(Id|Type|Code|Name)\}$/
const verbs = new Set([
  ...[
    'accept',
    'add',
    'cancel',
    'create',
    'decline',
    'delete',
    'disable',
    'enable',
    'get',
    'issue',
  ],
  ...['list', 'redeliver', 'refund', 'remove', 'replay', 'resend', 'revoke', 'rotate', 'search'],
  ...['send', 'submit', 'update', 'void'],
])

/**
 * A path is `/api/v{n}/` and then nouns in kebab case: collections in the plural, each followed by
 * the id of one of its things. What is done to a thing is a noun too: `/proposals/{id}/submission`.
 */
export const pathShape = () => ({
  Paths(paths, ctx) {
    for (const path of Object.keys(paths)) {
      const message = exempt.test(path) ? undefined : faultOf(path)
      if (message) report(ctx, ctx.location.child([path]).key(), `${path}: ${message}`)
    }
  },
})

function faultOf(path) {
  const [, root, version, ...segments] = path.split('/')
  if (root !== 'api' || !/^v[1-9]\d*$/.test(version ?? ''))
    return 'it must begin with `/api/v{n}/`.'
  if (segments.length === 0) return 'it must name a collection.'
  for (const [index, segment] of segments.entries()) {
    const fault = index % 2 === 1 ? faultOfParameter(segment) : faultOfNoun(segment, index > 0)
    if (fault) return fault
  }
  return undefined
}

function faultOfParameter(segment) {
  if (parameter.test(segment)) return undefined
  return `\`${segment}\` must be a parameter such as \`{clientId}\`: collections and ids alternate.`
}

/** Below an id a noun of action may stand in the singular: submission, acceptance, revocation. */
function faultOfNoun(segment, isBelowId) {
  if (!noun.test(segment)) return `\`${segment}\` must be a noun in kebab case.`
  if (verbs.has(segment.split('-')[0]))
    return `\`${segment}\` is a verb. Name the thing; the method is the verb.`
  if (segment.endsWith('s') || singletons.has(segment)) return undefined
  if (isBelowId && /(ion|ance|ence|al)$/.test(segment)) return undefined
  return `\`${segment}\` must be in the plural.`
}
