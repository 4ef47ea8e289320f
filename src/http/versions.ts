import type { IncomingMessage } from 'node:http'
import { routes } from '#generated/routes.ts'

/*
 * A version of the API is in the path (`/api/v1/clients`), or in the media type
 * (`Accept: application/vnd.ubos.v1+json`), or left out: then it is the first, until its sunset.
 */

const versions = new Set(
  Object.values(routes).flatMap(({ path }) => /^\/api\/(v\d+)\//.exec(path)?.[1] ?? []),
)
const firstVersion = 'v1'

const vendorType = /application\/vnd\.ubos\.(v\d+)\+json/i

/** The address with its version: `/api/clients` is `/api/v1/clients`. */
export function versionedUrl({ url = '/', headers }: IncomingMessage): string {
  if (!url.startsWith('/api/') || /^\/api\/v\d+(?:[/?]|$)/.test(url)) return url
  const asked = vendorType.exec(headers.accept ?? '')?.[1]?.toLowerCase() ?? ''
  const version = versions.has(asked) ? asked : firstVersion
  return `/api/${version}${url.slice('/api'.length)}`
}

/** The other name that JSON has on a path: the one with the version in it. */
export function vendorTypeOf(path: string): string | undefined {
  const version = /^\/api\/(v\d+)\//.exec(path)?.[1]
  return version && `application/vnd.ubos.${version}+json`
}
