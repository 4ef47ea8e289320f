import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { schemes } from '#inbound/schemes.ts'
import { accepted, nowSeconds, reasonOf, refusesWhatWasChanged, verdictOn } from './fixture.ts'
import { createIssuer, publish } from './issuer.ts'

const scheme = 'MICROSOFT_GRAPH'
const state = 'SecretClientState'
const tenant = '84bd8158-6d4d-4958-8b9f-9d6445542f95'
const appId = '8e460676-ae3f-4b1e-8790-ee0fb5d6148f'
const jwksUrl = 'https://login.microsoftonline.com/common/discovery/v2.0/keys'

const notification = {
  id: 'lsgTZMr9KwAAA',
  subscriptionId: '7f105c7d-2dc5-4530-97cd-4e7ae6534c07',
  clientState: state,
  changeType: 'created',
  resource: 'Users/u/Messages/AAMk',
  tenantId: tenant,
}
const of = (...value: unknown[]) => ({ body: JSON.stringify({ value }), headers: {} })
const context = { secrets: ['older state', state] }

describe('notifications', () => {
  test('one with the state of its subscription is accepted, with its id and type', async () => {
    assert.deepEqual(await accepted(scheme, of(notification), context), {
      providerEventId: 'lsgTZMr9KwAAA',
      signedAt: null,
      eventType: 'created',
      isDrift: false,
    })
  })

  test('one of the lifecycle has its event as type', async () => {
    const { id: _, ...rest } = notification
    const lifecycle = { ...rest, changeType: undefined, lifecycleEvent: 'reauthorizationRequired' }
    const verdict = await accepted(scheme, of(lifecycle), context)
    assert.equal(verdict.eventType, 'reauthorizationRequired')
    assert.equal(verdict.providerEventId, null)
  })

  test('of several each must have the state, and one foreign or missing refuses all', async () => {
    await accepted(
      scheme,
      of(notification, { ...notification, clientState: 'older state' }),
      context,
    )
    for (const clientState of ['foreign', '', undefined, null, 7, [state], `${state} `]) {
      const sent = of(notification, { ...notification, clientState })
      assert.equal(await reasonOf(scheme, sent, context), 'signature', String(clientState))
    }
    assert.equal(await reasonOf(scheme, of(notification), { secrets: [] }), 'signature')
    const empty = of({ ...notification, clientState: '' })
    assert.equal(await reasonOf(scheme, empty, { secrets: [''] }), 'signature')
  })

  test('a request without notifications shows nothing and is refused', async () => {
    for (const body of [
      '',
      'no json',
      '[]',
      '{}',
      '{"value":[]}',
      '{"value":[null]}',
      '{"value":7}',
    ]) {
      assert.equal(await reasonOf(scheme, { body, headers: {} }, context), 'malformed', body)
    }
  })

  test('several have a type if they share it; one without a type is drift', async () => {
    const other = { ...notification, changeType: 'deleted' }
    const mixed = await accepted(scheme, of(notification, other), context)
    assert.deepEqual([mixed.providerEventId, mixed.eventType, mixed.isDrift], [null, null, false])
    const odd = await accepted(scheme, of({ ...notification, changeType: 7.5 }), context)
    assert.equal(odd.isDrift, true)
  })
})

describe('the handshake', () => {
  test('the token is sent back as it was, as text that no browser takes for a page', async () => {
    const token = 'Validation: <script>alert(1)</script> & Zoë'
    const query = new URLSearchParams({ validationToken: token }).toString()
    assert.deepEqual(await verdictOn(scheme, { body: '', headers: {}, query }, context), {
      kind: 'handshake',
      answer: {
        status: 200,
        headers: {
          'content-type': 'text/plain; charset=utf-8',
          'x-content-type-options': 'nosniff',
        },
        body: token,
      },
    })
  })

  test('an empty token and an endless one are not', async () => {
    for (const token of ['', 'x'.repeat(4097)]) {
      const sent = { body: '', headers: {}, query: `validationToken=${token}` }
      assert.equal(await reasonOf(scheme, sent, context), 'malformed')
    }
  })

  test('notifications that come along with a token are not believed for it', async () => {
    const sent = { ...of({ ...notification, clientState: 'foreign' }), query: 'validationToken=a' }
    assert.equal((await verdictOn(scheme, sent, context)).kind, 'handshake')
  })
})

describe('notifications with content', async () => {
  const microsoft = await createIssuer('ms')
  const { fetchKeys } = publish({ [jwksUrl]: { keys: [microsoft.jwk] } })
  const rich = { ...notification, encryptedContent: { data: 'AAAA' } }
  const own = { ...context, settings: { appId }, fetchKeys }
  const publisher = '0bf30f3b-4a52-48df-9a82-234910c4a086'
  const second = {
    ver: '2.0',
    iss: `https://login.microsoftonline.com/${tenant}/v2.0`,
    aud: appId,
    azp: publisher,
    tid: tenant,
  }
  const first = {
    ver: '1.0',
    iss: `https://sts.windows.net/${tenant}/`,
    aud: appId,
    appid: publisher,
    tid: tenant,
  }
  const sentWith = async (claims: object, value: unknown[] = [rich]) => {
    const validationTokens = [await microsoft.token({ ...claims })]
    return { body: JSON.stringify({ value, validationTokens }), headers: {} }
  }

  refusesWhatWasChanged({
    name: scheme,
    sent: await sentWith(second),
    context: own,
    foreign: { secrets: ['SecretClientStat'] },
    covered: [],
    isBodyFree: true,
  })

  test('tokens of both versions are believed', async () => {
    for (const claims of [first, second]) await accepted(scheme, await sentWith(claims), own)
  })

  test('a token for or from others, or of another tenant, is not', async () => {
    for (const [claims, reason] of [
      [{ ...second, aud: 'other' }, 'key'],
      [{ ...second, azp: 'other' }, 'key'],
      [{ ...first, appid: 'other' }, 'key'],
      [{ ...second, iss: second.iss.replace('8', '9') }, 'key'],
      [{ ...second, iss: first.iss }, 'key'],
      [{ ...second, exp: nowSeconds - 61 }, 'timestamp'],
    ] as const) {
      assert.equal(await reasonOf(scheme, await sentWith(claims), own), reason)
    }
    const elsewhere = [{ ...rich, tenantId: '00000000-0000-0000-0000-000000000000' }]
    assert.equal(await reasonOf(scheme, await sentWith(second, elsewhere), own), 'key')
    const common = { tid: 'common', iss: 'https://login.microsoftonline.com/common/v2.0' }
    const ofAll = await sentWith({ ...second, ...common }, [{ ...rich, tenantId: 'common' }])
    assert.equal(await reasonOf(scheme, ofAll, own), 'key')
    const bound = { ...own, settings: { appId, tenantId: tenant.replace('8', '9') } }
    assert.equal(await reasonOf(scheme, await sentWith(second), bound), 'key')
  })

  test('a token of another key is refused, and so are none, odd ones and too many', async () => {
    const forged = await (await createIssuer('ms')).token(second)
    const good = await microsoft.token(second)
    for (const [validationTokens, reason] of [
      [[forged], 'signature'],
      [[good, forged], 'signature'],
      [[], 'missing'],
      [undefined, 'missing'],
      [[{ toString: 1 }], 'malformed'],
      [Array(51).fill(good), 'malformed'],
    ] as const) {
      const sent = { body: JSON.stringify({ value: [rich], validationTokens }), headers: {} }
      assert.equal(await reasonOf(scheme, sent, own), reason)
    }
  })

  test('without an application that they could be for they are refused', async () => {
    const nobody = { ...own, settings: {} }
    assert.equal(await reasonOf(scheme, await sentWith(second), nobody), 'key')
  })
})

test('a state that Graph would not take is told as a flaw', () => {
  for (const bad of ['', 'x'.repeat(129)]) {
    const flaws = schemes[scheme].flaws({ secrets: [bad], settings: {} })
    assert.deepEqual(
      flaws.map(({ pointer }) => pointer),
      ['/secrets/0'],
    )
  }
})

test('what would take long to read is not read, since anybody may have sent it', async () => {
  const deep = JSON.parse('['.repeat(62) + ']'.repeat(62))
  assert.equal(await reasonOf(scheme, of({ ...notification, deep }), context), 'malformed')
  assert.equal(await reasonOf(scheme, of({ ...notification, deep: deep[0] }), context), 'accepted')
  const long = Array.from({ length: 10_001 }, () => 0)
  assert.equal(await reasonOf(scheme, of({ ...notification, long }), context), 'malformed')
})
