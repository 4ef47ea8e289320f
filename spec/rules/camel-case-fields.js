import { report } from './walk.js'

const camelCase = /^[a-z][a-zA-Z0-9]*$/

/** Named by others: RFC 9457's registry of problem types. */
const standard = new Set(['violated-policies'])

/** Fields of bodies and parameters of paths and queries are camelCase. */
export const camelCaseFields = () => ({
  Schema(schema, ctx) {
    for (const name of Object.keys(schema.properties ?? {})) {
      if (camelCase.test(name) || standard.has(name)) continue
      report(ctx, ctx.location.child(['properties', name]).key(), `\`${name}\` must be camelCase.`)
    }
  },
  Parameter(parameter, ctx) {
    if (parameter.in === 'header' || camelCase.test(parameter.name)) return
    report(ctx, ctx.location.child(['name']), `\`${parameter.name}\` must be camelCase.`)
  },
})
