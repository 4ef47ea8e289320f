import assert from 'node:assert/strict'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, test } from 'vitest'
import { judgeAddress, judgeUrl } from '#egress/address.ts'

const production = { allowLoopback: false, httpsOnly: true }
const development = { allowLoopback: true, httpsOnly: false }
const policies = { production, development }

const goodUrls = [
  'https://example.com',
  'https://example.com/hook?tenant=1&b=%20#'.slice(0, -1),
  'HTTPS://Hooks.Example.COM/A/b',
  'https://example.com:443/',
  'https://example.com:8443/',
  'https://xn--bcher-kva.example.com/',
  'https://bücher.example.com/',
  'https://a.b.c.d.example.co.uk/',
  'https://8.8.8.8/hook',
  'https://[2606:4700:4700::1111]/hook',
  'https://localhost.example.com/',
  'https://internal.example.com/',
  'https://1.example.com/',
]

/** Refused whatever the policy. */
const hostileUrls = [
  // not a URL that we send to
  '',
  'example.com/hook',
  '//example.com/hook',
  '/hook',
  'https:',
  'https://',
  'https:///example.com/hook',
  'https:example.com',
  'ftp://example.com/',
  'file:///etc/passwd',
  'gopher://example.com:70/_GET',
  'data:text/plain,hello',
  'javascript:alert(1)',
  'ws://example.com/',
  'unix:/var/run/docker.sock',
  'https://exa mple.com/',
  'https://example.com/a b',
  'https://example.com\\@169.254.169.254/',
  'https://example.com\t.evil.com/',
  'https://exam\nple.com/',
  'https://example.com/\u0000',
  ' https://example.com/',
  'https://example.com/ ',
  `https://example.com/${'a'.repeat(2048)}`,
  // parts that hide or confuse
  'https://user@example.com/',
  'https://user:secret@example.com/',
  'https://:@example.com/',
  'https://@example.com/',
  'https://example.com@169.254.169.254/',
  'https://example.com/#fragment',
  'https://example.com/#',
  'https://example.com#@169.254.169.254/',
  'https://example.com:0/',
  'https://example.com:22/',
  'https://example.com:25/',
  'https://example.com:99999/',
  'https://example.com:-1/',
  'https://example.com./',
  'https://example.com../',
  'https://.example.com/',
  'https://example..com/',
  `https://${'a'.repeat(64)}.example.com/`,
  `https://${'a.'.repeat(130)}com/`,
  // names of private networks
  'https://metadata.google.internal/computeMetadata/v1/',
  'https://vault.internal/',
  'https://printer.local/',
  'https://nas.lan/',
  'https://router.home.arpa/',
  'https://intranet/',
  'https://kubernetes/',
  'https://db.corp/',
  'https://localhost.localdomain/',
  'https://localhost./',
  'https://hidden.onion/',
  'https://INTERNAL/',
  'https://api.Internal/',
  // addresses of others' insides
  'https://0.0.0.0/',
  'https://0/',
  'https://10.0.0.1/',
  'https://172.16.0.1/',
  'https://172.31.255.255/',
  'https://192.168.1.1/',
  'https://100.64.0.1/',
  'https://100.100.100.200/latest/meta-data/',
  'https://169.254.169.254/latest/meta-data/',
  'https://169.254.170.2/v2/credentials',
  'https://168.63.129.16/machine',
  'https://192.0.0.192/',
  'https://198.18.0.1/',
  'https://224.0.0.1/',
  'https://255.255.255.255/',
  // the same, spelled oddly
  'https://2852039166/latest/meta-data/',
  'https://0xa9fea9fe/',
  'https://0251.0376.0251.0376/',
  'https://0xa9.0xfe.0xa9.0xfe/',
  'https://169.254.43518/',
  'https://169.16689662/',
  'https://0xa.1/',
  'https://012.0.0.1/',
  'https://10.1/',
  'https://169.254.169.254./',
  'https://169。254。169。254/',
  'https://１６９.254.169.254/',
  'https://169%2e254%2e169%2e254/',
  'https://0x08080808/',
  'https://134744072/',
  'https://8.8.2056/',
  // IPv6
  'https://[::]/',
  'https://[::ffff:10.0.0.1]/',
  'https://[::ffff:a9fe:a9fe]/',
  'https://[0:0:0:0:0:ffff:169.254.169.254]/',
  'https://[::169.254.169.254]/',
  'https://[64:ff9b::169.254.169.254]/',
  'https://[64:ff9b:1::a9fe:a9fe]/',
  'https://[2002:a9fe:a9fe::1]/',
  'https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/',
  'https://[fd00:ec2::254]/',
  'https://[fe80::1]/',
  'https://[fe80::1%25eth0]/',
  'https://[fec0::1]/',
  'https://[ff02::1]/',
  'https://[100::1]/',
  'https://[2001:db8::1]/',
  'https://[4000::1]/',
  'https://::1/',
  'https://[]/',
]

/** This machine itself: development only. */
const loopbackUrls = [
  'http://127.0.0.1:3000/hook',
  'http://127.1.2.3/',
  'http://[::1]:8080/',
  'http://[::ffff:127.0.0.1]/',
  'http://localhost/',
  'http://localhost:8080/hook',
  'http://hooks.localhost:8080/',
]

const oddLoopbackUrls = [
  'http://127.1/',
  'http://2130706433/',
  'http://0x7f000001/',
  'http://0x7f.1/',
  'http://0177.0.0.1/',
  'http://127.0.0.1./',
  'http://①②⑦.0.0.1/',
]

describe.each(Object.entries(policies))('in %s', (_name, policy) => {
  test.each(goodUrls)('a customer may receive at %s', (url) => {
    assert.deepEqual(judgeUrl(url, policy), { ok: true, url: new URL(url) })
  })

  test.each(hostileUrls)('nothing is sent to %j', (url) => {
    const verdict = judgeUrl(url, policy)
    assert.ok(!verdict.ok)
    assert.match(verdict.reason, /^\S.*\.$/)
  })

  test.each(oddLoopbackUrls)('not even this machine may be written as %s', (url) => {
    assert.equal(judgeUrl(url, policy).ok, false)
  })
})

test.each(loopbackUrls)('%s is a receiver in development and forbidden in production', (url) => {
  assert.equal(judgeUrl(url, development).ok, true)
  assert.equal(judgeUrl(url, production).ok, false)
  assert.equal(judgeUrl(url.replace('http:', 'https:'), production).ok, false)
})

test('production takes https only', () => {
  assert.equal(judgeUrl('http://example.com/', development).ok, true)
  const verdict = judgeUrl('http://example.com/', production)
  assert.deepEqual(verdict, { ok: false, reason: 'The URL must begin with https://.' })
})

test('a human reads why', () => {
  const reason = (url: string) => {
    const verdict = judgeUrl(url, production)
    return verdict.ok ? '' : verdict.reason
  }
  assert.match(reason('https://10.0.0.1/'), /10\.0\.0\.1 is a private address/)
  assert.match(reason('https://169.254.169.254/'), /metadata/)
  assert.match(reason('https://localhost/'), /this machine itself/)
  assert.match(reason('https://vault.internal/'), /\.internal belong to private networks/)
  assert.match(reason('https://134744072/'), /Write the address plainly, as 8\.8\.8\.8/)
})

/** facts: Svix's and Hook0's lists together. First and last address of each, and the neighbours. */
const forbiddenBlocks = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '255.255.255.255/32'],
  ...['::/128', '::1/128', '::/8', '::ffff:0:0/112', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64'],
  ...['2001::/32', '2001:db8::/32', '2002::/16', '3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10'],
  ...['fec0::/10', 'ff00::/8', 'fd00:ec2::254/128'],
]

test.each(forbiddenBlocks)('no address of %s is dialled in production', (block) => {
  const [base, bits] = ipaddr.parseCIDR(block)
  const bytes = base.toByteArray()
  const anyOfBlock = fc
    .uint8Array({ minLength: bytes.length, maxLength: bytes.length })
    .map((luck) => {
      const mixed = bytes.map((byte, at) => {
        const fixed = Math.min(8, Math.max(0, bits - at * 8))
        const mask = (0xff << (8 - fixed)) & 0xff
        return (byte & mask) | ((luck[at] ?? 0) & ~mask & 0xff)
      })
      return ipaddr.fromByteArray(mixed).toString()
    })
  fc.assert(
    fc.property(anyOfBlock, (address) => {
      assert.equal(judgeAddress(address, production).ok, false, address)
    }),
  )
})

const goodAddresses = [
  ...['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255'],
  ...['128.0.0.0', '169.253.255.255', '172.15.255.255', '172.32.0.0', '192.167.255.255'],
  ...['192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255', '::ffff:8.8.8.8'],
  ...['2606:4700::1', '2a00:1450:4001:80e::200e', '2001:4860:4860::8888', '3ffe::1'],
]

test.each(goodAddresses)('%s is public and is dialled', (address) => {
  assert.deepEqual(judgeAddress(address, production), { ok: true })
})

test.each(['', 'example.com', '1.2.3', '0x7f.0.0.1', '127.1', '01.2.3.4', '1.2.3.4 ', '[::1]'])(
  '%j is not an address as a resolver writes it, and is not dialled',
  (text) => assert.equal(judgeAddress(text, development).ok, false),
)

test('in development this machine is dialled, its neighbours are not', () => {
  for (const address of ['127.0.0.1', '::1', '127.255.0.1', '::ffff:127.0.0.1']) {
    assert.deepEqual(judgeAddress(address, development), { ok: true })
  }
  for (const address of ['10.0.0.1', '0.0.0.0', '169.254.169.254', '::', 'fd00::1', 'fe80::1%lo']) {
    assert.equal(judgeAddress(address, development).ok, false)
  }
})

test.each(['::8.8.8.8', '::127.0.0.1', '0:0:0:0:0:0:8.8.8.8', '::808:808'])(
  '%s is no other writing of an IPv4 address, and is not dialled',
  (text) => {
    for (const policy of [development, production]) {
      assert.equal(judgeAddress(text, policy).ok, false)
    }
  },
)

const pieces = [
  ...['http', 'https', ':', '/', '//', '://', '@', '#', '?', '\\', '%', '%2e', '[', ']', '.', '。'],
  ...['127', '0', '1', '10', '0x7f', '0177', '2130706433', '169.254.169.254', '::1', 'ffff:', '１'],
  ...['localhost', 'internal', 'example', 'com', ' ', '\t', 'ß', '\u00ad', '\u200b', '-', '_'],
]

test('whatever a stranger puts together is judged, and only public https passes', () => {
  const anyText = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...pieces)).map((some) => some.join('')),
    fc.array(fc.constantFrom(...pieces)).map((some) => `https://${some.join('')}`),
  )
  const judge = (text: string) => {
    const verdict = judgeUrl(text, production)
    if (!verdict.ok) return
    assert.equal(verdict.url.protocol, 'https:')
    const host = verdict.url.hostname.replace(/^\[|\]$/g, '')
    if (ipaddr.isValid(host)) assert.equal(ipaddr.process(host).range(), 'unicast')
    else assert.match(host, /^[^.].*\.[^.]+$/)
  }
  fc.assert(fc.property(anyText, judge), { numRuns: 2_000 })
})
