import { asObject, byName, isObject, type Json, type JsonObject } from './json.ts'
import { header, literal } from './print.ts'

/** Tells of a schema whether a field marked `x-sensitive` can be reached from it. */
export function sensitivity(document: JsonObject): (schema: Json | undefined) => boolean {
  const components = Object.entries(asObject(asObject(document.components).schemas))
  const findings = new Map(
    components.map(([name, schema]) => [`#/components/schemas/${name}`, look(schema)]),
  )
  const sensitive = new Set<string>()
  const isReached = ({ isMarked, refs }: Findings) => {
    return isMarked || refs.some((ref) => sensitive.has(ref))
  }
  // Schemas may refer to each other in circles, so this goes round until nothing is added.
  for (let sizeBefore = -1; sizeBefore < sensitive.size; ) {
    sizeBefore = sensitive.size
    for (const [ref, found] of findings) if (isReached(found)) sensitive.add(ref)
  }
  return (schema) => isReached(look(schema))
}

/** What a schema says itself, and where it leads. */
interface Findings {
  isMarked: boolean
  refs: string[]
}

function look(schema: Json | undefined): Findings {
  const findings: Findings = { isMarked: false, refs: [] }
  const visit = (value: Json | undefined): void => {
    if (typeof value !== 'object' || value === null) return
    if (isObject(value) && value['x-sensitive'] === true) findings.isMarked = true
    if (isObject(value) && typeof value.$ref === 'string') findings.refs.push(value.$ref)
    for (const member of Object.values(value)) visit(member)
  }
  visit(schema)
  return findings
}

/** `generated/sensitive.ts`: the names of the fields that are marked `x-sensitive` anywhere. */
export function printSensitive(document: JsonObject): string {
  const names = [...namesWithin(document)].sort(byName)
  return [
    header,
    '\n/** Fields whose values are shown once, if at all: nothing that is kept may show them. */\n',
    `export const sensitiveFields: ReadonlySet<string> = new Set(${literal(names, '', 66)})\n`,
  ].join('')
}

function namesWithin(value: Json | undefined, names = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return names
  if (isObject(value)) {
    for (const [name, schema] of Object.entries(asObject(value.properties))) {
      if (isObject(schema) && schema['x-sensitive'] === true) names.add(name)
    }
  }
  for (const member of Object.values(value)) namesWithin(member, names)
  return names
}

/** Places in a schema that hold values rather than schemas. */
const values = new Set(['const', 'default', 'enum', 'examples'])

/**
 * Tells of schemas under which names a value marked `x-sensitive` can stand in what they describe;
 * the empty name is the whole of it.
 */
export function sensitiveNames(document: JsonObject): (schemas: readonly Json[]) => string[] {
  const components = asObject(asObject(document.components).schemas)
  return (schemas) => {
    const names = new Set<string>()
    const seen = new Set<string>()
    const visit = (schema: Json | undefined, name: string): void => {
      if (Array.isArray(schema)) for (const one of schema) visit(one, name)
      if (!isObject(schema)) return
      if (schema['x-sensitive'] === true) names.add(name)
      if (typeof schema.$ref === 'string' && !seen.has(`${name} ${schema.$ref}`)) {
        seen.add(`${name} ${schema.$ref}`)
        visit(components[schema.$ref.replace('#/components/schemas/', '')], name)
      }
      for (const [keyword, member] of Object.entries(schema)) {
        if (keyword === 'properties') {
          for (const [property, one] of Object.entries(asObject(member))) visit(one, property)
        } else if (!values.has(keyword)) visit(member, name)
      }
    }
    for (const schema of schemas) visit(schema, '')
    return [...names].sort(byName)
  }
}
