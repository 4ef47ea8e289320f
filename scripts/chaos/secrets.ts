import { createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { type WebhookVerifier, webhookVerifier } from '../../packages/receiver/receiver.ts'

/**
 * A signing secret as the owner of an endpoint knows it; times in ms since 1970. When it began and
 * ended to sign lies between the request for that and its answer.
 */
export interface Secret {
  readonly secret: string
  readonly verify: WebhookVerifier<unknown>
  readonly since: Within
  until: Within
}

interface Within {
  earliestMs: number
  latestMs: number
}

const never: Within = { earliestMs: Number.POSITIVE_INFINITY, latestMs: Number.POSITIVE_INFINITY }

export function newSecret(secret: string, since: Within): Secret {
  return { secret, verify: webhookVerifier({ keys: [secret] }), since, until: never }
}

/** Ends what signs longer than that; what ends earlier stays as it is. */
export function endAt(secrets: readonly Secret[], end: Within): void {
  for (const secret of secrets) {
    const { earliestMs, latestMs } = secret.until
    secret.until = {
      earliestMs: Math.min(earliestMs, end.earliestMs),
      latestMs: Math.min(latestMs, end.latestMs),
    }
  }
}

/**
 * Whether a webhook is signed as it must be: by every secret that signed then for certain, so that
 * whoever knows any of them verifies, and by none but those that may have signed then. `graceMs` is
 * how long a worker may have been stopped between the claim, which says what signs, and the sending.
 */
export async function isWellSigned(
  secrets: readonly Secret[],
  headers: IncomingHttpHeaders,
  body: Buffer,
  graceMs: number,
): Promise<boolean> {
  const sentMs = Number(headers['webhook-timestamp']) * 1_000
  // The header has whole seconds.
  const sentBeforeMs = sentMs + 1_000
  const may = secrets.filter(
    ({ since, until }) => since.earliestMs < sentBeforeMs && until.latestMs >= sentMs - graceMs,
  )
  const fitting = new Set<Secret>()
  for (const secret of may) {
    const isFitting = await secret.verify({ headers, body }).then(Boolean, () => false)
    if (isFitting) fitting.add(secret)
  }
  const must = may.filter(
    ({ since, until }) => since.latestMs < sentMs - graceMs && until.earliestMs >= sentBeforeMs,
  )
  const plain = headers['x-ubos-signature']
  const isPlainFitting = may.some(({ secret }) => plain === signatureOf(secret, body))
  return fitting.size > 0 && must.every((secret) => fitting.has(secret)) && isPlainFitting
}

function signatureOf(secret: string, body: Buffer): string {
  return createHmac('sha256', secret).update(body).digest('hex')
}
