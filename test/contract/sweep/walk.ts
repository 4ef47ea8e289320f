import { type Operation, operations } from './contract.ts'
import type { Json, Observed } from './judge.ts'
import { inQuery } from './positions.ts'
import { type Maker, makerFor, type Prepared, render, rowKindOf } from './prepare.ts'
import { rows } from './recipes.ts'
import { idKindOf, resolve } from './schema.ts'

/*
 * Lists that are added to and taken from while somebody reads them page by page.
 */

/** A list with the things that its path names, in one tenant. */
export interface List {
  operation: Operation
  request: Prepared
  /** Adds a row; undefined where rows are not added. */
  add: (() => Promise<unknown>) | undefined
  /** Takes the row with this id away; undefined where rows stay. */
  remove: ((id: string) => Promise<unknown>) | undefined
}

export function listOf(request: Prepared): List {
  const { operation, maker } = request
  const kind = rowKindOf(operation)
  const own = rows[operation.id]
  const remover = kind === undefined ? undefined : removerOf(kind)
  return {
    operation,
    request,
    add: own === null ? undefined : own ? () => own(maker) : () => addOne(request, kind),
    remove: remover && ((id) => removeOne(maker, remover, id)),
  }
}

/** One more thing of a kind, beside the same others as those before. */
async function addOne({ operation, maker }: Prepared, kind: string | undefined): Promise<string> {
  if (kind === undefined) {
    throw new Error(
      `Say in rows of test/contract/sweep/recipes.ts how a row is added to ${operation.id}, ` +
        'or that none is.',
    )
  }
  if (!maker.made.has(kind)) return await maker.idOf(kind)
  const others = new Map([...maker.made].filter(([name]) => name !== kind))
  return await makerFor(maker.cast, maker.tenant, others).idOf(kind)
}

/** The operation that deletes a thing of this kind. */
function removerOf(kind: string): Operation | undefined {
  return operations.find(({ method, parameters }) => {
    const own = parameters.filter(({ in: place }) => place === 'path').at(-1)
    return method === 'DELETE' && own && idKindOf(own.schema) === kind
  })
}

async function removeOne({ cast, tenant, made }: Maker, remover: Operation, id: string) {
  const [kind = ''] = remover.parameters.flatMap(({ schema }) => idKindOf(schema) ?? []).slice(-1)
  const others = makerFor(cast, tenant, new Map([...made, [kind, id]]))
  await others.perform(remover.id)
}

/** How its rows can be ordered. */
export function ordersOf({ parameters }: Operation): string[] {
  const sort = parameters.find(({ name }) => name === 'sort')
  return (sort ? (resolve(sort.schema).enum ?? []) : []).map(String)
}

/** What a list's rows are told apart by. */
export const nameOf = (row: Json): string => String(row.id ?? row.number ?? row.type)

/** A page of a list, with these parameters in its query. */
export async function pageOf(
  { request }: List,
  query: Readonly<Record<string, string>>,
): Promise<Observed> {
  const { cast } = request.maker
  let asked = request
  for (const [name, text] of Object.entries(query)) asked = inQuery(name)(asked, text)
  return await cast.send(request.operation, render(cast, asked))
}

/**
 * Reads a list from its beginning to its end, page by page, or until so many rows were met: reading
 * can itself add rows to what is read, so that the oldest first never ends.
 */
export async function walk(
  list: List,
  query: Record<string, string>,
  rowsMax: number,
): Promise<Json[]> {
  const met: Json[] = []
  let cursor: string | null = null
  while (met.length < rowsMax) {
    const page = await pageOf(list, { ...query, ...(cursor === null ? {} : { cursor }) })
    if (page.status !== 200) throw new Error(`after ${met.length}: ${page.status} ${page.text}`)
    met.push(...page.json.data)
    cursor = page.json.nextCursor as string | null
    if ((cursor === null) === page.headers.has('link')) throw new Error('Link and cursor differ')
    // A feed has no end but where nothing has come yet: its cursor waits there.
    if (cursor === null || page.json.data.length === 0) break
  }
  return met
}
