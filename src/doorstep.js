// Plain JavaScript, so that an older Node can read it and say what is missing.
import module from 'node:module'

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  console.error(`UBOS needs Node 24; this is ${process.version}. Start it with: npm start`)
  process.exit(1)
}
module.enableCompileCache?.()
const { main } = await import('./main.ts')
await main(process.argv.slice(2))
