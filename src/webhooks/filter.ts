import type { WebhookFilterRule } from '#generated/types.ts'
import { bodyError, type FieldError } from '#http/field-errors.ts'

/**
 * A *filter* is a list of rules about what an event says; it lets an event through when all of them
 * hold. It is total: whatever the rules and the event are, it answers, in time that its bounds limit,
 * and a rule that does not apply does not hold. So a filter never holds up the log.
 */
export type Filter = readonly WebhookFilterRule[]

const rulesMax = 50
const depthMax = 5
const operandsMax = 100

const comparisons = ['equals', 'notEquals', 'in', 'exists', 'prefix', 'lt', 'gt'] as const
const groups = ['all', 'any', 'not'] as const

/** What the schema of a filter cannot say of it; `name` is its field in the body. */
export function judgeFilter(filter: Filter, name: string): FieldError[] {
  const whole = { rules: 0, operands: 0, depth: 0 }
  const errors = filter.flatMap((rule, at) => judgeRule(rule, [name, String(at)], 1, whole))
  const tooMuch = [
    { is: whole.rules > rulesMax, code: 'too_many_rules', says: `more than ${rulesMax} rules` },
    {
      is: whole.operands > operandsMax,
      code: 'too_many_values',
      says: `more than ${operandsMax} values under in`,
    },
    { is: whole.depth > depthMax, code: 'too_deep', says: `rules more than ${depthMax} deep` },
  ]
  const beyond = tooMuch.filter(({ is }) => is)
  return [...errors, ...beyond.map(({ code, says }) => bodyError([name], code, `has ${says}`))]
}

interface Sizes {
  rules: number
  operands: number
  depth: number
}

function judgeRule(
  rule: WebhookFilterRule,
  steps: readonly string[],
  depth: number,
  whole: Sizes,
): FieldError[] {
  whole.rules += 1
  whole.operands += rule.in?.length ?? 0
  whole.depth = Math.max(whole.depth, depth)
  const [group, ...otherGroups] = groups.filter((key) => rule[key] !== undefined)
  const compared = comparisons.filter((key) => rule[key] !== undefined)
  const isComparison = rule.path !== undefined && compared.length === 1 && group === undefined
  const isGroup =
    rule.path === undefined && compared.length === 0 && otherGroups.length === 0 && group
  if (!isComparison && !isGroup) {
    return [bodyError(steps, 'not_one_rule', 'must be a path and one comparison, or one group')]
  }
  return innerOf(rule).flatMap(({ inner, step }) =>
    judgeRule(inner, [...steps, ...step], depth + 1, whole),
  )
}

function innerOf(rule: WebhookFilterRule): { inner: WebhookFilterRule; step: string[] }[] {
  if (rule.not !== undefined) return [{ inner: rule.not, step: ['not'] }]
  const key = rule.all === undefined ? 'any' : 'all'
  return (rule[key] ?? []).map((inner, at) => ({ inner, step: [key, String(at)] }))
}

/** Whether an event passes: `event` is its envelope. */
export function passes(filter: Filter, event: unknown): boolean {
  return filter.every((rule) => holds(rule, event))
}

/**
 * The rule that keeps an event back, the innermost one that shows it, as a JSON pointer below the
 * filter; undefined when it passes.
 */
export function obstacleIn(filter: Filter, event: unknown): string | undefined {
  const at = filter.findIndex((rule) => !holds(rule, event))
  const rule = filter[at]
  return rule === undefined ? undefined : `/${at}${obstacleWithin(rule, event)}`
}

function obstacleWithin(rule: WebhookFilterRule, event: unknown): string {
  if (rule.all !== undefined) return `/all${obstacleIn(rule.all, event) ?? ''}`
  // Of alternatives no single one is to blame, and below a `not` everything is the other way round.
  if (rule.any !== undefined) return '/any'
  return rule.not === undefined ? '' : '/not'
}

function holds(rule: WebhookFilterRule, event: unknown): boolean {
  if (rule.all !== undefined) return rule.all.every((inner) => holds(inner, event))
  if (rule.any !== undefined) return rule.any.some((inner) => holds(inner, event))
  if (rule.not !== undefined) return !holds(rule.not, event)
  const value = rule.path === undefined ? undefined : valueAt(event, rule.path)
  return compares(rule, value)
}

function compares(rule: WebhookFilterRule, value: unknown): boolean {
  if (rule.exists !== undefined) return rule.exists === (value !== undefined)
  if (value === undefined) return false
  if (rule.equals !== undefined) return value === rule.equals
  if (rule.notEquals !== undefined) return value !== rule.notEquals
  if (rule.in !== undefined) return rule.in.some((operand) => operand === value)
  if (rule.prefix !== undefined) return typeof value === 'string' && value.startsWith(rule.prefix)
  if (rule.lt !== undefined) return isOrdered(value, rule.lt)
  return rule.gt !== undefined && isOrdered(rule.gt, value)
}

/** Whether one is less than the other; numbers and texts only, and never one with the other. */
function isOrdered(less: unknown, greater: unknown): boolean {
  if (typeof less === 'number' && typeof greater === 'number') return less < greater
  return typeof less === 'string' && typeof greater === 'string' && less < greater
}

/** What stands at a JSON pointer (RFC 6901), undefined where nothing does; inherited is nothing. */
function valueAt(event: unknown, pointer: string): unknown {
  const [, ...steps] = pointer.split('/')
  let value = event
  for (const step of steps) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null) return undefined
    if (Array.isArray(value) && !/^(0|[1-9]\d{0,8})$/.test(name)) return undefined
    if (!Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}
