import { report, schemaName } from './walk.js'

/**
 * `ProblemCode` lists the codes, and `x-problems` beside it says of each its status, a title and a
 * description. The two must agree: tables, documentation and tests are made from them.
 */
export const problemCodes = () => ({
  Schema(schema, ctx) {
    if (schemaName(ctx.location) !== 'ProblemCode') return
    const codes = schema.enum ?? []
    const problems = schema['x-problems'] ?? {}
    for (const code of codes.filter((one) => !problems[one])) {
      const at = ctx.location.child(['enum']).key()
      report(ctx, at, `\`${code}\` is not described in \`x-problems\`.`)
    }
    for (const [code, described] of Object.entries(problems)) {
      const at = ctx.location.child(['x-problems', code]).key()
      if (!codes.includes(code)) report(ctx, at, `\`${code}\` is not in the enum.`)
      if (!isWhole(described)) {
        report(ctx, at, `\`${code}\` needs status, title and description, and at most a type.`)
      }
    }
  },
})

function isWhole(described) {
  const { status, title, description, type: _, ...others } = described
  const isError = Number.isInteger(status) && status >= 400 && status <= 599
  return isError && Boolean(title) && Boolean(description) && Object.keys(others).length === 0
}
