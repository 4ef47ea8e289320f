import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { type EgressPolicy, judgeAddress } from './egress/address.ts'

/** How the process was told to run; read once, from the environment. */
export interface Config {
  readonly host: string
  readonly port: number
  /** Where others reach the API, without a path: what is sent to it is sent there. */
  readonly publicUrl: string
  /** A worker's own loopback listener for its health and metrics. */
  readonly adminPort: number
  /** Absent: the embedded Postgres of `dataDir`. */
  readonly databaseUrl: string | undefined
  /** The owner of the schema, for migrations. */
  readonly databaseOwnerUrl: string | undefined
  readonly dataDir: string
  /** 32 bytes in base64; absent: the file beside the embedded database. */
  readonly masterKey: string | undefined
  readonly profile: Profile
  /** Where receivers may be, by the profile. */
  readonly egress: EgressPolicy
  /** What receivers are told that we send from, as addresses and ranges; we cannot know it ourselves. */
  readonly egressAddresses: readonly string[]
  /** Through which everything goes out; it may hold a password. */
  readonly egressProxy: URL | undefined
  readonly trustProxy: boolean | string
  readonly metricsToken: string | undefined
  /** How long a process that stops still takes calls, so that whoever sends them can notice. */
  readonly awayMs: number
  readonly logLevel: string
}

/** `development` lets receivers be on loopback; `production` takes `https:` receivers only. */
export type Profile = 'development' | 'production'

/** Something in the environment is not as it must be; the message is one line for the operator. */
export class ConfigRefusal extends Error {
  override readonly name = 'ConfigRefusal'
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the configuration; throws `ConfigRefusal` naming the variable. */
export function readConfig(env: Environment = process.env): Config {
  const text = (name: string) => env[name]?.trim() || undefined
  const isExposed = text('DATABASE_URL') !== undefined || !isLoopback(text('HOST') ?? '127.0.0.1')
  if (isExposed && text('UBOS_PROFILE') === undefined) {
    throw new ConfigRefusal(
      'UBOS_PROFILE is missing; with DATABASE_URL, or a HOST that others can reach, ' +
        'say production or development',
    )
  }
  const profile = text('UBOS_PROFILE') ?? 'development'
  if (profile !== 'development' && profile !== 'production') {
    throw new ConfigRefusal(`UBOS_PROFILE is "${profile}"; it must be development or production`)
  }
  const databaseUrl = text('DATABASE_URL')
  if (databaseUrl === undefined && text('DATABASE_OWNER_URL') !== undefined) {
    throw new ConfigRefusal(
      'DATABASE_URL is missing; DATABASE_OWNER_URL alone does not say who runs',
    )
  }
  const masterKey = text('UBOS_MASTER_KEY')
  if (databaseUrl !== undefined && masterKey === undefined) {
    throw new ConfigRefusal(
      'UBOS_MASTER_KEY is missing; with DATABASE_URL it is required: ' +
        '32 bytes in base64, for instance from: openssl rand -base64 32',
    )
  }
  return {
    host: text('HOST') ?? '127.0.0.1',
    port: portOf(env, 'PORT', 3000),
    publicUrl: publicUrlOf(env),
    adminPort: portOf(env, 'ADMIN_PORT', 3001),
    databaseUrl: addressOf(env, 'DATABASE_URL'),
    databaseOwnerUrl: addressOf(env, 'DATABASE_OWNER_URL'),
    dataDir: resolve(text('UBOS_DATA_DIR') ?? '.ubos'),
    masterKey,
    profile,
    egress: { allowLoopback: profile === 'development', httpsOnly: profile === 'production' },
    egressAddresses: egressAddressesOf(env),
    egressProxy: proxyOf(env),
    trustProxy: trustOf(text('UBOS_TRUST_PROXY')),
    metricsToken: text('UBOS_METRICS_TOKEN'),
    awayMs: secondsOf(env, 'UBOS_DRAIN_SECONDS', profile === 'production' ? 5 : 0) * 1_000,
    logLevel: levelOf(text('UBOS_LOG_LEVEL') ?? (profile === 'production' ? 'info' : 'warn')),
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

function portOf(env: Environment, name: string, otherwise: number): number {
  const text = env[name]?.trim()
  if (!text) return otherwise
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new ConfigRefusal(`${name} is "${text}"; it must be a port, 0 to 65535`)
}

/** An origin and nothing more; without one, where the process listens. */
function publicUrlOf(env: Environment): string {
  const text = env.UBOS_PUBLIC_URL?.trim()
  const host = env.HOST?.trim() || '127.0.0.1'
  if (!text) return `http://${isIP(host) === 6 ? `[${host}]` : host}:${portOf(env, 'PORT', 3000)}`
  const url = URL.parse(text)
  const isOrigin = url && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`
  if (isOrigin) return url.origin
  throw new ConfigRefusal(
    `UBOS_PUBLIC_URL is "${text}"; it must be an origin such as https://api.example.com`,
  )
}

/** Longer than this no supervisor waits. */
const secondsMax = 300

function secondsOf(env: Environment, name: string, otherwise: number): number {
  const text = env[name]?.trim()
  if (!text) return otherwise
  const seconds = Number(text)
  if (seconds >= 0 && seconds <= secondsMax) return seconds
  throw new ConfigRefusal(`${name} is "${text}"; it must be seconds, 0 to ${secondsMax}`)
}

/** A Postgres address; the message does not repeat it, since it holds a password. */
function addressOf(env: Environment, name: string): string | undefined {
  const text = env[name]?.trim()
  if (!text) return undefined
  const address = URL.parse(text)
  if (address && /^postgres(ql)?:$/.test(address.protocol)) return text
  throw new ConfigRefusal(
    `${name} is not an address such as postgres://user:password@host/database`,
  )
}

/** `true`, `false`, or the addresses of the proxies that may say where a request came from. */
function trustOf(text: string | undefined): boolean | string {
  if (text === undefined || text === 'false') return false
  if (text === 'true') return true
  const isList = text.split(',').every((address) => isIP(address.trim().split('/')[0] ?? '') !== 0)
  if (isList) return text
  throw new ConfigRefusal(`UBOS_TRUST_PROXY is "${text}"; it must be true, false, or addresses`)
}

/** An HTTP proxy and nothing more; the message does not repeat it, since it may hold a password. */
function proxyOf(env: Environment): URL | undefined {
  const text = env.UBOS_EGRESS_PROXY?.trim()
  if (!text) return undefined
  const url = URL.parse(text)
  const isBare = url?.pathname === '/' && url.search === '' && url.hash === ''
  if (url?.protocol === 'http:' && url.hostname !== '' && isBare) return url
  throw new ConfigRefusal(
    'UBOS_EGRESS_PROXY must be a CONNECT proxy such as http://user:password@proxy.example:3128',
  )
}

/** What receivers see: what the operator says, or else the proxy, where that is a public address. */
function egressAddressesOf(env: Environment): string[] {
  const told = addressesOf(env.UBOS_EGRESS_ADDRESSES?.trim() || undefined)
  const host = proxyOf(env)?.hostname.replace(/^\[|\]$/g, '') ?? ''
  const isPublic = judgeAddress(host, { allowLoopback: false, httpsOnly: true }).ok
  return told.length === 0 && isPublic ? [host] : told
}

const addressesMax = 100

function addressesOf(text: string | undefined): string[] {
  const addresses = text?.split(',').map((address) => address.trim()) ?? []
  const wrong = addresses.find((address) => !isRange(address))
  if (wrong === undefined && addresses.length <= addressesMax) return addresses
  throw new ConfigRefusal(
    `UBOS_EGRESS_ADDRESSES must be at most ${addressesMax} addresses or ranges, separated by commas` +
      `${wrong === undefined ? '' : `; "${wrong}" is none`}`,
  )
}

/** An address, or one with the length of its prefix behind a slash. */
function isRange(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = { 4: 32, 6: 128 }[isIP(address)]
  if (bits === undefined || address.includes('%') || rest.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits)
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

function levelOf(text: string): string {
  if (logLevels.includes(text)) return text
  throw new ConfigRefusal(`UBOS_LOG_LEVEL is "${text}"; it must be one of ${logLevels.join(', ')}`)
}
