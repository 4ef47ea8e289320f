import ts from 'typescript'

/** What a source file says that the rules of the house are about. */
export interface Source {
  path: string
  imports: Import[]
  uses: Use[]
}

export interface Import {
  /** As written: `./client.ts`, `#clients/client.ts`, `node:fs`, `undici`. */
  from: string
  /** The path of the file meant, when it is one of ours. */
  target: string | undefined
  /** Names taken by value; `*` when all. */
  names: string[]
  isTypeOnly: boolean
  line: number
}

/** A use of the world outside the imports. */
export interface Use {
  what: 'fetch' | 'process.env' | 'clock' | 'randomness' | 'timer' | 'default export'
  line: number
}

export function readSource(path: string, text: string): Source {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const source: Source = { path, imports: [], uses: [] }
  const lineOf = (node: ts.Node) => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1
  const visit = (node: ts.Node): void => {
    const found = readImport(node, path)
    if (found) source.imports.push({ ...found, line: lineOf(node) })
    const what = readUse(node)
    if (what) source.uses.push({ what, line: lineOf(node) })
    ts.forEachChild(node, visit)
  }
  visit(file)
  return source
}

function readImport(node: ts.Node, path: string): Omit<Import, 'line'> | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const from = node.moduleSpecifier.text
    return { from, target: resolveTarget(path, from), ...readClause(node.importClause) }
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
    const from = (node.moduleSpecifier as ts.StringLiteral).text
    const { isTypeOnly } = node
    return { from, target: resolveTarget(path, from), names: ['*'], isTypeOnly }
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments
    if (!argument || !ts.isStringLiteral(argument)) return undefined
    const from = argument.text
    return { from, target: resolveTarget(path, from), names: ['*'], isTypeOnly: false }
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    const from = (node.argument.literal as ts.StringLiteral).text
    return { from, target: resolveTarget(path, from), names: [], isTypeOnly: true }
  }
  return undefined
}

function readClause(clause: ts.ImportClause | undefined) {
  if (clause === undefined) return { names: ['*'], isTypeOnly: false }
  const { namedBindings } = clause
  const names = clause.name ? ['default'] : []
  if (namedBindings && ts.isNamespaceImport(namedBindings)) names.push('*')
  if (namedBindings && ts.isNamedImports(namedBindings)) {
    const values = namedBindings.elements.filter((element) => !element.isTypeOnly)
    names.push(...values.map((element) => (element.propertyName ?? element.name).text))
  }
  const isTypeOnly = clause.isTypeOnly || names.length === 0
  return { names: isTypeOnly ? [] : names, isTypeOnly }
}

function readUse(node: ts.Node): Use['what'] | undefined {
  if (ts.isExportAssignment(node)) return 'default export'
  if (ts.isExportSpecifier(node) && node.name.text === 'default') return 'default export'
  const isDefault = node.kind === ts.SyntaxKind.DefaultKeyword
  if (isDefault && !ts.isDefaultClause(node.parent)) return 'default export'
  if (ts.isNewExpression(node)) {
    const isNow = node.expression.getText() === 'Date' && !node.arguments?.length
    return isNow ? 'clock' : undefined
  }
  if (ts.isPropertyAccessExpression(node)) return worldlyProperties[node.getText()]
  if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression)) return undefined
  return worldlyCalls[node.expression.text]
}

const worldlyProperties: Record<string, Use['what']> = {
  'process.env': 'process.env',
  'globalThis.fetch': 'fetch',
  'Date.now': 'clock',
  'performance.now': 'clock',
  'process.hrtime': 'clock',
  'Math.random': 'randomness',
  'crypto.randomUUID': 'randomness',
  'crypto.getRandomValues': 'randomness',
}

const worldlyCalls: Record<string, Use['what']> = {
  fetch: 'fetch',
  setTimeout: 'timer',
  setInterval: 'timer',
  setImmediate: 'timer',
}

function resolveTarget(path: string, from: string): string | undefined {
  if (from.startsWith('#generated/')) return from.slice(1)
  if (from.startsWith('#')) return `src/${from.slice(1)}`
  if (!from.startsWith('.')) return undefined
  const steps = path.split('/').slice(0, -1)
  for (const step of from.split('/')) {
    if (step === '..') steps.pop()
    else if (step !== '.') steps.push(step)
  }
  return steps.join('/')
}
