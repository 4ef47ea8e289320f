import { problem } from './problem.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Parses a JSON body from its raw bytes; throws `malformed_json` that says what is wrong. */
export function parseJson(raw: Buffer): unknown {
  const text = decode(raw)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'not JSON'
    throw problem('malformed_json', { detail: `The body is not JSON: ${reason}.`, cause })
  }
  // Postgres keeps no NUL in text, so it is refused where it can still be named.
  if (text.includes('\\u0000')) refuseNul(value, '')
  return value
}

function decode(raw: Buffer): string {
  try {
    return utf8.decode(raw)
  } catch (cause) {
    throw problem('malformed_json', { detail: 'The body is not UTF-8.', cause })
  }
}

function refuseNul(value: unknown, pointer: string): void {
  if (typeof value === 'string' && value.includes('\0')) {
    throw problem('invalid_request', {
      errors: [{ pointer, code: 'nul_character', message: 'must not contain a NUL character' }],
    })
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, member] of Object.entries(value)) {
    const step = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    refuseNul(name, step)
    refuseNul(member, step)
  }
}
