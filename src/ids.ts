/**
 * Ids say what they name and when it was made: a prefix, then the base32 (Crockford, lower case) of
 * a UUIDv7. They sort by time, also as text, and the day inside an id is the partition of its row.
 */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** Every kind of thing that has an id, by its prefix. */
export type IdPrefix =
  | 'org'
  | 'ten'
  | 'key'
  | 'sva'
  | 'sec'
  | 'cli'
  | 'pro'
  | 'inv'
  | 'pay'
  | 'ref'
  | 'whe'
  | 'whs'
  | 'wsk'
  | 'whd'
  | 'att'
  | 'msg'
  | 'evt'
  | 'aud'
  | 'req'
  | 'job'
  | 'sch'
  | 'evc'
  | 'bat'
  | 'src'
  | 'rcp'

export type Id<Prefix extends IdPrefix> = `${Prefix}_${string}`

declare const tenantBrand: unique symbol
/**
 * A tenant's id that came from a verified key or from our own tables. Of a request it is taken in one
 * place, where what is read is public.
 */
export type TenantId = Id<'ten'> & { readonly [tenantBrand]: true }

const tenantPattern = /^ten_[0-6][0-9a-hjkmnp-tv-z]{25}$/

/** Brands a tenant's id; throws on anything that is not one, since it will stand in SQL. */
export function tenantId(text: string): TenantId {
  if (!tenantPattern.test(text)) throw new Error('not a tenant id')
  return text as TenantId
}

/** The reserved tenant in which the operators' calls run; it holds the organizations. */
export const operatorTenantId = tenantId('ten_00000000000000000000000000')
export const operatorOrganizationId: Id<'org'> = 'org_00000000000000000000000000'

/** 16 bytes as 26 characters: two zero bits, then 128. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = ''
  let buffer = 0
  let bits = 2
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(buffer >> bits) & 31]
    }
    buffer &= (1 << bits) - 1
  }
  return text
}

/** The moment inside an id, in ms since 1970: its first ten characters are the 48 bits of time. */
export function timeOf(id: string): number {
  const start = id.indexOf('_') + 1
  let ms = 0
  for (let at = start; at < start + 10; at += 1) ms = ms * 32 + alphabet.indexOf(id.charAt(at))
  return ms
}

const dayMs = 24 * 60 * 60 * 1000
/** Most ids that we look at are of one day, and writing it out takes longer than reading the id. */
let lastDay = { number: 0, text: '1970-01-01' }

/** The UTC day inside an id, as `YYYY-MM-DD`: the partition that its row lives in. */
export function dayOf(id: string): string {
  const number = Math.floor(timeOf(id) / dayMs)
  if (number !== lastDay.number) {
    lastDay = { number, text: new Date(number * dayMs).toISOString().slice(0, 10) }
  }
  return lastDay.text
}

/** The least id that could have been made at a moment, in ms since 1970. */
export function firstIdAt<Prefix extends IdPrefix>(prefix: Prefix, ms: number): Id<Prefix> {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(Math.min(Math.max(ms, 0), 2 ** 48 - 1), 0, 6)
  return `${prefix}_${encodeBase32(bytes)}`
}
