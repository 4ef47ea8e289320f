import contract from '#generated/openapi.json' with { type: 'json' }

interface Contract {
  components: { schemas: Record<string, unknown> }
  webhooks: Record<
    string,
    { post: { requestBody: { content: Record<string, { schema: { $ref: string } }> } } }
  >
}

const { components, webhooks } = contract as unknown as Contract
const prefix = '#/components/schemas/'

/** The JSON Schema (2020-12) of an event type, complete in itself: what it refers to is in `$defs`. */
export function schemaOf(type: string): Record<string, unknown> | undefined {
  const root = webhooks[type]?.post.requestBody.content['application/json']?.schema.$ref
  if (root === undefined) return undefined
  const names = new Set<string>()
  collect(root.slice(prefix.length), names)
  const definitions = [...names].sort().map((name) => [name, localised(components.schemas[name])])
  return { $ref: local(root), $defs: Object.fromEntries(definitions) }
}

/** Gathers a schema and all that it leads to. */
function collect(name: string, names: Set<string>): void {
  if (names.has(name)) return
  names.add(name)
  JSON.stringify(components.schemas[name], (key, value) => {
    if (key === '$ref') collect(String(value).slice(prefix.length), names)
    return value
  })
}

function localised(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema), (key, value) => (key === '$ref' ? local(value) : value))
}

function local(reference: string): string {
  return `#/$defs/${reference.slice(prefix.length)}`
}
