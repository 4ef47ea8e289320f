import type { ProblemCode } from '#generated/types.ts'
import type { Cast } from './cast.ts'
import { methodsOf, type Operation } from './contract.ts'
import type { WrongKeys } from './keys.ts'
import { type Prepared, pathOfNobody, pathWith, render } from './prepare.ts'
import { idKindOf, idOfNobody, resolve } from './schema.ts'

/*
 * One thing that is wrong with a request, of each kind that a request can be refused for, in the
 * order in which refusals are promised. Faults of two kinds can be put into one request.
 */

/** A request of which some things are wrong. */
export interface Faulty {
  request: Prepared
  method: string
  route: string
  key: string | null
  /** The process that it is sent to. */
  url: string
  bodyText: 'as it is' | 'oversized'
}

export interface Fault {
  name: string
  /** The codes that say so; any will do. */
  codes: readonly ProblemCode[]
  /** Takes its time: put to the fault before it, and to no others. */
  isHeavy?: boolean
  /** Found out in the transaction only. */
  isLate?: boolean
  /** A fault of the same rank: which of the two is told is not said. */
  isAlike?: string
  applies(operation: Operation): boolean
  commit(faulty: Faulty): Faulty
}

/** What faults need that is not in the request itself. */
export interface Means {
  keys: WrongKeys
  /** A process in which keys have used up their rate, and the clock stands still. */
  exhausted: {
    url: string
    keyOf(operation: Operation): string
    /** A key without the scopes of the operation. */
    poorKeyOf(operation: Operation): string
  }
  /** An idempotency key that stands for another call. */
  usedKey: string
}

const isClosed = ({ audience }: Operation) => audience !== 'open'
const takesBody = ({ bodies }: Operation) => bodies.length > 0
const has = (status: string) => (operation: Operation) => status in operation.replies

/** In the order of refusals; two of one rank may be told in either order. */
export function faultsIn({ keys, exhausted, usedKey }: Means): Fault[] {
  return [
    {
      name: 'route',
      codes: ['route_not_found'],
      applies: () => true,
      commit: (faulty) => ({ ...faulty, route: `${faulty.route}/nowhere/at/all` }),
    },
    {
      name: 'method',
      codes: ['method_not_allowed'],
      applies: ({ path }) => wrongMethodOf(path) !== undefined,
      commit: (faulty) => ({
        ...faulty,
        method: wrongMethodOf(faulty.request.operation.path) ?? faulty.method,
      }),
    },
    {
      name: 'key',
      codes: ['key_revoked'],
      applies: isClosed,
      commit: (faulty) => ({ ...faulty, key: keys.revoked }),
    },
    {
      name: 'scope',
      codes: ['insufficient_scope'],
      applies: ({ scopes }) => scopes.length > 0,
      commit: (faulty) => ({ ...faulty, key: exhausted.poorKeyOf(faulty.request.operation) }),
    },
    {
      name: 'rate',
      codes: ['quota_exceeded'],
      applies: isClosed,
      commit: (faulty) => ({
        ...faulty,
        url: exhausted.url,
        key: exhausted.keyOf(faulty.request.operation),
      }),
    },
    {
      name: 'accept',
      codes: ['not_acceptable'],
      applies: ({ replies }) => Object.keys(replies).some((status) => replies[status]?.mediaType),
      commit: (faulty) => withHeader(faulty, 'accept', 'image/png'),
    },
    {
      name: 'content type',
      codes: ['unsupported_media_type'],
      applies: takesBody,
      commit: (faulty) => withHeader(faulty, 'content-type', 'text/plain'),
    },
    {
      name: 'size',
      isHeavy: true,
      codes: ['payload_too_large'],
      applies: takesBody,
      commit: (faulty) => ({ ...faulty, bodyText: 'oversized' }),
    },
    {
      name: 'parameter',
      isAlike: 'field',
      codes: ['unknown_parameter'],
      applies: () => true,
      commit: (faulty) => withRequest(faulty, { query: [['surprise', '1']] }),
    },
    {
      name: 'field',
      codes: ['invalid_request'],
      applies: takesBody,
      commit: (faulty) => withRequest(faulty, { body: { ...faulty.request.body, surprise: 1 } }),
    },
    {
      name: 'idempotency key',
      isLate: true,
      codes: ['idempotency_key_reused'],
      applies: ({ idempotency }) => idempotency !== undefined,
      commit: (faulty) => withHeader(faulty, 'idempotency-key', usedKey),
    },
    {
      name: 'resource',
      isLate: true,
      codes: ['not_found'],
      applies: ({ parameters }) =>
        parameters.some((one) => one.in === 'path' && idKindOf(one.schema)),
      commit: (faulty) => {
        const path = pathOfNobody(faulty.request.operation)
        return { ...faulty, route: pathWith(faulty.request.operation, path) }
      },
    },
    {
      name: 'precondition',
      isAlike: 'no precondition',
      isLate: true,
      codes: ['precondition_failed'],
      applies: has('412'),
      commit: (faulty) => withHeader(faulty, 'if-match', '"999999999"'),
    },
    {
      name: 'no precondition',
      isLate: true,
      codes: ['precondition_required'],
      applies: has('428'),
      commit: (faulty) => withHeader(faulty, 'if-match', undefined),
    },
    {
      name: 'reference',
      isLate: true,
      // A batch that is not the last one is lost, whatever else it was.
      codes: ['reference_unknown', 'not_found', 'lease_lost'],
      applies: (operation) => referenceOf(operation) !== undefined,
      commit: (faulty) => {
        const [name, kind] = referenceOf(faulty.request.operation) ?? ['', '']
        return withRequest(faulty, { body: { ...faulty.request.body, [name]: idOfNobody(kind) } })
      },
    },
  ]
}

function wrongMethodOf(path: string): string | undefined {
  const known = methodsOf(path)
  return ['PUT', 'POST', 'DELETE'].find((method) => !known.includes(method))
}

/** A field of the body that names another thing. */
function referenceOf({ bodies: [body] }: Operation): [name: string, kind: string] | undefined {
  const fields = Object.entries((body && resolve(body.schema).properties) ?? {})
  const named = fields.map(([name, schema]) => [name, idKindOf(schema)] as const)
  const found = named.find(([, kind]) => kind !== undefined)
  return found?.[1] === undefined ? undefined : [found[0], found[1]]
}

function withRequest(faulty: Faulty, change: Partial<Prepared>): Faulty {
  return { ...faulty, request: { ...faulty.request, ...change } }
}

function withHeader(faulty: Faulty, name: string, text: string | undefined): Faulty {
  const { [name]: _, ...others } = faulty.request.headers
  return withRequest(faulty, { headers: text === undefined ? others : { ...others, [name]: text } })
}

/** A request with nothing wrong yet. */
export function flawless(cast: Cast, request: Prepared): Faulty {
  const { key, path } = render(cast, request)
  const { method } = request.operation
  return { request, method, route: path, key, url: cast.world.url, bodyText: 'as it is' }
}

/** A body that is too large, and says what it says. */
const padding = ' '.repeat(1024 * 1024 + 1)

export async function sendFaulty(cast: Cast, faulty: Faulty) {
  const { request, method, route, key, url, bodyText } = faulty
  const { body, ...sent } = render(cast, request)
  const hasBody = body !== undefined && method !== 'GET'
  return await cast.send(request.operation, {
    ...sent,
    ...(hasBody ? { body: bodyText === 'oversized' ? `${body}${padding}` : body } : {}),
    key,
    path: route,
    method,
    url,
  })
}
