import type { Flaw, IncomingRequest, Settings } from '../scheme.ts'
import { isOtherThanItSays, nameOf, readJson, valueAt } from './payload.ts'
import { headerSetting, textSetting } from './settings.ts'

export const describedSettings = [
  'eventIdHeader',
  'eventIdPointer',
  'eventTypeHeader',
  'eventTypePointer',
]

/**
 * Where a sender without a scheme of its own says which event this is: by header or by JSON Pointer
 * into the body, as the source's settings `eventIdHeader`, `eventIdPointer`, `eventTypeHeader` and
 * `eventTypePointer` have it.
 */
export function describeEvent(request: IncomingRequest, settings: Settings) {
  const payload = readJson(request.body)
  const read = (subject: string) => {
    const header = headerSetting(settings, `${subject}Header`)
    const fromHeader = header === undefined ? null : nameOf(request.headers[header])
    const pointer = textSetting(settings, `${subject}Pointer`)
    if (fromHeader !== null || pointer === undefined) return fromHeader
    return nameOf(valueAt(payload, ...stepsOf(pointer)))
  }
  return {
    providerEventId: read('eventId'),
    eventType: read('eventType'),
    isDrift: isOtherThanItSays(request),
  }
}

export function flawsOfPointers(settings: Settings): Flaw[] {
  return ['eventIdPointer', 'eventTypePointer'].flatMap((name) => {
    const pointer = textSetting(settings, name)
    const isGood = pointer === undefined || /^(\/([^~/]|~[01])*)+$/.test(pointer)
    return isGood ? [] : [{ pointer: `/settings/${name}`, message: 'must be a JSON Pointer' }]
  })
}

function stepsOf(pointer: string): string[] {
  const steps = pointer.split('/').slice(1)
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}
