import { refuse } from './breach.ts'
import { Cache } from './cache.ts'
import { asObject, byName, type JsonObject, sortedEntries } from './json.ts'
import { functionOf, idOf, idsWithin, prepare } from './prepare.ts'
import { header } from './print.ts'
import { type Unit, unitCompiler } from './unit.ts'
import type { Parts } from './validator-parts.ts'

/** Where the function of a part is found: `validators/<module>.js`, by this name. */
export interface Place {
  module: string
  name: string
}

export interface Validators {
  /** By file name below `validators/`. */
  files: Map<string, string>
  /** By part name. */
  places: Map<string, Place>
}

/** A schema that becomes a function, and the modules that call it. */
interface Job {
  name: string
  schema: JsonObject
  pointer: string
  modules: Set<string>
}

const shared = 'shared'

const makers = [
  'unit.ts',
  'runtime.js',
  '../../node_modules/ajv/package.json',
  '../../node_modules/ajv-formats/package.json',
]

/**
 * ES modules of compiled schemas, one a tag. A component schema is one function: in the module of
 * the only tag that needs it, else in shared.js. Parts of one module with equal schemas are one.
 */
export function printValidators(document: JsonObject, parts: Parts, rootFile: string): Validators {
  const jobs = new Map<string, Job>()
  const components = componentJobs(document)
  const places = new Map<string, () => Place>()
  const equal = new Map<string, Job>()
  for (const [name, { module, schema, pointer }] of parts) {
    const prepared = asObject(prepare(document, schema))
    const isAlias = typeof prepared.$ref === 'string' && Object.keys(prepared).length === 1
    const twin = `${module} ${JSON.stringify(prepared)}`
    const own = equal.get(twin) ?? { name, schema: prepared, pointer, modules: new Set<string>() }
    const job = isAlias ? components.get(String(prepared.$ref)) : own
    if (job === undefined) refuse(pointer, 'Its reference leads to no component schema.')
    if (!isAlias) equal.set(twin, job)
    need(job, module, jobs, components)
    places.set(name, () => ({ module: homeOf(job), name: job.name }))
  }
  return {
    files: printModules(
      [...jobs.values()].sort((a, b) => byName(a.name, b.name)),
      rootFile,
    ),
    places: new Map([...places].map(([name, place]) => [name, place()])),
  }
}

function componentJobs(document: JsonObject): Map<string, Job> {
  const schemas = sortedEntries(asObject(asObject(document.components).schemas))
  return new Map(
    schemas.map(([name, schema]) => {
      const job: Job = {
        name: functionOf(idOf(name)),
        schema: asObject(prepare(document, schema)),
        pointer: `/components/schemas/${name}`,
        modules: new Set(),
      }
      return [idOf(name), job]
    }),
  )
}

/** Marks a function as needed by a module, with all that it calls. */
function need(job: Job, module: string, jobs: Map<string, Job>, all: Map<string, Job>): void {
  if (job.modules.has(module)) return
  job.modules.add(module)
  jobs.set(job.name, job)
  for (const id of idsWithin(job.schema)) {
    const called = all.get(id)
    if (called) need(called, module, jobs, all)
  }
}

function homeOf({ modules }: Job): string {
  const [only = shared] = modules
  return modules.size > 1 ? shared : only
}

function printModules(jobs: readonly Job[], rootFile: string): Map<string, string> {
  const cache = new Cache<Unit>('units', rootFile, makers)
  let compile: ReturnType<typeof unitCompiler> | undefined
  const files = new Map<string, string>()
  const byHome = Map.groupBy(jobs, homeOf)
  const homes = new Map(jobs.map((job) => [job.name, homeOf(job)]))
  for (const module of [...new Set([shared, ...byHome.keys()])].sort(byName)) {
    const own = byHome.get(module) ?? []
    const units = own.map((job) => {
      const key = `${job.name} ${JSON.stringify(job.schema)}`
      const known = cache.find(key)
      if (known) return known
      compile ??= unitCompiler()
      const unit = compiled(compile, job)
      cache.keep(key, unit)
      return unit
    })
    const called = own.flatMap(({ schema }) => idsWithin(schema).map(functionOf))
    const away = [...new Set(called.filter((name) => homes.get(name) !== module))].sort(byName)
    files.set(`${module}.js`, printModule(own, units, away))
    files.set(`${module}.d.ts`, printDeclarations(own.map(({ name }) => name)))
  }
  cache.save()
  return files
}

function compiled(compile: ReturnType<typeof unitCompiler>, job: Job): Unit {
  try {
    return compile(job.name, job.schema)
  } catch (error) {
    return refuse(job.pointer, error instanceof Error ? error.message : String(error))
  }
}

/** A constant is named after the first function that needs it, so that names seldom change. */
function printModule(own: readonly Job[], units: readonly Unit[], away: readonly string[]): string {
  const constants = new Map<string, string>()
  const bodies = units.map((unit, position) => {
    const names = unit.constants.map((code, index) => {
      const name = constants.get(code) ?? `${own[position]?.name}_${index}`
      constants.set(code, name)
      return name
    })
    return `export ${unit.text.replaceAll(/\$(\d+)\b/g, (_, index) => names[Number(index)] ?? '')}`
  })
  const runtime = [...new Set(units.flatMap((unit) => unit.runtime))].sort(byName)
  const lines = [...constants].map(([code, name]) => `const ${name} = ${code}\n`)
  return [
    header,
    importLine(runtime, './runtime.js'),
    importLine(away, './shared.js'),
    lines.length > 0 ? `\n${lines.join('')}` : '',
    bodies.map((body) => `\n${body}`).join(''),
  ].join('')
}

function importLine(names: readonly string[], from: string): string {
  if (names.length === 0) return ''
  const line = `import { ${names.join(', ')} } from '${from}'\n`
  if (line.length < 100) return line
  return `import {\n${names.map((name) => `  ${name},\n`).join('')}} from '${from}'\n`
}

function printDeclarations(names: readonly string[]): string {
  if (names.length === 0) return `${header}export {}\n`
  const lines = names.map((name) => `export declare const ${name}: Validate\n`)
  return `${header}import type { Validate } from '../validate.ts'\n\n${lines.join('')}`
}
