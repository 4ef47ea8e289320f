import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { bundle } from '../../scripts/generate/bundle.ts'
import { contractFiles } from '../../scripts/generate/files.ts'
import { sensitivity } from '../../scripts/generate/sensitive.ts'
import { staleFiles, writeFiles } from '../../scripts/generate/write.ts'

const house = join(import.meta.dirname, 'fixtures/house/spec/v1')
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ubos-generate-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A copy of the fixture, which a test may spoil; nothing about it is remembered. */
function copyHouse(): string {
  const copy = mkdtempSync(join(folder, 'house-'))
  cpSync(house, copy, { recursive: true })
  return copy
}

describe('the same contract gives the same bytes', () => {
  test('in another place, made for the first time, and made again', async () => {
    const [one, other] = [copyHouse(), copyHouse()]
    const first = await contractFiles(join(one, 'openapi.yaml'))
    const elsewhere = await contractFiles(join(other, 'openapi.yaml'))
    const again = await contractFiles(join(one, 'openapi.yaml'))
    assert.deepEqual([...elsewhere].sort(), [...first].sort())
    assert.deepEqual([...again].sort(), [...first].sort())
  })

  test('a changed constraint changes the validator and nothing else', async () => {
    const copy = copyHouse()
    const before = await contractFiles(join(copy, 'openapi.yaml'))
    const file = join(copy, 'components/schemas/ClientPatch.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace('maxLength: 200', 'maxLength: 201'))
    const after = await contractFiles(join(copy, 'openapi.yaml'))
    const changed = [...after].filter(([name, text]) => before.get(name) !== text)
    assert.deepEqual(changed.map(([name]) => name).sort(), [
      'openapi.json',
      'validators/clients.js',
    ])
  })
})

describe('what is committed cannot drift from the contract', () => {
  test('an edited, a missing and a left-over file are stale, and are put right', async () => {
    const files = await contractFiles(join(house, 'openapi.yaml'))
    const out = mkdtempSync(join(folder, 'out-'))
    writeFiles(out, files, staleFiles(out, files))
    assert.deepEqual(staleFiles(out, files), [])

    writeFileSync(join(out, 'types.ts'), `${files.get('types.ts')}\n// mine\n`)
    writeFileSync(join(out, 'validators/old.js'), '')
    rmSync(join(out, 'events.ts'))
    const stale = ['events.ts', 'types.ts', 'validators/old.js']
    assert.deepEqual(staleFiles(out, files), stale)
    writeFiles(out, files, stale)
    assert.deepEqual(staleFiles(out, files), [])
  })

  test('--check names the file that was edited by hand, and fails', () => {
    const out = mkdtempSync(join(folder, 'checked-'))
    cpSync('generated', out, { recursive: true })
    writeFileSync(join(out, 'problems.ts'), '// mine\n')
    const words = ['scripts/generate.ts', '--check', '--out', out]
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
    assert.equal(status, 1)
    assert.match(stderr, /problems\.ts/)
  })

  test('an edited tables.ts is noticed although the migrations did not change', async () => {
    const { currentTables } = await import('../../scripts/generate/tables.ts')
    const text = readFileSync('generated/tables.ts', 'utf8')
    const file = join(folder, 'tables.ts')
    writeFileSync(file, text)
    assert.equal(currentTables(file, 'migrations'), text)
    writeFileSync(file, text.replace('string', 'number'))
    assert.equal(currentTables(file, 'migrations'), undefined)
  })
})

describe('the bundle', () => {
  test('is one document in which every reference leads to a component', () => {
    const { document } = bundle(join(house, 'openapi.yaml'))
    const references = JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)
    const targets = new Set([...references].map((match) => match[1]))
    assert.ok(targets.has('#/components/schemas/ClientInfo'))
    for (const target of targets) assert.match(String(target), /^#\/components\/\w+\/\w+$/)
  })

  test('a reference to nothing is refused with its file and pointer', () => {
    const copy = copyHouse()
    const file = join(copy, 'components/schemas/ClientPage.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace('ClientInfo.yaml', 'Nobody.yaml'))
    assert.throws(
      () => bundle(join(copy, 'openapi.yaml')),
      /ClientPage\.yaml#\/properties\/data\/items\n.*'Nobody\.yaml' leads to nothing/,
    )
  })

  test('two components of one name are refused', () => {
    const copy = copyHouse()
    cpSync(
      join(copy, 'components/schemas/ClientInfo.yaml'),
      join(copy, 'components/schemas/clientinfo.yaml'),
    )
    assert.throws(() => bundle(join(copy, 'openapi.yaml')), /clashes with .*ClientInfo\.yaml/)
  })

  test('a field that is called like a keyword, or $ref in an example, stays what it is', () => {
    const copy = copyHouse()
    const schema = [
      'type: object',
      'properties:',
      '  default: { $ref: ClientStatus.yaml }',
      '  enum: { type: string }',
      'examples: [{ $ref: ./not/a/file.yaml }]',
    ].join('\n')
    writeFileSync(join(copy, 'components/schemas/Odd.yaml'), schema)
    const { document } = bundle(join(copy, 'openapi.yaml'))
    const text = JSON.stringify(document)
    assert.match(text, /"default":\{"\$ref":"#\/components\/schemas\/ClientStatus"\}/)
    assert.match(text, /"examples":\[\{"\$ref":"\.\/not\/a\/file\.yaml"\}\]/)
  })

  test('a file that contains itself is refused instead of never ending', () => {
    const copy = copyHouse()
    const path = join(copy, 'paths/clients/loop.yaml')
    writeFileSync(path, 'get: { $ref: ./loop.yaml }\n')
    const root = join(copy, 'openapi.yaml')
    writeFileSync(
      root,
      readFileSync(root, 'utf8').replace('clients/client.yaml', 'clients/loop.yaml'),
    )
    assert.throws(() => bundle(root), /contains itself/)
  })

  test('broken YAML is refused with its file and line', () => {
    const copy = copyHouse()
    writeFileSync(
      join(copy, 'components/schemas/ClientStatus.yaml'),
      'type: string\ntype: integer\n',
    )
    assert.throws(() => bundle(join(copy, 'openapi.yaml')), /ClientStatus\.yaml\n.*line 2/)
  })
})

test('a reply that can hold a secret is marked, also where schemas form a circle', () => {
  const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
  const isSensitive = sensitivity({
    components: {
      schemas: {
        Page: { properties: { items: ref('Node') } },
        Node: { properties: { parent: ref('Leaf'), secret: { 'x-sensitive': true } } },
        Leaf: { properties: { owner: ref('Node') } },
        Plain: { properties: { name: { type: 'string' } } },
      },
    },
  })
  assert.deepEqual(['Page', 'Node', 'Leaf', 'Plain'].map(ref).map(isSensitive), [
    true,
    true,
    true,
    false,
  ])
  assert.equal(isSensitive({ anyOf: [{ type: 'null' }, ref('Leaf')] }), true)
  assert.equal(isSensitive(undefined), false)
})

test('the command says in one line what it did', () => {
  const out = mkdtempSync(join(folder, 'command-'))
  cpSync('generated', out, { recursive: true })
  const said = execFileSync(process.execPath, ['scripts/generate.ts', '--out', out], {
    encoding: 'utf8',
  })
  assert.match(said, /^generated: \d+ of \d+ files changed \(\d+ ms\)\n$/)
})
