import { randomUUID } from 'node:crypto'
import { type Api, ApiRefused } from './api.ts'
import { typesOf, unknownType } from './types.ts'
import { isTaken, type View } from './view.ts'
import { newSecret, post } from './webhook.ts'
import { Misuse, type TriggerWish } from './words.ts'

interface Example {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly data: unknown
}

/** Sends the example of a type; answers the exit code. Throws what stands against it. */
export async function trigger(api: Api, wish: TriggerWish, view: View): Promise<number> {
  const { type, endpoint, to } = wish
  const example = await exampleOf(api, type)
  if (to !== undefined) return await sendPast(to, wish.secret ?? newSecret(), example, view)
  if (type.startsWith('custom.')) {
    if (endpoint !== undefined) throw new Misuse('A type of your own goes to all who want it.')
    const { id } = await api.call('POST', '/events', { type, data: example.data })
    view.note('triggered', `${type} was published as ${id}.`, { id, type })
    return 0
  }
  const target = endpoint ?? (await onlyEndpoint(api))
  const path = `/webhook-endpoints/${encodeURIComponent(target)}/test-events`
  const { id } = await api.call('POST', path, { eventType: type })
  view.note('triggered', `${type} is on its way to ${target} as ${id}, marked as a test.`, {
    ...{ id, type, endpoint: target },
  })
  return 0
}

async function exampleOf(api: Api, type: string): Promise<Example> {
  try {
    const { example } = await api.call('GET', `/event-types/${encodeURIComponent(type)}`)
    return example as Example
  } catch (error) {
    const isUnknown = error instanceof ApiRefused && [400, 404].includes(error.status ?? 0)
    if (isUnknown) throw new Misuse(unknownType(type, await typesOf(api)))
    throw error
  }
}

/** Past the API: nobody but the receiver hears of it. */
async function sendPast(to: string, secret: string, example: Example, view: View): Promise<number> {
  const id = `evt_test_${randomUUID().replaceAll('-', '')}`
  const { type, version, data } = example
  const timestamp = new Date().toISOString()
  const body = JSON.stringify({ id, type, version, timestamp, data, isTest: true })
  view.note('sending', `Sending to ${to}; verify with ${secret}`, { url: to, secret })
  const sent = await post(to, secret, { id, body })
  view.told({ type, id, ...sent })
  return isTaken(sent) ? 0 : 3
}

async function onlyEndpoint(api: Api): Promise<string> {
  const { data } = await api.call('GET', '/webhook-endpoints?limit=200')
  const endpoints = (data as { id: string; status: string; url: string }[]).filter(
    ({ status }) => status === 'ENABLED',
  )
  const [only, ...others] = endpoints
  if (only === undefined) {
    throw new Misuse('There is no enabled webhook endpoint. Make one, or send with --to <url>.')
  }
  if (others.length === 0) return only.id
  const list = endpoints.map(({ id, url }) => `\n  ${id}  ${url}`).join('')
  throw new Misuse(`Which endpoint? Give --endpoint, one of:${list}`)
}
