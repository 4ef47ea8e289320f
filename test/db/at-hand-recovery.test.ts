import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { ask, connect, newHome, sharedHome, start, startElsewhere, until } from './at-hand-world.ts'

const homeOfFile = sharedHome()

test('a server killed while in use runs again at once, at its address, with its data', async () => {
  const { postgres, said } = await start(homeOfFile())
  const { pid, ownerUrl } = postgres
  await ask(ownerUrl, 'create table kept as select 42 as answer')
  process.kill(pid, 'SIGKILL')
  await until(() => postgres.pid !== pid)

  assert.equal(postgres.ownerUrl, ownerUrl)
  assert.equal(await ask(ownerUrl, 'select answer from kept'), '42')
  assert.match(said.join(), /ended unexpectedly.*runs again/)
})

test('an adopted server that is killed runs again at once, at its address', async () => {
  const home = homeOfFile()
  const elsewhere = startElsewhere(home)
  await elsewhere.report()
  await elsewhere.kill()
  const { postgres } = await start(home)
  const { pid, ownerUrl, origin } = postgres
  process.kill(pid, 'SIGKILL')
  await until(() => postgres.pid !== pid)

  assert.equal(origin, 'adopted')
  assert.equal(await ask(ownerUrl, 'select 1'), '1')
})

test('two processes whose server was killed share the next one', async () => {
  const home = homeOfFile()
  const { postgres } = await start(home)
  const other = startElsewhere(home)
  const { pid } = await other.report()
  process.kill(pid, 'SIGKILL')
  await until(() => postgres.pid !== pid)
  await until(async () => (await countUsers(postgres.ownerUrl)) === '2')

  assert.equal(await postgres.stop(), 'left')
  assert.equal(await other.stop(), 'stopped')
})

test('a crashed backend ends all sessions and costs nobody his share of the server', async () => {
  const home = homeOfFile()
  const { postgres } = await start(home)
  const { pid } = postgres
  const client = await connect(postgres.ownerUrl)
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
  await until(() =>
    countUsers(postgres.ownerUrl).then(
      (count) => count === '1',
      () => false,
    ),
  )

  assert.equal(postgres.pid, pid)
  assert.equal(await postgres.stop(), 'stopped')
})

test('a first start killed half-way leaves nothing that a later one trips over', async () => {
  const home = newHome()
  const elsewhere = startElsewhere(home)
  const draft = join(home, `data.new.${elsewhere.child.pid}`)
  await until(() => existsSync(join(draft, 'PG_VERSION')))
  const [initdb] = childrenOf(elsewhere.child.pid ?? 0)
  process.kill(initdb ?? 0, 'SIGKILL')
  await elsewhere.kill()

  const { postgres } = await start(home)
  assert.equal(await ask(postgres.ownerUrl, 'select 1'), '1')
  const drafts = readdirSync(home).filter((name) => name.includes('.new.'))
  assert.deepEqual(drafts, [])
})

function countUsers(ownerUrl: string): Promise<string> {
  return ask(ownerUrl, `select count(*) from pg_locks where locktype = 'advisory' and granted`)
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
}
