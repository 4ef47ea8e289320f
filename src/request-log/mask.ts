/** What stands where a secret was. */
const hidden = '[hidden]'

/** Bodies larger than this are not kept: half a JSON text is none, and cannot be searched. */
export const bodyBytesMax = 16 * 1024

/** Fields that sound like secrets are taken for some, also where the contract knows no such field. */
const secretName =
  /^(key|secret|token|password|authorization)$|(Key|Secret|Token|Password|_key|_secret|_token)$/

/** Secrets of our own making, wherever they stand. */
const ownSecrets = /(ubk_(?:live|test|op)_|whsec_)[\w+/=-]{6,}/g

/** A text in which no secret of ours is left. */
export function withoutSecrets(text: string): string {
  return text.includes('ubk_') || text.includes('whsec_')
    ? text.replaceAll(ownSecrets, hidden)
    : text
}

/**
 * A body as it may be kept: JSON with `[hidden]` for all that stands under one of `secretNames`,
 * which the contract marks, and for every text that sounds or looks like a secret. Null for what is
 * no JSON or too large: what cannot be searched is not kept.
 */
export function maskBody(
  body: Buffer | string | undefined,
  secretNames: readonly string[],
): string | null {
  if (body === undefined || body.length === 0 || body.length > bodyBytesMax) return null
  try {
    const masked = JSON.stringify(JSON.parse(body.toString()), (name, value) => {
      const isSecret = typeof value === 'string' && secretName.test(name)
      return isSecret || secretNames.includes(name) ? hidden : value
    })
    const text = withoutSecrets(masked)
    return Buffer.byteLength(text) > bodyBytesMax ? null : text
  } catch {
    return null
  }
}
