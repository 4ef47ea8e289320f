import { expect, test } from 'vitest'
import { routes } from '#generated/routes.ts'
import { bodyBytesMax, maskBody, withoutSecrets } from '#request-log/mask.ts'

const key = `ubk_test_${'a1B2'.repeat(12)}x`

test('the contract tells under which names the secrets of an operation stand', () => {
  const told = Object.values(routes).filter(({ secretNames }) => secretNames.length > 0)
  expect(Object.fromEntries(told.map((route) => [route.operationId, route.secretNames]))).toEqual({
    createApiKey: ['key'],
    createInboundSource: ['secrets'],
    createOrganization: ['key'],
    createOrganizationAdminKey: ['key'],
    createWebhookEndpoint: ['headers', 'secret'],
    rotateApiKey: ['key'],
    rotateWebhookSecret: ['secret'],
    updateInboundSource: ['secrets'],
    updateWebhookEndpoint: ['headers'],
  })
})

test('what the contract marks is hidden wherever it stands, whatever it is', () => {
  const body = { a: [{ pin: 1 }, { pin: { deep: true } }], pin: 'x', name: 'Ada' }
  const masked = maskBody(JSON.stringify(body), ['pin'])
  expect(JSON.parse(String(masked))).toEqual({
    a: [{ pin: '[hidden]' }, { pin: '[hidden]' }],
    pin: '[hidden]',
    name: 'Ada',
  })
})

test.each([
  ['a text that is named like a secret', { password: 'open sesame', clientSecret: 'x1' }],
  ['a key of ours in the middle of a text', { note: `my key is ${key}, keep it`, [key]: 1 }],
  ['a key of ours in other letters', `{"note":"\\u0075bk_test_${key.slice(9)}"}`],
  ['a signing secret', { note: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' }],
])('%s is hidden also where the contract knows of none', (_, body) => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const masked = String(maskBody(Buffer.from(text), []))
  expect(masked).toContain('[hidden]')
  expect(masked).not.toMatch(/sesame|x1|a1B2|MfKQ/)
})

test('what a reader of the log needs is left as it was', () => {
  const body = { key: { id: 'key_1', prefix: 'ubk_test_9hKq' }, taxRate: 0.2, tags: ['key'] }
  expect(JSON.parse(String(maskBody(JSON.stringify(body), [])))).toEqual(body)
  expect(withoutSecrets('order-4711')).toBe('order-4711')
})

test.each([
  ['nothing', ''],
  ['no JSON, which could hide a secret', '{"key": "abc'],
  ['more than is kept', JSON.stringify('x'.repeat(bodyBytesMax))],
  ['what grows over the bound when it is masked', JSON.stringify(many())],
  ['a body that is nested deeper than a stack is', '['.repeat(8_000) + ']'.repeat(8_000)],
])('of a body that is %s no half is kept', (_, body) => {
  const kept = maskBody(Buffer.from(body), [])
  if (kept !== null) expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(bodyBytesMax)
  if (body.startsWith('[[')) return
  expect(kept).toBeNull()
})

function many() {
  return Array.from({ length: 900 }, () => ({ token: '' }))
}
