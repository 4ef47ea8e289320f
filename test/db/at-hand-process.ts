/**
 * A process of its own that uses Postgres at hand, for tests that kill it, run it as another user,
 * or run two at once. Arguments: home, settings as JSON. Prints one JSON object when Postgres runs
 * or is refused; a line on its standard input makes it stop and print the outcome.
 */
import { once } from 'node:events'
import { startPostgres } from '#db/at-hand/postgres.ts'

const [home = '', settings = '{}'] = process.argv.slice(2)
const print = (report: object) => console.log(JSON.stringify(report))

try {
  const postgres = await startPostgres({
    home,
    say: (line) => console.error(line),
    settings: JSON.parse(settings),
  })
  print({ ...postgres })
  await once(process.stdin, 'data')
  print({ outcome: await postgres.stop() })
  process.exit()
} catch (error) {
  print({ refusal: String(error) })
}
