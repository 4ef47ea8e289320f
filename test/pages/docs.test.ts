import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../world.ts'
import { startBrowser } from './browser.ts'

interface Contract {
  tags: { name: string }[]
}

let world: World
let browser: Browser
beforeAll(async () => {
  world = await startWorld({ parts: ['api'] })
  browser = await startBrowser()
})
afterAll(async () => {
  await browser.close()
  await world.stop()
})

test('the reference shows every tag, keeps to its content policy and asks nobody else', async () => {
  const page = await browser.newPage()
  const complaints: string[] = []
  const strangers: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(world.url) && !/^(data|blob):/.test(url)) strangers.push(url)
  })

  await page.goto(`${world.url}/docs`)
  await page.getByRole('heading', { name: 'UBOS API' }).waitFor()
  const contract = (await (await fetch(`${world.url}/openapi.json`)).json()) as Contract
  for (const tag of contract.tags) {
    await page.getByRole('link', { name: tag.name }).first().waitFor()
  }
  expect(complaints).toEqual([])
  expect(strangers).toEqual([])
  await page.close()
})

test('a page explains each problem', async () => {
  const page = await browser.newPage()
  await page.goto(`${world.url}/problems/idempotency_key_reused`)
  expect(await page.getByRole('heading').textContent()).toBe(
    'The Idempotency-Key was used for another request',
  )
  await page.close()
})
