import { fork } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Agent, request } from 'undici'
import { createEgress } from '#egress/send.ts'

/**
 * What the guard costs: `node test/egress/throughput.ts` prints sends per second through egress
 * beside bare `undici.request`, to a receiver in another process that answers 204 without looking.
 * The designs take turns, so that a busy machine slows both; the figures are medians.
 */
const concurrency = 50
const sendsPerRound = 6_000
const rounds = 7
const body = Buffer.alloc(1024, 'x')
const headers = { 'content-type': 'application/json', 'user-agent': 'UBOS', 'webhook-id': 'evt_1' }

if (process.send !== undefined) receive()
else await compare()

/** Requests are told apart by their length alone: one segment or more, all of the same size. */
function receive(): void {
  const answer = Buffer.from('HTTP/1.1 204 No Content\r\n\r\n')
  const server = createServer((socket) => {
    let tail = 0
    socket.setNoDelay(true).on('error', () => {})
    socket.on('data', (chunk) => {
      tail += chunk.length
      if (chunk.includes('\r\n\r\n')) tail = chunk.length - chunk.indexOf('\r\n\r\n') - 4
      if (tail >= body.length) socket.write(answer)
    })
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (typeof address === 'object') process.send?.(address?.port)
  })
}

async function compare(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url))
  const port = await new Promise((resolve) => child.once('message', resolve))
  const url = `http://127.0.0.1:${port}/hook`
  const policy = { allowLoopback: true, httpsOnly: false }
  const [egress, wide] = [createEgress(policy), createEgress(policy, { connections: concurrency })]
  const [bare, capped] = [new Agent(), new Agent({ connections: 16 })]
  const limits = { deadlineMs: 15_000, connectMs: 5_000, responseBytesMax: 16 * 1024 }
  const post = { method: 'POST' as const, url, headers, body, ...limits, allowedHosts: null }
  const undici = async (dispatcher: Agent) => {
    const answer = await request(url, { method: 'POST', headers, body, dispatcher })
    await answer.body.dump()
  }
  const designs = {
    'undici.request, any number of connections': () => undici(bare),
    'undici.request, 16 connections': () => undici(capped),
    'egress, 16 connections': () => egress.send(post),
    'egress, 50 connections': () => wide.send(post),
  }

  const rates = new Map<string, number[]>()
  for (let round = 0; round <= rounds; round++) {
    for (const [name, send] of Object.entries(designs)) {
      const rate = await measure(send)
      if (round > 0) rates.set(name, [...(rates.get(name) ?? []), rate])
    }
  }
  const base = median(rates.get('undici.request, any number of connections') ?? [])
  for (const [name, all] of rates) {
    const rate = median(all)
    console.log(`${name.padEnd(44)} ${Math.round(rate)}/s  ratio ${(rate / base).toFixed(2)}`)
  }
  child.kill()
  await Promise.all([egress.close(), wide.close(), bare.destroy(), capped.destroy()])
}

async function measure(send: () => Promise<unknown>): Promise<number> {
  let left = sendsPerRound
  const startedAt = performance.now()
  const sender = async () => {
    while (left-- > 0) await send()
  }
  await Promise.all(Array.from({ length: concurrency }, sender))
  return sendsPerRound / ((performance.now() - startedAt) / 1000)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
