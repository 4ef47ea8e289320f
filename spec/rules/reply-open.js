import { bodySchemas, eachOperation, repliesOf, report, schemasWithin } from './walk.js'

/**
 * Replies are open: we may add a field at any time, so no schema of a reply may promise that there
 * will never be another. A schema that is closed is one for requests; replies have their own.
 */
export const replyOpen = () => {
  const seen = new Set()
  return eachOperation((operation, ctx) => {
    for (const [, reply] of repliesOf(ctx, operation)) {
      for (const schema of bodySchemas(ctx, reply)) {
        for (const { node, location } of schemasWithin(ctx, schema, seen)) {
          if (node.additionalProperties !== false && node.unevaluatedProperties !== false) continue
          report(ctx, location, 'A reply is open: leave out `additionalProperties: false`.')
        }
      }
    }
  })
}
