import { createHmac, randomUUID } from 'node:crypto'
import { type AddJobsJobSpec, Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'
import { Agent, request } from 'undici'
import { answering, sharedMs } from '../child.ts'

/** What one would do without a dispatcher: a graphile-worker job for each delivery. */
export type JobsQuestion =
  | { ask: 'deliver'; urls: string[]; body: string; count: number }
  | { ask: 'latency'; count: number }

interface Delivery {
  url: string
  body: string
}

const connectionString = process.env.BENCH_RIVALS_URL ?? ''
const dispatcher = new Agent({ connections: 50 })
const pool = new pg.Pool({ connectionString, max: 20 })
const key = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
let started: ((ms: number) => void) | undefined

/** The payload holds all that it takes, so that the insert is the only query of a job. */
async function deliver(payload: unknown): Promise<void> {
  const { url, body } = payload as Delivery
  const [id, seconds] = [randomUUID(), Math.floor(Date.now() / 1_000)]
  const startMs = performance.now()
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${signature}`,
  }
  const reply = await request(url, { dispatcher, method: 'POST', headers, body })
  await reply.body.dump()
  await pool.query({
    name: 'attempt',
    text: 'insert into bench_attempt (id, url, status, took_ms) values ($1, $2, $3, $4)',
    values: [id, url, reply.statusCode, performance.now() - startMs],
  })
}

async function noop(): Promise<void> {
  started?.(sharedMs())
}

await pool.query(
  `create table if not exists bench_attempt (id uuid primary key, url text not null,
    status integer not null, took_ms double precision not null, at timestamptz default now())`,
)
const logger = new Logger(() => () => undefined)
const utils = await makeWorkerUtils({ connectionString, logger })
await utils.migrate()
const tuned = { localQueue: { size: 500 }, completeJobBatchDelay: 0, concurrentJobs: 50 }
await run({
  ...{ connectionString, maxPoolSize: 20, noHandleSignals: true, logger },
  taskList: { deliver },
  parsedCronItems: [],
  preset: { worker: tuned },
})
await run({
  ...{ connectionString, noHandleSignals: true, logger },
  taskList: { noop },
  parsedCronItems: [],
})

answering<JobsQuestion>(async (question) =>
  question.ask === 'deliver' ? await deliverAll(question) : await latencies(question.count),
)

/** From the commit of all jobs until none is left; ms. */
async function deliverAll({ urls, body, count }: { urls: string[]; body: string; count: number }) {
  const specs = Array.from({ length: count }, (_, at): AddJobsJobSpec => {
    return { identifier: 'deliver', payload: { url: urls[at % urls.length], body } }
  })
  await utils.addJobs(specs)
  const startMs = performance.now()
  for (;;) {
    const { rows } = await pool.query('select 1 from graphile_worker._private_jobs limit 1')
    if (rows.length === 0) return performance.now() - startMs
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** From the call of `addJob` to the start of the task, one at a time; ms. */
async function latencies(count: number): Promise<number[]> {
  const waits: number[] = []
  for (let at = 0; at < count; at += 1) {
    const { promise, resolve } = Promise.withResolvers<number>()
    started = resolve
    const startMs = sharedMs()
    await utils.addJob('noop', {})
    waits.push((await promise) - startMs)
    await new Promise((rested) => setTimeout(rested, 20 + Math.random() * 20))
  }
  return waits
}
