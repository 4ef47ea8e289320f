import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Program, postgresOf, startProgram } from './demo/program.ts'
import { type ReceivedEvent, startDemoReceiver } from './demo/receiver.ts'

/*
 * The tour: a fresh installation, a webhook receiver, a client, a proposal that is accepted and
 * invoiced, and a payment taken twice under one key, while every process is killed on the way. Ends
 * with 0 when nothing that was acknowledged is missing and nothing happened twice.
 */

const say = (line: string) => console.log(line)
const dataDir = mkdtempSync(join(tmpdir(), 'ubos-demo-'))
const receiver = await startDemoReceiver()
let program: Program | undefined

// Ctrl-C reaches the program as well; it is waited for, so that nothing is left running.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await program?.end('SIGTERM')
    await rm(dataDir, { recursive: true, force: true })
    process.exit(130)
  })
}

try {
  await tour()
} catch (error) {
  console.error(`\nThe tour failed: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
} finally {
  receiver.stop()
  await program?.end('SIGTERM')
  await rm(dataDir, { recursive: true, force: true })
}

async function tour(): Promise<void> {
  say('1. An empty machine: Postgres, migrations, API, worker and docs')
  program = await startProgram({ dataDir })
  const key = program.sandboxKey ?? ''
  say(`   ready in ${(program.readyMs / 1_000).toFixed(1)} s at ${program.url}`)
  say(`   API key ${key.slice(0, 13)}… (organization Demo, SANDBOX)\n`)

  say('2. A webhook endpoint')
  const endpoint = await post(key, '/webhook-endpoints', { url: receiver.url })
  receiver.trust(endpoint.secret)
  say(`   ${endpoint.id} → ${receiver.url}\n`)

  say('3. A client')
  const client = await post(key, '/clients', { name: 'Ada Lovelace Ltd', currency: 'GBP' })
  say(`   acknowledged ${client.id}`)
  await killProgram()
  await arrived('client.created', client.id)

  say('4. A proposal: written, sent, accepted')
  const proposal = await post(key, '/proposals', {
    clientId: client.id,
    title: 'Analytical engine',
    currency: 'GBP',
    lines: [{ description: 'Design', quantity: 3, unitAmount: 1250.5, taxRate: 20 }],
  })
  await post(key, `/proposals/${proposal.id}/submission`)
  const accepted = await post(key, `/proposals/${proposal.id}/acceptance`)
  say(`   acknowledged ${proposal.id}, ${accepted.status}, total ${accepted.totals.total} GBP`)
  await killProgram()
  await killPostgres()
  await arrived('proposal.accepted', proposal.id)

  say('5. An invoice over what was accepted, issued')
  const invoice = await post(key, '/invoices', { proposalId: proposal.id })
  const { number, amountDue } = await post(key, `/invoices/${invoice.id}/issuance`)
  say(`   acknowledged ${invoice.id}, ${number}, ${amountDue} GBP due`)
  await arrived('invoice.issued', invoice.id)

  say('6. A payment, sent twice with the same Idempotency-Key')
  const headers = { 'idempotency-key': '123e4567-e89b-12d3-a456-426614174000' }
  const amount = { amount: 100, currency: 'USD' }
  const first = await post(key, '/payments', amount, headers)
  const second = await post(key, '/payments', amount, headers)
  if (first.id !== second.id) throw new Error('the payment was taken twice')
  say(`   acknowledged ${first.id}, and again ${second.id}`)
  await arrived('payment.received', first.id)
  await conclude(key, first.id)
}

/** Holds what came against the log: all of it, each verified, and one payment. */
async function conclude(key: string, paymentId: string): Promise<void> {
  const feed = await call('GET', key, '/events?sort=position&limit=200')
  const logged: ReceivedEvent[] = feed.data
  const start = logged.findIndex(({ type }) => type === 'webhook_endpoint.created')
  for (const { type, data } of logged.slice(start)) await receiver.waitFor(type, data.id)
  const payments = receiver.events.filter(({ type }) => type === 'payment.received')
  const distinct = new Set(payments.map(({ id }) => id))
  if (distinct.size !== 1 || payments[0]?.data.id !== paymentId) {
    throw new Error(`${distinct.size} payments were told of`)
  }
  if (receiver.rejected.length > 0) throw new Error(`not verified: ${receiver.rejected[0]}`)
  say('7. What the receiver has, each verified by the kit ubos/receiver:')
  const seen = new Set<string>()
  for (const { id, type, data } of receiver.events) {
    const again = seen.has(id) ? '  (again, with the same webhook-id)' : ''
    seen.add(id)
    say(`   ${type.padEnd(26)} ${data.id}${again}`)
  }
  say('\nNothing acknowledged is missing, and nothing was done twice.')
}

/** Kills the program without a word and starts it again. */
async function killProgram(): Promise<void> {
  await program?.end('SIGKILL')
  say('   kill -9 of the program')
  await startAgain()
}

/** Kills the database as well; the program notices by itself, or its next start does. */
async function killPostgres(): Promise<void> {
  const pid = postgresOf(dataDir)
  await program?.end('SIGKILL')
  process.kill(pid, 'SIGKILL')
  say('   kill -9 of the program and of Postgres')
  await startAgain()
}

async function startAgain(): Promise<void> {
  program = await startProgram({ dataDir })
  say(`   up again by itself in ${(program.readyMs / 1_000).toFixed(1)} s`)
}

async function arrived(type: string, resourceId: string): Promise<void> {
  await receiver.waitFor(type, resourceId)
  say(`   ${type} arrived and is verified\n`)
}

function post(key: string, path: string, body?: unknown, headers = {}) {
  return call('POST', key, path, body, headers)
}

async function call(
  method: string,
  key: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  // biome-ignore lint/suspicious/noExplicitAny: a reply, read as a script would
): Promise<any> {
  const response = await fetch(`${program?.url}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body ? { 'content-type': 'application/json' } : {}),
      ...headers,
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const reply = await response.json()
  if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(reply)}`)
  return reply
}
