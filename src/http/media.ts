/** Media types as they are negotiated here: pure, and strict about what they accept. */

/**
 * Which of the media types on offer an `Accept` header prefers (RFC 9110 §12.5.1): for each the most
 * specific range counts, equals go to the first. Undefined when it allows none of them.
 */
export function preferred(header: string | undefined, offered: readonly string[]) {
  // What nearly everybody sends allows the first.
  if (header === undefined || header === '*/*' || header === offered[0]) return offered[0]
  const ranges = rangesOf(header)
  if (ranges.length === 0) return offered[0]
  const weighed = offered.map((mediaType) => ({ mediaType, weight: weightOf(mediaType, ranges) }))
  const most = Math.max(...weighed.map(({ weight }) => weight))
  return most > 0 ? weighed.find(({ weight }) => weight === most)?.mediaType : undefined
}

interface Range {
  range: string
  weight: number
}

function rangesOf(header: string): Range[] {
  const parts = header.toLowerCase().split(',')
  return parts.flatMap((part) => {
    const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1'
    return range === '' ? [] : [{ range, weight: Number(weight) || 0 }]
  })
}

function weightOf(mediaType: string, ranges: readonly Range[]): number {
  const [type] = mediaType.split('/')
  for (const wanted of [mediaType, `${type}/*`, '*/*']) {
    const found = ranges.filter(({ range }) => range === wanted)
    if (found.length > 0) return Math.max(...found.map(({ weight }) => weight))
  }
  return 0
}

/**
 * The media type of a `Content-Type` header, lower case and without parameters; undefined when it is
 * missing, malformed, or names a character set other than UTF-8.
 */
export function contentTypeOf(header: string | undefined): string | undefined {
  if (header === 'application/json') return header
  const [mediaType = '', ...parameters] = (header ?? '').toLowerCase().split(';')
  const isPlain = parameters.every((parameter) => {
    const [name, value = ''] = parameter.trim().split('=')
    return name !== 'charset' || /^"?utf-?8"?$/.test(value)
  })
  const name = mediaType.trim()
  return isPlain && /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/.test(name) ? name : undefined
}
