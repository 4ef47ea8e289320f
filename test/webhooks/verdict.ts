import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import { vi } from 'vitest'
import type { ReceivedRequest } from '../receiver.ts'

/** What a receiver with this secret says, on the clock that the request was sent by. */
export function isAccepted(request: ReceivedRequest, secret: string): boolean {
  const sentAt = Number(request.headers['webhook-timestamp']) * 1_000
  const clock = vi.spyOn(Date, 'now').mockReturnValue(sentAt)
  try {
    const verdicts = [new StandardWebhook(secret), new SvixWebhook(secret)].map((library) => {
      try {
        library.verify(request.body, request.headers)
        return true
      } catch {
        return false
      }
    })
    assert.equal(verdicts[0], verdicts[1], 'the two libraries agree')
    return verdicts[0] === true
  } finally {
    clock.mockRestore()
  }
}

/** Whether `X-UBOS-Signature` was made with this secret. */
export function isSimplySigned({ headers, body }: ReceivedRequest, secret: string): boolean {
  return headers['x-ubos-signature'] === createHmac('sha256', secret).update(body).digest('hex')
}
