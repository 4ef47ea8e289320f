import assert from 'node:assert/strict'
import { chownSync, existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { onTestFinished, test } from 'vitest'
import { ask, isRoot, newHome, removeTree, start, startElsewhere, stopIn } from './at-hand-world.ts'

/** An ordinary user that every Linux machine knows; nothing runs as it. */
const daemon = { uid: 1, gid: 1 }

test('a home whose path has blanks, quotes, accents, dollars and great length works', async () => {
  const home = newHome(`it's "odd" $HOME \`id\` ünï ${'long '.repeat(30)}`)
  const { postgres } = await start(home)
  assert.equal(await ask(postgres.ownerUrl, 'show data_directory'), join(home, 'data'))
  assert.equal(await postgres.stop(), 'stopped')
})

test.runIf(isRoot)('root runs the server as another user, who owns the data only', async () => {
  const home = newHome()
  const { postgres, said } = await start(home)
  const data = statSync(join(home, 'data'))
  assert.match(said.join(), /runs as the user (postgres|nobody)/)
  assert.notEqual(data.uid, 0)
  assert.equal(data.mode & 0o777, 0o700)
  assert.equal(statSync(`/proc/${postgres.pid}`).uid, data.uid)
  assert.equal(statSync(home).uid, 0)
  assert.equal(statSync(home).mode & 0o007, 0)
})

test.runIf(isRoot)(
  'root finds room below /var/lib for a checkout that only root enters',
  async () => {
    const configured = newHome('home', 0o700)
    const { postgres } = await start(configured)
    onTestFinished(async () => {
      await stopIn(postgres.home)
      await removeTree(postgres.home)
    })
    assert.match(postgres.home, /^\/var\/lib\/ubos\/[0-9a-f]{16}$/)
    await ask(postgres.ownerUrl, 'create table kept as select 42 as answer')
    await postgres.stop()

    const { postgres: again } = await start(configured)
    assert.equal(again.home, postgres.home)
    assert.equal(await ask(again.ownerUrl, 'select answer from kept'), '42')
  },
)

test.runIf(isRoot)('an ordinary user runs it, and root later runs it as that user', async () => {
  const home = newHome('home', 0o700)
  chownSync(dirname(home), daemon.uid, daemon.gid)
  const theirs = startElsewhere(home, { as: daemon })
  const { pid } = await theirs.report()
  assert.equal(statSync(`/proc/${pid}`).uid, daemon.uid)
  assert.equal(await theirs.stop(), 'stopped')

  const { postgres } = await start(home)
  assert.equal(postgres.home, home)
  assert.equal(statSync(`/proc/${postgres.pid}`).uid, daemon.uid)
  assert.equal(await postgres.stop(), 'stopped')

  const theirsAgain = startElsewhere(home, { as: daemon })
  assert.equal((await theirsAgain.report()).origin, 'started')
})

test.runIf(isRoot)('a user without an entry in /etc/passwd is told to get one', async () => {
  const home = newHome()
  const nobodyKnows = { uid: 4242, gid: 4242 }
  chownSync(dirname(home), nobodyKnows.uid, nobodyKnows.gid)
  const { refusal } = await startElsewhere(home, { as: nobodyKnows }).report()
  assert.match(
    refusal ?? '',
    /effective user ID 4242.* entry in \/etc\/passwd, or set DATABASE_URL/,
  )
  assert.equal(existsSync(join(home, 'data')), false)
})
