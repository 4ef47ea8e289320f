/*
 * What JSON.parse does not tell: how deep a text is nested, and whether an object in it gives a name
 * twice. The measure is taken of every body, in one pass over its bytes; the search is made only when
 * the measure says that there is something to find.
 */

/** The depth of brackets, the members and the commas, in bytes that may not even be JSON. */
export function measure(raw: Buffer): { depth: number; members: number; commas: number } {
  let open = 0
  let depth = 0
  let members = 0
  let commas = 0
  for (let at = 0; at < raw.length; at += 1) {
    switch (raw[at]) {
      case quote:
        at = endOfString(raw, at)
        break
      case 0x3a: // a colon stands once in each member
        members += 1
        break
      case 0x2c:
        commas += 1
        break
      case 0x5b:
      case 0x7b:
        open += 1
        if (open > depth) depth = open
        break
      case 0x5d:
      case 0x7d:
        open -= 1
        break
    }
  }
  return { depth, members, commas }
}

const quote = 0x22
const backslash = 0x5c

/** Where the string that begins at `start` has its closing quote. */
function endOfString(raw: Buffer, start: number): number {
  let at = start + 1
  while (at < raw.length && raw[at] !== quote) at += raw[at] === backslash ? 2 : 1
  return at
}

/** How many members all objects of a value have together. */
export function countMembers(value: unknown): number {
  let count = 0
  const open = [value]
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    if (typeof one !== 'object' || one === null) continue
    if (Array.isArray(one)) {
      for (const item of one) open.push(item)
      continue
    }
    // Parsed from JSON it has no names but its own.
    for (const name in one) {
      count += 1
      open.push((one as Record<string, unknown>)[name])
    }
  }
  return count
}

interface Container {
  /** The names of an object so far; undefined for a list. */
  names: Set<string> | undefined
  /** The name or index of the member that is being read. */
  step: string | number
}

const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs

/** The way to the first member whose name was there before; `text` is valid JSON. */
export function findRepeatedName(text: string): string[] | undefined {
  const open: Container[] = []
  let last = ''
  for (const [token] of text.matchAll(tokens)) {
    const inner = open.at(-1)
    if (token === '{') open.push({ names: new Set(), step: '' })
    else if (token === '[') open.push({ names: undefined, step: 0 })
    else if (token === '}' || token === ']') open.pop()
    else if (token === ',' && typeof inner?.step === 'number') inner.step += 1
    else if (token === ':' && inner?.names) {
      const name: string = JSON.parse(last)
      inner.step = name
      if (inner.names.has(name)) return open.map(({ step }) => String(step))
      inner.names.add(name)
    }
    last = token
  }
  return undefined
}
