import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSource } from './imports/read.ts'
import { judge } from './imports/rules.ts'

/** `node scripts/check-imports.ts`: who may import whom (scripts/imports/house.ts). */
const paths = ['src', 'scripts', 'test'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|js)$/.test(file) && !file.endsWith('.d.ts'))
    .map((file) => join(folder, file)),
)
const breaches = judge(paths.sort().map((path) => readSource(path, readFileSync(path, 'utf8'))))
for (const { path, line, rule, instead } of breaches) {
  console.error(`${path}:${line}  ${rule}\n    ${instead}`)
}
if (breaches.length > 0) process.exitCode = 1
else console.log(`${paths.length} files, every import leads where it may`)
