import type { Flaw, Settings } from '../scheme.ts'

/*
 * Settings were held against the contract's schema when they were stored; what is missing here takes
 * its default, and what a scheme cannot do without makes it refuse.
 */

export function textSetting(settings: Settings, name: string): string | undefined {
  const value = settings[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function textsSetting(settings: Settings, name: string): readonly string[] {
  const value = settings[name]
  if (!Array.isArray(value)) return []
  return value.filter((one): one is string => typeof one === 'string' && one !== '')
}

export function numberSetting(settings: Settings, name: string, otherwise: number): number {
  const value = settings[name]
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : otherwise
}

/** A header that a setting names, as the names of a request's headers are written. */
export function headerSetting(settings: Settings, name: string): string | undefined {
  return textSetting(settings, name)?.toLowerCase()
}

/** Of secrets that each have to be something: the flaw of each that is not. */
export function flawsOfSecrets(
  secrets: readonly string[],
  message: string,
  isFit: (secret: string) => boolean = (secret) => secret !== '',
): Flaw[] {
  if (secrets.length === 0)
    return [{ pointer: '/secrets', message: 'must hold at least one secret' }]
  return secrets.flatMap((secret, index) =>
    isFit(secret) ? [] : [{ pointer: `/secrets/${index}`, message }],
  )
}

export function flawOfMissing(settings: Settings, name: string): Flaw[] {
  const value = settings[name]
  const isThere = Array.isArray(value)
    ? value.length > 0
    : textSetting(settings, name) !== undefined
  return isThere ? [] : [{ pointer: `/settings/${name}`, message: 'is required by the scheme' }]
}
