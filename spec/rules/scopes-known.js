import { operationsOf, report, schemaName } from './walk.js'

/** The scopes that operations ask for are such as `ApiKeyScope` can give, spelt alike. */
export const scopesKnown = () => {
  const given = new Set()
  let asked = []
  return {
    Paths(node, ctx) {
      asked = operationsOf(ctx, { node, location: ctx.location }).flatMap((operation) =>
        (operation.node.security ?? [])
          .flatMap((requirement) => Object.values(requirement).flat())
          .map((scope) => ({ scope, at: operation.location.child(['security']) })),
      )
    },
    Schema(schema, ctx) {
      if (schemaName(ctx.location) !== 'ApiKeyScope') return
      for (const scope of schema.enum ?? []) given.add(scope)
    },
    Root: {
      leave(_root, ctx) {
        for (const { scope, at } of asked) {
          if (!given.has(scope)) report(ctx, at, `\`${scope}\` is not in ApiKeyScope.`)
        }
      },
    },
  }
}
