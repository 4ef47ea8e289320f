// Plain JavaScript, so that an older Node can read it and say what is missing.
import { existsSync } from 'node:fs'
import module from 'node:module'

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  console.error(
    `ubos: Node 24 is needed; this is ${process.version}. The right one comes with npm ci, ` +
      'by an npm of 11.6 or newer, and is used by: npm start',
  )
  process.exit(1)
}
module.enableCompileCache?.()
if (existsSync('.env')) process.loadEnvFile('.env')
const { main } = await import('./main.ts')
await main(process.argv.slice(2))
