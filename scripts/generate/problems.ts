import { refuse } from './breach.ts'
import { asObject, asStrings, asText, isObject, type JsonObject, lookUp } from './json.ts'
import { header, literal } from './print.ts'

const where = '/components/schemas/ProblemCode'

/** `generated/problems.ts`: type, status, title and description of every problem code. */
export function printProblems(document: JsonObject): string {
  const schema = lookUp(document, where)
  if (!isObject(schema)) return `${header}export const problems = {} as const\n`
  const codes = asStrings(schema.enum).sort()
  const described = asObject(schema['x-problems'])
  for (const code of codes) {
    if (!(code in described)) refuse(`${where}/x-problems`, `'${code}' of enum is not described.`)
  }
  for (const code of Object.keys(described)) {
    if (!codes.includes(code)) refuse(`${where}/x-problems/${code}`, 'Its code is not in enum.')
  }
  const entries = codes.map((code) => [code, readProblem(described, code)])
  return [
    header,
    "import type { ProblemCode } from './types.ts'\n\n",
    '/** What each problem code means: its HTTP status, and words for people. */\n',
    `export const problems = ${literal(Object.fromEntries(entries))} as const satisfies Record<\n`,
    '  ProblemCode,\n  { type: string; status: number; title: string; description: string }\n>\n',
  ].join('')
}

function readProblem(described: JsonObject, code: string) {
  const { status, title, description, type, ...others } = asObject(described[code])
  const at = `${where}/x-problems/${code}`
  const isComplete = typeof status === 'number' && asText(title) && asText(description)
  if (!isComplete || Object.keys(others).length > 0) {
    refuse(at, 'A problem has status, title and description, and at most a type.')
  }
  if (status < 400 || status > 599) refuse(`${at}/status`, `${status} is no error status.`)
  return {
    type: type === undefined ? `/problems/${code}` : asText(type),
    status,
    title,
    description: asText(description).trim(),
  }
}
