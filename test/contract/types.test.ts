import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, test } from 'vitest'

/** Handlers as people write them, each in a file of its own that exists only here. */
const opening = `
import type { Handlers, Operation } from '#http/operation.ts'
import type { ClientInfo } from '#generated/types.ts'
declare const client: ClientInfo
declare const handlers: Handlers
`

const snippets = {
  right: `
    export const getClient: Operation<'getClient'> =
      async (_ctx, _call, { path }) => ({ status: 200, body: { ...client, id: path.clientId } })
    export const createClient: Operation<'createClient'> =
      async (_ctx, _call, { body }) => ({
        status: 201,
        headers: { Location: '/api/v1/clients/' + client.id },
        body: { ...client, name: body.name },
      })
    export const deleteClient: Operation<'deleteClient'> = async () => ({ status: 204 })
    export const all: Handlers = handlers`,
  missing: `
    const { getClient: _, ...others } = handlers
    export const all: Handlers = others`,
  undeclared: `
    export const getClient: Operation<'getClient'> =
      async () => ({ status: 418, body: client })`,
  wrongBody: `
    export const getClient: Operation<'getClient'> =
      async () => ({ status: 200, body: { ...client, name: 42 } })`,
  lacking: `
    export const createClient: Operation<'createClient'> =
      async () => ({ status: 201, body: client })`,
  unknownParameter: `
    export const listClients: Operation<'listClients'> =
      async (_ctx, _call, { query }) => { throw new Error(query.pageSize) }`,
  defaulted: `
    export const listClients: Operation<'listClients'> =
      async (_ctx, _call, { query }) => { throw new Error(query.limit.toFixed()) }`,
  optional: `
    export const listClients: Operation<'listClients'> =
      async (_ctx, _call, { query }) => { throw new Error(query.cursor.trim()) }`,
  writesInRead: `
    export const getClient: Operation<'getClient'> =
      async (_ctx, _call, _request, tx) => { tx.queue; return { status: 200, body: client } }`,
} as const

type Name = keyof typeof snippets

const folder = resolve('test/contract/snippets')
const fileOf = (name: string) => resolve(folder, `${name}.ts`)
let program: ts.Program

beforeAll(() => {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd())
  const texts = new Map(
    Object.entries(snippets).map(([name, text]) => [fileOf(name), `${opening}${text}\n`]),
  )
  const plain = { ...options, incremental: false, noUnusedLocals: false }
  delete plain.tsBuildInfoFile
  const host = ts.createCompilerHost(plain)
  const { getSourceFile, fileExists, readFile } = host
  host.fileExists = (file) => texts.has(file) || fileExists(file)
  host.readFile = (file) => texts.get(file) ?? readFile(file)
  host.getSourceFile = (file, ...others) => {
    const text = texts.get(file)
    if (text === undefined) return getSourceFile.call(host, file, ...others)
    return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  }
  program = ts.createProgram([...texts.keys()], plain, host)
}, 60_000)

/** The first line of each complaint about a snippet. */
function complaints(name: Name): string[] {
  const file = program.getSourceFile(fileOf(name))
  assert.ok(file)
  const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
  return found.map(({ messageText }) => {
    return typeof messageText === 'string' ? messageText : messageText.messageText
  })
}

/** Exactly one complaint, in one line that names the operation. */
function complainsOnce(name: Name, ...words: RegExp[]): void {
  const found = complaints(name)
  assert.equal(found.length, 1, found.join('\n'))
  for (const word of words) assert.match(found[0] ?? '', word)
  assert.doesNotMatch(found[0] ?? '', /\n/)
}

describe('the compiler holds handlers to the contract', () => {
  test('what is right compiles', () => assert.deepEqual(complaints('right'), []))
  test('a default makes a parameter always there', () =>
    assert.deepEqual(complaints('defaulted'), []))

  test('a missing handler is named', () => complainsOnce('missing', /getClient/))
  test('an undeclared status', () => complainsOnce('undeclared', /418.*GetClient200/))
  test('a wrong body', () => complainsOnce('wrongBody', /GetClient200/))
  test('a required header left out', () => complainsOnce('lacking', /CreateClient201/))
  test('a parameter that the operation does not have', () =>
    complainsOnce('unknownParameter', /pageSize/))
  test('an optional parameter taken for granted', () => complainsOnce('optional', /undefined/))
  test('a read has nothing to write with', () => complainsOnce('writesInRead', /queue/))
})
