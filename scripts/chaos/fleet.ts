import { type Program, startProgram } from '../demo/program.ts'
import { slots } from './plan.ts'

type Role = keyof typeof slots

/** The processes of the installation, and whoever starts them again when they end. */
export interface Fleet {
  /** An API that is up; another one for the next try. */
  urlFor(attempt: number): string
  /** Ends a process without a word, and resolves once it is up again. */
  kill(role: Role, slot: number): Promise<void>
  /** Stops a process where it is, and lets it go on. */
  freeze(role: Role, slot: number): void
  thaw(role: Role, slot: number): void
  /** How often a process ended that nobody had killed. */
  readonly ownEnds: readonly string[]
  stop(): Promise<void>
}

interface Place {
  role: Role
  slot: number
  program: Program | undefined
}

/** `env` says where a process finds its database, and its keys. */
export async function startFleet(env: (slot: number) => Record<string, string>): Promise<Fleet> {
  const places = (Object.keys(slots) as Role[]).flatMap((role) =>
    Array.from({ length: slots[role] }, (_, slot): Place => ({ role, slot, program: undefined })),
  )
  const ownEnds: string[] = []
  const expected = new WeakSet<Program>()
  let isStopping = false

  /** Starts it until it is up: while the database is away a process does not start. */
  async function start(place: Place): Promise<void> {
    const program = await launch(place.role, env(place.slot), () => isStopping)
    if (program !== undefined) watch(place, program)
  }

  function watch(place: Place, program: Program): void {
    place.program = program
    program.child.once('exit', (code, signal) => {
      if (place.program === program) place.program = undefined
      if (isStopping || expected.has(program)) return
      ownEnds.push(`${place.role} ${place.slot} ended with ${code ?? signal}`)
      void start(place)
    })
  }

  function placeOf(role: Role, slot: number): Place {
    const place = places.find((each) => each.role === role && each.slot === slot)
    if (place === undefined) throw new RangeError(`no ${role} ${slot}`)
    return place
  }

  await Promise.all(places.map(start))
  const apis = places.filter(({ role }) => role === 'api')
  let lastUrl = apis[0]?.program?.url ?? ''
  let turn = 0

  return {
    ownEnds,
    urlFor(attempt) {
      turn += 1
      const up = apis.flatMap(({ program }) => (program === undefined ? [] : [program.url]))
      lastUrl = up[(turn + attempt) % up.length] ?? lastUrl
      return lastUrl
    },
    async kill(role, slot) {
      const place = placeOf(role, slot)
      while (place.program === undefined) await new Promise((resolve) => setTimeout(resolve, 50))
      const { program } = place
      expected.add(program)
      place.program = undefined
      await program.end('SIGKILL')
      await start(place)
    },
    freeze(role, slot) {
      placeOf(role, slot).program?.child.kill('SIGSTOP')
    },
    thaw(role, slot) {
      placeOf(role, slot).program?.child.kill('SIGCONT')
    },
    async stop() {
      isStopping = true
      await Promise.all(places.map(({ program }) => program?.end('SIGTERM')))
    },
  }
}

/** Starts the program, again and again until it is up: on a busy machine Postgres may be too slow. */
export async function launch(
  role: 'all' | Role,
  env: Record<string, string>,
  isOver: () => boolean = () => false,
): Promise<Program | undefined> {
  while (!isOver()) {
    try {
      return await startProgram({ dataDir: '/nonexistent', role, env })
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  return undefined
}
