import ipaddr from 'ipaddr.js'

/**
 * An *allow-list* names the addresses that a key may be used from, one by one or as ranges; an empty
 * one names all. It is kept in canonical form, so that equal lists are equal texts. IPv4 and IPv6
 * are apart: no range of one holds an address of the other, and IPv4 within IPv6 is IPv4.
 */
export type AllowList = readonly string[]

interface Range {
  first: ipaddr.IPv4 | ipaddr.IPv6
  bits: number
}

export type RangeVerdict = { ok: true; text: string } | { ok: false; reason: string }

/** Reads one entry as people write it; `reason` goes on from the entry: `is not …`. */
export function readRange(text: string): RangeVerdict {
  const range = parse(text)
  if (typeof range === 'string') return { ok: false, reason: range }
  const first = firstOf(range)
  if (first.toString() !== range.first.toString()) {
    const suggestion = textOf({ ...range, first })
    return { ok: false, reason: `begins within its range; write ${suggestion}` }
  }
  return { ok: true, text: textOf(range) }
}

/** A list that answers quickly, made once for many calls. Its entries are canonical. */
export function matcherOf(list: AllowList): (ip: string | null) => boolean {
  if (list.length === 0) return () => true
  const ranges = list.map(rangeOf)
  return (ip) => {
    if (ip === null || !ipaddr.isValid(ip)) return false
    const address = ipaddr.process(ip)
    return ranges.some((range) => holds(range, address))
  }
}

/** Whether whoever is bound by `outer` may hand out `inner`: each entry lies within one of `outer`. */
export function isWithin(inner: AllowList, outer: AllowList): boolean {
  if (outer.length === 0) return true
  const bounds = outer.map(rangeOf)
  return (
    inner.length > 0 &&
    inner
      .map(rangeOf)
      .every(({ first, bits }) => bounds.some((bound) => bound.bits <= bits && holds(bound, first)))
  )
}

function holds({ first, bits }: Range, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return address.kind() === first.kind() && address.match(first, bits)
}

/** An entry that was read before. */
function rangeOf(text: string): Range {
  const range = parse(text)
  if (typeof range === 'string') throw new Error(`${text} ${range}`)
  return range
}

const mappedBits = 96

/** Answers what is wrong with the text when it is no range. */
function parse(text: string): Range | string {
  const [written = '', prefix, ...more] = text.split('/')
  // Strictly: the parser would take 127.1, octal and hexadecimal digits as well.
  const isPlain = ipaddr.IPv4.isValidFourPartDecimal(written) || isPlainIpv6(written)
  if (!isPlain || more.length > 0) return 'is not an IPv4 or IPv6 address or CIDR range'
  const raw = ipaddr.parse(written)
  const first = ipaddr.process(written)
  const widest = raw.kind() === 'ipv4' ? 32 : 128
  const bits = prefix === undefined ? widest : Number(prefix)
  if (prefix !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefix)) return 'has no such prefix length'
  if (bits > widest) return `has a prefix longer than ${widest}`
  if (raw.kind() === first.kind()) return { first, bits }
  if (bits < mappedBits) return 'is IPv4 written within IPv6; write it as IPv4'
  return { first, bits: bits - mappedBits }
}

function isPlainIpv6(text: string): boolean {
  return text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text)
}

function firstOf({ first, bits }: Range): ipaddr.IPv4 | ipaddr.IPv6 {
  return first.kind() === 'ipv4'
    ? ipaddr.IPv4.networkAddressFromCIDR(`${first}/${bits}`)
    : ipaddr.IPv6.networkAddressFromCIDR(`${first}/${bits}`)
}

function textOf({ first, bits }: Range): string {
  const isSingle = bits === (first.kind() === 'ipv4' ? 32 : 128)
  return isSingle ? first.toString() : `${first}/${bits}`
}
