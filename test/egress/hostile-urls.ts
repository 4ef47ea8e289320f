/**
 * Addresses by which others have tried to reach the inside of a house that sends where it is told to:
 * by the tricks that they are made with. `{port}` is the port of the canary, so that whoever gets
 * through is heard. None may ever be dialled in production; in development neither, but for those that
 * are plainly this machine.
 */
export interface Trick {
  readonly name: string
  readonly urls: readonly string[]
  /** Plainly this machine is a receiver in development; what may be elsewhere is not tried there. */
  readonly inDevelopment?: 'receiver' | 'not tried'
  /** A client that does not look reaches this very machine by it. */
  readonly leadsHere?: true
}

const at = (hosts: readonly string[]) => hosts.map((host) => `https://${host}:{port}/hook`)

export const tricks: readonly Trick[] = [
  {
    name: 'this machine, plainly',
    leadsHere: true,
    inDevelopment: 'receiver',
    urls: at(['127.0.0.1', '127.0.0.2', '127.1.2.3', '127.255.255.254', '[::1]', 'localhost']),
  },
  {
    name: 'this machine, plainly, and something behind it',
    leadsHere: true,
    inDevelopment: 'receiver',
    urls: [
      'https://127.0.0.1:{port}',
      'https://127.0.0.1:00{port}/',
      'https://127.0.0.1:{port}?@example.com/',
      'https://127.0.0.1:{port}?.example.com',
      'https://127.0.0.1:{port}/?url=https://example.com/',
      'https://127.0.0.1:{port}/%0d%0aX-Evil:%201',
    ],
  },
  {
    name: 'this machine, by other plain spellings of IPv6',
    leadsHere: true,
    inDevelopment: 'receiver',
    urls: at([
      ...['[0:0:0:0:0:0:0:1]', '[0000:0000:0000:0000:0000:0000:0000:0001]', '[::0001]', '[0::1]'],
      ...['[::ffff:127.0.0.1]', '[::FFFF:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:7f00:1]'],
      ...['[::ffff:127.255.0.1]', '[0000::ffff:7f00:0001]', '[::ffff:127.0.0.2]'],
    ]),
  },
  {
    name: 'names under localhost',
    inDevelopment: 'receiver',
    urls: at([
      'hooks.localhost',
      'a.b.localhost',
      'LOCALHOST',
      'LocalHost',
      'example.com.localhost',
    ]),
  },
  {
    name: 'the address of no machine in particular, which is this one',
    leadsHere: true,
    urls: at([
      '0.0.0.0',
      '[::]',
      '[0:0:0:0:0:0:0:0]',
      '[::ffff:0.0.0.0]',
      '[::0]',
      '0',
      '0x0',
      '00',
    ]),
  },
  {
    name: 'others of the network of this machine',
    urls: at(['0.0.0.1', '0.1.2.3', '0.255.255.255']),
  },
  {
    name: 'IPv4 as one number',
    leadsHere: true,
    urls: at(['2130706433', '2130706434', '017700000001', '0x7f000001', '0X7F000001', '0x7F.1']),
  },
  {
    name: 'IPv4 with octal parts',
    leadsHere: true,
    urls: at([
      ...[
        '0177.0.0.1',
        '0177.0000.0000.0001',
        '00000177.0.0.1',
        '0177.1',
        '0177.0.01',
        '127.0.0.01',
      ],
      ...['127.0.00.1', '0177.0x0.0.1'],
    ]),
  },
  {
    name: 'IPv4 with hexadecimal parts',
    leadsHere: true,
    urls: at([
      '0x7f.0.0.1',
      '0x7f.0x0.0x0.0x1',
      '0x7f.1',
      '0x0000007f.1',
      '127.0x1',
      '127.0.0.0x1',
    ]),
  },
  {
    name: 'short IPv4',
    leadsHere: true,
    urls: at(['127.1', '127.0.1', '127.65530', '127.16777214', '0.0', '0.0.0']),
  },
  {
    name: 'digits and dots of other scripts',
    leadsHere: true,
    urls: at([
      ...['１２７.0.0.1', '①②⑦.0.0.1', '127。0。0。1', '127．0．0．1', '127｡0｡0｡1', '𝟙𝟚𝟟.0.0.1'],
      ...['𝟏𝟐𝟕.𝟎.𝟎.𝟏', '1²7.0.0.1', '¹²⁷.0.0.1', '₁₂₇.0.0.1', '127.0.0.①'],
    ]),
  },
  {
    name: 'letters of other scripts in names of this machine',
    inDevelopment: 'receiver',
    urls: at([
      'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
      'ｌｏｃａｌｈｏｓｔ',
      'loc\u00adalhost',
      'local\u200bhost',
      'loca\u2060lhost',
    ]),
  },
  {
    name: 'characters by their percent codes',
    leadsHere: true,
    urls: at(['%31%32%37.0.0.1', '127%2e0%2e0%2e1', '127.0.0.%31', '%30x7f.1']),
  },
  {
    name: 'dots behind',
    urls: at([
      ...['127.0.0.1.', '127.0.0.1..', 'localhost.', 'localhost..', '0x7f.1.', '2130706433.'],
      ...['169.254.169.254.', 'metadata.google.internal.', 'hooks.localhost.'],
    ]),
  },
  {
    name: 'private IPv4',
    urls: at([
      ...[
        '10.0.0.1',
        '10.255.255.255',
        '172.16.0.1',
        '172.31.255.254',
        '192.168.0.1',
        '192.168.1.254',
      ],
      ...[
        '100.64.0.1',
        '100.127.255.254',
        '198.18.0.1',
        '198.19.255.254',
        '192.0.0.1',
        '192.0.0.8',
      ],
      ...[
        '192.0.2.2',
        '198.51.100.7',
        '203.0.113.9',
        '192.88.99.1',
        '224.0.0.1',
        '239.255.255.250',
      ],
      ...['240.0.0.1', '255.255.255.255', '10.1', '0xa.1', '012.1', '167772161', '3232235521'],
      ...['0xc0a80001', '0300.0250.0.1', '172.1048577', '192.168.1'],
    ]),
  },
  {
    name: 'private IPv6',
    urls: at([
      ...[
        '[fc00::1]',
        '[fd00::2]',
        '[fdff:ffff::1]',
        '[fe80::1]',
        '[febf::1]',
        '[fec0::1]',
        '[ff02::1]',
      ],
      ...[
        '[ff05::1:3]',
        '[100::1]',
        '[2001:db8::1]',
        '[3fff::1]',
        '[5f00::1]',
        '[4000::1]',
        '[1::1]',
      ],
      ...[
        '[2001:2::1]',
        '[2001:10::1]',
        '[2001:20::1]',
        '[fe80::fc:ff:fe00:1]',
        '[0100::]',
        '[e000::1]',
      ],
    ]),
  },
  {
    name: 'IPv6 with a zone',
    urls: at([
      '[fe80::1%25eth0]',
      '[fe80::1%eth0]',
      '[::1%25lo]',
      '[::1%lo]',
      '[fe80::1%2525eth0]',
    ]),
  },
  {
    name: 'IPv4 within IPv6',
    urls: at([
      ...['[::127.0.0.1]', '[::7f00:1]', '[::10.0.0.1]', '[::ffff:10.0.0.1]', '[::ffff:a00:1]'],
      ...[
        '[::ffff:192.168.1.1]',
        '[::ffff:0:127.0.0.1]',
        '[::ffff:0:a9fe:a9fe]',
        '[::ffff:a9fe:a9fe]',
      ],
      ...[
        '[64:ff9b::127.0.0.1]',
        '[64:ff9b::7f00:1]',
        '[64:ff9b::a9fe:a9fe]',
        '[64:ff9b::10.0.0.1]',
      ],
      ...[
        '[64:ff9b:1::7f00:1]',
        '[64:ff9b:1:ffff::10.0.0.1]',
        '[2002:7f00:1::]',
        '[2002:7f00:1::1]',
      ],
      ...[
        '[2002:a9fe:a9fe::1]',
        '[2002:a00:1::1]',
        '[2002:c0a8:101::1]',
        '[::ffff:169.254.169.254]',
      ],
      ...['[2001:0:4136:e378:8000:63bf:80ff:fffe]', '[2001::7f00:1]', '[0:0:0:0:0:0:127.0.0.1]'],
    ]),
  },
  {
    name: 'where clouds keep their metadata',
    urls: [
      ...['http', 'https'].map((scheme) => `${scheme}://169.254.169.254/latest/meta-data/`),
      'https://169.254.169.254/latest/api/token',
      'https://169.254.169.254/opc/v2/instance/',
      'https://169.254.169.254/metadata/v1.json',
      'https://169.254.169.254/metadata/instance?api-version=2021-02-01',
      'https://169.254.169.254/openstack/latest/meta_data.json',
      'https://169.254.169.253/',
      'https://169.254.170.2/v2/credentials',
      'https://169.254.170.23/v1/credentials',
      'https://169.254.42.42/conf',
      'https://169.254.0.23/latest/meta-data/',
      'https://169.254.0.1/',
      'https://168.63.129.16/machine?comp=goalstate',
      'https://168.63.129.16:32526/vmSettings',
      'https://100.100.100.200/latest/meta-data/',
      'https://192.0.0.192/latest/',
      'https://[fd00:ec2::254]/latest/meta-data/',
      'https://[fd00:ec2::23]/v1/credentials',
      'https://[fd20:ce::254]/computeMetadata/v1/',
      'https://[fd00:42::42]/conf',
      'https://[fe80::a9fe:a9fe]/latest/meta-data/',
      'https://metadata.google.internal/computeMetadata/v1/',
      'https://METADATA.google.INTERNAL/computeMetadata/v1beta1/',
      'https://metadata/computeMetadata/v1/',
      'https://instance-data.ec2.internal/latest/meta-data/',
      'https://instance-data/latest/meta-data/',
      'https://rancher-metadata/2015-07-25/',
      'https://2852039166/latest/meta-data/',
      'https://0xa9fea9fe/latest/meta-data/',
      'https://0xa9.254.0251.0376/latest/meta-data/',
      'https://0251.0376.0251.0376/latest/meta-data/',
      'https://169.254.43518/latest/meta-data/',
      'https://169.16689662/latest/meta-data/',
      'https://425.510.425.510/latest/meta-data/',
      'https://①⑥⑨.②⑤④.①⑥⑨.②⑤④/latest/meta-data/',
      'https://169。254。169。254/latest/meta-data/',
    ],
  },
  {
    name: 'names of private networks',
    urls: at([
      ...[
        'printer.local',
        'vault.internal',
        'nas.lan',
        'router.home.arpa',
        'db.corp',
        'wiki.intranet',
      ],
      ...[
        'api.private',
        'media.home',
        'hidden.onion',
        'localhost.localdomain',
        'host.docker.internal',
      ],
      ...['gateway.docker.internal', 'kubernetes.default.svc', 'api.default.svc.cluster.local'],
      ...['vault.service.consul', 'intranet', 'kubernetes', 'postgres', 'redis', 'ip6-localhost'],
      ...['ip6-loopback', 'broadcasthost', 'localhost6', 'LOCALHOST.LOCALDOMAIN', 'web.docker'],
    ]),
  },
  {
    name: 'a user name that looks like a host',
    urls: [
      'https://example.com@127.0.0.1:{port}/',
      'https://example.com:443@127.0.0.1:{port}/',
      'https://example.com%2f@127.0.0.1:{port}/',
      'https://example.com%00@127.0.0.1:{port}/',
      'https://127.0.0.1:{port}@example.com/',
      'https://user:secret@127.0.0.1:{port}/',
      'https://@127.0.0.1:{port}/',
      'https://:@127.0.0.1:{port}/',
      'https://@@127.0.0.1:{port}/',
      'https://example.com@@127.0.0.1:{port}/',
      'https://example.com:@127.0.0.1:{port}/',
      'https://a@b@127.0.0.1:{port}/',
      'https://example.com&@127.0.0.1:{port}/',
      'https://example.com%40127.0.0.1:{port}/',
      'https://example.com;@127.0.0.1:{port}/',
    ],
  },
  {
    name: 'backslashes and slashes',
    urls: [
      'https://example.com\\@127.0.0.1:{port}/',
      'https://127.0.0.1:{port}\\@example.com/',
      'https:\\\\127.0.0.1:{port}\\',
      'https:/\\127.0.0.1:{port}/',
      'https:\\/127.0.0.1:{port}/',
      'https:/127.0.0.1:{port}/',
      'https:127.0.0.1:{port}/',
      'https:///127.0.0.1:{port}/',
      'https:////127.0.0.1:{port}/',
      'https://\\127.0.0.1:{port}/',
      'https://example.com\\.127.0.0.1:{port}/',
      '//127.0.0.1:{port}/',
      '\\\\127.0.0.1:{port}\\share',
      '/\\127.0.0.1:{port}/',
      'https://../127.0.0.1:{port}/',
    ],
  },
  {
    name: 'tabs, ends of lines and other characters that are not seen',
    urls: [
      'ht\ttps://127.0.0.1:{port}/',
      'https://127.0.\t0.1:{port}/',
      'https://127.0.0.1\n:{port}/',
      'https://\r\n127.0.0.1:{port}/',
      '\thttps://127.0.0.1:{port}/',
      ' https://127.0.0.1:{port}/',
      'https://127.0.0.1:{port}/ ',
      'https://127.0.0.1 :{port}/',
      'https://127.0.0.1\u0000.example.com:{port}/',
      'https://example.com\u0000@127.0.0.1:{port}/',
      'https://127.0.0.1\u00a0:{port}/',
      'https://127.0.0.1:{port}/\u2028',
      '\ufeffhttps://127.0.0.1:{port}/',
      'https://127.\u00ad0.0.1:{port}/',
      'https://127.0.\u200b0.1:{port}/',
      'https://127.0.0.1\u202e:{port}/',
    ],
  },
  {
    name: 'ends of lines that would begin another header',
    urls: [
      'https://127.0.0.1:{port}/\r\nHost: example.com',
      'https://127.0.0.1:{port}/?a=\r\nX-Evil: 1',
      'https://example.com/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\nGET /',
      'https://example.com/\nSET key value\n',
      'https://example.com%0d%0aHost:%20127.0.0.1:{port}/',
      'https://example.com:{port}\r\nHost: 127.0.0.1/',
    ],
  },
  {
    name: 'fragments and queries in the middle',
    urls: [
      'https://example.com#@127.0.0.1:{port}/',
      'https://127.0.0.1:{port}#@example.com/',
      'https://127.0.0.1:{port}#.example.com/',
      'https://example.com/#',
      'https://127.0.0.1:{port}/#/../example.com',
    ],
  },
  {
    name: 'ports of other protocols and ports that are none',
    urls: [
      ...[0, 1, 19, 21, 22, 23, 25, 53, 69, 79, 110, 111, 143, 389, 445, 465, 514, 587, 993].map(
        (port) => `https://example.com:${port}/`,
      ),
      'https://example.com:65536/',
      'https://example.com:99999/',
      'https://example.com:-1/',
      'https://example.com:4294967743/',
      'https://example.com:{port}:80/',
      'https://example.com:443:@127.0.0.1:{port}/',
      'https://example.com:0x1bb/',
    ],
  },
  {
    name: 'other schemes',
    urls: [
      'ftp://127.0.0.1:{port}/',
      'file:///etc/passwd',
      'file://127.0.0.1/etc/passwd',
      'gopher://127.0.0.1:{port}/_SET%20a%20b',
      'dict://127.0.0.1:{port}/info',
      'ldap://127.0.0.1:{port}/',
      'sftp://127.0.0.1:{port}/',
      'tftp://127.0.0.1:{port}/x',
      'ws://127.0.0.1:{port}/',
      'wss://127.0.0.1:{port}/',
      'jar:https://127.0.0.1:{port}/!/',
      'data:text/plain,hello',
      'javascript:fetch("https://127.0.0.1:{port}")',
      'blob:https://127.0.0.1:{port}/1',
      'unix:/var/run/docker.sock',
      'http+unix://%2Fvar%2Frun%2Fdocker.sock/v1.40/',
      'view-source:https://127.0.0.1:{port}/',
      'about:blank',
      'mailto:a@127.0.0.1',
      'netdoc:///etc/passwd',
      'httpss://127.0.0.1:{port}/',
      'url:https://127.0.0.1:{port}/',
    ],
  },
  {
    name: 'too long, too deep, or hardly a URL',
    urls: [
      '',
      ':',
      'https:',
      'https://',
      'https://:{port}/',
      'https://[',
      'https://[]:{port}/',
      'https://[::1:{port}/',
      'https://::1:{port}/',
      `https://127.0.0.1:{port}/${'a'.repeat(2_048)}`,
      `https://${'a'.repeat(64)}.example.com/`,
      `https://${'a.'.repeat(130)}com/`,
      `https://${'0'.repeat(1_900)}177.0.0.1:{port}/`,
      `https://127.0.0.1${'.'.repeat(1_000)}:{port}/`,
      `https://${'%31'.repeat(600)}:{port}/`,
      'https://256.256.256.256:{port}/',
      'https://1.2.3.4.5:{port}/',
      'https://4294967296:{port}/',
      'https://0x100000000:{port}/',
      'https://.example.com/',
      'https://example..com/',
      'https://*.example.com@127.0.0.1:{port}/',
    ],
  },
  {
    name: 'names in the letters that names are sent in (punycode)',
    urls: at([
      'xn--localhost',
      'xn--127.0.0.1',
      'xn--0',
      'xn--a-ecp.local',
      'xn--80ak6aa92e.internal',
    ]),
  },
]

/** What our name server says: names that anybody may own, and where they point. */
export const records: Readonly<Record<string, readonly string[]>> = {
  'loopback.hostile.example': ['127.0.0.1'],
  'loopback-two.hostile.example': ['127.0.0.2'],
  'loopback-six.hostile.example': ['::1'],
  '127.0.0.1.hostile.example': ['127.0.0.1'],
  'mapped.hostile.example': ['::ffff:127.0.0.1'],
  'nothing.hostile.example': ['0.0.0.0'],
  'nothing-six.hostile.example': ['::'],
  'private.hostile.example': ['10.0.0.1'],
  'neighbour.hostile.example': ['192.168.1.1'],
  'unique.hostile.example': ['fd00::2'],
  'link.hostile.example': ['fe80::1'],
  'metadata.hostile.example': ['169.254.169.254'],
  'metadata-six.hostile.example': ['fd00:ec2::254'],
  'metadata-mapped.hostile.example': ['::ffff:a9fe:a9fe'],
  'metadata-azure.hostile.example': ['168.63.129.16'],
  'metadata-alibaba.hostile.example': ['100.100.100.200'],
  'metadata.tencentyun.com': ['169.254.0.23'],
  'translated.hostile.example': ['64:ff9b::7f00:1'],
  'tunnel.hostile.example': ['2002:7f00:1::1'],
  'compatible.hostile.example': ['::7f00:1'],
  'compatible-public.hostile.example': ['::808:808'],
  'last-of-many.hostile.example': ['198.41.0.9', '198.41.0.4', '198.41.0.7', '10.0.0.1'],
  'first-of-many.hostile.example': ['10.0.0.1', '198.41.0.4', '198.41.0.7'],
  'other-family.hostile.example': ['198.41.0.4', '::1'],
  'other-family-four.hostile.example': ['127.0.0.1', '2001:500:2::c'],
  'many.hostile.example': [
    ...Array.from({ length: 20 }, (_, count) => `198.41.0.${count + 1}`),
    '127.0.0.1',
  ],
  'xn--mgbh0fb.hostile.example': ['127.0.0.1'],
}

const isHere = (address: string) => /^127\.|^::1$|^::ffff:127\./.test(address)
const isPublic = (address: string) => /^198\.41\.|^2001:500:/.test(address)
const isMixed = (addresses: readonly string[]) => addresses.some(isHere) && addresses.some(isPublic)

const namesWith = (isSo: (addresses: readonly string[]) => boolean) =>
  at(Object.entries(records).flatMap(([name, addresses]) => (isSo(addresses) ? [name] : [])))

export const namedTricks: readonly Trick[] = [
  {
    name: 'names of others that point to this machine',
    inDevelopment: 'receiver',
    urls: namesWith((addresses) => addresses.every(isHere)),
  },
  {
    name: 'names of others that point to this machine beside public ones',
    inDevelopment: 'not tried',
    urls: namesWith(isMixed),
  },
  {
    name: 'names of others that point inside, by one record of all',
    urls: namesWith((addresses) => !addresses.every(isHere) && !isMixed(addresses)),
  },
]

export const allTricks: readonly Trick[] = [...tricks, ...namedTricks]

/** Tenants name them in their own way: with the canary's port. */
export function urlsFor(trick: Pick<Trick, 'urls'>, port: number): string[] {
  return trick.urls.map((url) => url.replaceAll('{port}', String(port)))
}

/** Refused whatever the profile. */
export const neverReceivers = allTricks.filter((trick) => !trick.inDevelopment)
