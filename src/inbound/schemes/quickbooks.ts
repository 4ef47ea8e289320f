import { refused, type Scheme } from '../scheme.ts'
import { isSigned, textKeys } from './mac.ts'
import { commonName, nameOf, readJson, valueAt } from './payload.ts'
import { flawsOfSecrets } from './settings.ts'

/**
 * QuickBooks Online: `intuit-signature: <base64>` over the body, under the verifier token. The body is
 * a list of CloudEvents, or the older `eventNotifications`; one request may speak of several
 * companies. A request with one CloudEvent has its id; one with more has none of its own.
 */
export const quickbooks: Scheme = {
  async verify({ headers, body }, { secrets }) {
    const signature = headers['intuit-signature']
    if (signature === undefined) return refused('missing')
    const claim = { content: [body], signatures: [signature], encoding: 'base64' } as const
    if (!isSigned(claim, textKeys(secrets))) return refused('signature')

    const payload = readJson(body)
    const { types, ids } = Array.isArray(payload) ? readCloudEvents(payload) : readOlder(payload)
    return {
      kind: 'accepted',
      providerEventId: ids.length === 1 ? (ids[0] ?? null) : null,
      signedAt: null,
      eventType: commonName(types),
      isDrift: types.length === 0 || types.includes(null),
      // Each change has its time in it, and the newer form an id as well.
      isBodyUnique: true,
    }
  },
  settings: [],
  flaws: ({ secrets }) => flawsOfSecrets(secrets, 'must be the verifier token'),
  answers: { accepted: { status: 200 }, duplicate: { status: 200 }, refused: { status: 401 } },
}

interface Events {
  /** Null for one that is not what was promised. */
  types: (string | null)[]
  ids: (string | null)[]
}

function readCloudEvents(events: readonly unknown[]): Events {
  const isWhole = (event: unknown) =>
    valueAt(event, 'specversion') === '1.0' && nameOf(valueAt(event, 'intuitaccountid')) !== null
  const typeOf = (event: unknown) => (isWhole(event) ? nameOf(valueAt(event, 'type')) : null)
  return { types: events.map(typeOf), ids: events.map((event) => nameOf(valueAt(event, 'id'))) }
}

/** Types are `Invoice.Update`; these events have no ids. */
function readOlder(payload: unknown): Events {
  const types = listAt(payload, 'eventNotifications').flatMap((notification) => {
    const entities = listAt(notification, 'dataChangeEvent', 'entities')
    return entities.length === 0 ? [null] : entities.map(typeOfEntity)
  })
  return { types, ids: [] }
}

function typeOfEntity(entity: unknown): string | null {
  const name = nameOf(valueAt(entity, 'name'))
  const operation = nameOf(valueAt(entity, 'operation'))
  return name === null || operation === null ? null : nameOf(`${name}.${operation}`)
}

function listAt(value: unknown, ...names: readonly string[]): readonly unknown[] {
  const list = valueAt(value, ...names)
  return Array.isArray(list) ? list : []
}
