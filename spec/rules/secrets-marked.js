import { allows, bodySchemas, eachOperation, repliesOf, report, schemasWithin } from './walk.js'

const secretName = /^(key|secret|token|password)$|(Key|Secret|Token|Password)$/

/**
 * What a reply tells once and never again is marked `x-sensitive`: only then is a stored reply
 * sealed, and the value kept out of logs. A field with the name of a secret is taken for one.
 */
export const secretsMarked = () => {
  const seen = new Set()
  return eachOperation((operation, ctx) => {
    for (const [, reply] of repliesOf(ctx, operation)) {
      const schemas = bodySchemas(ctx, reply).flatMap((one) => schemasWithin(ctx, one, seen))
      for (const { node, location } of schemas) {
        for (const name of unmarkedSecrets(node.properties ?? {})) {
          const at = location.child(['properties', name]).key()
          report(ctx, at, `\`${name}\` looks like a secret: mark it \`x-sensitive: true\`.`)
        }
      }
    }
  })
}

function unmarkedSecrets(properties) {
  const isUnmarkedText = (schema) => allows(schema, 'string') && schema['x-sensitive'] !== true
  return Object.keys(properties).filter(
    (name) => secretName.test(name) && isUnmarkedText(properties[name]),
  )
}
