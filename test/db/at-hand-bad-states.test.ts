import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { onTestFinished, test } from 'vitest'
import { PostgresRefusal } from '#db/at-hand/postgres.ts'
import {
  ask,
  connect,
  isAlive,
  isRoot,
  killedServer,
  newHome,
  sharedHome,
  start,
  startElsewhere,
  stranger,
  until,
  writePid,
  zombie,
} from './at-hand-world.ts'

const homeOfFile = sharedHome()

test('what was committed is there after kill -9 of the server and of its starter', async () => {
  const home = homeOfFile()
  const elsewhere = startElsewhere(home, { settings: { fsync: 'on' } })
  const { ownerUrl, pid } = await elsewhere.report()
  await ask(ownerUrl, 'create table kept as select 42 as answer')
  await elsewhere.kill()
  process.kill(pid, 'SIGKILL')

  const { postgres } = await start(home, { fsync: 'on' })
  assert.equal(postgres.origin, 'started')
  assert.equal(await ask(postgres.ownerUrl, 'select answer from kept'), '42')
})

test('a stale pid that a stranger has now neither blocks the start nor harms him', async () => {
  const { home } = await killedServer(homeOfFile())
  const sleeper = stranger(statSync(join(home, 'data')))
  writePid(home, sleeper)

  const { postgres } = await start(home)
  assert.equal(await ask(postgres.ownerUrl, 'select 1'), '1')
  assert.equal(await postgres.stop(), 'stopped')
  assert.equal(isAlive(sleeper), true)
})

test('a killed server that nobody has reaped does not block the next start', async () => {
  const { home } = await killedServer(homeOfFile())
  writePid(home, await zombie(statSync(join(home, 'data'))))

  const { postgres } = await start(home)
  assert.equal(await ask(postgres.ownerUrl, 'select 1'), '1')
})

test('while an orphaned backend still writes, no second server is started beside it', async () => {
  const home = homeOfFile()
  const settings = { client_connection_check_interval: '100ms' }
  const elsewhere = startElsewhere(home, { settings })
  const { ownerUrl, pid } = await elsewhere.report()
  const client = await connect(ownerUrl)
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const orphan = rows[0]?.pid ?? 0
  client.query('do $$ begin loop perform 1; end loop; end $$').catch(() => {})
  await elsewhere.kill()
  process.kill(pid, 'SIGKILL')

  const starting = start(home, settings)
  const isRefused = () => readFileSync(join(home, 'postgres.log'), 'utf8').includes('still in use')
  await until(isRefused)
  assert.equal(isAlive(orphan), true)
  client.connection.stream.destroy()
  const { postgres } = await starting
  assert.equal(isAlive(orphan), false)
  assert.equal(await ask(postgres.ownerUrl, 'select 1'), '1')
})

test('an empty pid file, left by a crash, is cleared away', async () => {
  const { home } = await killedServer(homeOfFile())
  writeFileSync(join(home, 'data', 'postmaster.pid'), '')

  const { postgres } = await start(home)
  assert.equal(postgres.origin, 'started')
})

test('when its port is taken the server takes another one, and keeps that', async () => {
  const home = homeOfFile()
  const { postgres } = await start(home)
  await postgres.stop()
  const occupant = createServer().listen(postgres.port, '127.0.0.1')
  onTestFinished(() => void occupant.close())
  await once(occupant, 'listening')

  const { postgres: moved } = await start(home)
  assert.notEqual(moved.port, postgres.port)
  await moved.stop()
  const { postgres: again } = await start(home)
  assert.equal(again.port, moved.port)
})

test('a data directory that others may enter is made private again', async () => {
  const home = homeOfFile()
  const { postgres } = await start(home)
  await postgres.stop()
  chmodSync(join(home, 'data'), 0o755)

  await start(home)
  assert.equal(statSync(join(home, 'data')).mode & 0o777, 0o700)
})

test('the data of another version of Postgres is refused and left as it is', async () => {
  const home = homeOfFile()
  const { postgres } = await start(home)
  await postgres.stop()
  const versionFile = join(home, 'data', 'PG_VERSION')
  const version = readFileSync(versionFile)
  writeFileSync(versionFile, '17\n')
  onTestFinished(() => writeFileSync(versionFile, version))

  await assert.rejects(start(home), isRefusal(/made by Postgres 17 .* move the directory away/))
})

test('a database whose password file is lost is refused and left as it is', async () => {
  const home = newHome()
  const { postgres } = await start(home)
  await postgres.stop()
  rmSync(join(home, 'data', 'password'))

  await assert.rejects(start(home), isRefusal(/no file password: .* set DATABASE_URL/))
})

test.runIf(isRoot)('the data of another user is refused with the name of its owner', async () => {
  const home = newHome()
  const { postgres } = await start(home)
  await postgres.stop()
  chownSync(home, 1, 1)
  chownSync(join(home, 'data'), 1, 1)
  const daemon = { uid: 2, gid: 2 }

  const { refusal } = await startElsewhere(home, { as: daemon }).report()
  assert.match(refusal ?? '', /belongs to the user daemon: start as that user/)
})

test.runIf(isRoot)('a read-only disk is refused with what to do about it', async () => {
  const home = newHome()
  const { refusal } = await startElsewhere(home, { within: onDisk(home, 'ro') }).report()
  assert.match(refusal ?? '', /read-only file system.* set UBOS_DATA_DIR .* or set DATABASE_URL/)
})

test.runIf(isRoot)('a full disk is refused with what to do about it', async () => {
  const home = newHome()
  const { refusal } = await startElsewhere(home, { within: onDisk(home, 'size=8m') }).report()
  assert.match(refusal ?? '', /no space left on device.* make room .* or set DATABASE_URL/)
})

/** Mounts a disk at the home, in a namespace that ends with the process. */
function onDisk(home: string, options: string): string[] {
  const script = `mkdir ${home} && mount -t tmpfs -o ${options} none ${home} && exec "$@"`
  return ['unshare', '--mount', 'sh', '-c', script, 'sh']
}

function isRefusal(expected: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof PostgresRefusal && expected.test(error.message)
}
