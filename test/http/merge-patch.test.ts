import fc from 'fast-check'
import { expect, test } from 'vitest'
import { changedFieldsOf, mergePatch, pick } from '#http/merge-patch.ts'

/** RFC 7396, appendix A: original, patch, result. */
const appendix: [unknown, unknown, unknown][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
]

test.for(appendix)('RFC 7396: %j patched with %j is %j', ([original, patch, result]) => {
  expect(mergePatch(original, patch)).toEqual(result)
})

/** JSON with few names, so that they meet; `__proto__` and its kin among them. */
const names = fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor', 'toString')
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, 0, '', 'x'),
    fc.array(tie('json'), { maxLength: 3 }),
    fc
      .array(fc.tuple(names, tie('json')), { maxLength: 4 })
      .map((members) =>
        JSON.parse(`{${members.map(([name, value]) => `"${name}":${JSON.stringify(value)}`)}}`),
      ),
  ),
}))

/** The algorithm as RFC 7396 §2 writes it, on maps, which know no special names. */
function reference(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const members = new Map(isObject(target) ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) members.delete(name)
    else members.set(name, reference(members.get(name), value))
  }
  return JSON.parse(
    `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)}}`,
  )
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

test('any patch of anything is what the algorithm of the RFC makes of it', () => {
  fc.assert(
    fc.property(json, json, (target, patch) => {
      const before = JSON.stringify([target, patch])
      expect(JSON.stringify(mergePatch(target, patch))).toBe(
        JSON.stringify(reference(target, patch)),
      )
      expect(JSON.stringify([target, patch]), 'neither is changed').toBe(before)
    }),
    { numRuns: 500 },
  )
  expect(Object.hasOwn(Object.prototype, 'a')).toBe(false)
})

test('what changed is told by the names of the fields, without the bookkeeping', () => {
  const before = {
    name: 'A',
    address: { city: 'Ulm' },
    metadata: {},
    revision: 1,
    updatedAt: 'then',
  }
  const after = { ...before, revision: 2, updatedAt: 'now' }
  expect(changedFieldsOf(before, after)).toEqual([])
  expect(changedFieldsOf(before, structuredClone(before))).toEqual([])
  expect(changedFieldsOf(before, { ...after, name: 'B' })).toEqual(['name'])
  const moved = { ...after, address: { city: 'Bonn' }, metadata: { a: '1' } }
  expect(changedFieldsOf(before, moved)).toEqual(['address', 'metadata'])
  expect(changedFieldsOf({ ...before, name: null }, after)).toEqual(['name'])
  expect(pick(moved, ['address'])).toEqual({ address: { city: 'Bonn' } })
})
