import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { header, propertyName } from './print.ts'

/*
 * `generated/tables.ts`: the rows that the migrations make, read from a Postgres that ran them.
 * Our own introspection, because it knows what our pool does with each type, takes the comments
 * along, and leaves partitions out; kysely-codegen offers none of the three.
 */

interface Column {
  table: string
  tableComment: string | null
  column: string
  columnComment: string | null
  type: string
  isNullable: boolean
  hasDefault: boolean
}

/** What a type is in TypeScript, as read and as bound. */
const types: Record<string, string> = {
  text: 'string',
  bool: 'boolean',
  int2: 'number',
  int4: 'number',
  int8: 'Int8',
  float8: 'number',
  numeric: 'string',
  bytea: 'Buffer',
  date: 'string',
  timestamptz: 'Date',
  jsonb: 'JsonText',
  inet: 'string',
}

/** The text of tables.ts when it was made from these very migrations and not touched since. */
export function currentTables(file: string, migrations: string): string | undefined {
  if (!existsSync(file)) return undefined
  const text = readFileSync(file, 'utf8')
  const body = text.slice(text.indexOf('\n\n') + 1)
  return text === seal(body, digestOf(migrations)) ? text : undefined
}

/** Runs the migrations on a database of its own and writes down what they made. */
export async function printTables(migrations: string): Promise<string> {
  const digest = digestOf(migrations)
  const columns = await withDatabase(readColumns)
  const tables = Map.groupBy(columns, ({ table }) => table)
  const blocks = [...tables].map(([table, own]) => printTable(table, own))
  const list = [...tables.keys()].map((table) => `  ${table}: ${rowName(table)}\n`)
  return seal(
    [
      "\nimport type { ColumnType } from 'kysely'\n",
      '\n/** May be left out of what is inserted: the table has a default for it. */\n',
      'export type Generated<Value> =\n',
      '  Value extends ColumnType<infer Read, infer Inserted, infer Updated>\n',
      '    ? ColumnType<Read, Inserted | undefined, Updated>\n',
      '    : ColumnType<Value, Value | undefined, Value>\n',
      '\n/** Read as text, because a JavaScript number cannot hold all of them. */\n',
      'export type Int8 = ColumnType<string, string | number | bigint, string | number | bigint>\n',
      '\n/** Read as a value, bound as text: pg takes a JavaScript array for one of Postgres. */\n',
      'export type JsonText = ColumnType<unknown, string, string>\n\n',
      blocks.join('\n'),
      `\nexport interface Tables {\n${list.join('')}}\n`,
    ].join(''),
    digest,
  )
}

function seal(body: string, digest: string): string {
  const own = createHash('sha256').update(body).digest('hex').slice(0, 16)
  return `${header}// From migrations ${digest}; text ${own}.\n${body}`
}

function digestOf(migrations: string): string {
  const hash = createHash('sha256').update(readFileSync(import.meta.filename))
  for (const name of readdirSync(migrations).sort()) {
    if (name.endsWith('.sql')) hash.update(name).update(readFileSync(join(migrations, name)))
  }
  return hash.digest('hex').slice(0, 16)
}

function printTable(table: string, columns: readonly Column[]): string {
  const lines = columns.map((column) => {
    const type = `${typeOf(column)}${column.isNullable ? ' | null' : ''}`
    const written = column.hasDefault ? `Generated<${type}>` : type
    return `${comment(column.columnComment, '  ')}  ${propertyName(column.column)}: ${written}\n`
  })
  const [first] = columns
  const opening = `${comment(first?.tableComment ?? null, '')}export interface ${rowName(table)}`
  return `${opening} {\n${lines.join('')}}\n`
}

function typeOf({ table, column, type }: Column): string {
  const isArray = type.startsWith('_')
  const found = types[isArray ? type.slice(1) : type]
  if (found === undefined) throw new Error(`${table}.${column}: tables.ts does not know ${type}`)
  return isArray ? `${found}[]` : found
}

function comment(text: string | null, indent: string): string {
  return text ? `${indent}/** ${text.replaceAll('*/', '*\\/').replaceAll(/\s+/g, ' ')} */\n` : ''
}

/** `webhook_endpoint` → `WebhookEndpointRow`. */
function rowName(table: string): string {
  const words = table.split('_').map((word) => word.charAt(0).toUpperCase() + word.slice(1))
  return `${words.join('')}Row`
}

async function withDatabase<T>(work: (client: import('pg').Client) => Promise<T>): Promise<T> {
  const { startPostgres } = await import('../../src/db/at-hand/postgres.ts')
  const { ensureDatabase, migrate } = await import('../../src/db/migrate.ts')
  const { default: pg } = await import('pg')
  const home = resolve('node_modules/.cache/ubos-postgres')
  const postgres = await startPostgres({ home, say: (line) => console.log(line) })
  const name = `generate_${process.pid}`
  const server = new pg.Client({ connectionString: postgres.ownerUrl })
  try {
    await server.connect()
    const url = await ensureDatabase(postgres.ownerUrl, name)
    await migrate(url)
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  } finally {
    await server.query(`drop database if exists ${name}`)
    await server.end()
    await postgres.stop()
  }
}

/** Columns of tables, those of partitions left out: they are their parent's. */
async function readColumns(client: import('pg').Client): Promise<Column[]> {
  const { rows } = await client.query<Column>(`
    select class.relname as "table", obj_description(class.oid, 'pg_class') as "tableComment",
      attname as "column", col_description(class.oid, attnum) as "columnComment",
      typname as type, not attnotnull as "isNullable",
      atthasdef or attidentity <> '' as "hasDefault"
    from pg_class as class
    join pg_attribute on attrelid = class.oid and attnum > 0 and not attisdropped
    join pg_type on pg_type.oid = atttypid
    where class.relnamespace = 'public'::regnamespace and class.relkind in ('r', 'p')
      and not class.relispartition and class.relname <> 'migration'
    order by class.relname collate "C", attnum`)
  return rows
}
