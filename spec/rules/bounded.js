import { allows, report } from './walk.js'

/**
 * Every text, list and number has bounds: what is too long is refused at the door, and a reader of
 * our replies can size a column. Constants and enums are bounded by themselves.
 */
export const bounded = () => ({
  Schema(schema, ctx) {
    if (schema.enum !== undefined || schema.const !== undefined) return
    for (const missing of missingBounds(schema)) {
      report(ctx, ctx.location, `It has no bounds: \`${missing}\` is missing.`)
    }
  },
})

function missingBounds(schema) {
  const has = (...keywords) => keywords.some((keyword) => schema[keyword] !== undefined)
  const missing = []
  if (allows(schema, 'string') && !has('maxLength')) missing.push('maxLength')
  if (allows(schema, 'array') && !has('maxItems')) missing.push('maxItems')
  if (allows(schema, 'integer') && !has('format')) missing.push('format')
  if (allows(schema, 'integer') || allows(schema, 'number')) {
    if (!has('minimum', 'exclusiveMinimum')) missing.push('minimum')
    if (!has('maximum', 'exclusiveMaximum')) missing.push('maximum')
  }
  if (typeof schema.additionalProperties === 'object' && !has('maxProperties')) {
    missing.push('maxProperties')
  }
  return missing
}
