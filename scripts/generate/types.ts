import { asObject, type JsonObject, sortedEntries } from './json.ts'
import { docComment, header, quote } from './print.ts'

/** `generated/types.ts`: every component schema under its own name. */
export function printTypes(document: JsonObject): string {
  const schemas = sortedEntries(asObject(asObject(document.components).schemas))
  const lines = schemas.map(([name, schema]) => {
    const alias = `export type ${name} = components['schemas'][${quote(name)}]\n`
    return `${docComment(asObject(schema))}${alias}`
  })
  return `${header}import type { components } from './contract.ts'\n\n${lines.join('\n')}`
}
