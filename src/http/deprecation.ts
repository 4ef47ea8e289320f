import type { Route } from '#generated/routes.ts'

/**
 * What every answer of a deprecated operation says: since when (RFC 9745, a structured date), until
 * when it works (RFC 8594, the last second of that day), and what comes after it.
 */
export function deprecationHeaders(notice: Route['deprecation']): Record<string, string> {
  if (notice === null) return {}
  const { since, sunset, successor } = notice
  return {
    deprecation: `@${Date.parse(`${since}T00:00:00Z`) / 1_000}`,
    sunset: new Date(`${sunset}T23:59:59Z`).toUTCString(),
    ...(successor ? { link: `<${successor}>; rel="successor-version"` } : {}),
  }
}
