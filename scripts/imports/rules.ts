import * as house from './house.ts'
import type { Import, Source } from './read.ts'

/** A line that breaks a rule of the house, and what to write in its place. */
export interface Breach {
  path: string
  line: number
  rule: string
  instead: string
}

/** Judges all sources at once: whether a file is pure depends on what it imports. */
export function judge(sources: readonly Source[]): Breach[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const isPure = purity(byPath)
  return sources.flatMap((source) => {
    const breaches: Breach[] = []
    const report = (line: number, rule: string, instead: string) => {
      breaches.push({ path: source.path, line, rule, instead })
    }
    judgeName(source, report)
    if (source.path.startsWith('src/')) {
      for (const one of source.imports) judgeImport(source, one, isPure, report)
    }
    for (const { what, line } of source.uses) judgeUse(source, what, line, report)
    return breaches
  })
}

type Report = (line: number, rule: string, instead: string) => void

function judgeName({ path }: Source, report: Report): void {
  const named = house.domainNouns.reduce((rest, noun) => rest.replaceAll(noun, ''), path)
  const words = named.split('/').flatMap((part) => part.replace(/\.\w+$/, '').split(/[.-]/))
  const bad = words.find((word) => house.forbiddenNames.includes(word))
  if (bad) report(1, `No file or folder is called '${bad}'.`, 'Find the noun that is missing.')
}

function judgeUse({ path }: Source, what: string, line: number, report: Report): void {
  if (what === 'default export') {
    const isConfiguration = /(^|\/)[\w-]+\.config\.ts$|^test\/setup\//.test(path)
    if (!isConfiguration) report(line, 'No default exports.', 'Export it by its name.')
  }
  if (!path.startsWith('src/')) return
  if (what === 'fetch' && folderOf(path) !== 'egress') {
    report(line, 'Only egress/ calls fetch.', 'Send through ctx.egress.')
  }
  if (what === 'process.env' && path !== 'src/config.ts') {
    report(line, 'Only config.ts reads process.env.', 'Add it to Config and take ctx.config.')
  }
  const isOfWorld = what === 'clock' || what === 'randomness' || what === 'timer'
  if (isOfWorld && isPureByName(path)) {
    report(line, `A pure file has no ${what}.`, 'Take the value as an argument.')
  }
}

function judgeImport(
  { path }: Source,
  one: Import,
  isPure: (path: string) => boolean,
  report: Report,
): void {
  if (one.from.split('/')[0] === 'undici' && folderOf(path) !== 'egress') {
    report(one.line, 'Only egress/ imports undici.', 'Send through ctx.egress.')
  }
  if (isPureByName(path)) judgePureImport(one, isPure, report)
  const { target } = one
  if (target === undefined) return
  if (layerOf(path) === undefined || layerOf(target) === undefined) {
    const stray = layerOf(path) === undefined ? path : target
    report(one.line, `${stray} has no place in the house.`, 'See scripts/imports/house.ts.')
    return
  }
  judgeLayers(path, target, one, report)
  judgeRooms(path, target, one, report)
}

function judgeLayers(path: string, target: string, { line }: Import, report: Report): void {
  const [from, to] = [depthOf(path), depthOf(target)]
  if (to < from) {
    const rule = `${layerOf(path)} does not import ${layerOf(target)}: imports lead down.`
    report(line, rule, 'Receive it from app.ts, or publish an event and add a reaction.')
  }
  const isDoor = /\.(http|task)\.ts$/.test(target)
  const mayOpen = layerOf(path) === 'table' || layerOf(path) === 'app'
  if (isDoor && !mayOpen) {
    const rule = 'Only the tables and app.ts import *.http.ts and *.task.ts.'
    report(line, rule, 'Move what both need into the noun or its .sql.ts.')
  }
}

function judgeRooms(path: string, target: string, { line, from }: Import, report: Report): void {
  const [room, other] = [folderOf(path), folderOf(target)]
  if (layerOf(path) !== 'room' || layerOf(target) !== 'room') return
  if (room === other) {
    if (from.startsWith('#'))
      report(line, 'Inside a room: ./x.ts.', `Write ./ in place of ${from}.`)
    return
  }
  if (!reachable(room).has(other)) {
    const rule = `No arrow leads from ${room} to ${other}.`
    report(line, rule, 'Publish an event and add a line to reactions.ts.')
  }
  if (!from.startsWith('#')) {
    report(line, 'Across rooms: #room/x.ts.', `Write #${target.replace('src/', '')}.`)
  }
  if (/\.adapter\.ts$/.test(target)) {
    report(line, 'Of another room: its noun or its .sql.ts.', 'Its adapter is its own affair.')
  }
}

function judgePureImport(one: Import, isPure: (path: string) => boolean, report: Report): void {
  const { target, from, line } = one
  if (one.isTypeOnly) {
    const isOfWorld = target !== undefined && !isPure(target) && isWorldly(target)
    if (isOfWorld) report(line, pureRule, `Not even types of ${from}: declare what you need.`)
    return
  }
  if (target?.startsWith('generated/')) return
  const allowed = target === undefined ? isPureModule(one) : isPure(target)
  if (!allowed) report(line, pureRule, `${from} touches the world: give the file its suffix.`)
}

/** Whether a file is made for touching the world, and not merely in the way of one that is. */
function isWorldly(path: string): boolean {
  return suffixOf(path) !== undefined || ['db', 'egress', 'jobs'].includes(folderOf(path))
}

const pureRule = 'A pure file imports pure files and generated types only.'

function isPureModule({ from, names }: Import): boolean {
  if (from === 'node:crypto') return names.every((name) => house.pureCrypto.includes(name))
  return house.pureModules.includes(from) || house.purePackages.includes(from)
}

/** A file of a room without a suffix, unless it is listed as worldly. */
function isPureByName(path: string): boolean {
  const isPlain = suffixOf(path) === undefined && !(path in house.worldly)
  return layerOf(path) === 'room' && isPlain
}

/**
 * Whether a file, with all that it imports by value, leaves the world alone. Of a file that must be
 * pure this is taken for granted, because it is told so itself when it is not.
 */
function purity(byPath: ReadonlyMap<string, Source>): (path: string) => boolean {
  const known = new Map<string, boolean>()
  const isPure = (path: string): boolean => {
    const before = known.get(path)
    if (before !== undefined) return before
    if (isPureByName(path)) return true
    known.set(path, true)
    const source = byPath.get(path)
    const isNamed = suffixOf(path) !== undefined || path in house.worldly
    const uses = source?.uses.some(({ what }) => what !== 'default export') ?? false
    const pure =
      path.startsWith('generated/') ||
      (!isNamed && !uses && (source?.imports ?? []).every((one) => isPureImport(one, isPure)))
    known.set(path, pure)
    return pure
  }
  return isPure
}

function isPureImport(one: Import, isPure: (path: string) => boolean): boolean {
  if (one.isTypeOnly) return true
  return one.target === undefined ? isPureModule(one) : isPure(one.target)
}

function reachable(room: string, seen = new Set<string>()): Set<string> {
  for (const next of house.arrows[room] ?? []) {
    if (seen.has(next)) continue
    seen.add(next)
    reachable(next, seen)
  }
  return seen
}

function folderOf(path: string): string {
  const [top, folder, file] = path.split('/')
  return top === 'src' && file !== undefined ? (folder ?? '') : ''
}

function suffixOf(path: string): string | undefined {
  return house.suffixes.find((suffix) => path.endsWith(`.${suffix}.ts`))
}

function layerOf(path: string): house.Layer | undefined {
  if (path.startsWith('generated/')) return 'generated'
  const folder = folderOf(path)
  if (folder !== '') return house.groundFolders.includes(folder) ? 'ground' : 'room'
  const file = path.replace('src/', '')
  if (house.doorsteps.includes(file)) return 'doorstep'
  if (file === 'app.ts') return 'app'
  if (house.tables.includes(file)) return 'table'
  return house.groundFiles.includes(file) ? 'ground' : undefined
}

function depthOf(path: string): number {
  return house.layers.indexOf(layerOf(path) ?? 'doorstep')
}
