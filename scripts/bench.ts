import { measureContract } from './bench/contract.ts'
import { measureDb } from './bench/db.ts'
import { measureInbound } from './bench/inbound.ts'
import { measureJobs } from './bench/jobs.ts'
import { measureLists } from './bench/lists.ts'
import { keepSections } from './bench/report.ts'
import { measureRetention } from './bench/retention.ts'
import { isReached, type Row, tableOf } from './bench/rows.ts'
import { measureStart } from './bench/start.ts'
import { measureWebhooks } from './bench/webhooks.ts'

/*
 * `npm run bench [name …]`: measures what the promises say, each as a ratio of two things in one run,
 * taken in turns. Prints a table for each bench, writes it into BENCHMARKS.md, and ends with 1 when a
 * row was not reached.
 */
const benches: Record<string, () => Promise<Row[]>> = {
  contract: measureContract,
  db: measureDb,
  start: measureStart,
  jobs: measureJobs,
  lists: measureLists,
  retention: measureRetention,
  webhooks: measureWebhooks,
  inbound: measureInbound,
}

const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => !Object.hasOwn(benches, name))
if (unknown !== undefined) {
  console.error(`There is no bench "${unknown}"; there are: ${Object.keys(benches).join(', ')}`)
  process.exit(1)
}
const sections = new Map<string, string>()
for (const [name, measure] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const startMs = performance.now()
  const rows = await measure()
  const seconds = Math.round((performance.now() - startMs) / 1_000)
  console.log(`\n${name} (${seconds} s)\n\n${tableOf(rows)}`)
  sections.set(name, tableOf(rows))
  if (!rows.every(isReached)) process.exitCode = 1
}
keepSections(sections)
