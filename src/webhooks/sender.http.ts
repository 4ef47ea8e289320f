import type { Operation } from '#http/operation.ts'
import { userAgent } from './sender.ts'

export const getWebhookSender: Operation<'getWebhookSender'> = async ({ config }) => {
  return { status: 200, body: { addresses: [...config.egressAddresses], userAgent } }
}
