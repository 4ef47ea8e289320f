import { report } from './walk.js'

/** One version of OpenAPI, 3.1.1, whose schemas are JSON Schema 2020-12: our tools are made for it. */
export const openapiVersion = () => ({
  Root(root, ctx) {
    if (root.openapi === '3.1.1' && root.jsonSchemaDialect === undefined) return
    report(ctx, ctx.location.child(['openapi']), 'It must be OpenAPI 3.1.1 with its own dialect.')
  },
})
