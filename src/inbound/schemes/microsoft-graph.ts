import { type FetchKeys, refused, type Scheme, type Settings, type Verdict } from '../scheme.ts'
import { isSameText } from './mac.ts'
import {
  commonName,
  isObject,
  type Members,
  nameOf,
  readStrangersJson,
  valueAt,
} from './payload.ts'
import { flawsOfSecrets, textSetting } from './settings.ts'
import { judgeToken, type TokenVerdict } from './token.ts'

const keysUrl = 'https://login.microsoftonline.com/common/discovery/v2.0/keys'

/** The application as which Microsoft Graph sends change notifications. */
const publisher = '0bf30f3b-4a52-48df-9a82-234910c4a086'

/** A request tells of many changes, but of few applications and tenants. */
const tokensMax = 50

const handshakeLengthMax = 4096

/**
 * Microsoft Graph: nothing is signed, and two changes of one thing may be told in the same words; each notification carries the `clientState` that its
 * subscription was made with, and that is the secret. Notifications with content carry tokens as well
 * (`validationTokens`), which are for the application `appId`, of `tenantId` where that is set. An
 * address is tried by `?validationToken=`, which is sent back as text. Notifications of the lifecycle
 * (`reauthorizationRequired` and others) come the same way, and their type is the event's.
 */
export const microsoftGraph: Scheme = {
  async verify({ query, body }, context) {
    const token = query.get('validationToken')
    if (token !== null) return echo(token)
    const payload = readStrangersJson(body)
    const value = valueAt(payload, 'value')
    const notifications = Array.isArray(value) ? value : []
    if (notifications.length === 0 || !notifications.every(isObject)) return refused('malformed')
    const known = context.secrets.filter((secret) => secret !== '')
    const isKnown = (state: unknown) =>
      typeof state === 'string' && known.some((secret) => isSameText(state, secret))
    if (!notifications.every((one) => isKnown(one.clientState))) return refused('signature')

    const doubt = await judgeContent(payload, notifications, context)
    if (doubt !== undefined) return doubt
    const ids = notifications.map((one) => nameOf(one.id))
    const providerEventId = ids.length === 1 ? (ids[0] ?? null) : null
    const types = notifications.map((one) => nameOf(one.lifecycleEvent) ?? nameOf(one.changeType))
    return {
      kind: 'accepted',
      providerEventId,
      signedAt: null,
      eventType: commonName(types),
      isDrift: types.includes(null),
    }
  },
  settings: ['appId', 'tenantId'],
  flaws: ({ secrets }) =>
    flawsOfSecrets(
      secrets,
      'must be a clientState of 1 to 128 characters',
      (secret) => secret !== '' && secret.length <= 128,
    ),
  keysUrl,
  answers: { accepted: { status: 202 }, duplicate: { status: 202 }, refused: { status: 401 } },
}

/** As text, whatever it holds: a browser must not take it for a page. */
function echo(token: string): Verdict {
  if (token === '' || token.length > handshakeLengthMax) return refused('malformed')
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
  }
  return { kind: 'handshake', answer: { status: 200, headers, body: token } }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

interface Context {
  now: Date
  settings: Settings
  fetchKeys: FetchKeys
}

/** What speaks against notifications with content; undefined when nothing does. */
async function judgeContent(
  payload: unknown,
  notifications: readonly Members[],
  { now, settings, fetchKeys }: Context,
): Promise<Verdict | undefined> {
  const rich = notifications.filter((one) => one.encryptedContent !== undefined)
  const tokens = valueAt(payload, 'validationTokens')
  if (rich.length === 0 && !Array.isArray(tokens)) return undefined
  const appId = textSetting(settings, 'appId')
  if (appId === undefined) return refused('key')
  if (!Array.isArray(tokens) || tokens.length === 0) return refused('missing')
  if (tokens.length > tokensMax || !tokens.every(isText)) return refused('malformed')

  const tenants = new Set<unknown>()
  const rules = { keysUrl, issuers: isOfPublisher, audiences: [appId] }
  for (const token of tokens) {
    const verdict: TokenVerdict = await judgeToken(token, rules, now, fetchKeys)
    if (verdict.kind !== 'accepted') return verdict
    tenants.add(verdict.claims.tid)
  }
  const ours = textSetting(settings, 'tenantId')
  if (ours !== undefined && [...tenants].some((tenant) => tenant !== ours)) return refused('key')
  return rich.every((one) => tenants.has(one.tenantId)) ? undefined : refused('key')
}

/** Tokens of both versions: who asked for them is `azp` in the second and `appid` in the first. */
function isOfPublisher({ iss, tid, azp, appid, ver }: Members): boolean {
  if (typeof tid !== 'string' || !/^[\da-f-]{36}$/i.test(tid)) return false
  return ver === '2.0'
    ? iss === `https://login.microsoftonline.com/${tid}/v2.0` && azp === publisher
    : iss === `https://sts.windows.net/${tid}/` && appid === publisher
}
