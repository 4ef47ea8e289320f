import { until } from '../../db/fixture.ts'
import { type Cast, parallel, type Sent, type Tenant } from './cast.ts'
import { type Body, itemOf, type Operation, operationBy, operations } from './contract.ts'
import { another, bodyOf } from './enliven.ts'
import type { Json, Observed } from './judge.ts'
import { doSomething, needs, recipes } from './recipes.ts'
import { idKindOf, idOfNobody, resolve, sample } from './schema.ts'

/*
 * Makes requests that succeed. Ids in path and body are those of things that were made for it, by
 * the operation of the contract that makes such things, or else by a recipe; all other values are
 * those of the contract's examples.
 */

/** A request in parts, so that a sweep can change one of them. */
export interface Prepared {
  operation: Operation
  maker: Maker
  /** By parameter name, not yet escaped. */
  path: Record<string, string>
  query: [name: string, text: string][]
  headers: Record<string, string>
  mediaType: string | undefined
  body: Json
}

/** Makes things in one tenant; what it has made, by kind, is what later things refer to. */
export interface Maker {
  cast: Cast
  tenant: Tenant
  made: Map<string, string>
  /** Calls an operation, which must succeed; `over` replaces members of the example's body. */
  perform(operationId: string, over?: Record<string, unknown>): Promise<Json>
  /** The id of the thing of this kind, which is made when there is none yet. */
  idOf(kind: string): Promise<string>
}

export function makerFor(cast: Cast, tenant: Tenant, made = new Map<string, string>()): Maker {
  const maker: Maker = {
    cast,
    tenant,
    made,
    async perform(operationId, over) {
      const prepared = await prepareWith(maker, operationBy(operationId), { over })
      return (await succeed(cast, prepared)).json
    },
    async idOf(kind) {
      const id = made.get(kind) ?? (await make(maker, kind))
      made.set(kind, id)
      return id
    },
  }
  return maker
}

/** Sends what was prepared; throws unless it is answered 2xx. */
export async function succeed(cast: Cast, prepared: Prepared): Promise<Observed> {
  const observed = await cast.send(prepared.operation, render(cast, prepared))
  if (observed.status >= 200 && observed.status < 300) return observed
  throw new Error(
    `${prepared.operation.id} must succeed, but ${observed.status} ${observed.text}\n` +
      `sent: ${JSON.stringify(prepared.body)} (what it needs can be said in sweep/recipes.ts)`,
  )
}

/** A request for this operation with all that it needs newly made. */
export async function prepare(
  cast: Cast,
  operation: Operation,
  tenant: Tenant,
  options: Options = {},
): Promise<Prepared> {
  return await prepareWith(makerFor(cast, tenant), operation, options)
}

/** A request for every operation, with things of its own, in one tenant. */
export async function prepareAll(cast: Cast, tenant: Tenant): Promise<(of: Operation) => Prepared> {
  const prepared = new Map<Operation, Prepared>()
  await parallel(
    operations,
    async (operation) => {
      prepared.set(operation, await prepare(cast, operation, tenant))
    },
    4,
  )
  await cast.world.drain()
  return (operation) => {
    const request = prepared.get(operation)
    if (request === undefined) throw new Error(`${operation.id} was not prepared`)
    return request
  }
}

interface Options {
  /** Which of the examples, and in which media type; the first unless told otherwise. */
  body?: Body | undefined
  example?: string | undefined
  over?: Record<string, unknown> | undefined
}

export async function prepareWith(
  maker: Maker,
  operation: Operation,
  { body = operation.bodies[0], example, over }: Options = {},
): Promise<Prepared> {
  const path: Record<string, string> = {}
  const query: Prepared['query'] = []
  for (const parameter of operation.parameters) {
    if (!parameter.isRequired || parameter.in === 'header') continue
    const kind = idKindOf(parameter.schema)
    const { name, schema } = parameter
    const value = kind
      ? await idFor(maker, operation, kind)
      : (parameter.example ?? sample(schema, `${operation.id} ${name}`))
    if (parameter.in === 'path') path[name] = String(value)
    else query.push([name, String(value)])
  }
  return {
    operation,
    maker,
    path,
    query,
    headers: headersOf(operation),
    mediaType: body?.mediaType,
    body: body && { ...(await bodyOf(maker, operation, body, example)), ...over },
  }
}

function headersOf(operation: Operation): Record<string, string> {
  return {
    ...(operation.idempotency ? { 'idempotency-key': `sweep-${another()}` } : {}),
    // Where a precondition is required, any revision will do.
    ...(operation.replies['428'] ? { 'if-match': '*' } : {}),
  }
}

/** The id of a thing in the state that the operation needs. */
export async function idFor(maker: Maker, { id }: Operation, kind: string): Promise<string> {
  const recipe = needs[id]?.[kind]
  if (recipe !== undefined && !maker.made.has(kind)) maker.made.set(kind, await recipe(maker))
  return await maker.idOf(kind)
}

async function make(maker: Maker, kind: string): Promise<string> {
  const recipe = recipes[kind]
  if (recipe) return await recipe(maker)
  const creator = creatorOf(kind)
  if (creator) return (await maker.perform(creator.id)).id
  const list = operations.find((one) => rowKindOf(one) === kind && !one.path.includes('{'))
  if (list) return await firstOf(maker, list)
  throw new Error(
    `No operation of the contract makes a ${kind} by a 201 with its id, and no list shows one: ` +
      'say in recipes of test/contract/sweep/recipes.ts how one comes to be.',
  )
}

/** What a list shows once something was done. */
async function firstOf(maker: Maker, list: Operation): Promise<string> {
  await doSomething(maker)
  await maker.cast.world.drain()
  return await until(async () => (await maker.perform(list.id)).data[0]?.id)
}

/** The operation that answers 201 with a new thing of this kind: a tenant's own before others. */
export function creatorOf(kind: string): Operation | undefined {
  const creators = operations.filter(({ method, replies, parameters }) => {
    const id = replies['201']?.schema && resolve(replies['201'].schema).properties?.id
    const isAboutOne = parameters.some((one) => one.in === 'path' && idKindOf(one.schema) === kind)
    return method === 'POST' && id && idKindOf(id) === kind && !isAboutOne
  })
  return creators.find(({ audience }) => audience === 'tenant') ?? creators[0]
}

/** What a list is a list of, when its rows have ids. */
export function rowKindOf(operation: Operation): string | undefined {
  const item = itemOf(operation)
  const id = item && resolve(item).properties?.id
  return id && idKindOf(id)
}

/** The path of an operation with ids that name nothing. */
export function pathOfNobody({ id, parameters }: Operation): Prepared['path'] {
  const inPath = parameters.filter((parameter) => parameter.in === 'path')
  const members = inPath.map(({ name, schema, example }) => {
    const kind = idKindOf(schema)
    return [name, kind ? idOfNobody(kind) : String(example ?? sample(schema, `${id} ${name}`))]
  })
  return Object.fromEntries(members)
}

/** The key that calls an operation for a tenant: each of its keys in turn. */
export function keyFor(cast: Cast, { audience }: Operation, { keys }: Tenant): string | null {
  if (audience === 'open') return null
  const own = audience === 'operator' ? cast.operator.keys : keys
  return own[another() % own.length] ?? null
}

/** The path of an operation with these values in it. */
export function pathWith({ path }: Operation, values: Prepared['path']): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? ''))
}

/** What was prepared, as a request. */
export function render(cast: Cast, prepared: Prepared): Sent {
  const { operation, path, query, headers, mediaType, body } = prepared
  const search = query.map(([name, text]) => `${name}=${encodeURIComponent(text)}`).join('&')
  return {
    key: keyFor(cast, operation, prepared.maker.tenant),
    path: pathWith(operation, path),
    ...(search ? { query: `?${search}` } : {}),
    headers: { ...(mediaType ? { 'content-type': mediaType } : {}), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }
}
