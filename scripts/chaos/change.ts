import { chanceOf } from './random.ts'
import { spread } from './spread.ts'

/**
 * A *change* is what the owner of an endpoint does to it while webhooks flow: it is changed and changed
 * back, moved, given another secret, and told again what it knows.
 */
export type Change =
  | { kind: 'patched'; name: string; patch: object; undo: object; seconds: number }
  /** To another URL of the same receiver. */
  | { kind: 'moved' }
  | { kind: 'rotated'; overlapSeconds: number }
  /** Secrets before the newest sign no more. */
  | { kind: 'revoked' }
  | { kind: 'replayed'; request: ReplayRequest; cancelledAfterSeconds: number | undefined }
  /** Single deliveries, made once more. */
  | { kind: 'redelivered'; count: number }
  /** An endpoint that is made late, and told of all that was before. */
  | { kind: 'joined' }

/** What of a replay is the plan's; since when, and to which endpoint, says who asks for it. */
export interface ReplayRequest {
  which: 'ALL' | 'MISSING'
  webhookId: 'KEEP' | 'NEW'
  deliveriesPerSecond: number
  /** To all endpoints of the tenant, or to one. */
  isWhole: boolean
}

/** A change once this share of all writes has been done, at one of the endpoints of a tenant. */
export type PlannedChange = { at: number; tenant: number; endpoint: number } & Change

/** Changes that are made to an endpoint and taken back after a while: one line for each field. */
const patches: readonly { name: string; patch: object; undo: object }[] = [
  { name: 'disabled', patch: { status: 'DISABLED' }, undo: { status: 'ENABLED' } },
  // Whatever an event says, it has an id.
  { name: 'filtered', patch: { filter: [{ path: '/id', exists: true }] }, undo: { filter: [] } },
  { name: 'rated', patch: { rateLimit: { perSecond: 100 } }, undo: { rateLimit: null } },
  { name: 'ordered', patch: { ordering: 'RESOURCE' }, undo: { ordering: 'NONE' } },
]

const replays: readonly (ReplayRequest & { isCancelled: boolean })[] = [
  { ...replay('KEEP', 1_000), isWhole: true, isCancelled: false },
  { ...replay('NEW', 1_000), isWhole: false, isCancelled: false },
  // So slow that there is something left to be called off.
  { ...replay('KEEP', 20), isWhole: false, isCancelled: true },
  { ...replay('NEW', 20), isWhole: true, isCancelled: true },
]

function replay(webhookId: ReplayRequest['webhookId'], deliveriesPerSecond: number) {
  return { which: 'ALL', webhookId, deliveriesPerSecond } as const
}

/** Old secrets end at once, within the run, or long after it. */
const overlaps = [0, 5, 3_600]

/** Each kind of change so often, at endpoints that chance picks; of the seed and nothing else. */
export function changesOf(
  seed: number,
  often: number,
  { tenants, endpoints }: { tenants: number; endpoints: number },
): PlannedChange[] {
  const chance = chanceOf(seed).fork('changes')
  const each = (from: number, to: number, changeOf: (turn: number) => Change) =>
    spread(chance, often, from, to).map(
      (at, turn): PlannedChange => ({
        ...{ at, tenant: chance.below(tenants), endpoint: chance.below(endpoints) },
        ...changeOf(turn),
      }),
    )
  return [
    ...patches.map((one) =>
      each(0.05, 0.85, () => ({ kind: 'patched', ...one, seconds: 1 + chance.below(4) })),
    ),
    ...overlaps.map((overlapSeconds) =>
      each(0.02, 0.6, () => ({ kind: 'rotated', overlapSeconds })),
    ),
    ...replays.map(({ isCancelled, ...request }) =>
      each(0.3, 0.9, () => ({
        ...{ kind: 'replayed', request },
        cancelledAfterSeconds: isCancelled ? 1 + chance.below(3) : undefined,
      })),
    ),
    each(0.05, 0.9, () => ({ kind: 'moved' })),
    each(0.6, 0.9, () => ({ kind: 'revoked' })),
    each(0.3, 0.9, () => ({ kind: 'redelivered', count: 10 })),
    // Each tenant has room for some only.
    each(0.2, 0.6, () => ({ kind: 'joined' })).slice(0, tenants),
  ]
    .flat()
    .sort((one, other) => one.at - other.at)
}

/** What a change is counted as. */
export function nameOf(change: Change): string {
  switch (change.kind) {
    case 'patched':
      return change.name
    case 'replayed':
      return change.cancelledAfterSeconds === undefined ? 'replayed' : 'replayed in part'
    default:
      return change.kind
  }
}
