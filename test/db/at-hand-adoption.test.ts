import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'vitest'
import { findServer } from '#db/at-hand/identity.ts'
import { ask, newHome, sharedHome, start, startElsewhere } from './at-hand-world.ts'

const homeOfFile = sharedHome()

test('a server that outlived its killed starter is adopted with its data', async () => {
  const home = homeOfFile()
  const elsewhere = startElsewhere(home)
  const before = await elsewhere.report()
  await ask(before.ownerUrl, 'create table survivor as select 42 as answer')
  await elsewhere.kill()

  const { postgres } = await start(home)
  assert.equal(before.origin, 'started')
  assert.equal(postgres.origin, 'adopted')
  assert.equal(postgres.pid, before.pid)
  assert.equal(postgres.port, before.port)
  assert.equal(await ask(postgres.ownerUrl, 'select answer from survivor'), '42')
})

test('a second start leaves the database of the first alone; the last user stops it', async () => {
  const home = homeOfFile()
  const { postgres: first } = await start(home)
  const second = startElsewhere(home)
  const third = startElsewhere(home)
  assert.equal((await second.report()).pid, first.pid)
  assert.equal((await third.report()).pid, first.pid)

  assert.equal(await second.stop(), 'left')
  assert.equal(await first.stop(), 'left')
  assert.equal(findServer(join(home, 'data')).is, 'running')
  assert.equal(await third.stop(), 'stopped')
  assert.equal(findServer(join(home, 'data')).is, 'absent')
})

test('when all users leave at once, exactly one of them stops the server', async () => {
  const home = homeOfFile()
  const { postgres } = await start(home)
  const others = [startElsewhere(home), startElsewhere(home)]
  await Promise.all(others.map((other) => other.report()))

  const outcomes = await Promise.all([postgres.stop(), ...others.map((other) => other.stop())])
  assert.deepEqual(outcomes.sort(), ['left', 'left', 'stopped'])
  assert.equal(findServer(join(home, 'data')).is, 'absent')
})

test('of two starts on an empty directory, one starts the server, one adopts it', async () => {
  const home = newHome()
  const starts = [startElsewhere(home), startElsewhere(home)]
  const [one, other] = await Promise.all(starts.map((elsewhere) => elsewhere.report()))
  assert.deepEqual([one?.origin, other?.origin].sort(), ['adopted', 'started'])
  assert.equal(one?.ownerUrl, other?.ownerUrl)
  assert.equal(one?.pid, other?.pid)
})

test('a start and a stop at the same time leave the starter with a server that runs', async () => {
  const home = homeOfFile()
  const { postgres: leaving } = await start(home)
  const [, { postgres: coming }] = await Promise.all([leaving.stop(), start(home)])
  assert.equal(await ask(coming.ownerUrl, 'select 1'), '1')
})

test('a server with other options is started anew when nobody uses it', async () => {
  const home = homeOfFile()
  const elsewhere = startElsewhere(home)
  const before = await elsewhere.report()
  await elsewhere.kill()

  const { postgres, said } = await start(home, { work_mem: '7MB' })
  assert.equal(postgres.origin, 'started')
  assert.equal(postgres.port, before.port)
  assert.equal(await ask(postgres.ownerUrl, 'show work_mem'), '7MB')
  assert.match(said.join(), /other options, and nobody uses it/)
})

test('a server with other options is kept, with a warning, while another uses it', async () => {
  const home = homeOfFile()
  const before = await startElsewhere(home).report()

  const { postgres, said } = await start(home, { work_mem: '7MB' })
  assert.equal(postgres.origin, 'adopted')
  assert.equal(postgres.pid, before.pid)
  assert.match(said.join(), /other options, and goes on so/)
})
