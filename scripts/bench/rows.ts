/** The middle of several rounds, with their least and most. */
export interface Spread {
  median: number
  least: number
  most: number
}

/** What a ratio has to reach, or must not exceed. */
export type Demand = { atLeast: number } | { atMost: number }

/**
 * One line of the table. `ratio` is ours ÷ theirs, round by round; where nothing stands beside it,
 * the demand is on `ours` itself.
 */
export interface Row {
  what: string
  beside: string
  unit: string
  ours: Spread
  theirs: Spread | undefined
  ratio: Spread | undefined
  demand: Demand
  /** What else was seen, such as CPU time for a request. */
  note: string
}

interface Measured {
  what: string
  unit: string
  ours: readonly number[]
  demand: Demand
  note?: string
}

/** A row of two things that were measured in the same rounds. */
export function compared(measured: Measured & { beside: string; theirs: readonly number[] }): Row {
  const { what, beside, unit, ours, theirs, demand, note = '' } = measured
  const ratios = ours.map((own, round) => own / (theirs[round] ?? Number.NaN))
  return {
    what,
    beside,
    unit,
    ours: spreadOf(ours),
    theirs: spreadOf(theirs),
    ratio: spreadOf(ratios),
    demand,
    note,
  }
}

/** A row of something that has a bound of its own. */
export function bounded({ what, unit, ours, demand, note = '' }: Measured): Row {
  const alone = { beside: '–', theirs: undefined, ratio: undefined }
  return { what, unit, ours: spreadOf(ours), demand, note, ...alone }
}

export function isReached({ ours, ratio = ours, demand }: Row): boolean {
  return 'atLeast' in demand ? ratio.median >= demand.atLeast : ratio.median <= demand.atMost
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  return { median, least: sorted[0] ?? median, most: sorted.at(-1) ?? median }
}

const head = [
  '| what | beside | unit | ours | theirs | ratio | demanded | reached | besides |',
  '|---|---|---|---|---|---|---|---|---|',
]

/** Rows as Markdown: each cell is the median, with the least and the most behind it. */
export function tableOf(rows: readonly Row[]): string {
  return [...head, ...rows.map(lineOf)].join('\n')
}

function lineOf(row: Row): string {
  const { what, beside, unit, ours, theirs, ratio, demand, note } = row
  const bound = 'atLeast' in demand ? `≥ ${demand.atLeast}` : `≤ ${demand.atMost}`
  const cells = [what, beside, unit, text(ours), text(theirs), text(ratio), bound]
  return `| ${[...cells, isReached(row) ? 'yes' : '**no**', note].join(' | ')} |`
}

function text(spread: Spread | undefined): string {
  if (spread === undefined) return '–'
  const { median, least, most } = spread
  return `${figure(median)} (${figure(least)}–${figure(most)})`
}

/** Three digits that mean something; whole numbers from a hundred on. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(3)
}
