/** As wide as Standard Webhooks, Stripe and Slack have it. */
export const usualToleranceSeconds = 300

/** Unix seconds, in digits alone. */
export function readUnixSeconds(text: string): Date | undefined {
  return /^\d{1,11}$/.test(text) ? new Date(Number(text) * 1000) : undefined
}

/**
 * Whether a request was signed near enough to now. Of the future only what clocks may differ by is
 * believed: a signature dated far ahead could be sent again and again until then.
 */
export function isTimely(
  signedAt: Date,
  now: Date,
  pastSeconds: number,
  futureSeconds = Math.min(pastSeconds, usualToleranceSeconds),
): boolean {
  const ageSeconds = (now.getTime() - signedAt.getTime()) / 1000
  return ageSeconds <= pastSeconds && -ageSeconds <= futureSeconds
}
