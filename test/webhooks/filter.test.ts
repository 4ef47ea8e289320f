import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { selects, straySelectors } from '#events/selector.ts'
import type { WebhookFilterRule } from '#generated/types.ts'
import { judgeFilter, obstacleIn, passes } from '#webhooks/filter.ts'

const event = {
  id: 'evt_1',
  type: 'invoice.paid',
  version: 1,
  timestamp: '2026-02-04T10:00:00.000Z',
  data: {
    currency: 'EUR',
    total: 1200.5,
    note: null,
    isLate: false,
    lines: [{ quantity: 2 }, { quantity: 3 }],
    'a/b': 1,
    'c~d': 2,
    '': 'empty',
  },
  changedFields: ['amountPaid'],
}

const cases: [is: boolean, rule: WebhookFilterRule][] = [
  [true, { path: '/data/currency', equals: 'EUR' }],
  [false, { path: '/data/currency', equals: 'eur' }],
  [true, { path: '/data/total', equals: 1200.5 }],
  [false, { path: '/data/total', equals: '1200.5' }],
  [true, { path: '/data/note', equals: null }],
  [false, { path: '/data/nothing', equals: null }],
  [true, { path: '/data/isLate', equals: false }],
  [true, { path: '/data/currency', notEquals: 'GBP' }],
  [false, { path: '/data/currency', notEquals: 'EUR' }],
  [false, { path: '/data/nothing', notEquals: 'EUR' }],
  [true, { path: '/data/note', notEquals: 'x' }],
  [true, { path: '/data/currency', in: ['GBP', 'EUR'] }],
  [false, { path: '/data/currency', in: ['GBP', 1, null] }],
  [true, { path: '/data/note', exists: true }],
  [false, { path: '/data/note', exists: false }],
  [true, { path: '/data/nothing', exists: false }],
  [false, { path: '/data/nothing', exists: true }],
  [true, { path: '/type', prefix: 'invoice.' }],
  [false, { path: '/type', prefix: 'payment.' }],
  [false, { path: '/data/total', prefix: '1' }],
  [true, { path: '/data/total', gt: 1200 }],
  [false, { path: '/data/total', gt: 1200.5 }],
  [true, { path: '/data/total', lt: 1201 }],
  [false, { path: '/data/total', lt: 1200.5 }],
  [false, { path: '/data/total', gt: '1' }],
  [false, { path: '/data/note', lt: 1 }],
  [true, { path: '/timestamp', gt: '2026-02-04' }],
  [true, { path: '/timestamp', lt: '2026-02-05' }],
  [true, { path: '/data/lines/1/quantity', equals: 3 }],
  [false, { path: '/data/lines/01/quantity', exists: true }],
  [false, { path: '/data/lines/length', exists: true }],
  [false, { path: '/data/lines/2', exists: true }],
  [true, { path: '/data/a~1b', equals: 1 }],
  [true, { path: '/data/c~0d', equals: 2 }],
  [true, { path: '/data/', equals: 'empty' }],
  [false, { path: '/data/constructor', exists: true }],
  [false, { path: '/data/__proto__', exists: true }],
  [false, { path: '/data/currency/length', exists: true }],
  [true, { not: { path: '/data/currency', equals: 'GBP' } }],
  [false, { not: { path: '/data/currency', equals: 'EUR' } }],
  [
    true,
    {
      all: [
        { path: '/version', equals: 1 },
        { path: '/type', prefix: 'inv' },
      ],
    },
  ],
  [
    false,
    {
      all: [
        { path: '/version', equals: 1 },
        { path: '/type', prefix: 'pay' },
      ],
    },
  ],
  [
    true,
    {
      any: [
        { path: '/version', equals: 2 },
        { path: '/type', prefix: 'inv' },
      ],
    },
  ],
  [
    false,
    {
      any: [
        { path: '/version', equals: 2 },
        { path: '/type', prefix: 'pay' },
      ],
    },
  ],
]

test.each(cases)('%s: %j', (is, rule) => {
  expect(passes([rule], event)).toBe(is)
  expect(passes([{ not: rule }], event)).toBe(!is)
  expect(judgeFilter([rule], 'filter')).toEqual([])
})

test('an empty filter lets everything through, and of several rules all must hold', () => {
  const [holds, fails] = [
    { path: '/version', equals: 1 },
    { path: '/version', equals: 2 },
  ]
  expect(passes([], event)).toBe(true)
  expect(passes([holds, holds], event)).toBe(true)
  expect(passes([holds, fails], event)).toBe(false)
})

test('what keeps an event back is the innermost rule that shows it', () => {
  const [holds, fails] = [
    { path: '/version', equals: 1 },
    { path: '/version', equals: 2 },
  ]
  expect(obstacleIn([holds], event)).toBeUndefined()
  expect(obstacleIn([holds, fails], event)).toBe('/1')
  expect(obstacleIn([{ all: [holds, { all: [fails] }] }], event)).toBe('/0/all/1/all/0')
  expect(obstacleIn([{ any: [fails, fails] }], event)).toBe('/0/any')
  expect(obstacleIn([holds, { not: holds }], event)).toBe('/1/not')
})

describe('a filter that makes no sense or is too large is refused, and it says where', () => {
  const leaf = { path: '/type', exists: true }
  const nested = (depth: number): WebhookFilterRule =>
    depth === 1 ? leaf : { not: nested(depth - 1) }
  const wide = { all: Array(10).fill(leaf) }
  const refused: [what: string, filter: WebhookFilterRule[], pointer: string, code: string][] = [
    ['no comparison', [leaf, { path: '/type' }], '/filter/1', 'not_one_rule'],
    ['two', [{ ...leaf, equals: 1 }], '/filter/0', 'not_one_rule'],
    ['no path', [{ equals: 1 }], '/filter/0', 'not_one_rule'],
    ['a path and a group', [{ path: '/type', all: [leaf] }], '/filter/0', 'not_one_rule'],
    ['two groups', [{ all: [leaf], any: [leaf] }], '/filter/0', 'not_one_rule'],
    ['within', [{ any: [leaf, { not: {} }] }], '/filter/0/any/1/not', 'not_one_rule'],
    ['6 levels', [nested(6)], '/filter', 'too_deep'],
    [
      '51 rules',
      [wide, wide, wide, wide, { all: Array(6).fill(leaf) }],
      '/filter',
      'too_many_rules',
    ],
    [
      '101 values',
      [1, 2, 3].map(() => ({ path: '/a', in: Array(34).fill(1) })),
      '/filter',
      'too_many_values',
    ],
  ]
  test.each(refused)('%s', (_, filter, pointer, code) => {
    expect(judgeFilter(filter, 'filter')).toMatchObject([{ pointer, code }])
  })
  test('and what just fits is taken', () => {
    const fits = [nested(5), wide, wide, wide, wide, leaf]
    expect(judgeFilter(fits, 'filter')).toEqual([])
    const values = [1, 2].map(() => ({ path: '/a', in: Array(50).fill(1) }))
    expect(judgeFilter(values, 'filter')).toEqual([])
  })
})

const scalar = fc.oneof(fc.string(), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null))
const path = fc.oneof(
  fc
    .array(
      fc.string().map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1')),
      { minLength: 1 },
    )
    .map((steps) => `/${steps.join('/')}`),
  fc.constantFrom('/data', '/data/a', '/data/a/0', '/data/b/__proto__', '/data/constructor'),
)
const comparison = fc.oneof(
  fc.record({ path, equals: scalar }),
  fc.record({ path, notEquals: scalar }),
  fc.record({ path, in: fc.array(scalar, { minLength: 1, maxLength: 5 }) }),
  fc.record({ path, exists: fc.boolean() }),
  fc.record({ path, prefix: fc.string({ minLength: 1 }) }),
  fc.record({ path, lt: fc.oneof(fc.string(), fc.double({ noNaN: true })) }),
  fc.record({ path, gt: fc.oneof(fc.string(), fc.double({ noNaN: true })) }),
)
const { rule } = fc.letrec<{ rule: WebhookFilterRule }>((tie) => ({
  rule: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    comparison,
    fc.record({ all: fc.array(tie('rule'), { minLength: 1, maxLength: 4 }) }),
    fc.record({ any: fc.array(tie('rule'), { minLength: 1, maxLength: 4 }) }),
    fc.record({ not: tie('rule') }),
  ),
}))

describe('whatever the rules and whatever the event', () => {
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.record({ data: fc.record({ a: fc.jsonValue(), b: fc.jsonValue() }) }),
    fc.constant(undefined),
  )
  test('a filter answers, and its obstacle agrees with it', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), anything, (filter, value) => {
        expect(passes(filter, value)).toBe(obstacleIn(filter, value) === undefined)
      }),
    )
  })
  test('groups keep to logic', () => {
    fc.assert(
      fc.property(rule, rule, anything, (one, other, value) => {
        const [a, b] = [passes([one], value), passes([other], value)]
        expect(passes([{ all: [one, other] }], value)).toBe(a && b)
        expect(passes([{ any: [one, other] }], value)).toBe(a || b)
        expect(passes([{ not: one }], value)).toBe(!a)
        expect(passes([one, other], value)).toBe(a && b)
      }),
    )
  })
})

test.each([
  ['*', 'anything.happened', true],
  ['client.created', 'client.created', true],
  ['client.created', 'client.created_again', false],
  ['job.*', 'job.failed', true],
  ['job.*', 'job_schedule.created', false],
  ['job.*', 'job', false],
  ['custom.order.*', 'custom.order.line.added', true],
])('%s selects %s: %s', (selector, type, is) => {
  expect(selects([selector], type)).toBe(is)
  expect(selects(['no.match', selector], type)).toBe(is)
})

test('a selector of nothing that there is is pointed at', () => {
  const types = ['client.created', 'job.failed']
  expect(straySelectors(['*', 'client.*', 'job.failed'], types)).toEqual([])
  const strays = straySelectors(['*', 'clients.*', 'job.failed', 'job.fail'], types)
  expect(strays.map(({ pointer }) => pointer)).toEqual(['/eventTypes/1', '/eventTypes/3'])
})
