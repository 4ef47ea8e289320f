/*
 * Some senders prove who they are by a secret within the body (`clientState` of Microsoft Graph). Who may
 * read what came in could otherwise send in its sender's name.
 */

const asterisk = 0x2a
const quote = 0x22
const backslash = 0x5c

/**
 * The bytes with an asterisk for each byte of a secret, as it stands there and as JSON may write it with
 * escapes: of such a string all is hidden. The length stays.
 */
export function masked(body: Buffer, secrets: readonly string[]): Buffer {
  const shown = Buffer.from(body)
  const known = secrets.filter((secret) => secret !== '')
  if (known.length === 0) return shown
  for (const [start, end] of escapedStrings(shown)) {
    const text = unescaped(shown.subarray(start - 1, end + 1))
    if (known.some((secret) => text.includes(secret))) shown.fill(asterisk, start, end)
  }
  for (const secret of known) {
    const { length } = Buffer.from(secret)
    for (let at = shown.indexOf(secret); at !== -1; at = shown.indexOf(secret, at + length)) {
      shown.fill(asterisk, at, at + length)
    }
  }
  return shown
}

/** Where the strings are, without their quotes, in which there is an escape. */
function* escapedStrings(bytes: Buffer): Generator<[start: number, end: number]> {
  for (let open = bytes.indexOf(quote); open !== -1; ) {
    let at = open + 1
    let isEscaped = false
    while (at < bytes.length && bytes[at] !== quote) {
      if (bytes[at] === backslash) {
        isEscaped = true
        at += 1
      }
      at += 1
    }
    if (isEscaped && at < bytes.length) yield [open + 1, at]
    open = bytes.indexOf(quote, at + 1)
  }
}

function unescaped(written: Buffer): string {
  try {
    return JSON.parse(written.toString())
  } catch {
    return ''
  }
}
