import { clientInput } from './contract/sample.ts'
import { type Load, measureServer } from './load.ts'
import { takeTurns } from './rounds.ts'
import { compared, figure, type Row, spreadOf } from './rows.ts'
import { type Server, startServer } from './server.ts'

const rounds = 5
const seconds = 2
/** A quarter of a minute: so long it takes until Node has compiled what is hot. */
const warmUps = 7
const connections = 64

/** The contract layer without a database, beside Fastify's own validation and serialisation. */
export async function measureContract(): Promise<Row[]> {
  await using ours = await startServer(new URL('contract/ours.ts', import.meta.url))
  await using theirs = await startServer(new URL('contract/theirs.ts', import.meta.url))
  const headers = { authorization: `Bearer ${ours.facts.key}` }
  const json = { ...headers, 'content-type': 'application/json' }
  const path = '/api/v1/clients'
  const cases: Record<string, Pick<Load, 'method' | 'paths' | 'headers' | 'body'>> = {
    'POST, 0.75 KB in, 0.9 KB out': {
      method: 'POST',
      paths: [path],
      headers: json,
      body: JSON.stringify(clientInput),
    },
    'GET, 0.9 KB out': { paths: [`${path}/cli_${'1'.padStart(26, '0')}`], headers },
    'list of 50, 25 KB out': { paths: [`${path}?limit=50&sort=-createdAt`], headers },
  }
  await refuseAlike([ours, theirs], json)
  const rows: Row[] = []
  for (const [what, load] of Object.entries(cases)) {
    rows.push(await compare(what, ours, theirs, { ...load, connections, seconds }))
  }
  return rows
}

async function compare(what: string, ours: Server, theirs: Server, load: Omit<Load, 'url'>) {
  const [own = [], other = []] = await takeTurns(
    [ours, theirs].map((server) => () => measureServer(server, load)),
    rounds,
    warmUps,
  )
  const cpu = (of: typeof own) => figure(spreadOf(of.map(({ cpuMicros }) => cpuMicros)).median)
  return compared({
    what: `${what}, through the whole contract layer`,
    beside: 'Fastify with native schemas',
    unit: 'req/s',
    ours: own.map(({ perSecond }) => perSecond),
    theirs: other.map(({ perSecond }) => perSecond),
    demand: { atLeast: 0.85 },
    note: `CPU for each ${cpu(own)} and ${cpu(other)} µs`,
  })
}

/** Whoever answers without having looked would win: both must refuse what does not fit. */
async function refuseAlike(servers: readonly Server[], headers: Record<string, string>) {
  for (const { url } of servers) {
    for (const wrong of [{ currency: 'GBP' }, { ...clientInput, currency: 'pounds' }, { a: 1 }]) {
      const body = JSON.stringify(wrong)
      const { status } = await fetch(`${url}/api/v1/clients`, { method: 'POST', headers, body })
      if (status !== 400) throw new Error(`${url} answered ${status} to ${body}`)
    }
    const { status } = await fetch(`${url}/api/v1/clients?limit=0`, { headers })
    if (status !== 400) throw new Error(`${url} answered ${status} to a limit of 0`)
  }
}
