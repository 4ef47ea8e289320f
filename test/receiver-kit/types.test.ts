import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { afterAll, expect, test } from 'vitest'

/*
 * The kit is used as somebody would who has nothing but its two files: neither the types of Node nor
 * those of a browser.
 */

const folder = mkdtempSync(join(tmpdir(), 'ubos-kit-'))
afterAll(() => rmSync(folder, { recursive: true }))

const kit = resolve('packages/receiver/dist/receiver.js')

const good = `
  type Created = { type: 'client.created'; data: { name: string } }
  const verify = kit.webhookVerifier<Created>({ keys: ['whsec_x'], remember: async () => true })
  export async function handle(headers: Record<string, string | string[] | undefined>) {
    const { id, sentAt, event } = await verify({ headers, body: new Uint8Array() })
    return [id, sentAt.getTime(), event.data.name] as [string, number, string]
  }
  export const usual = async () =>
    (await kit.verifyWebhook({ headers: {}, body: '' }, { keys: [] })).event.type.length
  export const why = (error: kit.WebhookRefused): boolean => error.code === 'too_old'`

const bad = {
  'a body that was parsed': 'kit.verifyWebhook({ headers: {}, body: { a: 1 } }, { keys: [] })',
  'no keys': 'kit.webhookVerifier({})',
  'an option that does not exist': 'kit.webhookVerifier({ keys: [], tolerance: 3 })',
  'a reason that does not exist': "(e: kit.WebhookRefused) => e.code === 'old'",
}

/** What the compiler says of each program. */
function faultsOf(programs: readonly string[]): string[][] {
  const files = programs.map((code, index) => {
    const file = join(folder, `${index}.ts`)
    writeFileSync(file, `import * as kit from '${kit}'\n${code}\nexport {}\n`)
    return file
  })
  const program = ts.createProgram(files, {
    ...{ strict: true, noEmit: true, types: [], exactOptionalPropertyTypes: true },
    ...{ target: ts.ScriptTarget.ES2022, lib: ['lib.es2022.d.ts'] },
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  })
  const all = ts.getPreEmitDiagnostics(program)
  const saidOf = (name: string | undefined) =>
    all
      .filter(({ file }) => file?.fileName === name)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  expect(saidOf(undefined)).toEqual([])
  expect(saidOf(kit.replace(/js$/, 'd.ts'))).toEqual([])
  return files.map(saidOf)
}

test('the types stand alone, an event is of the type that the receiver gives, and misuse does not compile', () => {
  const [ofGood, ...ofBad] = faultsOf([good, ...Object.values(bad)])
  expect(ofGood).toEqual([])
  const told = Object.keys(bad).filter((_, index) => ofBad[index]?.length === 1)
  expect(told).toEqual(Object.keys(bad))
})
