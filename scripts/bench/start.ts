import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { takeTurns } from './rounds.ts'
import { compared, type Row } from './rows.ts'
import { startServer } from './server.ts'
import { openWorkshop } from './start/workshop.ts'

const operations = 100
const rounds = 5

/** From the start of a process to its first answer, beside Fastify that compiles at start. */
export async function measureStart(): Promise<Row[]> {
  using workshop = await openWorkshop(operations)
  const file = (name: string) =>
    pathToFileURL(join(workshop.folder, 'scripts/bench/start', `${name}.ts`))
  const kept = mkdtempSync(join(workshop.folder, 'compiled-'))
  const cases = { 'with the compile cache': kept, 'without the compile cache': undefined }
  const rows: Row[] = []
  for (const [how, cache] of Object.entries(cases)) {
    const [ours = [], theirs = []] = await takeTurns(
      [file('ours'), file('theirs')].map((one) => () => firstAnswerMs(one, cache)),
      rounds,
    )
    rows.push(
      compared({
        what: `start to first answer, ${operations} operations, ${how}`,
        beside: 'the same compiled at start by Fastify',
        unit: 'ms',
        ours,
        theirs,
        demand: { atMost: 0.5 },
      }),
    )
  }
  rmSync(kept, { recursive: true })
  return rows
}

async function firstAnswerMs(file: URL, cache: string | undefined): Promise<number> {
  const startMs = performance.now()
  await using server = await startServer(file, { compileCache: cache })
  const headers = { authorization: `Bearer ${server.facts.key}` }
  const path = `/api/v1/clients/cli_${'1'.padStart(26, '0')}`
  const { status } = await fetch(server.url + path, { headers })
  const tookMs = performance.now() - startMs
  if (status !== 200) throw new Error(`the first answer was ${status}`)
  return tookMs
}
