import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

/**
 * `npm run emit` writes what others install as plain JavaScript with its types: for each
 * `packages/<name>/*.ts` a `.js` and a `.d.ts` in `dist/`. With `--check` it writes nothing and fails
 * when they are not what the sources make.
 */
const isCheck = process.argv.includes('--check')
const stale: string[] = []

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  strict: true,
  newLine: ts.NewLineKind.LineFeed,
}

for (const name of readdirSync('packages')) {
  const folder = join('packages', name)
  for (const file of readdirSync(folder).filter((one) => one.endsWith('.ts'))) {
    emit(folder, file)
  }
}
if (stale.length > 0) {
  console.error(`Not what packages/ makes; run \`npm run emit\`:\n  ${stale.join('\n  ')}`)
  process.exitCode = 1
} else console.log(isCheck ? 'packages/ is emitted as it is written' : 'emitted')

function emit(folder: string, file: string): void {
  const source = readFileSync(join(folder, file), 'utf8')
  const target = join(folder, 'dist', file.replace(/\.ts$/, ''))
  const script = ts.transpileModule(source, {
    fileName: file,
    // Comments are in the types, where an editor shows them; the code is small.
    compilerOptions: { ...options, removeComments: true },
  })
  const types = ts.transpileDeclaration(source, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: { ...options, isolatedDeclarations: true, declaration: true },
  })
  const faults = [...(script.diagnostics ?? []), ...(types.diagnostics ?? [])]
  for (const { messageText } of faults) {
    throw new Error(`${join(folder, file)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
  }
  put(`${target}.js`, script.outputText)
  put(`${target}.d.ts`, types.outputText)
}

function put(path: string, text: string): void {
  if (isCheck) {
    if (readOr(path) !== text) stale.push(path)
    return
  }
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text)
}

function readOr(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
