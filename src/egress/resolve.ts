import { Resolver } from 'node:dns/promises'
import { isLocalhost } from './address.ts'

/** All addresses of a host name, IPv4 first; rejects when there is none. */
export type Resolve = (hostname: string) => Promise<readonly string[]>

/**
 * Asks DNS over sockets (c-ares) rather than by `getaddrinfo`: that one waits in two threads that
 * the whole process shares, so that two customers with hanging name servers would stop everybody's
 * new connections. The price is that `/etc/hosts` is not read, whose names are private anyway.
 * Lookups of one name at the same moment are one lookup; answers are not kept, since a connection
 * is kept instead. `servers` are addresses of name servers; without them, the system's.
 */
export function createResolver(servers: readonly string[] = []): Resolve {
  const asking = new Map<string, Promise<readonly string[]>>()
  let resolver = newResolver(servers)

  async function ask(hostname: string): Promise<readonly string[]> {
    try {
      return await askBoth(resolver, hostname)
    } catch (error) {
      // A resolver keeps the name servers that it began with: after a change of network, a new one.
      if (!isAboutTheName(error)) resolver = newResolver(servers)
      throw error
    } finally {
      asking.delete(hostname)
    }
  }

  return (hostname) => {
    if (isLocalhost(hostname)) return Promise.resolve(['127.0.0.1', '::1'])
    const known = asking.get(hostname)
    if (known !== undefined) return known
    const fresh = ask(hostname)
    asking.set(hostname, fresh)
    return fresh
  }
}

function newResolver(servers: readonly string[]): Resolver {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  if (servers.length > 0) resolver.setServers(servers)
  return resolver
}

async function askBoth(resolver: Resolver, hostname: string): Promise<readonly string[]> {
  const [four, six] = await Promise.allSettled([
    resolver.resolve4(hostname),
    resolver.resolve6(hostname),
  ])
  const addresses = [four, six].flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  if (addresses.length === 0 && four.status === 'rejected') throw four.reason
  return addresses
}

function isAboutTheName(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOTFOUND' || code === 'ENODATA'
}
