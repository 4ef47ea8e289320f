const dayMs = 24 * 60 * 60 * 1_000

/** How many days before the end of a key its tenant is warned, each time once. */
export const warnDaysBefore = [1, 3, 14] as const

/** Which warning the end of a key calls for now; undefined while it is far, and once it has come. */
export function warningDue(expiresAt: Date | null, now: Date): number | undefined {
  if (expiresAt === null || expiresAt <= now) return undefined
  const leftMs = expiresAt.getTime() - now.getTime()
  return warnDaysBefore.find((days) => leftMs <= days * dayMs)
}
