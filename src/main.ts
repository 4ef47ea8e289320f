import { setTimeout as sleep } from 'node:timers/promises'
import { adminHost, type Running, startAdmin, startApi, startWorker } from './app.ts'
import { createClock } from './clock.ts'
import { type Config, ConfigRefusal, readConfig } from './config.ts'
import type { Context } from './context.ts'
import { type Connected, connect, DatabaseRefusal } from './db/connect.ts'
import { claimMasterKeyId } from './db/installation.ts'
import { MigrationRefusal } from './db/migrate.ts'
import { openDatabases } from './db/open.ts'
import { FenceBroken } from './db/self-test.ts'
import { createEgress } from './egress/send.ts'
import { createFront, type Front, listenAt } from './http/front.ts'
import { createLog } from './log.ts'
import { openInstallation, replaceOperatorKey } from './organizations/bootstrap.ts'
import { keyringFrom, MasterKeyRefusal } from './secrets/keyring.ts'
import { readMasterKey } from './secrets/master-key.ts'
import { createSecrets } from './secrets/secrets.ts'
import { listenForStop } from './stop.ts'

/** What the program can be told to be. */
const roles = ['all', 'api', 'worker', 'migrate', 'operator-key'] as const
type Role = (typeof roles)[number]

/**
 * How long what is under way may take to end, in ms: as long as an attempt at a delivery. With the
 * time before it and the last rows after it, a stop stays within the 30 s of usual supervisors.
 */
const drainMs = 15_000

/** A part that waits for a database that is silent does not keep the process for longer than this. */
const stopMsMax = drainMs + 6_000

/** How long connections may take to close; what is open then belongs to work that was cut. */
const closeMsMax = 2_000

/** The doorstep: one program, one word. Ends the process with 1 and one clear line on a refusal. */
export async function main([word = 'all', ...rest]: readonly string[]): Promise<void> {
  try {
    const role = roles.find((name) => name === word)
    if (role === undefined || rest.length > 0) {
      const given = [word, ...rest].join(' ')
      throw new ConfigRefusal(`"${given}" is not a role; use one of: ${roles.join(', ')}`)
    }
    await run(role, readConfig())
  } catch (error) {
    console.error(`ubos: ${wordsFor(error)}`)
    process.exit(1)
  }
}

async function run(role: Role, config: Config): Promise<void> {
  const startedMs = performance.now()
  const say = (line: string) => console.log(line)
  const stopping = listenForStop(say)
  const starting = { say, stopAsked: stopping.asked }
  if (role === 'migrate') {
    const { applied, close } = await connect(config, true, starting)
    say(`Applied ${applied.length} migrations; the schema is up to date.`)
    return close()
  }
  // A process that is waiting for its database lives, and a taken port costs nobody anything yet.
  const front = role === 'operator-key' ? undefined : await openFront(role, config)
  const connected = await connect(config, false, starting)
  const opened = await open(config, connected).catch(async (error) => {
    await connected.close()
    throw error
  })
  const { ctx, close } = opened
  try {
    if (front === undefined || role === 'operator-key') {
      say(`Operator key: ${await replaceOperatorKey(ctx)}`)
      say('It is shown once; the operator keys before it are revoked.')
      return await close()
    }
    const running = await start(role, ctx, front, startedMs, say)
    await stopping.asked
    front.leave()
    await Promise.race([
      stopAll(running, role, drainMs),
      stopping.hurried.then(() => stopAll(running, role, 0)),
      sleep(config.awayMs + stopMsMax, undefined, { ref: false }),
    ])
    await close()
    process.exit(0)
  } catch (error) {
    await close()
    throw error
  }
}

async function openFront(role: 'all' | 'api' | 'worker', config: Config): Promise<Front> {
  const front = createFront(createClock())
  if (role === 'worker') await listenAt(front, adminHost, config.adminPort)
  else await listenAt(front, config.host, config.port)
  return front
}

async function stopAll({ listener, worker }: Parts, role: Role, ms: number): Promise<void> {
  // A worker that drains is alive, and answers so until it is done.
  const worked = worker?.stop(ms)
  if (role === 'worker') await worked
  await Promise.all([listener.stop(ms), worked])
}

/** The six capabilities over a database, and what closes them again. */
async function open(config: Config, connected: Connected) {
  const log = createLog(config.logLevel)
  const clock = createClock()
  const masterKey = await readMasterKey(config.masterKey, connected.home, clock.randomBytes)
  const keyring = keyringFrom(masterKey)
  const secrets = createSecrets(keyring, clock.randomBytes)
  const databases = openDatabases(connected.url, log)
  if ((await claimMasterKeyId(databases.writers, keyring.id)) !== keyring.id) {
    await databases.close()
    throw new MasterKeyRefusal(
      'the master key is not the one that this database was sealed with; give the right one in ' +
        'UBOS_MASTER_KEY, or bring back the file master-key beside the embedded database',
    )
  }
  const egress = createEgress(config.egress, { proxy: config.egressProxy })
  const ctx: Context = { config, db: databases, egress, secrets, log, clock }
  async function close(): Promise<void> {
    const closed = Promise.allSettled([egress.close(), databases.close()])
    await Promise.race([closed, sleep(closeMsMax, undefined, { ref: false })])
    await connected.close()
  }
  return { ctx, close }
}

/** The parts of a process: what listens, and what works behind. */
interface Parts {
  listener: Running & { url: string }
  worker: Running | undefined
}

/** Listens first: what fails there must not cost the first keys, which are shown only once. */
async function start(
  role: 'all' | 'api' | 'worker',
  ctx: Context,
  front: Front,
  startedMs: number,
  say: (line: string) => void,
): Promise<Parts> {
  const listener = role === 'worker' ? await startAdmin(ctx, front) : await startApi(ctx, front)
  const isAtHome = role === 'all' && ctx.config.profile === 'development'
  const keys = isAtHome ? await openInstallation(ctx) : undefined
  const worker = role === 'api' ? undefined : startWorker(ctx)
  say(`UBOS (${role}) listens on ${listener.url}`)
  if (role !== 'worker') say(`  Docs          ${listener.url}/docs`)
  if (keys) {
    say(`  Operator key  ${keys.operatorKey}`)
    say(`  API key       ${keys.sandboxKey}  (organization Demo, SANDBOX)`)
    say('  These keys are shown once: keep them.')
  }
  if (ctx.config.profile === 'development') {
    say('  Profile       development: webhook receivers may be on this machine')
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
  say(`Ready in ${seconds} s. Stop with Ctrl-C.`)
  return { listener, worker }
}

/** One line for what the operator can mend; the whole story for what is our fault. */
function wordsFor(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code, port } = error as NodeJS.ErrnoException & { port?: number }
  if (code === 'EADDRINUSE')
    return `port ${port} is taken; set PORT (a worker: ADMIN_PORT) to a free one`
  if (code === 'EACCES' && port !== undefined)
    return `port ${port} may not be used; set PORT (a worker: ADMIN_PORT)`
  const isForOperator =
    error instanceof ConfigRefusal ||
    error instanceof DatabaseRefusal ||
    error instanceof MasterKeyRefusal ||
    error instanceof MigrationRefusal ||
    error instanceof FenceBroken
  return isForOperator ? error.message : (error.stack ?? error.message)
}
