import type { Breach } from './breach.ts'
import { asArray, asObject, at, isObject, type Json, type JsonObject } from './json.ts'
import { type Field, instead, type Kind, ledger } from './ledger.ts'
import { tagOf } from './variants.ts'

/** Everything in the contract that the ledger does not know, or knows to be wrong. */
export function findBreaches(document: JsonObject): Breach[] {
  const breaches: Breach[] = []
  inspect({ document, breaches }, 'document', document, '')
  return breaches
}

interface Round {
  document: JsonObject
  breaches: Breach[]
}

/** Where a reference may stand in place of the thing. */
const referable = new Set<Kind>([
  'parameter',
  'requestBody',
  'response',
  'header',
  'example',
  'securityScheme',
])

function inspect(round: Round, kind: Kind, value: Json, pointer: string): void {
  if (kind === 'schema' && typeof value === 'boolean') return
  if (!isObject(value)) {
    round.breaches.push({ at: pointer, message: `Here belongs an object: ${kind}.` })
    return
  }
  if (referable.has(kind) && typeof value.$ref === 'string') {
    for (const key of Object.keys(value)) {
      if (key !== '$ref') round.breaches.push(besideReference(at(pointer, key), key))
    }
    return
  }
  for (const [key, item] of Object.entries(value)) {
    const field = ledger[kind][key]
    const where = at(pointer, key)
    if (field === undefined) round.breaches.push(unknownKey(where, kind, key))
    else inspectField(round, field, item, value, where)
  }
  if (kind === 'schema' && value.oneOf !== undefined && !tagOf(round.document, value)) {
    const message = 'Every variant needs one property in common that is required and constant.'
    round.breaches.push({ at: at(pointer, 'oneOf'), message })
  }
}

function inspectField(
  round: Round,
  { one, list, map, judge }: Field,
  item: Json,
  holder: JsonObject,
  pointer: string,
): void {
  const message = judge?.(item, holder)
  if (message !== undefined) round.breaches.push({ at: pointer, message })
  if (one) inspect(round, one, item, pointer)
  if (list) {
    for (const [index, member] of asArray(item).entries()) {
      inspect(round, list, member, at(pointer, index))
    }
  }
  if (map) {
    for (const [name, member] of Object.entries(asObject(item))) {
      inspect(round, map, member, at(pointer, name))
    }
  }
}

function unknownKey(where: string, kind: Kind, key: string): Breach {
  const hint = kind === 'schema' || kind === 'operation' ? instead[key] : undefined
  const advice = hint ? `: ${hint}` : ' (scripts/generate/ledger.ts)'
  return { at: where, message: `No layer of the house keeps '${key}' in a ${kind}${advice}.` }
}

function besideReference(where: string, key: string): Breach {
  return { at: where, message: `'${key}' beside a $ref is lost.` }
}
