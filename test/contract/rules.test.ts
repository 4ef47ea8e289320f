import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'

/**
 * A house rule is worth having if it stays silent on a good contract, and in a bad one points at
 * the very lines that are wrong while the other rules stay silent. In a bad fixture those lines
 * say `# wrong`. One run of the linter judges all fixtures.
 */
const fixtures = 'spec/rules/fixtures'
const rules = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

interface Verdict {
  rules: Set<string>
  lines: Set<number>
}

const verdicts = new Map<string, Verdict>()
beforeAll(async () => {
  const files = rules.flatMap((rule) => [fileOf(rule, 'good'), fileOf(rule, 'bad')])
  const reports = await lint(files)
  for (const [index, file] of files.entries()) {
    const problems = reports[index] ?? []
    verdicts.set(file, {
      rules: new Set(problems.map(({ ruleId }) => ruleId)),
      lines: new Set(problems.flatMap(({ location }) => location.map(({ start }) => start.line))),
    })
  }
}, 60_000)

describe.each(rules)('the rule %s', (rule) => {
  test('is silent on its good example', () => {
    expect(verdicts.get(fileOf(rule, 'good'))?.rules).toEqual(new Set())
  })

  test('alone refuses its bad example, at each line that is wrong and no other', () => {
    const file = fileOf(rule, 'bad')
    expect(verdicts.get(file)?.rules).toEqual(new Set([`house/${rule}`]))
    expect(verdicts.get(file)?.lines).toEqual(wrongLines(file))
  })
})

test('every house rule has examples, and judges the contract as an error', () => {
  const named = readdirSync('spec/rules')
    .filter((name) => name.endsWith('.js') && !['house.js', 'walk.js'].includes(name))
    .map((name) => name.replace('.js', ''))
  expect(rules.toSorted()).toEqual(named.toSorted())
  for (const config of ['redocly.yaml', `${fixtures}/redocly.yaml`]) {
    const { rules: levels } = parse(readFileSync(config, 'utf8'))
    for (const rule of named) expect(levels[`house/${rule}`], `${rule} in ${config}`).toBe('error')
  }
})

function fileOf(rule: string, kind: 'good' | 'bad'): string {
  return `${fixtures}/${rule}/${kind}.yaml`
}

/** The lines of a bad fixture that say that they are wrong, counted from 1. */
function wrongLines(file: string): Set<number> {
  const lines = readFileSync(file, 'utf8').split('\n')
  return new Set(lines.flatMap((line, index) => (line.endsWith('# wrong') ? [index + 1] : [])))
}

interface Complaint {
  ruleId: string
  location: { start: { line: number } }[]
}

/** What the linter has to say about each file, in the order of the files. */
async function lint(files: readonly string[]): Promise<Complaint[][]> {
  const program = 'node_modules/@redocly/cli/bin/cli.js'
  const options = ['--config', `${fixtures}/redocly.yaml`, '--format', 'json']
  const limit = ['--max-problems', '1000']
  // Bad examples make the linter fail, as they should; what it printed is its verdict.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, 'lint', ...files, ...options, ...limit],
    { env: { ...process.env, REDOCLY_TELEMETRY: 'off' }, maxBuffer: 16 * 1024 * 1024 },
  ).catch((failure: { stdout: string }) => failure)
  const reports = stdout.split(/(?<=^\})\s*(?=\{)/m).map((text) => JSON.parse(text))
  expect(reports).toHaveLength(files.length)
  return reports.map(({ problems }) => problems)
}
