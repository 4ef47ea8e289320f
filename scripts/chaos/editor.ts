import { type Change, nameOf, type PlannedChange, type ReplayRequest } from './change.ts'
import { type Crew, subscriptions } from './crew.ts'
import { type Deed, newDeed, type Operation } from './deed.ts'
import type { Chance } from './random.ts'
import type { Watched } from './receivers.ts'
import { endAt, newSecret } from './secrets.ts'

/** The *editor* changes endpoints while webhooks flow, in place of those to whom they belong. */
export interface Editor {
  /** Makes a change, and takes it back where that is due; resolves when that is done. */
  make(change: PlannedChange): Promise<void>
  /** Tells all endpoints what they have missed, however late they were made. */
  catchUp(): Promise<void>
  /** Changes that were made, by name. */
  readonly counts: ReadonlyMap<string, number>
}

/**
 * How far back all is told again, and what was missed, so that a run is not made of replays; what was
 * missed since the first is told at the end.
 */
const repeatedMs = 15_000
const missedMs = 10 * 60 * 1_000
const wholeMs = 24 * 60 * 60 * 1_000

/** Between two tries at what is refused since something else is under way. */
const refusedRestMs = 250

export function hireEditor(crew: Crew, chance: Chance): Editor {
  const { tenantIds, endpoints, changes } = crew.ledger
  const counts = new Map<string, number>()
  /** What is done to one endpoint, one after the other. */
  const lanes = new Map<Watched, Promise<void>>()
  /** The last replay of each tenant. */
  const turns = new Map<string, Promise<void>>()

  /** One deed, under a key of its own. */
  async function ask(
    tenantId: string,
    operation: Operation,
    [method, path]: [Deed['method'], string],
    { body, ...manner }: { body?: object } & Partial<Omit<Deed, 'body'>> = {},
  ): Promise<Deed> {
    const key = `change-${changes.length}`
    const deed = newDeed(
      { key, tenantId, operation, method, path, body },
      { isTwice: chance.is(0.2), ...manner },
    )
    changes.push(deed)
    await crew.ask(deed)
    return deed
  }

  async function patch(endpoint: Watched, body: object): Promise<void> {
    const isDisabled = 'status' in body && body.status === 'DISABLED'
    const operation = isDisabled ? 'disableEndpoint' : 'changeEndpoint'
    const { tenantId, id } = endpoint
    await ask(tenantId, operation, ['PATCH', `/webhook-endpoints/${id}`], { body })
  }

  async function rotate(endpoint: Watched, overlapSeconds: number): Promise<void> {
    const { tenantId, id, secrets } = endpoint
    const askedMs = Date.now()
    endpoint.rotations += 1
    const path = `/webhook-endpoints/${id}/secret-rotations`
    const manner = { body: { overlapSeconds }, mayBeRefused: true }
    const { state, answer } = await ask(tenantId, 'rotateSecret', ['POST', path], manner)
    const within = { earliestMs: askedMs, latestMs: Date.now() }
    if (state === 'ACKNOWLEDGED') {
      const overlapMs = overlapSeconds * 1_000
      const end = {
        earliestMs: within.earliestMs + overlapMs,
        latestMs: within.latestMs + overlapMs,
      }
      endAt(secrets, end)
      secrets.push(newSecret(JSON.parse(answer?.body ?? '{}').secret, within))
    }
    endpoint.rotations -= 1
    // There are as many as may be: those who come next find room.
    if (state === 'REFUSED') await revoke(endpoint)
  }

  async function revoke(endpoint: Watched): Promise<void> {
    const { tenantId, id, secrets } = endpoint
    const seen = await crew.read(tenantId, `/webhook-endpoints/${id}`)
    // Without former ones there would be nothing to do, and nothing to be told of.
    if (seen.signingSecrets.length === 1) return
    const askedMs = Date.now()
    endpoint.rotations += 1
    const path = `/webhook-endpoints/${id}/secret-revocation`
    await ask(tenantId, 'revokeSecrets', ['POST', path])
    endAt(secrets.slice(0, -1), { earliestMs: askedMs, latestMs: Date.now() })
    endpoint.rotations -= 1
  }

  /** Replays of a tenant come one after the other: there is one at a time. */
  async function inTurn(tenantId: string, work: () => Promise<void>): Promise<void> {
    const done = (turns.get(tenantId) ?? Promise.resolve()).then(work)
    turns.set(
      tenantId,
      done.catch(() => undefined),
    )
    await done
  }

  /** Asks for a replay until none is in its way; answers its job. */
  async function replay(
    tenantId: string,
    { isWhole, ...request }: ReplayRequest,
    endpoint: Watched | undefined,
    backMs = request.which === 'ALL' ? repeatedMs : missedMs,
  ): Promise<{ deed: Deed; jobId: string }> {
    const endpointIds = isWhole || endpoint === undefined ? {} : { endpointIds: [endpoint.id] }
    for (;;) {
      const body = { since: new Date(Date.now() - backMs), ...request, ...endpointIds }
      const manner = { body, mayBeRefused: true }
      const path = '/webhook-replays'
      const deed = await ask(tenantId, 'replayWebhooks', ['POST', path], manner)
      const jobId = JSON.parse(deed.answer?.body ?? '{}').id
      if (deed.state === 'ACKNOWLEDGED') return { deed, jobId }
      await rest(refusedRestMs)
    }
  }

  /** Waits until a replay is over, one way or another. */
  async function ended({ deed, jobId }: { deed: Deed; jobId: string }): Promise<void> {
    for (;;) {
      const job = await crew.read(deed.tenantId, `/jobs/${jobId}`)
      if (job.status === 'CANCELLED') deed.operation = 'replayInPart'
      if (job.finishedAt !== null) return
      await rest(refusedRestMs)
    }
  }

  /** Too late is no harm: then the replay is over as a whole. */
  async function callOff({ deed, jobId }: { deed: Deed; jobId: string }): Promise<void> {
    const { tenantId, key } = deed
    const path = `/jobs/${jobId}/cancellation`
    const call = { key: `${key}-off`, tenantId, operation: deed.operation, body: undefined }
    await crew.ask(newDeed({ ...call, method: 'POST', path }, { correlationId: key }))
  }

  async function redeliver({ tenantId, id }: Watched, count: number): Promise<void> {
    const path = `/webhook-deliveries?endpointId=${id}&status=DELIVERED&limit=100`
    const { data } = await crew.read(tenantId, path)
    for (let left = Math.min(count, data.length); left > 0; left -= 1) {
      const delivery = chance.pick<{ id: string }>(data)
      const place = `/webhook-deliveries/${delivery.id}/redeliveries`
      await ask(tenantId, 'redeliver', ['POST', place], { mayBeRefused: true })
    }
  }

  async function join(tenantId: string): Promise<void> {
    const late = crew.watch(tenantId, `late-${endpoints.length}`)
    const askedMs = Date.now()
    const body = { url: late.url, eventTypes: subscriptions.money }
    const { answer } = await ask(tenantId, 'openEndpoint', ['POST', '/webhook-endpoints'], { body })
    const { id, secret } = JSON.parse(answer?.body ?? '{}')
    late.id = id
    late.secrets.push(newSecret(secret, { earliestMs: askedMs, latestMs: Date.now() }))
    await inTurn(tenantId, async () =>
      ended(await replay(tenantId, { ...everything, isWhole: false }, late)),
    )
  }

  async function makeOf(change: Change, endpoint: Watched): Promise<void> {
    switch (change.kind) {
      case 'patched':
        await patch(endpoint, change.patch)
        await rest(change.seconds * 1_000)
        return await patch(endpoint, change.undo)
      case 'moved':
        return await patch(endpoint, { url: crew.addressOf(endpoint) })
      case 'rotated':
        return await rotate(endpoint, change.overlapSeconds)
      case 'revoked':
        return await revoke(endpoint)
      case 'redelivered':
        return await redeliver(endpoint, change.count)
      case 'joined':
        return await join(endpoint.tenantId)
      case 'replayed':
        return await inTurn(endpoint.tenantId, async () => {
          const job = await replay(endpoint.tenantId, change.request, endpoint)
          if (change.cancelledAfterSeconds !== undefined) {
            await rest(change.cancelledAfterSeconds * 1_000)
            await callOff(job)
          }
          await ended(job)
        })
      default:
        return change satisfies never
    }
  }

  return {
    counts,
    async make(change) {
      const own = endpoints.filter(({ tenantId }) => tenantId === tenantIds[change.tenant])
      const endpoint = own[change.endpoint]
      if (endpoint === undefined) throw new RangeError('no such endpoint')
      // Those that last go beside what is changed meanwhile.
      const isBeside = change.kind === 'replayed' || change.kind === 'joined'
      const before = isBeside ? undefined : lanes.get(endpoint)
      const made = (before ?? Promise.resolve()).then(() => makeOf(change, endpoint))
      if (!isBeside) lanes.set(endpoint, made)
      await made
      counts.set(nameOf(change), (counts.get(nameOf(change)) ?? 0) + 1)
    },
    async catchUp() {
      const told = tenantIds.map((tenantId) =>
        inTurn(tenantId, async () => ended(await replay(tenantId, everything, undefined, wholeMs))),
      )
      await Promise.all(told)
      for (const endpoint of endpoints) endpoint.isCaughtUp = true
    },
  }
}

const everything: ReplayRequest = {
  ...{ which: 'MISSING', webhookId: 'KEEP', deliveriesPerSecond: 1_000, isWhole: true },
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
