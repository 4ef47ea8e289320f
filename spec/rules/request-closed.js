import { allows, bodySchemas, child, eachOperation, report, schemasWithin } from './walk.js'

/**
 * Requests are closed: a field that we do not know is a typing error of the sender and is refused,
 * not swallowed. Adding a field to a request is safe; a map with names of the sender's choosing
 * says how many, and what they look like.
 */
export const requestClosed = () => {
  const seen = new Set()
  return eachOperation((operation, ctx) => {
    const body = child(ctx, operation, 'requestBody')
    for (const schema of bodySchemas(ctx, body)) {
      for (const { node, location } of schemasWithin(ctx, schema, seen)) {
        if (!allows(node, 'object') || isClosed(node) || isBoundedMap(node)) continue
        report(ctx, location, 'An object in a request must have `additionalProperties: false`.')
      }
    }
  })
}

const isClosed = (node) => node.additionalProperties === false

const isBoundedMap = (node) =>
  typeof node.additionalProperties === 'object' &&
  node.maxProperties !== undefined &&
  node.propertyNames?.maxLength !== undefined
