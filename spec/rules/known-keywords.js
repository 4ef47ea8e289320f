import { report } from './walk.js'

const refused = {
  allOf: 'write a plain object',
  discriminator: 'give every variant a constant tag',
  example: 'use `examples`',
  nullable: "write `type: [string, 'null']`",
  readOnly: 'give requests and replies a schema each',
  writeOnly: 'give requests and replies a schema each',
  unevaluatedProperties: 'write a plain object',
  xml: 'we speak JSON',
}

const formats = new Set(['date-time', 'date', 'email', 'uri', 'int32', 'int64', 'double', 'uuid'])

/** Only such keywords as every layer enforces: types, validators, mock and tests alike. */
export const knownKeywords = () => ({
  Schema(schema, ctx) {
    for (const [keyword, instead] of Object.entries(refused)) {
      if (schema[keyword] === undefined) continue
      report(ctx, ctx.location.child([keyword]).key(), `Not \`${keyword}\`: ${instead}.`)
    }
    if (schema.format !== undefined && !formats.has(schema.format)) {
      report(ctx, ctx.location.child(['format']), `Nobody checks the format \`${schema.format}\`.`)
    }
  },
})
