/** Media types as they are negotiated here: pure, and strict about what they accept. */

/** Whether an `Accept` header allows a media type (RFC 9110 §12.5.1, without preference). */
export function accepts(header: string | undefined, mediaType: string): boolean {
  if (header === undefined || header.trim() === '') return true
  const [type] = mediaType.split('/')
  const allowed = new Set([mediaType, `${type}/*`, '*/*'])
  return header
    .toLowerCase()
    .split(',')
    .map((range) => range.split(';').map((part) => part.trim()))
    .some(([range = '', ...parameters]) => allowed.has(range) && !parameters.some(isRefusal))
}

/** `q=0` says "anything but this". */
function isRefusal(parameter: string): boolean {
  return /^q=0(\.0{0,3})?$/.test(parameter)
}

/**
 * The media type of a `Content-Type` header, lower case and without parameters; undefined when it is
 * missing, malformed, or names a character set other than UTF-8.
 */
export function contentTypeOf(header: string | undefined): string | undefined {
  const [mediaType = '', ...parameters] = (header ?? '').toLowerCase().split(';')
  const isPlain = parameters.every((parameter) => {
    const [name, value = ''] = parameter.trim().split('=')
    return name !== 'charset' || /^"?utf-?8"?$/.test(value)
  })
  const name = mediaType.trim()
  return isPlain && /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/.test(name) ? name : undefined
}
