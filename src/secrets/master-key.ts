import { link, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * The master key: the configured one, or else the file beside the embedded database, which is made
 * on the first start, for its owner's eyes only. Answers 32 bytes in base64.
 */
export async function readMasterKey(
  configured: string | undefined,
  home: string | undefined,
  randomBytes: (count: number) => Buffer,
): Promise<string> {
  if (configured !== undefined) return configured
  if (home === undefined) throw new Error('a master key is configured, or the database is embedded')
  const file = join(home, 'master-key')
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  await writeOnce(file, randomBytes(32).toString('base64'))
  return await readFile(file, 'utf8')
}

/** Written aside and linked into place: two starts at once end with one key, and never with half. */
async function writeOnce(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}`
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    await link(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft)
  }
}
