import {
  bodySchemas,
  child,
  operationsOf,
  parametersOf,
  report,
  schemaName,
  schemasWithin,
} from './walk.js'

const headers = ['webhook-id', 'webhook-timestamp', 'webhook-signature', 'X-UBOS-Signature']
const fields = ['id', 'type', 'version', 'timestamp', 'data']

/**
 * Every webhook carries one event: `{id, type, version, timestamp, data}`, `type` and `version`
 * constant, with `changedFields` where something was updated, signed, and never with a secret.
 * `EventType` lists them all.
 */
export const eventShape = () => {
  let webhooks
  let eventType
  return {
    WebhooksMap(node, ctx) {
      webhooks = { node, location: ctx.location }
      for (const webhook of operationsOf(ctx, webhooks)) {
        for (const fault of faultsOf(ctx, webhook)) {
          report(ctx, webhook.location.key(), `${webhook.path}: ${fault}`)
        }
      }
    },
    Schema(schema, ctx) {
      if (schemaName(ctx.location) === 'EventType') {
        eventType = { values: schema.enum ?? [], location: ctx.location }
      }
    },
    Root: {
      leave(_root, ctx) {
        if (!webhooks || !eventType) return
        const types = Object.keys(webhooks.node)
        for (const type of types.filter((one) => !eventType.values.includes(one))) {
          report(ctx, eventType.location, `\`${type}\` is a webhook, but not in EventType.`)
        }
        for (const type of eventType.values.filter((one) => !types.includes(one))) {
          report(ctx, eventType.location, `\`${type}\` is in EventType, but no webhook.`)
        }
      },
    },
  }
}

function faultsOf(ctx, webhook) {
  const faults = []
  if (webhook.method !== 'post') faults.push('a webhook is a POST.')
  const names = parametersOf(ctx, webhook).map(({ node }) => node.name)
  for (const name of headers.filter((one) => !names.includes(one))) {
    faults.push(`the header \`${name}\` is missing.`)
  }
  const [schema] = bodySchemas(ctx, child(ctx, webhook, 'requestBody'))
  return [...faults, ...faultsOfEvent(ctx, webhook.path, schema), ...secretsOf(ctx, schema)]
}

function faultsOfEvent(ctx, type, schema) {
  if (!schema?.node?.properties) return ['it has no body.']
  const isUpdate = type.endsWith('.updated')
  const expected = isUpdate ? [...fields, 'changedFields'] : fields
  const { properties, required = [] } = schema.node
  const faults = expected
    .filter((name) => !properties[name] || !required.includes(name))
    .map((name) => `\`${name}\` must be in the event, and required.`)
  if (!isUpdate && properties.changedFields) faults.push('only updates have `changedFields`.')
  if (child(ctx, schema, 'properties', 'type').node?.const !== type) {
    faults.push(`\`type\` must be the constant \`${type}\`.`)
  }
  if (!Number.isInteger(child(ctx, schema, 'properties', 'version').node?.const)) {
    faults.push('`version` must be a constant number.')
  }
  return faults
}

function secretsOf(ctx, schema) {
  const isSensitive = ({ node }) => node['x-sensitive'] !== undefined
  const hasSecret = schema && schemasWithin(ctx, schema, new Set()).some(isSensitive)
  return hasSecret ? ['an event never carries a secret.'] : []
}
