import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { isValidSlackRequest } from '@slack/bolt/dist/receivers/verify-request.js'
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { accepted, now, nowSeconds, reasonOf, refusesWhatWasChanged, verdictOn } from './fixture.ts'

const scheme = 'SLACK'
const secret = '8f742231b10e8888abcd99yyyzzz85a5'
const context = { secrets: [secret] }
const body =
  '{"type":"event_callback","event_id":"Ev08MFMKH6","event":{"type":"app_mention","text":"Zoë"}}'

function signed(text = body, seconds = nowSeconds, by = secret, contentType = 'application/json') {
  const mac = createHmac('sha256', by).update(`v0:${seconds}:${text}`).digest('hex')
  return {
    body: text,
    headers: {
      'X-Slack-Signature': `v0=${mac}`,
      'X-Slack-Request-Timestamp': String(seconds),
      'Content-Type': contentType,
    },
  }
}
const form = (fields: Record<string, string>) =>
  signed(String(new URLSearchParams(fields)), nowSeconds, secret, formType)
const formType = 'application/x-www-form-urlencoded'

interface Try {
  text: string
  seconds: number
  by: string
  change: string
}

refusesWhatWasChanged({
  name: scheme,
  sent: signed(),
  context,
  foreign: { secrets: ['8f742231b10e8888abcd99yyyzzz85a6'] },
  covered: ['X-Slack-Signature', 'X-Slack-Request-Timestamp'],
})

test('the published vector is accepted', async () => {
  const published = [
    'token=xyzz0WbapA4vBCDEFasx0q6G',
    'team_id=T1DC2JH3J',
    'team_domain=testteamnow',
    'channel_id=G8PSS9T3V',
    'channel_name=foobar',
    'user_id=U2CERLKJA',
    'user_name=roadrunner',
    'command=%2Fwebhook-collect',
    'text=',
    'response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN',
    'trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
  ].join('&')
  const headers = {
    'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    'X-Slack-Request-Timestamp': '1531420618',
    'Content-Type': formType,
  }
  const then = new Date(1_531_420_618_000)
  assert.deepEqual(
    await accepted(scheme, { body: published, headers }, { ...context, now: then }),
    {
      providerEventId: null,
      signedAt: then,
      eventType: '/webhook-collect',
      isDrift: false,
    },
  )
})

test("what Slack's own library takes we take, and what it refuses we refuse, but for the future", async () => {
  const anything = fc.record({
    text: fc.oneof(fc.json(), fc.string({ unit: 'grapheme' })),
    seconds: fc.constantFrom(-301, -300, -299, 0, 299, 300),
    by: fc.constantFrom(secret, 'foreign'),
    change: fc.constantFrom('nothing', 'body', 'time', 'signature'),
  })
  const judge = async ({ text, seconds, by, change }: Try) => {
    const sent = signed(text, nowSeconds + seconds, by)
    const signature = sent.headers['X-Slack-Signature']
    const flipped = signature.replace(/.$/, (last) => (last === '0' ? '1' : '0'))
    const at = nowSeconds + seconds + (change === 'time' ? 1 : 0)
    const arrived = {
      body: change === 'body' ? `${text} ` : text,
      headers: {
        ...sent.headers,
        'X-Slack-Signature': change === 'signature' ? flipped : signature,
        'X-Slack-Request-Timestamp': String(at),
      },
    }
    const theirs = isValidSlackRequest({
      signingSecret: secret,
      body: arrived.body,
      headers: {
        'x-slack-signature': arrived.headers['X-Slack-Signature'],
        'x-slack-request-timestamp': at,
      },
      nowMilliseconds: now.getTime(),
    })
    const ours = await verdictOn(scheme, arrived, context)
    assert.equal(ours.kind === 'accepted', theirs, JSON.stringify(ours))
    assert.equal(theirs, by === secret && change === 'nothing' && seconds >= -300)
  }
  await fc.assert(fc.asyncProperty(anything, judge))
})

test('an event is accepted with its id, time and type', async () => {
  assert.deepEqual(await accepted(scheme, signed(), { secrets: ['other', secret] }), {
    providerEventId: 'Ev08MFMKH6',
    signedAt: now,
    eventType: 'app_mention',
    isDrift: false,
  })
})

test('the challenge is answered as text when it is signed, and not otherwise', async () => {
  const challenge = '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P'
  const text = JSON.stringify({ token: 'x', challenge, type: 'url_verification' })
  assert.deepEqual(await verdictOn(scheme, signed(text), context), {
    kind: 'handshake',
    answer: {
      status: 200,
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body: challenge,
    },
  })
  assert.equal(await reasonOf(scheme, signed(text, nowSeconds, 'foreign'), context), 'signature')
  assert.equal(await reasonOf(scheme, signed(text, nowSeconds - 301), context), 'timestamp')
})

describe('a time is believed within five minutes, both ways', () => {
  test.each([
    [-300, 'accepted'],
    [-301, 'timestamp'],
    [300, 'accepted'],
    [301, 'timestamp'],
  ])('%i s from now: %s', async (seconds, outcome) => {
    assert.equal(await reasonOf(scheme, signed(body, nowSeconds + seconds), context), outcome)
  })
})

test('commands and clicks, which come as forms, have a type', async () => {
  const click = form({ payload: '{"type":"block_actions","actions":[]}' })
  assert.equal((await accepted(scheme, click, context)).eventType, 'block_actions')
  const nothing = await accepted(scheme, form({ other: 'field' }), context)
  assert.deepEqual([nothing.eventType, nothing.isDrift], [null, true])
})

test('a signed payload without a type is drift', async () => {
  for (const text of ['no json', '{}', '[]', '{"type":{"toString":1}}']) {
    assert.equal((await accepted(scheme, signed(text), context)).isDrift, true, text)
  }
})
