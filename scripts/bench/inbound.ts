import { type Asked, startChild } from './child.ts'
import type { Sending, Sent } from './inbound/sender.ts'
import { type Installation, startInstallation } from './installation.ts'
import { measureUnrest, type Unrest, unrestNote } from './machine.ts'
import { bounded, figure, type Row } from './rows.ts'
import { aNewCustomer, type Customer } from './webhooks/customer.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const seconds = 20
const perSecond = Number(process.env.BENCH_PER_SECOND ?? 300)
const bodyBytes = 2 * 1024
const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

/**
 * Webhooks that others send, as they come: at random and whether those before are answered or not, so
 * that whoever is slow is not asked less. From the moment at which each was to be sent until its
 * answer, by which it is verified and stored; the job that passes it on runs in the same process.
 */
export async function measureInbound(): Promise<Row[]> {
  const installation = await startInstallation()
  const children: Asked[] = []
  try {
    const { url, said } = await installation.start('all')
    const customer = await aNewCustomer(url, /ubk_op_\S+/.exec(said)?.[0] ?? '')
    const sources = await sourcesOf(customer, url)
    const sender = await startChild('./inbound/sender.ts')
    children.push(sender)
    const ask = (load: Partial<Sending>) =>
      sender.ask<Sent>({ sources, perSecond, seconds, bodyBytes, ...load })

    let expected = takenOf(await ask({ seconds: 10 }))
    const sent: Sent[] = []
    const forwardedMs: number[] = []
    const unrest: Unrest[] = []
    for (let round = 0; round < rounds; round += 1) {
      unrest.push(await measureUnrest())
      const one = await ask({})
      expected += takenOf(one)
      sent.push(one)
      forwardedMs.push(await waitUntilForwarded(installation, expected))
    }
    return rowsOf(sent, forwardedMs, unrest)
  } finally {
    for (const child of children) child.stop()
    await installation.stop()
  }
}

function takenOf({ timesMs, refused }: Sent): number {
  return timesMs.length - refused
}

async function sourcesOf(customer: Customer, url: string): Promise<Sending['sources']> {
  const schemes = ['STRIPE', 'STANDARD_WEBHOOKS'] as const
  return await Promise.all(
    schemes.map(async (scheme) => {
      const input = { name: scheme, scheme, secrets: [secret] }
      const { id } = await customer.call('POST', '/inbound-sources', input)
      return { scheme, secret, url: `${url}/hooks/${id}` }
    }),
  )
}

/** How long it takes from the last answer until all there are were passed on, each once. */
async function waitUntilForwarded({ owner }: Installation, expected: number): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const { rows } = await owner.query<{ kept: number; forwarded: number }>(
      `select count(*)::int as kept,
         (count(*) filter (where status = 'FORWARDED' and forward_count = 1))::int as forwarded
       from inbound_receipt`,
    )
    const [{ kept = 0, forwarded = 0 } = {}] = rows
    if (kept !== expected) throw new Error(`${kept} are kept, and ${expected} were answered`)
    const waitedMs = performance.now() - startMs
    if (forwarded === expected) return waitedMs
    if (waitedMs > 60_000) throw new Error(`${expected - forwarded} were not passed on`)
    await new Promise((rested) => setTimeout(rested, 50))
  }
}

function rowsOf(
  sent: readonly Sent[],
  forwardedMs: readonly number[],
  unrest: readonly Unrest[],
): Row[] {
  const sorted = sent.map(({ timesMs }) => Float64Array.from(timesMs).sort())
  const at = (share: number) =>
    sorted.map((times) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0)
  const most = (values: readonly number[]) => figure(Math.max(...values))
  const what = `webhook of 2 KB verified, stored, answered, ${perSecond} a second, open loop`
  const late = `the sender was ${most(sent.map(({ latestMs }) => latestMs))} ms late at most`
  const left = `passed on ${most(forwardedMs)} ms after the last answer at most`
  return [
    bounded({ what: `${what}, p50`, unit: 'ms', ours: at(0.5), demand: { atMost: 50 } }),
    bounded({ what: `${what}, p95`, unit: 'ms', ours: at(0.95), demand: { atMost: 50 } }),
    bounded({
      what: `${what}, p99`,
      ...{ unit: 'ms', ours: at(0.99), demand: { atMost: 50 } },
      note: `longest ${most(at(1))} ms; ${late}; ${left}; ${unrestNote(unrest)}`,
    }),
    bounded({
      what: `${what}: refused`,
      ...{ unit: 'of all', ours: sent.map(({ refused }) => refused), demand: { atMost: 0 } },
      note: sent.find(({ firstRefusal }) => firstRefusal !== '')?.firstRefusal.slice(0, 40) ?? '',
    }),
  ]
}
