#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { ApiRefused, apiAt } from './api.ts'
import { listen } from './listen.ts'
import { trigger } from './trigger.ts'
import { viewOf } from './view.ts'
import { helpOf, Misuse, readWords, type Wish } from './words.ts'

/*
 * `ubos`: what a developer has beside the API. Exit codes: 0 done, 1 the API refuses or does not
 * answer, 2 the command is not understood, 3 a receiver did not take what was sent.
 */

const write = (line: string) => void process.stdout.write(`${line}\n`)

// Whoever reads us may have read enough.
process.stdout.on('error', () => process.exit(0))

try {
  process.exitCode = await run(readWords(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof Misuse || error instanceof ApiRefused)) throw error
  process.stderr.write(`ubos: ${error.message}\n`)
  process.exitCode = error instanceof Misuse ? 2 : 1
}

async function run(words: Wish): Promise<number> {
  switch (words.kind) {
    case 'help':
      process.stdout.write(helpOf[words.of])
      return 0
    case 'version':
      write(versionHere())
      return 0
    case 'listen': {
      const stop = new AbortController()
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())
      const { wish } = words
      return await listen(apiAt(wish.api, keyOf(wish)), wish, viewFor(wish), stop.signal)
    }
    case 'trigger':
      return await trigger(
        apiAt(words.wish.api, keyOf(words.wish)),
        words.wish,
        viewFor(words.wish),
      )
    default:
      return words satisfies never
  }
}

function viewFor({ isJson }: { isJson: boolean }) {
  const isColoured = process.stdout.isTTY === true && !process.env.NO_COLOR
  return viewOf(isJson, isColoured, write)
}

function keyOf({ keyFile }: { keyFile: string | undefined }): string {
  const key = (keyFile === undefined ? process.env.UBOS_API_KEY : readKey(keyFile))?.trim()
  if (key === undefined || key === '') {
    throw new Misuse('Set UBOS_API_KEY to an API key, or name a file that holds one: --key-file.')
  }
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Misuse('What should be the API key is none.')
  return key
}

function readKey(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Misuse(`--key-file cannot be read: ${(error as Error).message}`)
  }
}

function versionHere(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version: string }).version)
}
