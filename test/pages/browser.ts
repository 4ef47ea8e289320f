import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** Debian's Chromium, headless, and kept from calling home. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = '/usr/bin/chromium'
  if (!existsSync(executablePath)) throw new Error('install it first: apt-get install chromium')
  return await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
