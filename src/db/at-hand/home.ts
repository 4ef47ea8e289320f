import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { isCode } from './files.ts'
import { PostgresRefusal } from './refusal.ts'
import { chooseUser, mayPass, nameOf, type Ownership, parseUsers, type User } from './user.ts'

/** Where the server's files live, and whom it runs as (undefined: as we do). */
export interface Place {
  readonly home: string
  readonly data: string
  readonly log: string
  readonly user: User | undefined
}

type Look = (path: string) => Ownership | undefined

/** Chooses the place and makes its directory. */
export function preparePlace(configured: string): Place {
  const ownUid = process.getuid?.() ?? -1
  const look: Look = (path) => statSync(path, { throwIfNoEntry: false })
  makeDirectory(configured)
  const place = choosePlace(realpathSync(configured), ownUid, look, usersOfMachine())
  mkdirSync(place.home, { recursive: true })
  makePrivate(place, ownUid)
  return place
}

/** Node's own recursive mkdir goes round for ever where a directory exists that takes no child. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return
  if (!existsSync(dirname(path))) makeDirectory(dirname(path))
  mkdirSync(path)
}

/**
 * An ordinary user has the database where it is configured. For root it is there as well, unless
 * the user that root steps down to cannot get there (a checkout below a 0700 directory): then below
 * `/var/lib/ubos`. A database that already exists is never exchanged for an empty one.
 * `configured` is a real path. Pure, but for `look`.
 */
export function choosePlace(
  configured: string,
  ownUid: number,
  look: Look,
  users: readonly User[],
): Place {
  if (ownUid !== 0) return placeAt(configured, undefined)
  const hash = createHash('sha256').update(configured).digest('hex').slice(0, 16)
  const fallback = join('/var/lib/ubos', hash)
  for (const home of [configured, fallback]) {
    const dataOwner = look(join(home, 'data', 'PG_VERSION'))
    if (dataOwner) return placeAt(home, chooseUser(dataOwner, users))
  }
  const user = chooseUser(undefined, users)
  return placeAt(isReachable(configured, user, look) ? configured : fallback, user)
}

function placeAt(home: string, user: User | undefined): Place {
  return { home, data: join(home, 'data'), log: join(home, 'postgres.log'), user }
}

function isReachable(path: string, user: User, look: Look): boolean {
  const parent = dirname(path)
  if (parent === path) return true
  const directory = look(parent)
  return directory !== undefined && mayPass(directory, user) && isReachable(parent, user, look)
}

/**
 * Root's home directory stays root's and only lets the server through: as its owner, the server's
 * user could exchange the binaries, the master key, or the log that root writes to.
 */
function makePrivate({ home, user }: Place, ownUid: number): void {
  const owner = statSync(home).uid
  if (user && owner !== user.uid) {
    chownSync(home, ownUid, user.gid)
    chmodSync(home, 0o710)
  } else if (user || owner === ownUid) {
    chmodSync(home, 0o700)
  } else {
    checkVolume(home, owner)
  }
}

/** A mounted volume may belong to somebody else and yet be ours to write: its data will be 0700. */
function checkVolume(home: string, owner: number): void {
  try {
    accessSync(home, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw isCode(error, 'EACCES') ? refuseOwner(home, owner) : error
  }
}

export function refuseOwner(path: string, owner: number): PostgresRefusal {
  const name = nameOf(owner, usersOfMachine())
  return new PostgresRefusal(
    `${path} belongs to the user ${name}: start as that user, or set DATABASE_URL.`,
  )
}

function usersOfMachine(): User[] {
  return parseUsers(readFileSync('/etc/passwd', 'utf8'))
}
