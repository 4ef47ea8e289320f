import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

/**
 * `npm run emit` writes what others install as plain JavaScript with its types: for each
 * `packages/<name>/*.ts` a `.js` in `dist/`, and a `.d.ts` where the package is imported, not run. With `--check` it writes nothing and fails
 * when they are not what the sources make.
 */
const isCheck = process.argv.includes('--check')
const stale: string[] = []

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
  strict: true,
  newLine: ts.NewLineKind.LineFeed,
}

for (const name of readdirSync('packages')) {
  const folder = join('packages', name)
  const isProgram = existsSync(join(folder, 'cli.ts'))
  for (const file of readdirSync(folder).filter((one) => one.endsWith('.ts'))) {
    emit(folder, file, isProgram)
  }
}
if (stale.length > 0) {
  console.error(`Not what packages/ makes; run \`npm run emit\`:\n  ${stale.join('\n  ')}`)
  process.exitCode = 1
} else console.log(isCheck ? 'packages/ is emitted as it is written' : 'emitted')

function emit(folder: string, file: string, isProgram: boolean): void {
  const source = readFileSync(join(folder, file), 'utf8')
  const target = join(folder, 'dist', file.replace(/\.ts$/, ''))
  const script = ts.transpileModule(source, {
    fileName: file,
    // Comments are in the types, where an editor shows them; the code is small.
    compilerOptions: { ...options, removeComments: true },
  })
  if (isProgram) {
    refuseFaults(folder, file, script.diagnostics)
    put(`${target}.js`, script.outputText)
    return
  }
  const types = ts.transpileDeclaration(source, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: { ...options, isolatedDeclarations: true, declaration: true },
  })
  refuseFaults(folder, file, [...(script.diagnostics ?? []), ...(types.diagnostics ?? [])])
  put(`${target}.js`, script.outputText)
  put(`${target}.d.ts`, types.outputText)
}

function refuseFaults(folder: string, file: string, faults: readonly ts.Diagnostic[] = []): void {
  for (const { messageText } of faults) {
    throw new Error(`${join(folder, file)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
  }
}

function put(path: string, text: string): void {
  if (isCheck) {
    if (readOr(path) !== text) stale.push(path)
    return
  }
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text)
  if (text.startsWith('#!')) chmodSync(path, 0o755)
}

function readOr(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
