import { PostgresRefusal } from './refusal.ts'

export interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** What has to be known of a path to tell who may use it; `Stats` has it. */
export interface Ownership {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** The users of the machine, from the text of `/etc/passwd`. Pure. */
export function parseUsers(passwd: string): User[] {
  return passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : []
  })
}

/**
 * Postgres refuses to run as root, so root steps down: to the owner of a database that exists, else
 * to `postgres`, else to `nobody`. No user is created, because that would change the machine. Pure.
 */
export function chooseUser(dataOwner: Ownership | undefined, users: readonly User[]): User {
  if (dataOwner?.uid === 0) {
    throw new PostgresRefusal(
      'The database belongs to root, as whom Postgres does not run: chown it, or set DATABASE_URL.',
    )
  }
  if (dataOwner) {
    const { uid, gid } = dataOwner
    return { uid, gid, name: nameOf(uid, users) }
  }
  const user = ['postgres', 'nobody']
    .map((name) => users.find((candidate) => candidate.name === name))
    .find((candidate) => candidate !== undefined)
  if (user) return user
  throw new PostgresRefusal(
    'Postgres does not run as root, and here is no user postgres or nobody to run it: ' +
      'start as an ordinary user, or set DATABASE_URL.',
  )
}

export function nameOf(uid: number, users: readonly User[]): string {
  return users.find((user) => user.uid === uid)?.name ?? `with uid ${uid}`
}

/** May the user go through a directory? It has but one group: Node drops the others. Pure. */
export function mayPass(directory: Ownership, user: User): boolean {
  if (directory.uid === user.uid) return (directory.mode & 0o100) !== 0
  if (directory.gid === user.gid) return (directory.mode & 0o010) !== 0
  return (directory.mode & 0o001) !== 0
}
