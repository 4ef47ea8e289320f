import { refuse } from './breach.ts'
import { asArray, asObject, byName } from './json.ts'
import type { Operation, Reply } from './model.ts'
import type { Parameter } from './parameters.ts'
import { docComment, header, importTypes, pascal, propertyName, quote, union } from './print.ts'
import { type Names, newNames, typeOf } from './type-of.ts'

/** Headers that mount sets itself; it never asks a handler for them. */
const mountHeaders = new Set([
  'allow',
  'content-length',
  'content-type',
  'deprecation',
  'etag',
  'idempotent-replayed',
  'link',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'server-timing',
  'sunset',
  'www-authenticate',
  'x-correlation-id',
  'x-request-id',
])

/** What is answered so has no end: the handler gives what is read from as it is sent. */
const streamType = 'text/event-stream'

/** What a handler is given when it goes on as a WebSocket. */
const channelType = `/** A WebSocket, once it is open. */
export interface Channel<Received> {
  /** Sends a message; answers once there is room for another, and whether it is still open. */
  send(text: string): Promise<boolean>
  /** What comes: messages, each one heard after the one before, what is none, and the end. */
  listen(listener: {
    hear(message: Received): Promise<void>
    refuse(why: 'NOT_TEXT' | 'MALFORMED' | 'TOO_MANY', detail?: string): void
    gone(): void
  }): void
  /** Sends \`last\`, says goodbye by this code and reason, and waits a moment for the answer. */
  close(code: number, reason: string, last: string): void
}

`

/** `generated/operations.ts`: what a handler is given and what it may answer, by name. */
export function printOperations(operations: readonly Operation[]): string {
  const names = newNames()
  const declared = new Set(['Operations', 'OperationId'])
  const blocks = operations.map((operation) => printOperation(operation, names, declared))
  const clash = [...names.schemas].find((name) => declared.has(name))
  if (clash) refuse(`/components/schemas/${clash}`, 'An operation has a type of this name: rename.')
  const hasStream = operations.some(({ replies }) =>
    replies.some(({ mediaType }) => mediaType === streamType),
  )
  const hasWebSocket = operations.some(({ websocket }) => websocket !== null)
  const table = operations.map(({ operationId, kind, scopes, isRaw }) => {
    const name = pascal(operationId)
    const access = isRaw ? 'raw' : scopes === null ? 'open' : 'key'
    const members = [
      `request: ${name}Request`,
      `reply: ${name}Reply`,
      `kind: '${kind}'`,
      `access: '${access}'`,
    ]
    return `  ${operationId}: {\n${members.map((member) => `    ${member}\n`).join('')}  }\n`
  })
  return [
    header,
    importTypes(names.needsContract ? ['operations'] : [], './contract.ts'),
    importTypes([...names.schemas].sort(byName), './types.ts'),
    hasStream ? importTypes(['Readable'], 'node:stream') : '',
    '\n',
    hasWebSocket ? channelType : '',
    blocks.join('\n'),
    '\n/** Every operation of the contract; `open` ones need no key, `raw` ones come as others send them. */\n',
    `export interface Operations {\n${table.join('')}}\n\n`,
    'export type OperationId = keyof Operations\n',
  ].join('')
}

function printOperation(operation: Operation, names: Names, declared: Set<string>): string {
  const name = pascal(operation.operationId)
  // That a caller has seen it already (304) is for mount to say, not for the handler.
  const successes = operation.replies.filter(({ status }) => isSuccess(operation, status))
  const replyNames = successes.map(({ status }) => `${name}${status}`)
  for (const type of [`${name}Request`, `${name}Reply`, ...replyNames]) declared.add(type)
  const reply = replyNames.length === 0 ? 'never' : union(replyNames, '', name.length + 20)
  return [
    docComment({ summary: `${operation.method} ${operation.path}` }),
    `export interface ${name}Request {\n`,
    ...['path', 'query', 'headers'].map((part) => printParameters(operation, part, names)),
    printBody(operation, names),
    operation.websocket
      ? '  /** Whether it is to go on as a WebSocket (101). */\n  isUpgrade: boolean\n'
      : '',
    '}\n\n',
    `export type ${name}Reply = ${reply}\n`,
    ...successes.map((success) => printReply(operation, success, names)),
  ].join('')
}

/** That it goes on as a WebSocket (101) is one, where that is declared. */
function isSuccess({ websocket }: Operation, status: number): boolean {
  return (status >= 200 && status < 300) || (status === 101 && websocket !== null)
}

function printParameters(operation: Operation, part: string, names: Names): string {
  const location = part === 'headers' ? 'header' : part
  const parameters = operation.parameters.filter((parameter) => parameter.in === location)
  if (parameters.length === 0) return `  ${part}: Record<never, never>\n`
  const lines = parameters.map((parameter) => printParameter(operation, parameter, names))
  return `  ${part}: {\n${lines.join('')}  }\n`
}

/** The decoder applies defaults, so a parameter that has one is always there. */
function printParameter(operation: Operation, parameter: Parameter, names: Names): string {
  const isThere = parameter.isRequired || parameter.default !== undefined
  const where = `['parameters']['${parameter.in}'][${quote(parameter.name)}]`
  const type = typeOf(parameter.schema, names, `operations['${operation.operationId}']${where}`)
  const label = `${propertyName(parameter.key)}${isThere ? '' : '?'}: `
  return `${docComment(parameter.source, '    ')}    ${label}${union(
    type.split(' | '),
    '    ',
    label.length,
  )}\n`
}

function printBody(operation: Operation, names: Names): string {
  const { body, operationId } = operation
  if (body === null) return ''
  const content = `['content'][${quote(body.mediaTypes[0] ?? '')}]`
  const path = `NonNullable<operations['${operationId}']['requestBody']>${content}`
  const type = typeOf(body.schema, names, path)
  return `  body: ${type}${body.isRequired ? '' : ' | undefined'}\n`
}

function printReply(operation: Operation, reply: Reply, names: Names): string {
  const { operationId } = operation
  const lines = [`  status: ${reply.status}\n`]
  const headers = reply.headers.filter(({ name }) => !mountHeaders.has(name.toLowerCase()))
  if (headers.length > 0) {
    const isRequired = headers.some((one) => one.isRequired)
    const members = headers.map((one) => {
      const type = typeOf(asObject(one.schema), names, 'string')
      return `${propertyName(one.name)}${one.isRequired ? '' : '?'}: ${type}`
    })
    lines.push(`  headers${isRequired ? '' : '?'}: { ${members.join('; ')} }\n`)
  }
  if (operation.websocket && reply.status === 101) {
    const messages = asArray(operation.websocket.receives.oneOf)
    const received = messages.map((message) => typeOf(message, names, 'unknown')).join(' | ')
    lines.push(`  converse: (channel: Channel<${received}>) => Promise<void>\n`)
  }
  if (reply.mediaType !== null) {
    const content = `['content'][${quote(reply.mediaType)}]`
    const path = `operations['${operationId}']['responses'][${reply.status}]${content}`
    const isStream = reply.mediaType === streamType
    lines.push(`  body: ${isStream ? 'Readable' : typeOf(reply.schema, names, path)}\n`)
  }
  return `\nexport interface ${pascal(operationId)}${reply.status} {\n${lines.join('')}}\n`
}
