import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder } from './generate/cache.ts'

/** `npm run generate`: spec/ and migrations/ → generated/; `--check` only says what is stale. */
const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    spec: { type: 'string', default: 'spec/v1/openapi.yaml' },
    migrations: { type: 'string', default: 'migrations' },
    out: { type: 'string', default: 'generated' },
  },
})

// What is loaded after this line is not compiled again each time.
enableCompileCache(cacheFolder)
const { ContractError } = await import('./generate/breach.ts')
const { contractFiles } = await import('./generate/files.ts')
const { currentTables, printTables } = await import('./generate/tables.ts')
const { staleFiles, writeFiles } = await import('./generate/write.ts')

try {
  const startedAt = performance.now()
  const files = await contractFiles(values.spec)
  const tables = join(values.out, 'tables.ts')
  const made = currentTables(tables, values.migrations) ?? (await printTables(values.migrations))
  files.set('tables.ts', made)
  const stale = staleFiles(values.out, files)
  if (values.check) {
    reportStale(stale)
  } else {
    writeFiles(values.out, files, stale)
    const ms = Math.round(performance.now() - startedAt)
    console.log(`generated: ${stale.length} of ${files.size} files changed (${ms} ms)`)
  }
} catch (error) {
  if (!(error instanceof ContractError)) throw error
  console.error(error.message)
  process.exitCode = 1
}

function reportStale(stale: readonly string[]): void {
  if (stale.length === 0) return
  const lines = stale.map((file) => `  ${join(values.out, file)}\n`)
  console.error(`Stale, run \`npm run generate\`:\n${lines.join('')}`)
  process.exitCode = 1
}
