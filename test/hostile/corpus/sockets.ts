import { badRequest, type Hostile, written } from '../wire.ts'

const raw = (name: string, text: string, more: Partial<Hostile> = {}): Hostile => ({
  name: `socket: ${name}`,
  bytes: Buffer.from(text, 'latin1'),
  statuses: badRequest,
  ...more,
})

const close = 'Connection: close\r\n'
const post = (headers: string, body = ''): string =>
  `POST /api/v1/clients HTTP/1.1\r\nHost: a\r\n${close}${headers}\r\n${body}`

/** What is not HTTP, or not quite. */
function* lines(): Generator<Hostile> {
  const nonsense = [
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['SSH', 'SSH-2.0-OpenSSH_9.9\r\n'],
    ['SMTP', 'EHLO hostile\r\n'],
    ['RTSP', 'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n'],
    ['SIP', 'OPTIONS sip:a SIP/2.0\r\n\r\n'],
    ['ICAP', 'OPTIONS * ICAP/1.0\r\n\r\n'],
    ['Redis', '*1\r\n$4\r\nPING\r\n'],
    ['a Postgres start', '\x00\x00\x00\x08\x04\xd2\x16\x2f'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a PROXY line', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['zero bytes', '\0'.repeat(64)],
    ['high bytes', '\xff'.repeat(64)],
    ['HTTP/0.9', 'GET /livez\r\n\r\n'],
    ['a line of spaces', '    \r\n\r\n'],
    ['a lower-case method', 'get /livez HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an invented method', 'INVENT /livez HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a method of 10,000', `${'A'.repeat(10_000)} / HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['a tab for a space', 'GET\t/livez\tHTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no path', 'GET HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an empty path', 'GET  HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a path without a slash', 'GET livez HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a space in the path', 'GET /liv ez HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['NUL in the path', 'GET /liv\0ez HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['CR in the path', 'GET /liv\rez HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no reason to end', 'GET /livez HTTP/1.1', { isCut: true }],
    ['half a header', 'GET /livez HTTP/1.1\r\nHost: a\r\nX-', { isCut: true }],
    ['half a body', post('Content-Type: application/json\r\nContent-Length: 9\r\n', '{'), cut],
    ['half a chunk', post('Transfer-Encoding: chunked\r\n', '9\r\nab'), cut],
    ['half a chunk size', post('Transfer-Encoding: chunked\r\n', 'f'), cut],
    ['no last chunk', post('Transfer-Encoding: chunked\r\n', '1\r\na\r\n'), cut],
  ] as const
  for (const [name, text, more] of nonsense) yield raw(name, text, { isCut: true, ...more })
  for (const version of ['3', '1.2', '1.10', '1', '01.1', '1.1.', '-1.1', '1,1', 'x']) {
    yield raw(`version ${version}`, `GET /livez HTTP/${version}\r\nHost: a\r\n\r\n`, {
      isCut: true,
    })
  }
}

const cut = { isCut: true, statuses: [400, 401, 415], maySilence: true }

/** Lengths that one reader takes for one number and the next for another. */
function* lengths(): Generator<Hostile> {
  const values = [
    '-1',
    '+1',
    '0x1',
    '1e0',
    '1.0',
    '1,1',
    '1, 1',
    '1 1',
    '1;',
    '"1"',
    '1_0',
    'x',
    '\xb2',
    '1\0',
    '18446744073709551616',
    '99999999999999999999999999',
    'NaN',
    '\x0b1',
    '0 0',
    '٣',
  ]
  for (const value of values) {
    const text = post(`Content-Length: ${Buffer.from(value).toString('latin1')}\r\n`, 'ab')
    yield raw(`length ${JSON.stringify(value)}`, text, { isCut: true })
  }
  for (const [a, b] of [
    ['1', '2'],
    ['1', '1'],
    ['2', '02'],
    ['1', ''],
    ['0', '5'],
  ]) {
    const headers = `Content-Length: ${a}\r\nContent-Length: ${b}\r\n`
    yield raw(`lengths ${a} and ${b}`, post(headers, 'ab'), { isCut: true })
  }
}

/** A length and chunks, and codings that a proxy reads and we do not, or the other way round. */
function* codings(): Generator<Hostile> {
  const hidden = '0\r\n\r\nGET /hostile HTTP/1.1\r\nHost: a\r\n\r\n'
  const values = [
    'chunked',
    'Chunked',
    ' chunked',
    'chunked ',
    '\tchunked',
    'xchunked',
    'chunkedx',
    'chunked\0',
    'chunked, identity',
    'identity',
    'identity, chunked',
    'gzip',
    'gzip, chunked',
    'chunked, gzip',
    'chunked, chunked',
    '"chunked"',
    'chunked;q=1',
    'chunked;a="',
    'cow',
    '',
    ',chunked',
    'chunked,',
    '\x0bchunked',
    'ch\xfbnked',
    'trailers',
    'deflate',
  ]
  for (const value of values) {
    for (const length of ['', 'Content-Length: 4\r\n']) {
      const name = `coding ${JSON.stringify(value)}${length && ' and a length'}`
      const text = post(`${length}Transfer-Encoding: ${value}\r\n`, hidden)
      yield raw(name, text, { isCut: true, statuses: length ? badRequest : [400, 401] })
    }
  }
  for (const line of [
    'Transfer-Encoding : chunked',
    'Transfer-Encoding\t: chunked',
    ' Transfer-Encoding: chunked',
    'Transfer-Encoding:\r\n chunked',
    'Transfer\0-Encoding: chunked',
    'Transfer-Encoding chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: cow',
    'Transfer-Encoding: x\nchunked: y',
    'Transfer-Encoding: cow\r\nTransfer-Encoding: chunked',
    'Content-Length : 4',
    'Transfer_Encoding: chunked',
    'X: a\rTransfer-Encoding: chunked',
    'Content-Length: 4\rX: a',
  ]) {
    const text = post(`${line}\r\nContent-Length: 4\r\n`, hidden)
    yield raw(`smuggled ${JSON.stringify(line)}`, text, { isCut: true, statuses: [400, 401] })
  }
}

function* chunks(key: string): Generator<Hostile> {
  const bodies = [
    ['a huge size', 'ffffffffffffffff\r\na'],
    ['a size past 64 bits', `${'f'.repeat(17)}\r\na`],
    ['a size of 10,000 digits', `${'0'.repeat(10_000)}1\r\na\r\n0\r\n\r\n`],
    ['a negative size', '-1\r\na\r\n0\r\n\r\n'],
    ['a size with 0x', '0x1\r\na\r\n0\r\n\r\n'],
    ['a size with a plus', '+1\r\na\r\n0\r\n\r\n'],
    ['a size with a space', '1 \r\na\r\n0\r\n\r\n'],
    ['a space before the size', ' 1\r\na\r\n0\r\n\r\n'],
    ['a size that is none', 'zz\r\na\r\n0\r\n\r\n'],
    ['no size', '\r\na\r\n0\r\n\r\n'],
    ['more than the size', '1\r\nab\r\n0\r\n\r\n'],
    ['less than the size', '5\r\na\r\n0\r\n\r\n'],
    ['bare line feeds', '1\na\n0\n\n'],
    ['bare returns', '1\ra\r0\r\r'],
    ['an extension of 64 KiB', `1;${'a'.repeat(65_536)}\r\na\r\n0\r\n\r\n`],
    ['an extension with a line feed', '1;a\nb\r\na\r\n0\r\n\r\n'],
    ['an extension without end', '1;a="b\r\na\r\n0\r\n\r\n'],
    ['1,000 extensions', `${'1;a=b\r\n \r\n'.repeat(1_000)}0\r\n\r\n`],
    ['1,000 chunks of one byte', `${'1\r\n \r\n'.repeat(1_000)}0\r\n\r\n`],
    ['a trailer that is a header', '2\r\n{}\r\n0\r\nHost: hostile\r\nAuthorization: x\r\n\r\n'],
    ['a trailer of 64 KiB', `2\r\n{}\r\n0\r\nX: ${'a'.repeat(65_536)}\r\n\r\n`],
    ['a trailer without a colon', '2\r\n{}\r\n0\r\nhostile\r\n\r\n'],
    ['NUL in the size', '1\0\r\na\r\n0\r\n\r\n'],
    ['a mebibyte and one', `100001\r\n${' '.repeat(1_048_577)}\r\n0\r\n\r\n`],
  ] as const
  for (const [name, body] of bodies) {
    const headers = `Authorization: Bearer ${key}\r\nContent-Type: application/json\r\n`
    const text = post(`${headers}Transfer-Encoding: chunked\r\n`, body)
    yield raw(`chunks: ${name}`, text, {
      statuses: [400, 413, 431],
      isCut: !body.endsWith('0\r\n\r\n'),
    })
  }
}

/** Header lines that are none. */
function* headerLines(): Generator<Hostile> {
  for (const line of [
    'X',
    ': a',
    'X : a',
    'X\t: a',
    '\tX: a',
    ' X: a',
    'X Y: a',
    'X\0: a',
    'X: a\0b',
    'X: a\rb',
    'X: a\nb',
    'X: a\n b',
    'X: a\r\n b',
    'X: a\r\n\tb',
    'X\xe9: a',
    'X(: a',
    'X,: a',
    'X/: a',
    'X[: a',
    '"X": a',
    'X: a\r\r',
    '\x7f: a',
    'X@: a',
    'X{: a',
    'X\r: a',
    'X: \x01',
    'X: \x7f',
    'X: \x1b[31m',
    '=: a',
    'X=: a',
    'X: a\r\nHost: b',
    'Host',
    'Host:',
    'Host: a b',
    'Host: a/b',
    'Host: a@b',
    'Host: a,b',
    'Host: \xe9',
    'Host: a:99999999',
    'Host: a:b',
    'Host: [::1',
    'Host: <',
  ]) {
    const hosts = line.startsWith('Host') ? '' : 'Host: a\r\n'
    const text = `GET /api/v1/me HTTP/1.1\r\n${hosts}${close}${line}\r\n\r\n`
    yield raw(`header line ${JSON.stringify(line)}`, text, { statuses: [400, 401] })
  }
  yield raw('no host', `GET /livez HTTP/1.1\r\n${close}\r\n`)
  yield raw('two hosts', `GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n${close}\r\n`)
  yield raw('one host twice', `GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n${close}\r\n`)
}

/** Forms of the request's target, and switches to other protocols. */
function* forms(key: string): Generator<Hostile> {
  for (const path of [
    'http://other.test/api/v1/me',
    'https://ubos.test/api/v1/clients',
    'http://a@b/livez',
    '*',
    'http://',
    'http:///livez',
    '//other.test/api/v1/me',
    '///',
    'ftp://a/livez',
    'other.test:443',
    'file:///etc/passwd',
    'gopher://a/_x',
    'http://[::1]:5432/',
    'http://169.254.169.254/latest',
  ]) {
    for (const method of ['GET', 'OPTIONS', 'CONNECT', 'TRACE']) {
      const bytes = written({ method, path, key })
      yield { name: `form: ${method} ${path}`, bytes }
    }
  }
  for (const version of ['HTTP/1.0']) {
    for (const path of ['/livez', '/api/v1/me', '/nowhere']) {
      yield { name: `form: ${version} ${path}`, bytes: written({ path, version, key }) }
      const isBare = true
      yield { name: `form: ${version} ${path} bare`, bytes: written({ path, version, isBare }) }
    }
  }
  for (const upgrade of ['h2c', 'websocket', 'TLS/1.3', 'hostile', 'HTTP/2.0, h2c', '\xff']) {
    const headers = [`Upgrade: ${upgrade}`, 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']
    const lines = ['Host: a', 'Connection: Upgrade, HTTP2-Settings', ...headers]
    const bytes = written({ path: '/livez', headers: lines, isBare: true })
    yield { name: `form: upgrade to ${JSON.stringify(upgrade)}`, bytes }
  }
}

export function* sockets({ key }: { key: string }): Generator<Hostile> {
  yield* lines()
  yield* lengths()
  yield* codings()
  yield* chunks(key)
  yield* headerLines()
  yield* forms(key)
}
