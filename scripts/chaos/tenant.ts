/** Where to ask: an API that is thought to answer; another one for the next try. */
export type UrlFor = (attempt: number) => string

interface Opened {
  tenantId: string
  key: string
}

/** A customer's sandbox, with limits that nobody here reaches. */
export async function openTenant(
  { urlFor, operatorKey }: { urlFor: UrlFor; operatorKey: string },
  name: string,
): Promise<Opened> {
  const organization = await send(urlFor, operatorKey, 'POST', '/organizations', { name })
  const keys: (Opened & { environment: string })[] = organization.adminKeys
  const sandbox = keys.find(({ environment }) => environment === 'SANDBOX')
  if (sandbox === undefined) throw new Error('an organization has a sandbox')
  const plenty = { quota: 1_000_000, windowSeconds: 1 }
  const path = `/organizations/${organization.id}/tenants/${sandbox.tenantId}/limits`
  await send(urlFor, operatorKey, 'PATCH', path, {
    key: { read: plenty, write: plenty },
    tenant: { read: plenty, write: plenty },
    concurrent: 1_000,
  })
  return sandbox
}

/** One call that has to succeed. */
export async function send(
  urlFor: UrlFor,
  key: string,
  method: 'POST' | 'PATCH',
  path: string,
  body: object,
  // biome-ignore lint/suspicious/noExplicitAny: a reply, read as a script would
): Promise<any> {
  const response = await fetch(`${urlFor(0)}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const reply = await response.json()
  if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(reply)}`)
  return reply
}
