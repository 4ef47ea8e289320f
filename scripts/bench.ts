import { measureLists } from './bench/lists.ts'

/*
 * `npm run bench [name …]`: measures what the promises say, each as a ratio of two things in one run,
 * taken in turns, and prints medians with their least and most.
 */
const benches: Record<string, () => Promise<void>> = { lists: measureLists }

const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => !Object.hasOwn(benches, name))
if (unknown !== undefined) {
  console.error(`There is no bench "${unknown}"; there are: ${Object.keys(benches).join(', ')}`)
  process.exit(1)
}
for (const [name, measure] of Object.entries(benches)) {
  if (wanted.length === 0 || wanted.includes(name)) await measure()
}
