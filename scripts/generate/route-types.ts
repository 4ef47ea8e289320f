/** The declarations of `generated/routes.ts`, which mount and the decoder are written against. */
export const routeTypes = `
/** How one parameter is decoded; \`key\` is its name in the handler's request. */
export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  key: string
  isRequired: boolean
  style: 'simple' | 'form'
  explode: boolean
  type: 'string' | 'integer' | 'number' | 'boolean' | 'array'
  items?: 'string' | 'integer' | 'number' | 'boolean'
  default?: unknown
}

export interface RouteReply {
  /** null: a reply without body. */
  mediaType: string | null
  /** Whether a field marked \`x-sensitive\` can be in it: such a reply is stored sealed. */
  isSensitive: boolean
  /** The headers that the contract declares for it. */
  headers: readonly string[]
}

export interface Route {
  operationId: OperationId
  method: string
  /** As in the contract: \`/api/v1/clients/{clientId}\`. */
  path: string
  /** As routers write it: \`/api/v1/clients/:clientId\`. */
  url: string
  tag: string
  kind: 'read' | 'write'
  /** null: no authentication. */
  scopes: readonly Scope[] | null
  idempotency: 'required' | 'optional' | null
  cost: number
  ifMatch: 'required' | 'optional' | null
  deprecation: { since: string; sunset: string; successor?: string; reason?: string } | null
  /** What the audit calls it when this is read; null: nobody writes down that it was. */
  auditedRead: string | null
  /** Others prescribe its form: it is handed over and answered as it is. */
  isRaw: boolean
  /** It can go on as a WebSocket, on which these messages are sent and received. */
  websocket: { sends: Validate; receives: Validate } | null
  body: null | { isRequired: boolean; mediaTypes: readonly string[] }
  parameters: readonly Parameter[]
  /** Under which names a value marked \`x-sensitive\` can stand in its bodies. */
  secretNames: readonly string[]
  /** Every declared status, errors included. */
  statuses: readonly number[]
  replies: Readonly<Record<number, RouteReply>>
  validate: {
    path: Validate | null
    query: Validate | null
    headers: Validate | null
    body: Validate | null
    replies: Readonly<Record<number, Validate | null>>
  }
}
`
