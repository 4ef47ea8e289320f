import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * The *address guard*. Customers tell us where to send, so that what they name must never be a
 * machine inside our own walls (server-side request forgery). Everything that is not global
 * unicast is refused: once when a URL is written down, for a human's sake, and again for every
 * address that is about to be dialled (`dial.ts`), for safety's sake.
 */
export interface EgressPolicy {
  /** True in development only: receivers on this machine. */
  readonly allowLoopback: boolean
  /** True in production. */
  readonly httpsOnly: boolean
}

export type AddressVerdict = { ok: true } | { ok: false; reason: string }
export type UrlVerdict = { ok: true; url: URL } | { ok: false; reason: string }

const urlLengthMax = 2048

/** Ports below this belong to other protocols: an e-mail server can be made to read HTTP. */
const firstFreePort = 1024

/**
 * Names that only a private network resolves (RFC 6761, 6762, 8375, ICANN's `.internal`), and those
 * that clusters give to what runs in them.
 */
const privateSuffixes = [
  ...['local', 'internal', 'intranet', 'private', 'lan', 'home', 'corp', 'localdomain'],
  ...['home.arpa', 'onion', 'svc', 'consul', 'docker'],
]

/** `reason` is a whole sentence for whoever wrote the URL. */
export function judgeUrl(text: string, policy: EgressPolicy): UrlVerdict {
  if (text.length > urlLengthMax) return no(`The URL is longer than ${urlLengthMax} characters.`)
  // URL parsers drop tabs and turn backslashes: what a human reads would not be what is dialled.
  if (hasOddCharacter(text)) return no('The URL holds a space, a control character or a backslash.')

  const url = URL.parse(text)
  if (url === null) return no('The URL is not absolute, or not well formed.')
  const objection = objectionToParts(text, url, policy) ?? objectionToHost(text, url, policy)
  return objection === undefined ? { ok: true, url } : no(objection)
}

/** Takes an address as resolvers and sockets write it: dotted decimal or IPv6. */
export function judgeAddress(ip: string, policy: EgressPolicy): AddressVerdict {
  const plain = withoutDots(ip)
  if (plain === undefined) return no(`${ip} is not an IP address.`)
  const range = rangeOf(plain)
  if (range === 'unicast') return { ok: true }
  if (range === 'loopback' && policy.allowLoopback) return { ok: true }
  return no(`${ip} is ${words[range] ?? 'not a public address'}.`)
}

function hasOddCharacter(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  return /[\s\\\u0000-\u001f\u007f]/.test(text)
}

function objectionToParts(text: string, url: URL, policy: EgressPolicy): string | undefined {
  if (!/^https?:\/\/[^/]/i.test(text) || (url.protocol === 'http:' && policy.httpsOnly)) {
    return `The URL must begin with https://${policy.httpsOnly ? '' : ' or http://'}.`
  }
  if (url.username !== '' || url.password !== '' || authorityOf(text).includes('@')) {
    return 'The URL must not hold a user name or password.'
  }
  if (text.includes('#')) return 'The URL must not hold a fragment (#).'

  const isUsual = url.port === '' || url.port === '80' || url.port === '443'
  if (!isUsual && Number(url.port) < firstFreePort) {
    return `Port ${url.port} is not for HTTP; use 443, 80 or one from ${firstFreePort} up.`
  }
  return undefined
}

function objectionToHost(text: string, url: URL, policy: EgressPolicy): string | undefined {
  const host = url.hostname
  const ip = host.startsWith('[') ? host.slice(1, -1) : host
  if (isIP(ip) !== 0) {
    const verdict = judgeAddress(ip, policy)
    if (!verdict.ok) return verdict.reason
    return isPlainlyWritten(text, host) ? undefined : `Write the address plainly, as ${host}.`
  }
  if (host.endsWith('.')) return 'The host name must not end in a dot.'
  if (isLocalhost(host)) return policy.allowLoopback ? undefined : `${host} is this machine itself.`

  const suffix = privateSuffixes.find((name) => host === name || host.endsWith(`.${name}`))
  if (suffix !== undefined) return `Names under .${suffix} belong to private networks.`
  const isFullName = /^([^.]{1,63}\.)+[^.]{1,63}$/.test(host) && host.length <= 253
  return isFullName ? undefined : `${host} is not a full domain name.`
}

/** RFC 6761: every name under `localhost` means this machine; resolvers need not be asked. */
export function isLocalhost(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost')
}

/** `0x7f.1`, `2130706433` and `１２７.0.0.1` are all addresses to a URL parser. */
function isPlainlyWritten(text: string, host: string): boolean {
  if (host.startsWith('[')) return true
  return authorityOf(text).replace(/:\d*$/, '') === host
}

function authorityOf(text: string): string {
  return /^\w+:\/\/([^/?#]*)/.exec(text)?.[1] ?? ''
}

/**
 * Resolvers write the last of an IPv6 address with dots where it looks like IPv4, and our parser takes
 * `::8.8.8.8` for the mapped address `::ffff:8.8.8.8`, which is another one. Undefined for a zone too.
 */
function withoutDots(ip: string): string | undefined {
  if (isIP(ip) !== 6) return isIP(ip) === 4 ? ip : undefined
  return URL.parse(`http://[${ip}]`)?.hostname.slice(1, -1)
}

/** Public by its number, and yet a door into every virtual machine on Azure. */
const azureHostAddress = '168.63.129.16'

function rangeOf(ip: string): string {
  const address = ipaddr.parse(ip)
  if (address instanceof ipaddr.IPv4) {
    return address.toString() === azureHostAddress ? 'metadata' : address.range()
  }
  if (address.isIPv4MappedAddress()) return rangeOf(address.toIPv4Address().toString())
  const range = address.range()
  // Only 2000::/3 has been given out as global unicast (RFC 4291 §2.4, IANA).
  const isGlobal = (address.parts[0] ?? 0) >> 13 === 0b001
  return range === 'unicast' && !isGlobal ? 'unassigned' : range
}

const words: Readonly<Record<string, string>> = {
  unspecified: 'an unspecified address',
  loopback: 'an address of this machine itself',
  private: 'a private address',
  uniqueLocal: 'a private address',
  deprecatedSiteLocal: 'a private address',
  linkLocal: 'a link-local address, where clouds keep their metadata',
  metadata: "a cloud's metadata address",
  carrierGradeNat: 'an address behind a carrier',
  multicast: 'a multicast address',
  broadcast: 'the broadcast address',
  reserved: 'a reserved address',
  rfc6052: 'a translation of an IPv4 address (NAT64)',
  rfc6145: 'a translation of an IPv4 address',
  '6to4': 'a tunnel to an IPv4 address (6to4)',
  teredo: 'a tunnel to an IPv4 address (Teredo)',
}

function no(reason: string): { ok: false; reason: string } {
  return { ok: false, reason }
}
