import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { byName } from './json.ts'

/** Files that differ from what was made, are missing, or that nothing makes any more. */
export function staleFiles(folder: string, files: ReadonlyMap<string, string>): string[] {
  const present = existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, '/').length))
    : []
  const left = present.filter((file) => !files.has(file))
  const differing = [...files].filter(([file, text]) => textOf(join(folder, file)) !== text)
  return [...left, ...differing.map(([file]) => file)].sort(byName)
}

export function writeFiles(
  folder: string,
  files: ReadonlyMap<string, string>,
  stale: readonly string[],
): void {
  for (const file of stale) {
    const path = join(folder, file)
    const text = files.get(file)
    if (text === undefined) {
      rmSync(path)
      continue
    }
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
}

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}
