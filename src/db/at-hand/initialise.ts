import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, chownSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Binaries, withInitdb } from './binaries.ts'
import { buildAside, isCode } from './files.ts'
import { type Place, refuseOwner } from './home.ts'
import { lastWords, launch } from './launch.ts'
import { PostgresRefusal, refusalOf } from './refusal.ts'

/**
 * Makes the data directory when there is none, checks it when there is one, and returns the
 * superuser's password. The password lies inside, so that both come into being with one rename
 * and are moved away together.
 */
export async function initialise(place: Place, binaries: Binaries): Promise<string> {
  if (statSync(place.data, { throwIfNoEntry: false }) === undefined) {
    await buildAside(place.data, (draft) => fill(draft, place, binaries))
  }
  checkDirectory(place, binaries.major)
  return read(place, 'password')
}

async function fill(draft: string, place: Place, binaries: Binaries): Promise<void> {
  // Its name ends like the draft's, so that it is swept away with it.
  const password = join(place.home, `password.new.${process.pid}`)
  writeFileSync(password, randomBytes(32).toString('base64url'), { mode: 0o600, flush: true })
  if (place.user) {
    for (const path of [draft, password]) chownSync(path, place.user.uid, place.user.gid)
  }
  await withInitdb(binaries, (initdb) => runInitdb(place, initdb, draft, password))
  renameSync(password, join(draft, 'password'))
}

async function runInitdb(
  place: Place,
  initdb: string,
  draft: string,
  password: string,
): Promise<void> {
  const { child, output } = await launch(place, [
    initdb,
    ...['-D', draft, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${password}`],
    // The builtin provider sorts the same on every system and after every update of its libc.
    ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin'],
    ...['--builtin-locale=C.UTF-8', '--no-instructions'],
  ])
  await once(child, 'exit')
  if (child.exitCode !== 0) throw refusalOf(lastWords(output()), place.home)
}

/** Refuses what Postgres would refuse less clearly, and repairs what may be repaired. */
function checkDirectory(place: Place, major: string): void {
  const { uid, mode } = statSync(place.data)
  if (uid !== (place.user?.uid ?? process.getuid?.())) throw refuseOwner(place.data, uid)
  if ((mode & 0o777) !== 0o700) chmodSync(place.data, 0o700)
  const version = read(place, 'PG_VERSION').trim()
  if (version !== major) {
    throw new PostgresRefusal(
      `${place.data} was made by Postgres ${version} and this is Postgres ${major}: ` +
        'move the directory away, or set DATABASE_URL to a server of that version.',
    )
  }
}

function read(place: Place, name: string): string {
  try {
    return readFileSync(join(place.data, name), 'utf8')
  } catch (cause) {
    if (!isCode(cause, 'ENOENT')) throw cause
    throw new PostgresRefusal(
      `${place.data} is not a database of ours, it has no file ${name}: ` +
        'move the directory away, or set DATABASE_URL.',
      { cause },
    )
  }
}
