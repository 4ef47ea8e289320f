import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import document from '#generated/openapi.json' with { type: 'json' }
import { contractFiles } from '../../generate/files.ts'

const project = fileURLToPath(new URL('../../..', import.meta.url))
const methods = new Set(['get', 'post', 'put', 'patch', 'delete'])

interface Contract {
  paths: Record<string, Record<string, { operationId?: string }>>
  components: { schemas: Record<string, unknown> }
}

/**
 * A copy of the project whose contract has so many operations: those of ours, and then the same
 * again under other names and with schemas of their own. It goes through our generator as any
 * contract does.
 */
export async function openWorkshop(operations: number): Promise<Disposable & { folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'ubos-bench-start-'))
  for (const part of ['package.json', 'src', 'scripts', 'generated/tables.ts']) {
    cpSync(join(project, part), join(folder, part), { recursive: true })
  }
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'))
  const root = join(folder, 'spec', 'openapi.yaml')
  mkdirSync(dirname(root))
  writeFileSync(root, JSON.stringify(withOperations(document as unknown as Contract, operations)))
  for (const [path, text] of await contractFiles(root)) {
    const file = join(folder, 'generated', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) }
}

function withOperations(contract: Contract, wanted: number): Contract {
  const { paths, components } = contract
  const twins = twinsOf(contract)
  const all = [...Object.entries(paths), ...Object.entries(twins.paths)]
  let count = 0
  const chosen = all.flatMap(([path, item]) => {
    const kept = Object.entries(item).filter(([name]) => !methods.has(name) || count++ < wanted)
    return kept.some(([name]) => methods.has(name)) ? [[path, Object.fromEntries(kept)]] : []
  })
  if (count < wanted) throw new Error(`there are ${count} operations only`)
  return {
    ...contract,
    paths: Object.fromEntries(chosen),
    components: {
      ...components,
      schemas: { ...components.schemas, ...twins.components.schemas },
    },
  }
}

/** Everything once more under other names, so that nothing of it is compiled already. */
function twinsOf({ paths, components }: Contract): Contract {
  const renamed = (value: unknown) =>
    JSON.parse(
      JSON.stringify(value).replaceAll(/("#\/components\/schemas\/\w+)"/g, '$1Twin"'),
      (key, member) =>
        key === 'operationId' && typeof member === 'string' ? `${member}Twin` : member,
    )
  const schemas = Object.entries(components.schemas).map(([name, schema]) => {
    return [`${name}Twin`, renamed(schema)]
  })
  const twinPaths = Object.entries(paths)
    .filter(([path]) => path.startsWith('/api/v1/'))
    .map(([path, item]) => [path.replace('/api/v1/', '/api/v1/twin-'), renamed(item)])
  return {
    paths: Object.fromEntries(twinPaths),
    components: { schemas: Object.fromEntries(schemas) },
  }
}
