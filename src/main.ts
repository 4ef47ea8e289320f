import { type Running, startAdmin, startApi, startWorker } from './app.ts'
import { createClock } from './clock.ts'
import { type Config, ConfigRefusal, readConfig } from './config.ts'
import type { Context } from './context.ts'
import { type Connected, connect, DatabaseRefusal } from './db/connect.ts'
import { claimMasterKeyId } from './db/installation.ts'
import { MigrationRefusal } from './db/migrate.ts'
import { openDatabases } from './db/open.ts'
import { FenceBroken } from './db/self-test.ts'
import { createEgress } from './egress/send.ts'
import { createLog } from './log.ts'
import { openInstallation, replaceOperatorKey } from './organizations/bootstrap.ts'
import { keyringFrom, MasterKeyRefusal } from './secrets/keyring.ts'
import { readMasterKey } from './secrets/master-key.ts'
import { createSecrets } from './secrets/secrets.ts'
import { listenForStop } from './stop.ts'

/** What the program can be told to be. */
const roles = ['all', 'api', 'worker', 'migrate', 'operator-key'] as const
type Role = (typeof roles)[number]

/** How long what is under way may take to end, in ms. */
const drainMs = 20_000

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
  const connected = await connect(config, role === 'migrate', say)
  if (role === 'migrate') {
    say(`Applied ${connected.applied.length} migrations; the schema is up to date.`)
    return connected.close()
  }
  const opened = await open(config, connected).catch(async (error) => {
    await connected.close()
    throw error
  })
  const { ctx, close } = opened
  try {
    if (role === 'operator-key') {
      say(`Operator key: ${await replaceOperatorKey(ctx)}`)
      say('It is shown once; the operator keys before it are revoked.')
      return await close()
    }
    const running = await start(role, ctx, startedMs, say)
    await stopping.asked
    await Promise.race([Promise.all(running.map((part) => part.stop(drainMs))), stopping.hurried])
    await close()
    process.exit(0)
  } catch (error) {
    await close()
    throw error
  }
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
  const egress = createEgress(config.egress)
  const ctx: Context = { config, db: databases, egress, secrets, log, clock }
  async function close(): Promise<void> {
    await egress.close()
    await databases.close()
    await connected.close()
  }
  return { ctx, close }
}

/** Listens first: a taken port must not cost the first keys, which are shown only once. */
async function start(
  role: 'all' | 'api' | 'worker',
  ctx: Context,
  startedMs: number,
  say: (line: string) => void,
): Promise<Running[]> {
  const listener = role === 'worker' ? await startAdmin(ctx) : await startApi(ctx)
  const isAtHome = role === 'all' && ctx.config.profile === 'development'
  const keys = isAtHome ? await openInstallation(ctx) : undefined
  const running = role === 'api' ? [listener] : [listener, startWorker(ctx)]
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
  return running
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
