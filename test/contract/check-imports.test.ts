import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { readSource } from '../../scripts/imports/read.ts'
import { judge } from '../../scripts/imports/rules.ts'

/** What is said of a small house, one line a breach: `path:line rule`. */
function said(house: Record<string, string>): string[] {
  const sources = Object.entries(house).map(([path, text]) => readSource(path, text))
  return judge(sources).map(({ path, line, rule }) => `${path}:${line} ${rule}`)
}

const good = {
  'src/main.ts': "import { app } from './app.ts'\nimport { settle } from './stop.ts'\n",
  'src/stop.ts': 'export const settle = 1\n',
  'src/app.ts':
    "import { operations } from './operations.ts'\nimport { mount } from './http/mount.ts'\n",
  'src/operations.ts': "import { getClient } from './clients/client.http.ts'\n",
  'src/config.ts': 'export const port = process.env.PORT\n',
  'src/ids.ts': "import { randomBytes } from 'node:crypto'\nexport type TenantId = string\n",
  'src/http/mount.ts': "import { routes } from '#generated/routes.ts'\n",
  'src/http/money.ts': 'export const cents = (amount: number) => Math.round(amount * 100)\n',
  'src/db/transact.ts': "import pg from 'pg'\n",
  'src/egress/send.ts': "import { request } from 'undici'\nawait fetch('http://x')\n",
  'src/clients/client.http.ts':
    "import { toClient } from './client.ts'\nimport { findClient } from './client.sql.ts'\n",
  'src/clients/service-account.ts': 'export const disabled = 1\n',
  'src/clients/client.sql.ts': "import { transact } from '../db/transact.ts'\n",
  'src/clients/client.ts': [
    "import type { ClientInfo } from '#generated/types.ts'",
    "import { createHash } from 'node:crypto'",
    "import type { TenantId } from '../ids.ts'",
    "import { cents } from '../http/money.ts'",
    'export const born = (now: Date) => new Date(now.getTime() + 1)',
  ].join('\n'),
  'src/proposals/proposal.ts': "import { toClient } from '#clients/client.ts'\n",
  'src/payments/payment.sql.ts': "import { findClient } from '#clients/client.sql.ts'\n",
  'src/webhooks/dispatcher.ts':
    "import { send } from '../egress/send.ts'\nsetTimeout(() => {}, 1)\n",
}

test('a house that is in order hears nothing', () => assert.deepEqual(said(good), []))

describe('a breach is told with its line and rule', () => {
  const cases: [what: string, path: string, text: string, rule: RegExp][] = [
    [
      'up from a room',
      'src/clients/client.sql.ts',
      "import { app } from '../app.ts'",
      /:1 room does not import app/,
    ],
    [
      'up from the ground',
      'src/http/mount.ts',
      "\nimport { toClient } from '../clients/client.ts'",
      /:2 ground does not import room/,
    ],
    [
      'up, though only for a type',
      'src/db/transact.ts',
      "import type { Client } from '../clients/client.ts'",
      /ground does not import room/,
    ],
    [
      'up by import()',
      'src/http/mount.ts',
      "const app = await import('../app.ts')",
      /ground does not import app/,
    ],
    [
      'up by a type in passing',
      'src/http/mount.ts',
      "export type A = import('../app.ts').App",
      /ground does not import app/,
    ],
    [
      'up by passing it on',
      'src/http/mount.ts',
      "export * from '../app.ts'",
      /ground does not import app/,
    ],
    [
      'operations from a room',
      'src/clients/client.sql.ts',
      "import { getClient } from './client.http.ts'",
      /Only the tables and app/,
    ],
    [
      'a task from a room',
      'src/webhooks/dispatcher.ts',
      "import { refresh } from './refresh.task.ts'",
      /Only the tables and app/,
    ],
    [
      'against the arrow',
      'src/clients/client.sql.ts',
      "import { toProposal } from '#proposals/proposal.ts'",
      /No arrow leads from clients to proposals/,
    ],
    [
      'another room by a path',
      'src/proposals/proposal.ts',
      "import { toClient } from '../clients/client.ts'",
      /Across rooms: #room/,
    ],
    [
      'its own room by #',
      'src/clients/client.sql.ts',
      "import { toClient } from '#clients/client.ts'",
      /Inside a room: \.\/x\.ts/,
    ],
    [
      "another room's adapter",
      'src/sync/sync.sql.ts',
      "import { call } from '#connections/xero.adapter.ts'",
      /its noun or its \.sql/,
    ],
    [
      'SQL in a pure file',
      'src/clients/client.ts',
      "import { findClient } from './client.sql.ts'",
      /A pure file imports pure files/,
    ],
    [
      'the database in a pure file',
      'src/clients/client.ts',
      "import { transact } from '../db/transact.ts'",
      /A pure file imports pure files/,
    ],
    [
      'types of the database in a pure file',
      'src/clients/client.ts',
      "import type { Tx } from '../db/transact.ts'",
      /A pure file imports pure files/,
    ],
    [
      'a package in a pure file',
      'src/clients/client.ts',
      "import pg from 'pg'",
      /A pure file imports pure files/,
    ],
    [
      'randomness by import',
      'src/clients/client.ts',
      "import { randomUUID } from 'node:crypto'",
      /A pure file imports pure files/,
    ],
    [
      'a pure file by way of another',
      'src/clients/client.ts',
      "import { now } from '../http/moment.ts'",
      /A pure file imports pure files/,
    ],
    ['the clock', 'src/clients/client.ts', 'export const now = Date.now()', /has no clock/],
    ['the date of today', 'src/clients/client.ts', 'export const now = new Date()', /has no clock/],
    [
      'chance',
      'src/clients/client.ts',
      '\n\nexport const die = Math.random()',
      /:3 A pure file has no randomness/,
    ],
    ['a timer', 'src/clients/client.ts', 'setTimeout(() => {}, 1)', /has no timer/],
    ['fetch', 'src/http/mount.ts', "await fetch('http://x')", /Only egress\/ calls fetch/],
    [
      'fetch by its full name',
      'src/http/mount.ts',
      "await globalThis.fetch('http://x')",
      /Only egress\/ calls fetch/,
    ],
    [
      'undici',
      'src/webhooks/dispatcher.ts',
      "import { Pool } from 'undici'",
      /Only egress\/ imports undici/,
    ],
    [
      'the environment',
      'src/http/mount.ts',
      'export const port = process.env.PORT',
      /Only config\.ts reads/,
    ],
    ['a default export', 'src/http/mount.ts', 'export default 1', /No default exports/],
    [
      'a default function',
      'scripts/check.ts',
      'export default function check() {}',
      /No default exports/,
    ],
    [
      'a default by name',
      'src/http/mount.ts',
      'const a = 1\nexport { a as default }',
      /:2 No default exports/,
    ],
    ['utils', 'src/http/utils.ts', '', /called 'utils'/],
    ['a service that is no noun', 'src/clients/client-service.ts', '', /called 'service'/],
    ['helpers inside a name', 'test/http-helpers.ts', '', /called 'helpers'/],
    ['a folder of that name', 'src/clients/shared/x.ts', '', /called 'shared'/],
    [
      'a stray file',
      'src/stray.ts',
      "import { cents } from './http/money.ts'",
      /src\/stray\.ts has no place/,
    ],
  ]
  test.each(cases)('%s', (_what, path, text, rule) => {
    const more = { 'src/http/moment.ts': 'export const now = () => Date.now()\n' }
    const found = said({ ...good, ...more, [path]: text })
    assert.equal(found.filter((line) => rule.test(line)).length, 1, found.join('\n'))
  })
})

describe('what only looks like a breach is let pass', () => {
  const cases: [what: string, path: string, text: string][] = [
    [
      'words in a comment or text',
      'src/clients/client.ts',
      "// Date.now() and fetch()\nexport const a = 'process.env'\n",
    ],
    [
      'a switch has a default',
      'src/clients/client.ts',
      'switch (1 as number) { default: break }\n',
    ],
    [
      'a moment that is given',
      'src/clients/client.ts',
      'export const day = (at: string) => new Date(at)\n',
    ],
    [
      'a method called fetch',
      'src/clients/client.sql.ts',
      'export const a = (b: { fetch(): void }) => b.fetch()\n',
    ],
  ]
  test.each(cases)('%s', (_what, path, text) =>
    assert.deepEqual(said({ ...good, [path]: text }), []),
  )
})
