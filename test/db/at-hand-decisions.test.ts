import assert from 'node:assert/strict'
import { test } from 'vitest'
import { choosePlace } from '#db/at-hand/home.ts'
import { commandLine, judge } from '#db/at-hand/identity.ts'
import { restartDelayMs } from '#db/at-hand/keep.ts'
import { parsePidFile } from '#db/at-hand/pid-file.ts'
import { refusalOf } from '#db/at-hand/refusal.ts'
import { diagnose } from '#db/at-hand/spawn.ts'
import { chooseUser, mayPass, parseUsers } from '#db/at-hand/user.ts'

const lines = ['4711', '/data', '1790000000', '20123', '', '127.0.0.1', '  1234  5', 'ready   ', '']
const written = { pid: 4711, startedAtSeconds: 1_790_000_000, port: 20_123, state: 'ready' }

test.each([
  ['a complete file', lines.join('\n'), written],
  ['a server that has just begun', lines.slice(0, 6).join('\n'), { ...written, state: '' }],
  ['a standalone backend', ['-4711', ...lines.slice(1)].join('\n'), written],
  ['an empty file', '', 'unwritten'],
  ['half a file', '4711\n/da', 'unwritten'],
  ['zeros after a power cut', '\0'.repeat(60), 'unwritten'],
])('the pid file of %s is understood', (_, text, expected) => {
  assert.deepEqual(parsePidFile(text), expected)
})

const ours = commandLine(['/home/pg/bin/postgres', '-D', '/data', '-p', '20123'])
const alive = (command: string) => ({ isZombie: false, command })

test.each([
  ['no pid file', undefined, undefined, 'absent'],
  ['a pid that nobody has', written, undefined, 'absent'],
  ['an unwritten file', 'unwritten', undefined, 'unwritten'],
  ['our server', written, alive(ours), 'running'],
  ['a stranger', written, alive(commandLine(['sleep', '60'])), 'foreign'],
  ['the server of other data', written, alive(ours.replace('/data', '/data2')), 'foreign'],
  ['a zombie', written, { isZombie: true, command: '' }, 'foreign'],
] as const)('of %s the right thing is believed', (_, pidFile, facts, expected) => {
  assert.equal(judge(pidFile, facts, '/data').is, expected)
})

const root = { uid: 0, gid: 0, mode: 0o755 }
const alice = { uid: 1000, gid: 1000, mode: 0o700 }
const both = parseUsers('root:x:0:0::/:/bin/sh\npostgres:x:101:104::/:\nnobody:x:65534:65534::/:\n')
const nobodyOnly = parseUsers('root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:\n')

test('root steps down to the owner of the data, then to postgres, then to nobody', () => {
  assert.deepEqual(chooseUser(alice, both), { name: 'with uid 1000', uid: 1000, gid: 1000 })
  assert.equal(chooseUser(undefined, both).name, 'postgres')
  assert.equal(chooseUser(undefined, nobodyOnly).name, 'nobody')
})

test('root is refused when there is no user to step down to', () => {
  assert.throws(() => chooseUser(undefined, []), /start as an ordinary user/)
  assert.throws(() => chooseUser(root, both), /belongs to root/)
})

test.each([
  [{ uid: 7, gid: 0, mode: 0o100 }, true],
  [{ uid: 7, gid: 8, mode: 0o011 }, false],
  [{ uid: 0, gid: 8, mode: 0o010 }, true],
  [{ uid: 0, gid: 8, mode: 0o701 }, false],
  [{ uid: 0, gid: 0, mode: 0o001 }, true],
  [{ uid: 0, gid: 0, mode: 0o770 }, false],
])('whether a user may pass through %o is judged as the system does', (directory, expected) => {
  assert.equal(mayPass(directory, { name: 'x', uid: 7, gid: 8 }), expected)
})

test('a database that exists is used where it is, whatever the directories allow by now', () => {
  const closed = { ...root, mode: 0o700 }
  const look = (existing: RegExp) => (path: string) => {
    if (!path.endsWith('PG_VERSION')) return closed
    return existing.test(path) ? alice : undefined
  }
  const home = (existing: RegExp, uid = 0) =>
    choosePlace('/x/.ubos', uid, look(existing), both).home
  assert.equal(home(/^\/x/), '/x/.ubos')
  assert.match(home(/^\/var\/lib/), /^\/var\/lib\/ubos\//)
  assert.match(home(/nowhere/), /^\/var\/lib\/ubos\//)
  assert.equal(home(/nowhere/, 1000), '/x/.ubos')
})

const fatal = (line: string) => `2026-01-01 00:00:00.000 UTC [7] FATAL:  ${line}\n`

test.each([
  [fatal('lock file "postmaster.pid" already exists'), 'locked'],
  [fatal('lock file "postmaster.pid" is empty'), 'locked'],
  [
    fatal('pre-existing shared memory block (key 1, ID 2) is still in use') +
      'HINT:  Terminate any old server processes.\n',
    'memory in use',
  ],
  [
    'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\n' +
      fatal('could not create any TCP/IP sockets'),
    'port taken',
  ],
  [fatal('could not create lock file "postmaster.pid": Read-only file system'), 'failed'],
  ['', 'failed'],
])('from the log %j the cause of a failed start is told', (output, expected) => {
  assert.equal(diagnose(output).is, expected)
})

test('a refusal is one line with what happened, where, and what to do', () => {
  const { message } = refusalOf('could not write: No space left on device', '/home')
  assert.equal(
    message,
    'Postgres does not start in /home: could not write: No space left on device: ' +
      'make room on that disk, or set DATABASE_URL.',
  )
})

test('a server that keeps dying is started three times a minute at most', () => {
  const restarts: number[] = []
  let now = 0
  for (let count = 0; count < 30; count += 1) {
    const lastMinute = restarts.filter((time) => now - time < 60_000)
    now += restartDelayMs(lastMinute, now)
    restarts.push(now)
  }
  assert.deepEqual(restarts.slice(0, 4), [0, 1000, 6000, 60_000])
  for (const [index, time] of restarts.entries()) {
    assert.ok(time - (restarts[index - 3] ?? Number.NEGATIVE_INFINITY) >= 60_000)
  }
})
