import type { WebhookEndpointInfo } from '#generated/types.ts'
import type { Id, TenantId } from '#ids.ts'

/**
 * An endpoint signs with its newest secret, and for the *overlap* of a rotation with those before it
 * too: a receiver that knows any of them verifies. What ends is not forgotten at once: it is shown
 * with its end until the next rotation, so that what is shown changes with the revision alone.
 */
export interface FormerSecret {
  readonly id: string
  /** Base64 of what is sealed; opens at `secretPlace`. */
  readonly sealed: string
  readonly createdAt: string
  readonly expiresAt: string
}

/** What of an endpoint is about its secrets. */
export interface SecretHistory {
  secretId: Id<'whs'>
  secretCreatedAt: Date
  /** The oldest first. */
  formerSecrets: readonly FormerSecret[]
}

/** Each of them is a signature in every webhook. */
export const secretsMax = 10

export const overlapSecondsUsual = 24 * 60 * 60

/** Where an endpoint's signing secrets are sealed: they open nowhere else. */
export function secretPlace(tenantId: TenantId, endpointId: string) {
  return { tenantId, table: 'webhook_endpoint', rowId: endpointId, column: 'secret' }
}

/** The id of a secret that is as old as its endpoint. */
export function firstSecretId(endpointId: Id<'whe'>): Id<'whs'> {
  return `whs_${endpointId.slice('whe_'.length)}`
}

/** Whether a former secret signs at a moment: its end is exclusive. */
export function isSigning({ expiresAt }: Pick<FormerSecret, 'expiresAt'>, at: Date): boolean {
  return Date.parse(expiresAt) > at.getTime()
}

/**
 * The history with a new secret in front; `sealed` is the newest so far. All secrets before the new
 * one end with the overlap at the latest, and what has ended already is forgotten.
 */
export function withNewSecret(
  history: SecretHistory,
  { id, sealed, overlapMs }: { id: Id<'whs'>; sealed: Buffer; overlapMs: number },
  now: Date,
): SecretHistory {
  const end = new Date(now.getTime() + overlapMs).toISOString()
  const newestSoFar = {
    id: history.secretId,
    sealed: sealed.toString('base64'),
    createdAt: history.secretCreatedAt.toISOString(),
    expiresAt: end,
  }
  const formerSecrets = [...history.formerSecrets, newestSoFar]
    .map((former) => (former.expiresAt > end ? { ...former, expiresAt: end } : former))
    .filter((former) => isSigning(former, now))
  return { secretId: id, secretCreatedAt: now, formerSecrets }
}

export function toSigningSecrets({
  secretId,
  secretCreatedAt,
  formerSecrets,
}: SecretHistory): WebhookEndpointInfo['signingSecrets'] {
  const newest = { id: secretId, createdAt: secretCreatedAt.toISOString(), expiresAt: null }
  const formers = formerSecrets.map(({ id, createdAt, expiresAt }) => ({
    id,
    createdAt,
    expiresAt,
  }))
  return [newest, ...formers.reverse()]
}
