/** Who may import whom, as DESIGN has it: the facts that `rules.ts` judges by. */

/** Each may import those to the right of it, never to the left. */
export const layers = ['doorstep', 'app', 'table', 'room', 'ground', 'generated'] as const

export type Layer = (typeof layers)[number]

export const tables = ['operations.ts', 'tasks.ts', 'reactions.ts']

export const doorsteps = ['main.ts', 'doorstep.js', 'stop.ts']

export const groundFolders = [
  ...['http', 'db', 'jobs', 'egress', 'secrets', 'events', 'audit', 'figures'],
]

/** Files beside the folders that everybody may stand on. */
export const groundFiles = [
  'config.ts',
  'context.ts',
  'clock.ts',
  'fault-points.ts',
  'ids.ts',
  'log.ts',
  'per-context.ts',
]

/** The only ways from room to room; a chain may be followed all along. */
export const arrows: Readonly<Record<string, readonly string[]>> = {
  payments: ['invoices', 'providers'],
  invoices: ['proposals', 'providers'],
  proposals: ['clients'],
  clients: ['providers'],
  health: ['sync'],
  sync: ['connections', 'references', 'clients', 'invoices', 'payments'],
  connections: ['providers'],
  references: ['providers'],
  mail: ['connections'],
  inbound: ['connections', 'providers', 'api-keys'],
  organizations: ['api-keys', 'retention'],
  retention: ['webhooks'],
}

/** Files of rooms that touch the world without a suffix that says so, and why. */
export const worldly: Readonly<Record<string, string>> = {
  'src/api-keys/authenticate.ts': 'keeps verified keys in a cache',
  'src/api-keys/follow.ts': 'polls for revocations and other changes of keys',
  'src/api-keys/writer.ts': 'the loop that writes down what keys did',
  'src/api-metrics/recorder.ts': 'the loop that writes figures down, and its queue of them',
  'src/clients/reference.ts': 'holds the client that another thing will refer to',
  'src/events/conversation.ts': 'reads the place that a reader goes on from, and tells it events',
  'src/events/streams.ts': 'keeps the streams that are open, and wakes them',
  'src/figures/writer.ts': 'the loop that writes figures down, and its queue of them',
  'src/http/channel.ts': 'a WebSocket that is open: what is said on it, and how fast',
  'src/http/front.ts': 'the port that others see, from the first moment to the last',
  'src/http/limiter.ts': 'keeps what each caller spent, and shares it with other processes',
  'src/http/pressure-gauge.ts': 'measures the process, and keeps calls out by it',
  'src/http/websocket.ts': 'takes connections over that go on as WebSockets',
  'src/inbound/keeper.ts': 'gathers webhooks into transactions, and queues what is kept of them',
  'src/inbound/outcome.ts': 'counts what became of webhooks, and has it written down',
  'src/inbound/public-keys.ts': 'fetches keys of third parties, and keeps them',
  'src/proposals/reference.ts': 'holds the proposal that another thing will refer to',
  'src/invoices/advance.ts': 'queues the next state of an invoice, for two callers',
  'src/invoices/settlement.ts': 'holds the invoice that money is for, and queues what it changes',
  'src/organizations/bootstrap.ts': 'makes the first keys, in transactions of its own',
  'src/organizations/opening.ts': 'queues all that a new organization is, for two callers',
  'src/request-log/writer.ts': 'the loop that writes rows down, and its queue of them',
  'src/webhooks/claimer.ts': 'the loop that claims what the dispatcher sends',
  'src/webhooks/conclude.ts': 'turns what came of an attempt into what the dispatcher records',
  'src/webhooks/dispatcher.ts': 'the loop that sends: it stands between Postgres and egress',
  'src/webhooks/named-endpoints.ts': 'looks up the endpoints that a body names, for two callers',
  'src/webhooks/orphans.ts': 'the loop that frees what dead workers held',
  'src/webhooks/signers.ts': 'keeps opened signing keys',
  'src/webhooks/key-pair.ts': 'makes key pairs, in the transactions of two callers',
  'src/webhooks/payload.ts': 'makes and keeps what is sent in place of events',
  'src/webhooks/transform-cell.ts': 'runs in a process of its own, and keeps the thread in it',
  'src/webhooks/transform-thread.ts': 'runs in a thread of its own, and takes the world from it',
  'src/webhooks/transformation.ts': 'has an expression read where it can be killed',
  'src/webhooks/transformer.ts': 'keeps the processes in which expressions run',
  'src/webhooks/metric-writer.ts': 'has what was recorded added up and written down',
  'src/webhooks/gone.ts': 'what the dispatcher does about a 410, in one transaction',
}

/** Suffixes that say which world a file touches. */
export const suffixes = ['sql', 'http', 'task', 'adapter']

/** What a pure file may take from Node: it computes and changes nothing. */
export const pureModules = ['node:buffer', 'node:util', 'node:url', 'node:path']

/** Of node:crypto a pure file may take these: the same input gives the same answer. */
export const pureCrypto = [
  'createHash',
  'createHmac',
  'createPublicKey',
  'createSecretKey',
  'hash',
  'timingSafeEqual',
  'verify',
  'X509Certificate',
]

/** croner is given its moments; made without a function to call, it starts no timer. */
export const purePackages = ['croner', 'ipaddr.js']

/** Nouns of the contract with a word in them that is no name by itself. */
export const domainNouns = ['service-account', 'shared-secret']

export const forbiddenNames = [
  'utils',
  'util',
  'helpers',
  'helper',
  'common',
  'shared',
  'manager',
  'service',
  'index',
]
