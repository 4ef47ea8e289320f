import { readFileSync } from 'node:fs'

const { scripts } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { scripts: { start: string } }

/** What `npm start` gives Node, so that what is measured runs as it does there. */
export const startFlags = scripts.start.split(' ').filter((word) => word.startsWith('--'))
