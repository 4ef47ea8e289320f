import { asArray, asObject, asStrings, follow, type Json, type JsonObject } from './json.ts'

/** A choice among objects that tell themselves apart by a constant: `kind: mail`, `kind: phone`. */
export interface Tag {
  property: string
  values: Json[]
}

/** The property by which the variants of a `oneOf` tell themselves apart, if there is one. */
export function tagOf(document: JsonObject, schema: JsonObject): Tag | undefined {
  const variants = asArray(schema.oneOf).map((variant) => follow(document, variant))
  const [first, ...others] = variants
  if (first === undefined || others.length === 0) return undefined
  for (const property of asStrings(first.required)) {
    const values = variants.map((variant) => {
      const isRequired = asStrings(variant.required).includes(property)
      const { const: value } = follow(document, asObject(variant.properties)[property])
      return isRequired ? value : undefined
    })
    const known = values.filter((value) => value !== undefined)
    if (known.length === variants.length && new Set(known).size === known.length) {
      return { property, values: known }
    }
  }
  return undefined
}
