import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'vitest'
import { accepted, refusesWhatWasChanged } from './fixture.ts'

const scheme = 'QUICKBOOKS'
const token = 'a-verifier-token'
const context = { secrets: ['other', token] }

function signed(payload: unknown) {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const mac = createHmac('sha256', token).update(body).digest('base64')
  return { body, headers: { 'intuit-signature': mac } }
}

const cloudEvent = (id: string, type = 'qbo.invoice.created.v1', realm = '310687') => ({
  specversion: '1.0',
  id,
  source: 'intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=',
  type,
  datacontenttype: 'application/json',
  time: '2026-11-22T12:00:00Z',
  intuitentityid: '1234',
  intuitaccountid: realm,
  data: {},
})
const entity = (name: string, operation = 'Update') => ({
  name,
  id: '1',
  operation,
  lastUpdated: '2026-11-22T12:00:00.000Z',
})
const older = (...entities: unknown[]) => ({
  eventNotifications: [{ realmId: '1185883450', dataChangeEvent: { entities } }],
})

refusesWhatWasChanged({
  name: scheme,
  sent: signed([cloudEvent('1')]),
  context,
  foreign: { secrets: ['another-verifier-token'] },
  covered: ['intuit-signature'],
})

test('CloudEvents: one has its id and type, several have a type if they share it', async () => {
  const one = await accepted(scheme, signed([cloudEvent('88cd52aa')]), context)
  assert.deepEqual(one, {
    providerEventId: '88cd52aa',
    signedAt: null,
    eventType: 'qbo.invoice.created.v1',
    isDrift: false,
    isBodyUnique: true,
  })
  const alike = await accepted(
    scheme,
    signed([cloudEvent('1'), cloudEvent('2', 'qbo.invoice.created.v1', '9341')]),
    context,
  )
  assert.deepEqual(
    [alike.providerEventId, alike.eventType, alike.isDrift],
    [null, 'qbo.invoice.created.v1', false],
  )
  const mixed = signed([cloudEvent('1'), cloudEvent('2', 'qbo.customer.merged.v1')])
  assert.equal((await accepted(scheme, mixed, context)).eventType, null)
})

test('the older form is understood as well', async () => {
  const verdict = await accepted(scheme, signed(older(entity('Invoice'))), context)
  assert.deepEqual(verdict, {
    providerEventId: null,
    signedAt: null,
    eventType: 'Invoice.Update',
    isDrift: false,
    isBodyUnique: true,
  })
  const mixed = await accepted(scheme, signed(older(entity('Invoice'), entity('Bill'))), context)
  assert.deepEqual([mixed.eventType, mixed.isDrift], [null, false])
})

test('a form that neither is, is accepted as drift', async () => {
  const strange = [
    'no json',
    [],
    {},
    [{}],
    [cloudEvent('1'), 7],
    [{ ...cloudEvent('1'), specversion: '2.0' }],
    { eventNotifications: [] },
    { eventNotifications: [{}] },
    older(entity('Invoice'), {}),
    { events: [cloudEvent('1')] },
  ]
  for (const payload of strange) {
    const verdict = await accepted(scheme, signed(payload), context)
    assert.equal(verdict.isDrift, true, JSON.stringify(payload))
  }
})
