// Plain JavaScript, so that an older Node can read it and say what is missing.
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  console.error(
    `ubos: Node 24 is needed; this is ${process.version}. The right one comes with npm ci, ` +
      'by an npm of 11.6 or newer, and is used by: npm start',
  )
  process.exit(1)
}
// In the program's own folder: whoever may write there may change the program as well, and where we may
// not, Node does without. It is written once we run, since a kill would leave no time for it.
module.enableCompileCache?.(
  fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url)),
)
setTimeout(() => module.flushCompileCache?.(), 5_000).unref()
if (existsSync('.env')) process.loadEnvFile('.env')
const { main } = await import('./main.ts')
await main(process.argv.slice(2))
