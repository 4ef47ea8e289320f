import { describe, expect, test } from 'vitest'
import { createTransformer } from '#webhooks/transformer.ts'

const transformer = createTransformer()
const event = JSON.stringify({
  id: 'evt_1',
  type: 'invoice.paid',
  data: { number: 7, lines: [{ amount: 1.5 }, { amount: 2 }] },
})
const run = (expression: string, tenantId = 'ten_1') =>
  transformer.run(tenantId, { expression, event })

test.each([
  ['data.number', '7'],
  [
    '{"text": "Invoice " & data.number, "sum": $sum(data.lines.amount)}',
    '{"text":"Invoice 7","sum":3.5}',
  ],
  ['data.lines[amount > 1.5]', '{"amount":2}'],
  [
    '$map(data.lines, function($v, $i) { {"at": $i, "twice": $v.amount * 2} })',
    '[{"at":0,"twice":3},{"at":1,"twice":4}]',
  ],
  [
    '$ ~> |data|{"seen": true}, ["lines"]|',
    '{"id":"evt_1","type":"invoice.paid","data":{"number":7,"seen":true}}',
  ],
  ['$replace(type, /[a-z]+\\./, "")', '"paid"'],
  ['$sort(data.lines.amount, function($a, $b) { $a < $b })', '[2,1.5]'],
  ['$merge([data.lines[0], {"n": $uppercase(type)}])', '{"amount":1.5,"n":"INVOICE.PAID"}'],
  ['$string($fromMillis(0)) & $now()[0]', expect.stringContaining('1970')],
  ['( $f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f(5) )', '120'],
])('%s makes %s', async (expression, body) => {
  expect(await run(expression)).toEqual({ kind: 'made', body })
})

test.each([
  ['nothing.there', 'It makes nothing of this event.'],
  ['$sum("x")', 'sum'],
  ['$error("no")', 'no'],
  ['$pad("x", 300000)', 'It makes more than 256 KiB.'],
])('%s fails and says why', async (expression, detail) => {
  expect(await run(expression)).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining(detail),
  })
})

test('what is no expression is told apart, with the place', async () => {
  expect(await run('{"a": }')).toMatchObject({
    kind: 'unreadable',
    detail: expect.stringMatching(/at character 7/),
  })
  expect(await run('('.repeat(4_000))).toMatchObject({ kind: 'unreadable' })
})

describe('an expression that takes too much is killed, and the next one is served', () => {
  test.each([
    ['endless recursion', '( $f := function($n) { $f($n + 1) }; $f(0) )'],
    [
      'a regular expression that backtracks',
      '$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", /^(a+)+$/)',
    ],
    ['a large range', '$sum($map([1..9999999], function($v) { $v * $v }))'],
    ['memory', '( $f := function($s) { $f($s & $s & "x") }; $f("xxxxxxxxxxxxxxxx") )'],
    ['more at once than a process can have', '$pad("", 300000000)'],
    [
      'a text that is copied once it is long',
      '( $d := function($s, $n) { $n = 0 ? $s : $d($s & $s, $n - 1) }; $uppercase($d("ab", 27)) )',
    ],
  ])('%s', { timeout: 30_000 }, async (_, expression) => {
    const startedMs = performance.now()
    expect(await run(expression)).toMatchObject({ kind: 'failed' })
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(await run('data.number')).toEqual({ kind: 'made', body: '7' })
  })
})

test('a tenant with many slow expressions keeps no other from its turn', {
  timeout: 30_000,
}, async () => {
  const slow = Array.from({ length: 20 }, () =>
    run('( $f := function($n) { $f($n + 1) }; $f(0) )', 'ten_slow'),
  )
  let isOver = false
  const all = Promise.all(slow).then((results) => {
    isOver = true
    return results
  })
  expect(await run('data.number', 'ten_quick')).toMatchObject({ kind: 'made' })
  expect(isOver).toBe(false)
  for (const result of await all) expect(['failed', 'busy']).toContain(result.kind)
})

test.each([
  '$constructor',
  '$string.constructor("return process")()',
  '$sum.implementation',
  '$eval("$sum").constructor',
  'data.constructor.constructor("return 1")()',
  'data.__proto__',
  '"".constructor',
  '$process',
  '$require("fs")',
])('%s leads nowhere', async (expression) => {
  const result = await run(expression)
  if (result.kind === 'made') expect(['{}', '""', 'null']).toContain(result.body)
  else expect(result.kind).toBe('failed')
})

test('the only cell serves whoever comes after one that was killed, however it ended', async () => {
  const limits = { cpuMs: 100, wallMs: 2_000, memoryMib: 64, patienceMs: 30_000, idleMs: 30_000 }
  const alone = createTransformer({ ...limits, cells: 1 })
  for (const expression of ['($f := function() { $f() }; $f())', '$pad("", 300000000)']) {
    const killed = alone.run('ten_1', { expression, event })
    const next = alone.run('ten_2', { expression: 'data.number', event })
    expect((await killed).kind).not.toBe('made')
    expect(await next).toEqual({ kind: 'made', body: '7' })
  }
})

test('what one expression changes, no other finds', async () => {
  await run('$ ~> |$|{"__proto__": {"evil": 1}, "constructor": {"prototype": {"evil": 1}}}|')
  await run('( $string := function($x) { "evil" }; $string(1) )')
  for (let turn = 0; turn < 4; turn += 1) {
    expect(await run('{"evil": {}.evil, "text": $string(1)}')).toEqual({
      kind: 'made',
      body: '{"text":"1"}',
    })
  }
})
