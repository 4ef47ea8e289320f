/** A refusal with one clear line for the operator (read-only disk, wrong version, odd user…). */
export class PostgresRefusal extends Error {
  override name = 'PostgresRefusal'
}

/** What an operator can do about the troubles that Postgres, initdb and the file system report. */
const remedies: readonly (readonly [RegExp, string])[] = [
  [/read-only file system/i, 'set UBOS_DATA_DIR to a directory on a writable disk'],
  [/no space left on device/i, 'make room on that disk'],
  [/permission denied|operation not permitted|EACCES/i, 'start as the user who may use it'],
  [/is still in use/, 'end those processes'],
  [/could not look up effective user/, 'give this user an entry in /etc/passwd'],
  [/^spawn .* ENOENT|shared libraries/, 'install glibc and libstdc++, which the binaries need'],
]

/** Puts a line of Postgres, initdb or Node together with its remedy. Pure. */
export function refusalOf(trouble: string, home: string): PostgresRefusal {
  const found = remedies.find(([pattern]) => pattern.test(trouble))
  const remedy = found?.[1] ?? `see ${home}/postgres.log`
  return new PostgresRefusal(
    `Postgres does not start in ${home}: ${trouble}: ${remedy}, or set DATABASE_URL.`,
  )
}

/** Makes an error of the system a refusal; one that is our own fault stays as it is. */
export function explain(error: unknown, home: string): unknown {
  return error instanceof Error && 'syscall' in error ? refusalOf(error.message, home) : error
}
