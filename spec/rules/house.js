import { auditedReads } from './audited-reads.js'
import { bounded } from './bounded.js'
import { camelCaseFields } from './camel-case-fields.js'
import { conditionalRequests } from './conditional-requests.js'
import { deprecationWhole } from './deprecation-whole.js'
import { enumCase } from './enum-case.js'
import { eventShape } from './event-shape.js'
import { knownExtensions } from './known-extensions.js'
import { knownKeywords } from './known-keywords.js'
import { listEnvelope } from './list-envelope.js'
import { mediaTypeExample } from './media-type-example.js'
import { oneProblem } from './one-problem.js'
import { openapiVersion } from './openapi-version.js'
import { operationDeclares } from './operation-declares.js'
import { operationIdVerbNoun } from './operation-id-verb-noun.js'
import { pathShape } from './path-shape.js'
import { problemCodes } from './problem-codes.js'
import { replyHeaders } from './reply-headers.js'
import { replyOpen } from './reply-open.js'
import { requestClosed } from './request-closed.js'
import { scopesKnown } from './scopes-known.js'
import { secretsMarked } from './secrets-marked.js'
import { timesUtc } from './times-utc.js'
import { websocketMessages } from './websocket-messages.js'

/**
 * The house rules: what every contract of ours owes its readers beyond being valid OpenAPI.
 * One rule, one file; a good and a bad example of each in `fixtures/`.
 * Nothing is imported from the linter: a plugin is handed all that it needs.
 */
export default function house() {
  return {
    id: 'house',
    // What is said over a WebSocket are schemas like any others, and judged as such.
    typeExtension: {
      oas3: (types) => ({
        ...types,
        Operation: {
          ...types.Operation,
          properties: { ...types.Operation.properties, 'x-websocket': 'WebSocketMessages' },
        },
        WebSocketMessages: { properties: { sends: 'MessageList', receives: 'MessageList' } },
        MessageList: { properties: {}, items: 'Schema' },
      }),
    },
    rules: {
      oas3: {
        'openapi-version': openapiVersion,
        'times-utc': timesUtc,
        'deprecation-whole': deprecationWhole,
        'audited-reads': auditedReads,
        bounded,
        'camel-case-fields': camelCaseFields,
        'conditional-requests': conditionalRequests,
        'enum-case': enumCase,
        'event-shape': eventShape,
        'known-extensions': knownExtensions,
        'known-keywords': knownKeywords,
        'list-envelope': listEnvelope,
        'media-type-example': mediaTypeExample,
        'one-problem': oneProblem,
        'operation-declares': operationDeclares,
        'operation-id-verb-noun': operationIdVerbNoun,
        'path-shape': pathShape,
        'problem-codes': problemCodes,
        'reply-headers': replyHeaders,
        'reply-open': replyOpen,
        'request-closed': requestClosed,
        'scopes-known': scopesKnown,
        'secrets-marked': secretsMarked,
        'websocket-messages': websocketMessages,
      },
    },
  }
}
