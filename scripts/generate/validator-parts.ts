import { type EventModel, eventPart } from './events.ts'
import { isObject, type Json, type JsonObject } from './json.ts'
import type { Operation } from './model.ts'
import { kebab } from './print.ts'

/** One thing to be validated: the module that wants it, its schema, and where that is written. */
export interface Part {
  module: string
  schema: Json
  pointer: string
}

/** By name: `createClientBody`, `listClientsQuery`, `createClient201`, `getEventStreamSends`, `clientCreatedEvent`. */
export type Parts = Map<string, Part>

export function collectParts(
  operations: readonly Operation[],
  events: readonly EventModel[],
): Parts {
  const parts: Parts = new Map()
  for (const operation of operations) {
    const { operationId, tag, pointer, parameters, body, replies, websocket } = operation
    const module = kebab(tag)
    for (const [suffix, location] of [
      ['Path', 'path'],
      ['Query', 'query'],
      ['Headers', 'header'],
    ]) {
      const own = parameters.filter((parameter) => parameter.in === location)
      if (own.length === 0) continue
      parts.set(`${operationId}${suffix}`, { module, schema: objectOf(own, location), pointer })
    }
    if (body && isChecked(body.schema)) {
      parts.set(`${operationId}Body`, { module, schema: body.schema, pointer: body.pointer })
    }
    if (websocket) {
      const { sends, receives } = websocket
      parts.set(`${operationId}Sends`, { module, schema: sends, pointer })
      parts.set(`${operationId}Receives`, { module, schema: receives, pointer })
    }
    for (const reply of replies) {
      if (!isChecked(reply.schema)) continue
      const { schema, pointer } = reply
      parts.set(`${operationId}${reply.status}`, { module, schema, pointer })
    }
  }
  for (const { type, schema, pointer } of events) {
    parts.set(eventPart(type), { module: 'events', schema, pointer })
  }
  return parts
}

/** `{}` allows everything, so there is nothing to check. */
function isChecked(schema: Json | undefined): schema is Json {
  return isObject(schema) && Object.keys(schema).length > 0
}

/** Decoded parameters of one location as one object: closed, but for headers. */
function objectOf(parameters: Operation['parameters'], location: string | undefined): JsonObject {
  const required = parameters.filter((parameter) => parameter.isRequired).map(({ key }) => key)
  return {
    type: 'object',
    properties: Object.fromEntries(parameters.map(({ key, schema }) => [key, schema])),
    ...(required.length > 0 && { required }),
    ...(location !== 'header' && { additionalProperties: false }),
  }
}
