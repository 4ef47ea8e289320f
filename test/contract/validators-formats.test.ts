import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import type { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { formats, isMultipleOf } from '../../scripts/generate/runtime.js'

const { Ajv2020: Constructor } = createRequire(import.meta.url)('ajv/dist/2020.js') as {
  Ajv2020: typeof Ajv2020
}

describe('formats demand what their standards demand', () => {
  const check = (format: string) => {
    const validate = new Constructor({ formats, allowUnionTypes: true }).compile({
      type: ['string', 'number'],
      format,
    })
    return (value: unknown) => validate(value)
  }
  const good: [format: string, value: unknown][] = [
    ['date-time', '2026-01-31T12:00:00Z'],
    ['date-time', '2026-01-31t12:00:00.123456z'],
    ['date-time', '2024-02-29T23:59:59+05:30'],
    ['date', '2024-02-29'],
    ['email', 'ada@example.com'],
    ['uri', 'https://example.com/a?b=c'],
    ['uuid', '0190cf4e-7d2a-7000-8000-000000000000'],
    ['int32', 2 ** 31 - 1],
    ['int32', -(2 ** 31)],
    ['int64', Number.MAX_SAFE_INTEGER],
  ]
  test.each(good)('%s takes %s', (format, value) => assert.ok(check(format)(value)))

  const bad: [format: string, value: unknown][] = [
    ['date-time', '2026-01-31'],
    ['date-time', '2026-01-31T12:00:00'],
    ['date-time', '2026-01-31 12:00:00Z'],
    ['date-time', '2026-01-31T12:00Z'],
    ['date-time', '2026-01-31T12:00:00+0530'],
    ['date-time', '2026-01-31T12:00:00+05'],
    ['date-time', '2026-01-31T24:00:00Z'],
    ['date-time', '2026-02-29T12:00:00Z'],
    ['date-time', '2026-13-01T12:00:00Z'],
    ['date-time', '2016-12-31T23:59:60Z'],
    ['date-time', '2026-01-31T12:00:00Z\n'],
    ['date', '2026-2-1'],
    ['date', '2026-02-29'],
    ['email', 'ada@'],
    ['uri', '/relative'],
    ['uuid', 'urn:uuid:0190cf4e-7d2a-7000-8000-000000000000'],
    ['int32', 2 ** 31],
    ['int32', -(2 ** 31) - 1],
    ['int64', 2 ** 53],
  ]
  test.each(bad)('%s refuses %s', (format, value) => assert.ok(!check(format)(value)))

  test('every date and time taken is one that JavaScript can hold', () => {
    const moments = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') })
    fc.assert(fc.property(moments, (moment) => assert.ok(check('date-time')(moment.toISOString()))))
    for (const [format, value] of good) {
      if (format === 'date-time') assert.ok(!Number.isNaN(Date.parse(String(value))), `${value}`)
    }
  })
})

describe('decimal places are counted, not divided', () => {
  const amounts = fc.integer({ min: 0, max: 99_999_999_999_999 })

  test('every amount of cents is a multiple of 0.01, up to a trillion', () => {
    fc.assert(fc.property(amounts, (cents) => assert.ok(isMultipleOf(cents / 100, 0.01))))
  })

  test('and none with a third place is', () => {
    const tenths = fc.integer({ min: 1, max: 9 })
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 9 }), tenths, (cents, tenth) => {
        assert.ok(!isMultipleOf(Number(`${(cents / 100).toFixed(2)}${tenth}`), 0.01))
      }),
    )
  })

  test('whole steps too', () => {
    assert.ok(isMultipleOf(15, 5))
    assert.ok(!isMultipleOf(16, 5))
    assert.ok(!isMultipleOf(1.5, 1))
  })
})
