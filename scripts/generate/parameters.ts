import { refuse } from './breach.ts'
import { asArray, asObject, asText, at, follow, type Json, type JsonObject } from './json.ts'

/** A parameter, with what its decoder must know. */
export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  /** Its name in the handler's request: header names are lower case there. */
  key: string
  isRequired: boolean
  style: 'simple' | 'form'
  explode: boolean
  type: 'string' | 'integer' | 'number' | 'boolean' | 'array'
  items?: 'string' | 'integer' | 'number' | 'boolean'
  default?: Json
  schema: Json
  source: JsonObject
  pointer: string
}

/** A path's own parameters and those of its operation, which win; path first, then by name. */
export function readParameters(
  document: JsonObject,
  itemPointer: string,
  item: JsonObject,
  method: string,
): Parameter[] {
  const read = new Map<string, Parameter>()
  const lists = [
    { list: item.parameters, pointer: at(itemPointer, 'parameters') },
    { list: asObject(item[method]).parameters, pointer: at(itemPointer, method, 'parameters') },
  ]
  for (const { list, pointer } of lists) {
    const seen = new Set<string>()
    for (const [index, entry] of asArray(list).entries()) {
      const parameter = readParameter(document, entry, at(pointer, index))
      const identity = `${parameter.in} ${parameter.key}`
      if (seen.has(identity)) refuse(parameter.pointer, `'${parameter.name}' is here twice.`)
      seen.add(identity)
      read.set(identity, parameter)
    }
  }
  const order = ['path', 'query', 'header']
  return [...read.values()].sort((a, b) => order.indexOf(a.in) - order.indexOf(b.in))
}

function readParameter(document: JsonObject, entry: Json, pointer: string): Parameter {
  const source = follow(document, entry)
  const location = source.in
  if (location !== 'path' && location !== 'query' && location !== 'header') {
    refuse(at(pointer, 'in'), `'${location}' is not decoded: use path, query or header.`)
  }
  const usual = location === 'query' ? 'form' : 'simple'
  const style = source.style ?? usual
  if (style !== usual) refuse(at(pointer, 'style'), `'${style}' is not decoded in ${location}.`)
  const schema = follow(document, source.schema)
  const items = follow(document, schema.items)
  const type = scalarOrArray(schema, at(pointer, 'schema', 'type'))
  const name = asText(source.name)
  return {
    name,
    in: location,
    key: location === 'header' ? name.toLowerCase() : name,
    isRequired: source.required === true,
    style: usual,
    explode: typeof source.explode === 'boolean' ? source.explode : usual === 'form',
    type,
    ...(type === 'array' && { items: scalar(items, at(pointer, 'schema', 'items', 'type')) }),
    ...(schema.default !== undefined && { default: schema.default }),
    schema: source.schema ?? {},
    source,
    pointer,
  }
}

function scalar(schema: JsonObject, pointer: string) {
  const { type } = schema
  if (type === 'string' || type === 'integer' || type === 'number' || type === 'boolean') {
    return type
  }
  refuse(pointer, 'A parameter is a string, integer, number, boolean or an array of these.')
}

function scalarOrArray(schema: JsonObject, pointer: string) {
  return schema.type === 'array' ? 'array' : scalar(schema, pointer)
}
