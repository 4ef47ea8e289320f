import { sensitiveFields } from '#generated/sensitive.ts'

const mask = '[hidden]'

/**
 * What the audit keeps of a value, as JSON: whatever stands under a name that the contract marks
 * `x-sensitive` somewhere is hidden, wherever it stands. That a value is null may be seen.
 */
export function maskedJson(value: object): string {
  return JSON.stringify(value, (name, member) =>
    sensitiveFields.has(name) && member !== null && member !== undefined ? mask : member,
  )
}
