import {
  type CompiledQuery,
  type DatabaseConnection,
  DefaultQueryExecutor,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresDialect,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import type { Tables } from '#generated/tables.ts'

/** Reads of one tenant: what is executed on it runs inside the fence. */
export type Db = Kysely<Tables>

const adapter = new PostgresAdapter()
const compiler = new PostgresQueryCompiler()
const dialect = new PostgresDialect({ pool: () => Promise.reject(new Error('builds only')) })

/** What runs a compiled query: a fenced read, or the connection of a transaction. */
export type Run = (query: CompiledQuery) => Promise<QueryResult<unknown>>

/** A Kysely whose queries are executed by `run`. Cheap: made anew for each call. */
export function kyselyOver(run: Run): Db {
  const connection: DatabaseConnection = {
    executeQuery: <Row>(query: CompiledQuery) => run(query) as Promise<QueryResult<Row>>,
    streamQuery: () => {
      throw new Error('rows are not streamed')
    },
  }
  const executor = new DefaultQueryExecutor(compiler, adapter, {
    provideConnection: (consumer) => consumer(connection),
  })
  return new Kysely<Tables>({ config: { dialect }, dialect, driver: new DummyDriver(), executor })
}

/** Builds queries; executing them is an error. */
export const build = kyselyOver(() => {
  throw new Error('this query belongs on a Db or a Tx')
})
