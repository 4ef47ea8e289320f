import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { postgresVersion } from './postgres.ts'

const file = new URL('../../BENCHMARKS.md', import.meta.url)

const head = `# Benchmarks

Written by \`npm run bench\`. Each line is two things that were measured in turns in one run; a cell is
the median of the rounds, with the least and the most of them behind it. The ratio is ours ÷ theirs,
taken round by round. Only ratios mean something on another machine. ARCHITECTURE.md tells how it is
measured.
`

/** Puts the tables of these benches into BENCHMARKS.md; those of the others stay as they are. */
export function keepSections(tables: ReadonlyMap<string, string>): void {
  const known = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const sections = new Map(
    known
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.split('\n', 1)[0] ?? '', `## ${section.trim()}\n`]),
  )
  for (const [name, table] of tables) {
    sections.set(name, `## ${name}\n\n${machineFacts()}\n\n${table}\n`)
  }
  writeFileSync(file, [head, ...sections.values()].join('\n'))
}

/** On what it was measured. */
function machineFacts(): string {
  const cores = cpus()
  const model = cores[0]?.model.trim() ?? 'unknown'
  const day = new Date().toISOString().slice(0, 10)
  return `${day}: ${cores.length} cores (${model}), Node ${process.versions.node}, Postgres ${postgresVersion()}.`
}
