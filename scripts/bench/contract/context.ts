import { createClock } from '../../../src/clock.ts'
import { readConfig } from '../../../src/config.ts'
import type { Context } from '../../../src/context.ts'
import { tenantId } from '../../../src/ids.ts'
import { createLog } from '../../../src/log.ts'
import { keyringFrom } from '../../../src/secrets/keyring.ts'
import { createSecrets } from '../../../src/secrets/secrets.ts'
import { deafDatabases } from './deaf.ts'

const plenty = { quota: 1_000_000, windowSeconds: 1 }

/** The capabilities of a process in the profile `production` without a database, and its one key. */
export function deafContext(): { ctx: Context; key: string } {
  const config = readConfig({ PORT: '0', UBOS_PROFILE: 'production', UBOS_LOG_LEVEL: 'warn' })
  const clock = createClock()
  const master = Buffer.alloc(32, 7).toString('base64')
  const secrets = createSecrets(keyringFrom(master), clock.randomBytes)
  const { key, prefix } = secrets.newApiKey('live')
  const db = deafDatabases({
    tenantId: tenantId(`ten_${'1'.padStart(26, '0')}`),
    limits: {
      key: { read: plenty, write: plenty },
      tenant: { read: plenty, write: plenty },
      concurrent: 10_000,
    },
    row: {
      id: `key_${'1'.padStart(26, '0')}`,
      name: 'Bench',
      prefix,
      scopes: ['clients:read', 'clients:write'],
      allowed_ips: [],
      expires_at: null,
      revoked_at: null,
      account_id: null,
      organization_id: `org_${'1'.padStart(26, '0')}`,
      environment: 'PRODUCTION',
    },
  })
  const egress = { send: () => Promise.reject(new Error('nobody is called')) }
  const log = createLog(config.logLevel)
  return {
    ctx: { config, db, egress: egress as unknown as Context['egress'], secrets, log, clock },
    key,
  }
}
