import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { parse } from 'yaml'
import { refuse } from './breach.ts'
import { Cache } from './cache.ts'
import { at, byName, isObject, type Json, type JsonObject, lookUp } from './json.ts'

/**
 * The contract is written in many files and read as one document. A file in `components/<kind>/`
 * becomes `#/components/<kind>/<Name>`; every other file stands where its reference stood.
 */
export interface Bundle {
  document: JsonObject
  /** `spec/v1/components/schemas/ClientInfo.yaml#/properties/id` for a pointer into the bundle. */
  origin(pointer: string): string
}

const kinds = [
  'schemas',
  'responses',
  'parameters',
  'examples',
  'requestBodies',
  'headers',
  'securitySchemes',
] as const

interface Workshop {
  rootFile: string
  files: Map<string, Json>
  /** Parsing is most of the work of bundling, and most files are as they were. */
  parsed: Cache<Json>
  components: Map<string, string>
  origins: Map<string, string>
  /** Files being inlined right now, to notice one that contains itself. */
  open: string[]
}

export function bundle(rootFile: string): Bundle {
  const root = resolve(rootFile)
  const workshop: Workshop = {
    rootFile: root,
    files: new Map(),
    parsed: new Cache('yaml', root, ['../../node_modules/yaml/package.json']),
    components: findComponents(dirname(root)),
    origins: new Map(),
    open: [],
  }
  const parsed = load(workshop, root)
  if (!isObject(parsed)) refuse(name(root), 'The root of the contract is not an object.')
  const { components, ...rest } = parsed
  const document = rewrite(workshop, rest, { file: root, inFile: '', inBundle: '' })
  if (!isObject(document)) refuse(name(root), 'The root of the contract is not an object.')
  document.components = bundleComponents(workshop, isObject(components) ? components : {})
  workshop.parsed.save()
  return { document, origin: (pointer) => originOf(workshop, pointer) }
}

function findComponents(specRoot: string): Map<string, string> {
  const found = new Map<string, string>()
  const seen = new Map<string, string>()
  for (const kind of kinds) {
    const folder = join(specRoot, 'components', kind)
    if (!existsSync(folder)) continue
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    for (const entry of files.filter((file) => file.endsWith('.yaml')).sort(byName)) {
      const file = join(folder, entry)
      const pointer = `/components/${kind}/${basename(entry, '.yaml')}`
      const other = seen.get(pointer.toLowerCase())
      if (other) refuse(name(file), `Its name clashes with ${name(other)}: rename one of them.`)
      seen.set(pointer.toLowerCase(), file)
      found.set(file, pointer)
    }
  }
  return found
}

function bundleComponents(workshop: Workshop, inRoot: JsonObject): JsonObject {
  const bundled: JsonObject = {}
  for (const kind of kinds) {
    const entries = new Map<string, Json>()
    for (const [file, pointer] of workshop.components) {
      if (!pointer.startsWith(`/components/${kind}/`)) continue
      workshop.origins.set(pointer, `${name(file)}#`)
      const place = { file, inFile: '', inBundle: pointer }
      entries.set(basename(file, '.yaml'), rewrite(workshop, load(workshop, file), place))
    }
    for (const [label, value] of Object.entries(isObject(inRoot[kind]) ? inRoot[kind] : {})) {
      const pointer = at('/components', kind, label)
      const place = { file: workshop.rootFile, inFile: pointer, inBundle: pointer }
      const written = rewrite(workshop, value, place)
      if (isObject(written) && written.$ref === `#${pointer}`) continue
      if (entries.has(label)) refuse(`${name(workshop.rootFile)}#${pointer}`, clash(kind, label))
      entries.set(label, written)
    }
    if (entries.size > 0) bundled[kind] = Object.fromEntries([...entries].sort(byKey))
  }
  return bundled
}

const byKey = (a: [string, Json], b: [string, Json]): number => byName(a[0], b[0])

const clash = (kind: string, label: string): string =>
  `'${label}' is also the file components/${kind}/${label}.yaml: keep one of them.`

interface Place {
  file: string
  inFile: string
  inBundle: string
}

const below = (place: Place, step: string | number): Place => ({
  file: place.file,
  inFile: at(place.inFile, step),
  inBundle: at(place.inBundle, step),
})

/** Keys whose values are data of the API, in which `$ref` would be an ordinary field. */
const dataKeys = new Set(['default', 'const', 'enum', 'example', 'value'])
/** Keys whose members are names given by us, so that a property may be called `default`. */
const mapKeys = new Set(['properties', 'patternProperties', 'mapping', ...kinds])

function rewrite(workshop: Workshop, value: Json, place: Place, isMap = false): Json {
  if (Array.isArray(value)) {
    return value.map((item, index) => rewrite(workshop, item, below(place, index)))
  }
  if (!isObject(value)) return value
  if (!isMap && typeof value.$ref === 'string') {
    return rewriteReference(workshop, value, value.$ref, place)
  }
  const written: JsonObject = {}
  for (const [key, item] of Object.entries(value)) {
    const isData = !isMap && (dataKeys.has(key) || (key === 'examples' && Array.isArray(item)))
    written[key] = isData
      ? item
      : rewrite(workshop, item, below(place, key), !isMap && mapKeys.has(key))
  }
  return written
}

function rewriteReference(workshop: Workshop, holder: JsonObject, ref: string, place: Place): Json {
  const where = `${name(place.file)}#${place.inFile}`
  const [path = '', fragment = ''] = ref.split('#')
  if (/^[a-z][a-z0-9+.-]*:/i.test(path)) refuse(where, `'${ref}' leads out of the house.`)
  const file = path === '' ? place.file : resolve(dirname(place.file), path)
  const { $ref: _, ...siblings } = holder
  if (file === workshop.rootFile && fragment.startsWith('/components/')) {
    if (!reaches(workshop, fragment)) refuse(where, `'${ref}' leads to nothing.`)
    return { $ref: `#${fragment}`, ...siblings }
  }
  const component = workshop.components.get(file)
  if (component && fragment === '') return { $ref: `#${component}`, ...siblings }
  if (!existsSync(file)) refuse(where, `'${ref}' leads to nothing: no file ${name(file)}.`)
  const target = lookUp(load(workshop, file), fragment)
  if (target === undefined) refuse(where, `'${ref}' leads to nothing in ${name(file)}.`)
  if (Object.keys(siblings).length > 0) {
    refuse(where, `'${ref}' is copied in here and cannot have keys beside it.`)
  }
  return inline(workshop, target, { file, inFile: fragment, inBundle: place.inBundle }, where)
}

function inline(workshop: Workshop, target: Json, place: Place, where: string): Json {
  const address = `${place.file}#${place.inFile}`
  if (workshop.open.includes(address)) refuse(where, 'This reference contains itself.')
  workshop.open.push(address)
  workshop.origins.set(place.inBundle, `${name(place.file)}#${place.inFile}`)
  const written = rewrite(workshop, target, place)
  workshop.open.pop()
  return written
}

function reaches(workshop: Workshop, pointer: string): boolean {
  if (lookUp(load(workshop, workshop.rootFile), pointer) !== undefined) return true
  return [...workshop.components.values()].includes(pointer)
}

function load(workshop: Workshop, file: string): Json {
  const known = workshop.files.get(file)
  if (known !== undefined) return known
  const text = readFileSync(file, 'utf8')
  let parsed = workshop.parsed.find(text)
  if (parsed === undefined) {
    parsed = parseYaml(text, file)
    workshop.parsed.keep(text, parsed)
  }
  workshop.files.set(file, parsed)
  return parsed
}

function parseYaml(text: string, file: string): Json {
  try {
    return parse(text)
  } catch (error) {
    return refuse(name(file), error instanceof Error ? error.message : String(error))
  }
}

function originOf(workshop: Workshop, pointer: string): string {
  for (let end = pointer.length; end > 0; end = pointer.lastIndexOf('/', end - 1)) {
    const origin = workshop.origins.get(pointer.slice(0, end))
    if (origin !== undefined) return `${origin}${pointer.slice(end)}`
  }
  return `${name(workshop.rootFile)}#${pointer}`
}

/** A file as people name it: from where they stand. */
function name(file: string): string {
  return relative(process.cwd(), file)
}
