import { follow, report, schemaName } from './walk.js'

const upperSnake = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/
const lowerSnake = /^[a-z]+(_[a-z]+)*$/
const eventType = /^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$/
const scope = /^[a-z]+(_[a-z]+)*:(read|write)$/
const sortKey = /^-?[a-z][a-zA-Z0-9]*$/

/**
 * Enum values and constants are UPPER_SNAKE. Four kinds of name look otherwise: event types
 * (`client.created`), scopes (`clients:read`), problem codes and the keys of `sort`.
 * `*` stands for all.
 */
export const enumCase = () => {
  const sorts = new Set()
  return {
    Parameter(parameter, ctx) {
      if (parameter.name !== 'sort' || !parameter.schema) return
      const place = { node: parameter.schema, location: ctx.location.child(['schema']) }
      sorts.add(follow(ctx, place).location.absolutePointer)
    },
    Schema(schema, ctx) {
      const values = [...(schema.enum ?? []), ...('const' in schema ? [schema.const] : [])]
      const isSort = sorts.has(ctx.location.absolutePointer)
      const patterns = patternsOf(schemaName(ctx.location), isSort)
      for (const value of values) {
        if (typeof value !== 'string' || patterns.some((pattern) => pattern.test(value))) continue
        report(ctx, ctx.location, `\`${value}\` must be UPPER_SNAKE, as enum values are.`)
      }
    },
  }
}

function patternsOf(name, isSort) {
  if (isSort) return [sortKey]
  if (name === 'ProblemCode') return [lowerSnake]
  return [upperSnake, eventType, scope, /^\*$/]
}
