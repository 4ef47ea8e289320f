/** One caller of the API. */
export type Customer = Awaited<ReturnType<typeof aCustomer>>

/** Calls with a key; `tenantId` is the key's. */
export async function aCustomer(url: string, key: string) {
  async function call(method: 'GET' | 'POST' | 'PATCH', path: string, body?: object) {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const init = body === undefined ? { headers } : { method, headers, body: JSON.stringify(body) }
    const reply = await fetch(`${url}/api/v1${path}`, init)
    const answer = await reply.json()
    if (!reply.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`)
    return answer as Answer
  }
  const { tenant } = await call('GET', '/me')
  return {
    tenantId: tenant.id,
    call,
    /** So many endpoints that are told of new clients, each at a path of its own, and with these settings. */
    async endpoints(base: string, count: number, settings: object = {}): Promise<string[]> {
      const ids: string[] = []
      for (let at = 0; at < count; at += 1) {
        const endpoint = { url: `${base}/${at}`, eventTypes: ['client.created'], ...settings }
        ids.push((await call('POST', '/webhook-endpoints', endpoint)).id)
      }
      return ids
    },
  }
}

/** What the bench reads of answers. */
interface Answer {
  id: string
  tenant: { id: string }
  adminKeys: { key: string }[]
}

/** A new organization's sandbox. */
export async function aNewCustomer(url: string, operatorKey: string): Promise<Customer> {
  const operator = await aCustomer(url, operatorKey)
  const { adminKeys } = await operator.call('POST', '/organizations', { name: 'Bench' })
  return await aCustomer(url, adminKeys[1]?.key ?? '')
}
