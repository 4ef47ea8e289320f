import { startApi } from '../../../src/app.ts'
import { createClock } from '../../../src/clock.ts'
import { readConfig } from '../../../src/config.ts'
import type { Context } from '../../../src/context.ts'
import { openDatabases } from '../../../src/db/open.ts'
import { createEgress } from '../../../src/egress/send.ts'
import { createLog } from '../../../src/log.ts'
import { openInstallation } from '../../../src/organizations/bootstrap.ts'
import { keyringFrom } from '../../../src/secrets/keyring.ts'
import { createSecrets } from '../../../src/secrets/secrets.ts'
import { serveParent } from '../server.ts'

/*
 * The product as `npm start api` runs it in the profile `production`, on the database that it is
 * given; it says the first key besides. No worker runs, as where workers have machines of their own.
 */
const [, , databaseUrl = ''] = process.argv
const config = readConfig({
  PORT: '0',
  DATABASE_URL: databaseUrl,
  UBOS_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  UBOS_PROFILE: 'production',
  UBOS_LOG_LEVEL: 'warn',
})
const clock = createClock()
const log = createLog(config.logLevel)
const secrets = createSecrets(keyringFrom(config.masterKey ?? ''), clock.randomBytes)
const db = openDatabases(databaseUrl, log)
const ctx: Context = { config, db, egress: createEgress(config.egress), secrets, log, clock }
const keys = await openInstallation(ctx)
const { url, stop } = await startApi(ctx)
const facts = { key: keys?.sandboxKey ?? '', operatorKey: keys?.operatorKey ?? '' }
serveParent(url, () => stop(0), facts)
