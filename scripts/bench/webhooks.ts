import { type Asked, sharedMs, startChild } from './child.ts'
import { type Installation, type Product, startInstallation } from './installation.ts'
import { measureUnrest, type Unrest, unrestNote } from './machine.ts'
import { bounded, compared, figure, type Row, spreadOf } from './rows.ts'
import { fillBacklog, fillPending, isDrained, isSequenced } from './webhooks/backlog.ts'
import { aCustomer, aNewCustomer, type Customer } from './webhooks/customer.ts'
import { fanOutByJobs } from './webhooks/fan.ts'
import type { Trace } from './webhooks/trace.ts'

const rounds = 3
const sizes = {
  each: 240,
  endpoints: 50,
  jobs: 1_500,
  events: 1_000,
  jobEvents: 60,
  waits: 100,
  neighbours: 400,
}
/** Longer than any attempt. */
const deadlineMs = 16_000
/** One kilobyte, the size of an event with a client in it. */
const data = { currency: 'GBP', note: 'x'.repeat(950) }
const body = JSON.stringify({ type: 'client.created', data })
/** Lets it through, once both rules have been looked at. */
const filter = [
  { path: '/data/currency', in: ['EUR', 'GBP', 'USD'] },
  {
    any: [
      { path: '/data/draft', exists: true },
      { path: '/data/note', prefix: 'x' },
    ],
  },
]

interface Bench {
  installation: Installation
  receiver: Asked
  base: string
  operatorKey: string
  sandboxKey: string
  /** When the calls of the last waits had their replies. */
  replies: number[]
}

/** Webhooks beside what one would take instead, in turns, in one run. */
export async function measureWebhooks(): Promise<Row[]> {
  const installation = await startInstallation()
  const children: Asked[] = []
  try {
    const receiver = await startChild('./webhooks/receiver.ts')
    children.push(receiver)
    const base = `http://127.0.0.1:${await receiver.ask<number>({ ask: 'port' })}`
    const first = await installation.start('all', true)
    const operatorKey = /ubk_op_\S+/.exec(first.said)?.[0] ?? ''
    const sandboxKey = /ubk_test_\S+/.exec(first.said)?.[0] ?? ''
    const bench = { installation, receiver, base, operatorKey, sandboxKey, replies: [] }
    const posts = await startChild('./webhooks/posts.ts')
    const jobs = await startChild('./webhooks/jobs.ts', {
      BENCH_RIVALS_URL: installation.rivalsUrl,
    })
    children.push(posts, jobs)

    const wanted = process.env.BENCH_ROWS?.split(',')
    const parts: Record<string, () => Promise<Row[]>> = {
      latency: () => measureLatency(bench, first, jobs),
      neighbours: () => measureNeighbours(bench, first),
      rates: () => measureRates(bench, first, posts, jobs),
      memory: () => measureMemory(bench),
    }
    const rows: Row[] = []
    for (const [name, part] of Object.entries(parts)) {
      if (wanted === undefined || wanted.includes(name)) rows.push(...(await part()))
    }
    return rows
  } finally {
    for (const child of children) child.stop()
    await installation.stop()
  }
}

/** What a customer waits for: from the reply of the call to its webhook, while nothing else happens. */
async function waitsOf(bench: Bench, customer: Customer, path: string, count: number) {
  const waits: number[] = []
  bench.replies.length = 0
  for (let at = 0; at < count; at += 1) {
    await customer.call('POST', '/clients', { name: 'Ada', currency: 'GBP' })
    const repliedMs = sharedMs()
    bench.replies.push(repliedMs)
    for (;;) {
      const arrivals = await bench.receiver.ask<Record<string, number[]>>({ ask: 'arrivals' })
      const arrivedMs = arrivals[path]?.[at]
      if (arrivedMs === undefined) {
        // The receiver notes when it was: asking without end would only take its time.
        await new Promise((rested) => setTimeout(rested, 5))
        continue
      }
      waits.push(Math.max(0, arrivedMs - repliedMs))
      break
    }
    await new Promise((rested) => setTimeout(rested, 20 + Math.random() * 20))
  }
  return waits
}

async function measureLatency(bench: Bench, all: Product, jobs: Asked): Promise<Row[]> {
  const customer = await aNewCustomer(all.url, bench.operatorKey)
  await customer.endpoints(`${bench.base}/timed`, 1)
  const ours: number[][] = []
  const theirs: number[][] = []
  const unrest: Unrest[] = []
  for (let round = 0; round <= rounds; round += 1) {
    unrest.push(await measureUnrest())
    await bench.receiver.ask({ ask: 'reset' })
    ours.push(await waitsOf(bench, customer, '/timed/0', sizes.waits))
    theirs.push(await jobs.ask<number[]>({ ask: 'latency', count: sizes.waits }))
  }
  return [
    ['p50', 0.5, 4],
    ['p99', 0.99, 6],
  ].map(([name, quantile, demanded]) => {
    // The first round only warms up.
    const [own, other] = [ours, theirs].map((all) =>
      all.slice(1).map((waits) => atQuantile(waits, Number(quantile))),
    )
    return compared({
      ...{ what: `commit to first attempt, idle, role all, ${name}`, unit: 'ms' },
      beside: 'graphile-worker addJob to start',
      ...{ ours: own ?? [], theirs: other ?? [], demand: { atMost: Number(demanded) } },
      note: unrestNote(unrest),
    })
  })
}

/** The value below which this part of the others lies. */
function atQuantile(values: readonly number[], quantile: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN
}

/** Others' latency while one tenant has a backlog of 100,000 and a fifth of its endpoints hang. */
async function measureNeighbours(bench: Bench, all: Product): Promise<Row[]> {
  const { installation, receiver, base, operatorKey } = bench
  const other = await aNewCustomer(all.url, operatorKey)
  await other.endpoints(`${base}/timed`, 1)
  const [quiet, busy] = [[] as number[], [] as number[]]
  const unrest: Unrest[] = []
  let stages = ''

  async function waits(): Promise<number> {
    await receiver.ask({ ask: 'reset' })
    installation.takeTraces()
    const all = await waitsOf(bench, other, '/timed/0', sizes.neighbours)
    stages = stagesOf(bench.replies, installation.takeTraces())
    return atQuantile(all, 0.99)
  }
  /** All of it is due at once, to a tenant that nobody has met yet. */
  async function aBacklog(): Promise<void> {
    const big = await aNewCustomer(all.url, operatorKey)
    const healthy = await big.endpoints(`${base}/healthy`, 80)
    const hanging = await big.endpoints(`${base}/hang`, 20)
    const endpointIds = [...healthy, ...hanging]
    await receiver.ask({ ask: 'reset' })
    await fillBacklog(installation.owner, [
      { tenantId: big.tenantId, endpointIds, each: 1_000, body },
    ])
    // While it was written, all of it had to be passed over to see that none of it was there yet.
    for (const begunMs = 10; ; await new Promise((rested) => setTimeout(rested, begunMs))) {
      if ((await receiver.ask<{ count: number }>({ ask: 'counts' })).count >= 500) break
    }
  }

  await waitsOf(bench, other, '/timed/0', 30)
  for (let round = 0; round < rounds; round += 1) {
    unrest.push(await measureUnrest())
    quiet.push(await waits())
    await aBacklog()
    busy.push(await waits())
    await installation.owner.query('delete from delivery_due')
    // Until the last of what hangs is over.
    await new Promise((over) => setTimeout(over, deadlineMs))
  }
  return [
    compared({
      what: "others' commit to first attempt, p99, beside 100,000 of a tenant, a fifth hanging",
      ...{ beside: 'the same, quiet', unit: 'ms' },
      ...{ ours: busy, theirs: quiet, demand: { atMost: 2 } },
      note: `${stages}; ${unrestNote(unrest)}`,
    }),
  ]
}

/** What a delivery waited for, from the reply of its call on: the p99 of each stage, in ms. */
function stagesOf(replies: readonly number[], traces: readonly Trace[]): string {
  const stages: Record<string, number[]> = {}
  const note = (name: string, ms: number) => {
    stages[name] ??= []
    stages[name].push(Math.max(0, ms))
  }
  for (const [at, trace] of traces.entries()) {
    const { sequencedMs, claimedMs, begunMs, sentMs, lateMs } = trace
    note('sequenced', sequencedMs - (replies[at] ?? Number.NaN))
    note('claimed', claimedMs - sequencedMs)
    note('begun', begunMs - claimedMs)
    note('first byte', sentMs - begunMs)
    note('loop late', lateMs)
  }
  const texts = Object.entries(stages).map(([name, all]) => {
    return `${name} ${figure(atQuantile(all, 0.5))}, ${figure(atQuantile(all, 0.99))}`
  })
  return `p50, p99 of stages: ${texts.join('; ')}`
}

/** Deliveries, with and without a hanging neighbour, and fan-out; the dispatcher is a worker's. */
async function measureRates(bench: Bench, all: Product, posts: Asked, jobs: Asked): Promise<Row[]> {
  const { installation, receiver, base, sandboxKey, operatorKey } = bench
  const { owner } = installation
  const customer = await aCustomer(all.url, sandboxKey)
  const endpointIds = await customer.endpoints(`${base}/h`, sizes.endpoints)
  const [hanging = ''] = await customer.endpoints(`${base}/hang`, 1)
  const listener = await aNewCustomer(all.url, operatorKey)
  for (const id of await listener.endpoints(`${base}/f`, 10)) {
    await listener.call('PATCH', `/webhook-endpoints/${id}`, { status: 'DISABLED' })
  }
  const filtering = await aNewCustomer(all.url, operatorKey)
  await filtering.endpoints(`${base}/h`, sizes.endpoints, { filter })
  const publicly = await aNewCustomer(all.url, operatorKey)
  const schemes = { signatureSchemes: ['V1', 'V1A'] }
  await publicly.endpoints(`${base}/h`, sizes.endpoints, { filter, ...schemes })
  await all.stop()
  const worker = await installation.start('worker')
  const { tenantId } = customer
  const urls = endpointIds.map((_, at) => `${base}/h/${at}`)
  const total = sizes.each * sizes.endpoints

  async function delivered(hangs: boolean): Promise<number> {
    await receiver.ask({ ask: 'reset' })
    const healthy = { tenantId, endpointIds, each: sizes.each, body }
    const beside = hangs ? [{ tenantId, endpointIds: [hanging], each: total, body }] : []
    const startMs = await fillBacklog(owner, [healthy, ...beside])
    await isDrained(owner, receiver, { ...healthy, total })
    const rate = (1_000 * total) / (performance.now() - startMs)
    if (hangs) await owner.query('delete from delivery_due where endpoint_id = $1', [hanging])
    return rate
  }
  /** From the commit of the events on: numbered, read and filtered, made, signed, sent and recorded. */
  async function published({ tenantId: publisherId }: Customer): Promise<number> {
    await receiver.ask({ ask: 'reset' })
    const startMs = await fillPending(owner, publisherId, sizes.each, body)
    await isDrained(owner, receiver, { tenantId: publisherId, total })
    return (1_000 * total) / (performance.now() - startMs)
  }
  async function fannedOut(): Promise<number> {
    const startMs = await fillPending(owner, listener.tenantId, sizes.events, body)
    await isSequenced(owner)
    const rate = (10_000 * sizes.events) / (performance.now() - startMs)
    await owner.query('delete from delivery_due')
    return rate
  }
  const contenders = {
    ours: () => delivered(false),
    posts: async () => {
      const question = { urls, body, count: total }
      return (1_000 * total) / (await posts.ask<number>(question))
    },
    jobs: async () => {
      const question = { ask: 'deliver', urls, body, count: sizes.jobs }
      return (1_000 * sizes.jobs) / (await jobs.ask<number>(question))
    },
    filtered: () => published(filtering),
    filteredPublicly: () => published(publicly),
    besideHanging: () => delivered(true),
    fanOut: fannedOut,
    fanOutJobs: async () =>
      (10_000 * sizes.jobEvents) / (await fanOutByJobs(installation.rivals, sizes.jobEvents)),
  }
  const rates = Object.fromEntries(Object.keys(contenders).map((name) => [name, [] as number[]]))
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, run] of Object.entries(contenders)) {
      const rate = await run()
      if (round > 0) rates[name]?.push(rate)
    }
  }
  await worker.stop()
  const of = (name: keyof typeof contenders) => rates[name] ?? []
  const signed = 'signed deliveries with recorded attempts, 50 endpoints'
  const unit = 'per s'
  const publicRate = spreadOf(of('filteredPublicly')).median
  const publicRatio = spreadOf(
    of('filteredPublicly').map((rate, at) => rate / (of('posts')[at] ?? Number.NaN)),
  ).median
  return [
    compared({
      ...{ what: signed, beside: 'raw undici posts', unit },
      ...{ ours: of('ours'), theirs: of('posts'), demand: { atLeast: 0.35 } },
    }),
    compared({
      ...{ what: signed, beside: 'a graphile-worker job each', unit },
      ...{ ours: of('ours'), theirs: of('jobs'), demand: { atLeast: 3 } },
    }),
    compared({
      what: 'published events to signed, filtered deliveries with recorded attempts, 50 endpoints',
      ...{ beside: 'raw undici posts', unit, demand: { atLeast: 0.35 } },
      ...{ ours: of('filtered'), theirs: of('posts') },
      note: `with v1a too ${figure(publicRate)}, ratio ${figure(publicRatio)}`,
    }),
    compared({
      what: 'healthy endpoints while one hangs with half the traffic',
      ...{ beside: 'themselves without it', unit },
      ...{ ours: of('besideHanging'), theirs: of('ours'), demand: { atLeast: 0.8 } },
    }),
    compared({
      ...{ what: 'fan-out of one event to 10 endpoints', beside: 'row + add_job each', unit },
      ...{ ours: of('fanOut'), theirs: of('fanOutJobs'), demand: { atLeast: 40 } },
    }),
  ]
}

/** What the process holds while it delivers 100,000. */
async function measureMemory(bench: Bench): Promise<Row[]> {
  const { installation, receiver, base, sandboxKey } = bench
  const all = await installation.start('all')
  const customer = await aCustomer(all.url, sandboxKey)
  const endpointIds = await customer.endpoints(`${base}/m`, 20)
  const measured: number[] = []
  for (let round = 0; round < 5; round += 1) {
    await receiver.ask({ ask: 'reset' })
    const backlog = { tenantId: customer.tenantId, endpointIds, each: 1_000, body }
    await fillBacklog(installation.owner, [backlog])
    const total = backlog.each * endpointIds.length
    await isDrained(installation.owner, receiver, { ...backlog, total })
    measured.push(all.rssMiB())
  }
  await all.stop()
  return [
    bounded({
      what: 'RSS of role all while it delivers 100,000',
      ...{ unit: 'MiB', ours: [Math.max(...measured)], demand: { atMost: 300 } },
      note: `after 20,000 … 100,000: ${measured.map((mib) => mib.toFixed(0)).join(', ')}`,
    }),
  ]
}
