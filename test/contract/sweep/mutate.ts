import { type Schema, stepOf } from './document.ts'
import { misfit } from './judge.ts'
import { idKindOf, matches, resolve, sample, typeFits, typesOf } from './schema.ts'

/*
 * Wrong values, made from schemas: from a value that fits, others that differ from it in one place
 * and do not fit there.
 */

/** A whole value in which one place is wrong. */
export interface Wrong {
  /** What is wrong, for people. */
  what: string
  /** The steps to the place. */
  at: readonly string[]
  value: unknown
  /** Steps of `at` that a refusal must name at least; the rest lies within a choice of schemas. */
  surely?: number
}

const samples: Record<string, unknown> = {
  string: 'text',
  integer: 7,
  number: 7.5,
  boolean: true,
  array: [],
  object: {},
  null: null,
}

/** Every way to be wrong that the schema at `place` of the contract knows, one at a time. */
export function wrongBodies(schema: Schema, place: string, base: unknown): Wrong[] {
  const misfitting = (value: unknown) => misfit(place, value) !== undefined
  return wrongsOf(schema, base, place).filter(({ value, what }) => {
    // Nowhere can a text be kept with a NUL in it, whatever its schema says.
    return what === 'a NUL' || misfitting(value)
  })
}

/** The named schemas on the way to a place. */
type Path = readonly string[]

function wrongsOf(schema: Schema, value: unknown, place: string, above: Path = []): Wrong[] {
  // Of a schema that holds itself, one level shows all ways to be wrong.
  const { $ref = '' } = schema
  if (above.includes($ref)) return []
  const path = $ref === '' ? above : [...above, $ref]
  const whole = resolve(schema)
  const branches = whole.anyOf ?? whole.oneOf
  const choice = branches?.flatMap((branch) =>
    wrongsOf(branch, isMadeBy(branch, value) ? value : sample(branch, place), place, path),
  )
  const here: Wrong[] = [
    ...wrongTypes(whole),
    ...wrongOfEnum(whole),
    ...wrongTexts(whole, value),
    ...wrongNumbers(whole, value),
  ].map(([what, wrong]) => ({ what, at: [], value: wrong }))
  return [
    ...here,
    ...(choice ?? []).map((wrong) => ({ ...wrong, surely: 0 })),
    ...wrongLists(whole, value, place, path),
    ...wrongObjects(whole, value, place, path),
  ]
}

/** Whether a value can have been made by this one of several schemas. */
function isMadeBy(branch: Schema, value: unknown): boolean {
  const { properties, required = [] } = resolve(branch)
  if (!typeFits(branch, value)) return false
  if (properties === undefined || typeof value !== 'object' || value === null) return true
  const hasOwn = Object.keys(value).every((name) => name in properties)
  return hasOwn && required.every((name) => name in value)
}

type Choice = [what: string, wrong: unknown]

function wrongTypes(schema: Schema): Choice[] {
  const allowed = new Set(typesOf(schema))
  if (allowed.size === 0) return []
  if (allowed.has('number')) allowed.add('integer')
  return Object.entries(samples)
    .filter(([type]) => !allowed.has(type))
    .map(([type, wrong]) => [type === 'null' ? 'null' : `a ${type}`, wrong])
}

function wrongOfEnum(schema: Schema): Choice[] {
  if (!schema.enum && schema.const === undefined) return []
  const known = String(schema.enum?.[0] ?? schema.const)
  const [lower, upper] = [known.toLowerCase(), known.toUpperCase()]
  return [
    ['not of the enum', 'NOT_A_THING'],
    ['of the enum but for its case', known === lower ? upper : lower],
    ['of the enum but for a space', `${known} `],
  ]
}

/** Texts that no pattern of the contract lets through all of. */
const oddTexts = ['', ' ', '\u0007', '\u{1f98a}', '!', '-', '..', '%', 'Ä', 'a b', 'A1', '0']

const oddFormats: Record<string, string[]> = {
  date: ['2026-02-30', '2026-2-3'],
  'date-time': ['2026-02-30T10:00:00Z', '2026-02-04T24:30:00Z', '2026-02-04T10:00:00'],
  email: ['nobody', '@example.com', 'a b@example.com'],
  uri: ['nowhere', 'http://'],
}

function wrongTexts(schema: Schema, value: unknown): Choice[] {
  if (!typesOf(schema).includes('string') || schema.enum) return []
  const text = typeof value === 'string' ? value : ''
  const { minLength = 0, maxLength, pattern, format = '' } = schema
  const wrongs: Choice[] = [
    ['a NUL', `${text.slice(0, -1)}\0`],
    ['half a character', `${text.slice(0, -1)}\ud800`],
  ]
  if (minLength > 0) wrongs.push(['too short', text.slice(0, minLength - 1)])
  if (maxLength !== undefined) {
    wrongs.push(['too long', text.padEnd(maxLength + 1, text.at(-1) ?? 'x')])
  }
  const odd = oddTexts.filter((candidate) => !matches(pattern, candidate)).slice(0, 4)
  for (const candidate of odd) wrongs.push(['against the pattern', candidate])
  for (const candidate of oddFormats[format] ?? []) wrongs.push(['against the format', candidate])
  if (idKindOf(schema)) wrongs.push(['an id of another kind', `xxx_${'0'.repeat(26)}`])
  return wrongs
}

function wrongNumbers(schema: Schema, value: unknown): Choice[] {
  const types = typesOf(schema)
  if (!types.includes('number') && !types.includes('integer')) return []
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema
  const number = typeof value === 'number' ? value : 0
  const wrongs: [string, number | undefined][] = [
    ['below the least', minimum === undefined ? undefined : minimum - (multipleOf ?? 1)],
    ['above the most', maximum === undefined ? undefined : maximum + (multipleOf ?? 1)],
    ['the excluded least', exclusiveMinimum],
    ['the excluded most', exclusiveMaximum],
    ['too fine', multipleOf === undefined ? undefined : number + multipleOf / 10],
    ['a fraction', types.includes('integer') ? number + 0.5 : undefined],
    ['huge', 1e300],
  ]
  return wrongs.filter(([, wrong]) => wrong !== undefined)
}

function wrongLists(schema: Schema, value: unknown, place: string, path: Path): Wrong[] {
  if (!typesOf(schema).includes('array') || !Array.isArray(value)) return []
  const { items = {}, minItems = 0, maxItems, uniqueItems } = schema
  const item = value.at(-1) ?? sample(items, place)
  const others = value.slice(0, -1)
  const here: Choice[] = []
  if (minItems > 0) here.push(['too few items', value.slice(0, minItems - 1)])
  if (maxItems !== undefined) here.push(['too many items', Array(maxItems + 1).fill(item)])
  if (uniqueItems) here.push(['an item twice', [item, item]])
  return [
    ...here.map(([what, wrong]) => ({ what, at: [], value: wrong })),
    ...wrongsOf(items, item, place, path).map((wrong) =>
      inside(wrong, String(others.length), [...others, wrong.value]),
    ),
  ]
}

function wrongObjects(schema: Schema, value: unknown, place: string, path: Path): Wrong[] {
  if (!typesOf(schema).includes('object') || typeof value !== 'object') return []
  const base = { ...value } as Record<string, unknown>
  const { properties = {}, required = [], additionalProperties, maxProperties } = schema
  const wrongs: Wrong[] = []
  for (const [name, inner] of Object.entries(properties)) {
    const member = base[name] ?? sample(inner, `${place}/${name}`)
    for (const wrong of wrongsOf(inner, member, place, path)) {
      wrongs.push(inside(wrong, name, { ...base, [name]: wrong.value }))
    }
  }
  for (const name of required) {
    const { [name]: _, ...others } = base
    wrongs.push({ what: 'missing', at: [name], value: others })
  }
  if (additionalProperties === false) {
    for (const name of ['surprise', 'a/b~c', 'tenantId', 'id']) {
      if (properties[name]) continue
      wrongs.push({ what: 'an unknown field', at: [name], value: { ...base, [name]: 1 } })
    }
  }
  if (typeof additionalProperties === 'object') {
    const member = sample(additionalProperties, place)
    for (const wrong of wrongsOf(additionalProperties, member, place, path)) {
      wrongs.push(inside(wrong, 'name', { ...base, name: wrong.value }))
    }
    for (const [what, name] of wrongTexts({ type: 'string', ...schema.propertyNames }, 'name')) {
      const odd = { ...base, [String(name)]: member }
      wrongs.push({ what: `a name with ${what}`, at: [String(name)], value: odd })
    }
    if (maxProperties !== undefined) {
      const many = Array.from({ length: maxProperties + 1 }, (_, at) => [`name${at}`, member])
      wrongs.push({ what: 'too many names', at: [], value: Object.fromEntries(many) })
    }
  }
  return wrongs
}

/** What is wrong in a member is wrong in the whole. */
function inside(wrong: Wrong, name: string, value: unknown): Wrong {
  const { surely } = wrong
  const at = [name, ...wrong.at]
  return { ...wrong, at, value, ...(surely === undefined ? {} : { surely: surely + 1 }) }
}

export const pointerOf = (steps: readonly string[]): string =>
  steps.map((step) => `/${stepOf(step)}`).join('')

/** Texts that a parameter of this schema must not be; `missing` and repetition are not among them. */
export function wrongParameters(schema: Schema): Choice[] {
  const whole = resolve(schema)
  const types = typesOf(whole)
  if (types.includes('array')) {
    return wrongParameters(whole.items ?? {}).map(([what, text]) => [`an item ${what}`, text])
  }
  if (types.includes('integer') || types.includes('number')) {
    const numbers = wrongNumbers(whole, whole.minimum ?? 0).filter(([what]) => what !== 'huge')
    const texts = ['', 'text', '1e1', '0x1', ' 1', '+1', '9'.repeat(30)]
    return [...texts.map((text): Choice => ['no such number', text]), ...numbers]
  }
  if (types.includes('boolean')) return ['', 'yes', 'TRUE', '1'].map((text) => ['neither', text])
  const base = String(sample(whole, 'parameter'))
  const texts = [...wrongOfEnum(whole), ...wrongTexts(whole, base)]
  return texts.filter(([what]) => what !== 'half a character' && what !== 'a NUL')
}
