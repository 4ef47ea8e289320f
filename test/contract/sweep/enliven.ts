import type { Body, Operation } from './contract.ts'
import type { Schema } from './document.ts'
import { idFor, type Maker } from './prepare.ts'
import { idKindOf, matches, resolve, typeFits } from './schema.ts'

/*
 * The examples of the contract as requests that succeed: with ids of things that are there, days
 * around today, the address of a receiver that listens, and texts that occur once and tell whose
 * they are.
 */

let count = 0
/** A number that was not given before. */
export const another = (): number => (count += 1)

/** The body of an example, by its name, or of the first, ready to be sent. */
export async function bodyOf(
  maker: Maker,
  operation: Operation,
  body: Body,
  name: string | undefined,
) {
  const [, example] = body.examples.find(([one]) => one === name) ?? body.examples[0] ?? []
  if (example === undefined) throw new Error(`${operation.id}: its body has no example`)
  const idOf = (kind: string) => idFor(maker, operation, kind)
  return (await enliven({ ...maker, idOf }, body.schema, example)) as Record<string, unknown>
}

/** The examples of the contract are told as if it were this day. */
const exampleDay = Date.parse('2026-02-04')

/** An example with live ids, days around today, and texts that occur once. */
async function enliven(maker: Maker, schema: Schema, value: unknown): Promise<unknown> {
  const whole = branchFor(schema, value)
  const kind = idKindOf(whole)
  if (kind && typeof value === 'string') return await maker.idOf(kind)
  if (Array.isArray(value)) {
    return await Promise.all(value.map((item) => enliven(maker, whole.items ?? {}, item)))
  }
  if (typeof value === 'object' && value !== null) {
    const members: [string, unknown][] = []
    for (const [name, member] of Object.entries(value)) {
      const others = typeof whole.additionalProperties === 'object' && whole.additionalProperties
      const inner = whole.properties?.[name] ?? (others || {})
      members.push([name, await enliven(maker, inner, member)])
    }
    return Object.fromEntries(members)
  }
  return typeof value === 'string' ? enlivenText(maker, whole, value) : value
}

/** The schema, or of a choice of schemas the one that this value is made by. */
function branchFor(schema: Schema, value: unknown): Schema {
  const whole = resolve(schema)
  const branches = (whole.anyOf ?? whole.oneOf ?? []).map((branch) => branchFor(branch, value))
  if (branches.length === 0) return { ...schema, ...whole }
  const names = typeof value === 'object' && value !== null ? Object.keys(value) : []
  const fitting = branches.filter((branch) => typeFits(branch, value))
  const found = fitting.find(({ properties = {} }) => names.every((name) => name in properties))
  return found ?? fitting[0] ?? whole
}

const partnerHost = 'hooks.partner.example'

function enlivenText({ cast, tenant }: Maker, schema: Schema, text: string): string {
  if (schema.format === 'uri') return cast.receiver.url
  // The partner of the examples is whoever listens.
  if (text === partnerHost) return new URL(cast.receiver.url).hostname
  if (schema.format === 'date' || schema.format === 'date-time') return moved(text)
  const isFree = !schema.enum && !schema.format && schema.const === undefined
  const marked = `${text} ~${tenant.label}${another()}`
  const fits = marked.length <= (schema.maxLength ?? Infinity) && matches(schema.pattern, marked)
  if (isFree && schema.pattern !== undefined && fits) return marked
  // The name of a type of event occurs once, too, and takes marks of another kind.
  const isOwnType = schema.pattern?.startsWith('^custom') ?? false
  return isOwnType ? `${text}_${tenant.label.toLowerCase()}${another()}` : text
}

/** A day or a moment of an example, as far from today as it is there from the example's day. */
function moved(text: string): string {
  const days = Math.floor((Date.now() - exampleDay) / 86_400_000)
  const then = new Date(Date.parse(text) + days * 86_400_000).toISOString()
  return text.includes('T') ? then : then.slice(0, 10)
}
