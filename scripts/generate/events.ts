import { refuse } from './breach.ts'
import type { JsonObject } from './json.ts'
import {
  asObject,
  asStrings,
  asText,
  at,
  follow,
  type Json,
  lookUp,
  sortedEntries,
} from './json.ts'
import {
  camel,
  code,
  docComment,
  header,
  importTypes,
  literal,
  propertyName,
  quote,
} from './print.ts'
import { newNames, typeOf } from './type-of.ts'
import type { Place } from './validators.ts'

/** One entry of `webhooks`: what we promise to send when something happened. */
export interface EventModel {
  type: string
  pointer: string
  summary: string
  description: string
  /** Of the whole envelope. */
  schema: Json
  /** Of `data` alone. */
  data: Json
  version: number
  hasChangedFields: boolean
  example: Json
}

export function readEvents(document: JsonObject): EventModel[] {
  refuseUnknownTypes(document)
  return sortedEntries(asObject(document.webhooks)).map(([type, item]) => {
    const pointer = at('/webhooks', type, 'post')
    const post = asObject(asObject(item).post)
    const content = asObject(follow(document, post.requestBody).content)
    const media = asObject(content['application/json'])
    const envelope = follow(document, media.schema)
    const properties = asObject(envelope.properties)
    const version = follow(document, properties.version).const
    if (follow(document, properties.type).const !== type) {
      refuse(pointer, `Its body must say: type is the constant '${type}'.`)
    }
    if (typeof version !== 'number') refuse(pointer, 'Its body must give version a constant.')
    if (properties.data === undefined) refuse(pointer, 'Its body must give data a schema.')
    return {
      type,
      pointer,
      summary: asText(post.summary),
      description: asText(post.description).trim(),
      schema: media.schema ?? {},
      data: properties.data,
      version,
      hasChangedFields: asStrings(envelope.required).includes('changedFields'),
      example: exampleOf(document, media) ?? refuse(pointer, 'It needs an example of its body.'),
    }
  })
}

/** The schema `EventType` names the events of `webhooks`, all of them and no other. */
function refuseUnknownTypes(document: JsonObject): void {
  const where = '/components/schemas/EventType'
  const schema = lookUp(document, where)
  if (schema === undefined) return
  const named = asStrings(asObject(schema).enum)
  const promised = Object.keys(asObject(document.webhooks))
  const stray = named.find((type) => !promised.includes(type))
  if (stray) refuse(at(where, 'enum'), `'${stray}' is not an event of webhooks.`)
  const unnamed = promised.find((type) => !named.includes(type))
  if (unnamed) refuse(at('/webhooks', unnamed), `It is missing in the enum of EventType.`)
}

function exampleOf(document: JsonObject, media: JsonObject): Json | undefined {
  const [first] = Object.values(asObject(media.examples))
  return follow(document, first).value ?? media.example
}

/** The name of an event's validator: `clientCreatedEvent`. */
export function eventPart(type: string): string {
  return `${camel(type)}Event`
}

/** `generated/events.ts`: the types of what is published, and the table of event types. */
export function printEvents(
  events: readonly EventModel[],
  places: ReadonlyMap<string, Place>,
): string {
  const names = newNames()
  const data = events.map((event) => {
    const path = `webhooks[${quote(event.type)}]['post']['requestBody']`
    const content = `NonNullable<${path}>['content']['application/json']['data']`
    const type = typeOf(event.data, names, content)
    return `${docComment({ summary: event.summary }, '  ')}  ${propertyName(event.type)}: ${type}\n`
  })
  const table = events.map(({ type, version, summary, description, example, ...event }) => {
    const { hasChangedFields } = event
    const place = places.get(eventPart(type))
    const validate = code(`${place?.module}.${place?.name}`)
    const entry = { version, summary, description, example, hasChangedFields, validate }
    return `  ${propertyName(type)}: ${literal(entry, '  ')},\n`
  })
  const used = events.map(({ type }) => places.get(eventPart(type))?.module ?? '')
  const modules = [...new Set(used)].sort()
  return [
    header,
    importTypes(names.needsContract ? ['webhooks'] : [], './contract.ts'),
    importTypes([...names.schemas].sort(), './types.ts'),
    "import type { Validate } from './validate.ts'\n",
    ...modules.map((module) => `import * as ${module} from './validators/${module}.js'\n`),
    '\n/** What each event carries in `data`. */\n',
    `export interface EventData {\n${data.join('')}}\n\n`,
    'export type EventType = keyof EventData\n',
    eventTypeDeclaration,
    `\nexport const eventTypes: Record<EventType, EventTypeInfo> = {\n${table.join('')}}\n`,
  ].join('')
}

const eventTypeDeclaration = `
export interface EventTypeInfo {
  version: number
  summary: string
  description: string
  /** A whole envelope. */
  example: unknown
  hasChangedFields: boolean
  /** Of the whole envelope. */
  validate: Validate
}
`
