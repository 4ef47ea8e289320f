import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBrowser } from './browser.ts'

/** Says what becomes of the published vectors, and of one whose body was changed. */
const trial = `
  import { verifyWebhook } from './receiver.js'
  const signatures = {
    whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=':
      'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
  }
  async function told(key, body) {
    const headers = new Headers({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': signatures[key],
    })
    const options = { keys: [key], now: () => 1614265330_000 }
    return await verifyWebhook({ headers, body }, options).then(({ id }) => id, ({ code }) => code)
  }
  const found = []
  for (const key of Object.keys(signatures)) {
    found.push(await told(key, '{"test": 2432232314}'), await told(key, '{"test": 2432232315}'))
  }
  const say = globalThis.document ? (value) => { globalThis.verdict = value } : postMessage
  say(found)
`
const genuine = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const verdict = [genuine, 'wrong_signature', genuine, 'wrong_signature']

const files: Record<string, [type: string, text: string]> = {
  '/': ['text/html', '<script type="module" src="trial.js"></script>'],
  '/trial.js': ['text/javascript', trial],
  '/receiver.js': ['text/javascript', readFileSync('packages/receiver/dist/receiver.js', 'utf8')],
}

let server: Server
let browser: Browser
beforeAll(async () => {
  server = createServer(({ url = '' }, response) => {
    const [type, text] = files[url] ?? ['text/plain', '']
    response.writeHead(200, { 'content-type': type }).end(text)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  browser = await startBrowser()
})
afterAll(async () => {
  await browser.close()
  server.closeAllConnections()
  server.close()
})

test('the kit for receivers verifies in a page and in a worker, as it is emitted', async () => {
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await page.waitForFunction('globalThis.verdict')
  expect(await page.evaluate('globalThis.verdict')).toEqual(verdict)

  const ofWorker = await page.evaluate(`new Promise((resolve, reject) => {
    const worker = new Worker('./trial.js', { type: 'module' })
    worker.onmessage = ({ data }) => resolve(data)
    worker.onerror = ({ message }) => reject(new Error(message))
  })`)
  expect(ofWorker).toEqual(verdict)
})
