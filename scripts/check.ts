import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'

/** `npm run check`: everything that can be said without running the program, all at once. */
const checks: Record<string, string[]> = {
  'the contract is sound': ['redocly', 'lint'],
  'generated/ is what spec/ and migrations/ make': ['node', 'scripts/generate.ts', '--check'],
  'packages/ is emitted as it is written': ['node', 'scripts/emit.ts', '--check'],
  'types fit': ['tsc', '--noEmit'],
  'imports lead where they may': ['node', 'scripts/check-imports.ts'],
  'format and style': ['biome', 'ci', `--colors=${process.stdout.isTTY ? 'force' : 'off'}`, '.'],
}

const environment = {
  ...process.env,
  PATH: [join(process.execPath, '..'), 'node_modules/.bin', process.env.PATH].join(delimiter),
  REDOCLY_TELEMETRY: 'off',
  REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
  ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }),
}

interface Verdict {
  isGood: boolean
  output: string
  ms: number
}

const failed = await Promise.all(
  Object.entries(checks).map(async ([name, command]) => {
    const { isGood, output, ms } = await run(command)
    const seconds = `${(ms / 1000).toFixed(1)} s`
    console.log(`${isGood ? '✓' : '✗'} ${name.padEnd(48)} ${seconds.padStart(7)}`)
    return isGood ? [] : [{ name, command, output }]
  }),
)

for (const { name, command, output } of failed.flat()) {
  console.error(`\n✗ ${name}: ${command.join(' ')}\n\n${output.trim()}`)
  process.exitCode = 1
}

function run([program = '', ...words]: string[]): Promise<Verdict> {
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  const startedAt = performance.now()
  const child = spawn(program, words, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const pieces: Buffer[] = []
  const end = (isGood: boolean) => {
    const output = Buffer.concat(pieces).toString()
    resolve({ isGood, output, ms: performance.now() - startedAt })
  }
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
  child.stderr.on('data', (piece: Buffer) => pieces.push(piece))
  child.once('error', (error) => {
    pieces.push(Buffer.from(`${error.message}\n`))
    end(false)
  })
  child.once('close', (code) => end(code === 0))
  return promise
}
