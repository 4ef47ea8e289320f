import {
  type Compilable,
  type CompiledQuery,
  createQueryId,
  type InferResult,
  type RawBuilder,
} from 'kysely'
import { build, type Db } from './database.ts'

/**
 * A *statement* is compiled once, at load, and prepared once per connection under its name; each
 * call only binds values. Compiling on every call was measured at a quarter of the write path.
 */
export interface Statement<Args, Row> {
  readonly name: string
  readonly text: string
  /** The statement with the values of one call, for `fetchOne` or `tx.queue`. */
  bind(args: Args): BoundStatement<Row>
}

/** A compiled query that knows its name, so that the connection prepares it. */
export type BoundStatement<Row = unknown> = CompiledQuery<Row> & {
  readonly name: string
  /** Never there: it lets the compiler know what the rows are. */
  readonly row?: Row
}

/** Runs a statement and answers its first row. */
export async function fetchOne<Row>(db: Db, bound: BoundStatement<Row>): Promise<Row | undefined> {
  const { rows } = await db.executeQuery<Row>(bound)
  return rows[0]
}

/** Stands in the query where a call's value will go. */
class Placeholder {
  readonly key: string
  constructor(key: string) {
    this.key = key
  }
}

/**
 * Compiles `build` once, with placeholders for its arguments.
 * `name` is unique in the process (Postgres keeps prepared statements by name).
 */
export function statement<Args extends object, Query extends Compilable>(
  name: string,
  build: (args: Args) => Query,
): Statement<Args, InferResult<Query>[number]> {
  return compile(name, build, (text) => text)
}

/** SQL that is written out, for `statement` to compile. */
export function raw(text: RawBuilder<unknown>): Compilable {
  return { compile: () => text.compile(build) }
}

/**
 * A statement that must touch exactly one row; otherwise the transaction ends with `otherwise`,
 * a problem code. For updates and deletes, so that none is lost in silence.
 */
export function touchingOne<Args extends object>(
  name: string,
  otherwise: 'conflict' | 'not_found',
  build: (args: Args) => Compilable,
): Statement<Args, unknown> {
  return compile(
    name,
    build,
    (text) =>
      `with touched as (${text} returning 1) ` +
      `select case when (select count(*) from touched) = 1 then 1 ` +
      `else ubos_raise('${otherwise}') end`,
  )
}

const names = new Set<string>()

function compile<Args extends object, Row>(
  name: string,
  build: (args: Args) => Compilable,
  wrap: (text: string) => string,
): Statement<Args, Row> {
  if (names.has(name)) throw new Error(`two statements are named ${name}`)
  names.add(name)
  const placeholders = new Proxy({} as Args, {
    get: (_, key) => new Placeholder(String(key)),
  })
  const { sql, query, parameters } = build(placeholders).compile()
  const text = wrap(sql)
  const queryId = createQueryId()
  return {
    name,
    text,
    bind(args) {
      const values = parameters.map((parameter) =>
        parameter instanceof Placeholder
          ? bindable(args[parameter.key as keyof Args], `${name}.${parameter.key}`)
          : parameter,
      )
      return { name, sql: text, query, parameters: values, queryId }
    },
  }
}

/**
 * What `pg` can put on the wire. A value that it cannot bind would be left out while the commit
 * behind it goes through, so anything else stops here, before the first statement is sent.
 */
function bindable(value: unknown, where: string): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Date) return value.toISOString()
  if (Buffer.isBuffer(value)) return value
  if (Array.isArray(value)) return value.map((element) => bindable(element, where))
  throw new Error(`${where} cannot be bound: ${typeof value}`)
}
