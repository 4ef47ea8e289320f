import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createIntake } from '#http/intake.ts'
import { type Api, startWorld, type World } from '../world.ts'
import { aSource, receiptsOf } from './fixture.ts'

/*
 * What strangers may send, before it is known who they are: an answer comes as soon as one is known,
 * and what lies in memory at once is bounded.
 */

describe('places', () => {
  const limits = { requestsMax: 4, bytesMax: 100 }

  test('there are so many, and half of them for one tenant', () => {
    const intake = createIntake(limits)
    const [one, two] = [intake.enter('a'), intake.enter('a')]
    expect([one, two]).not.toContain(undefined)
    expect(intake.enter('a')).toBeUndefined()
    expect(intake.enter('b')).toBeDefined()
    expect(intake.enter('c')).toBeDefined()
    expect(intake.enter('d')).toBeUndefined()
    one?.leave()
    one?.leave()
    expect(intake.enter('d')).toBeDefined()
    expect(intake.enter('d')).toBeUndefined()
  })

  test('bytes are held until the place is left, half of them by one tenant at most', () => {
    const intake = createIntake(limits)
    const [one, two] = [intake.enter('a'), intake.enter('a')]
    const [other, another] = [intake.enter('b'), intake.enter('c')]
    expect([one?.hold(30), two?.hold(21), two?.hold(20)]).toEqual([true, false, true])
    expect([other?.hold(50), another?.hold(1)]).toEqual([true, false])
    one?.leave()
    expect([another?.hold(30), two?.hold(1)]).toEqual([true, false])
    // What comes after the answer is nobody's.
    expect(one?.hold(1_000)).toBe(true)
    for (const place of [two, other, another]) place?.leave()
    expect(intake.enter('a')?.hold(50)).toBe(true)
  })
})

let world: World
let api: Api
beforeAll(async () => {
  world = await startWorld()
  api = await world.newTenant()
})
afterAll(() => world.stop())

const mebibyte = 1024 * 1024

/** Begins to send; the body follows as it is told to. */
function begins(path: string, bytes: number) {
  const { host, hostname, port } = new URL(world.url)
  const socket = connect(Number(port), hostname)
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk
  })
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  socket.write(`POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${bytes}\r\n\r\n`)
  return { socket, heard: () => heard, answer: () => /^HTTP\S+ (\d+)/.exec(heard)?.[1] }
}

function write(socket: Socket, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    socket.write(Buffer.alloc(bytes, 0x20), () => resolve())
  })
}

test('who is not welcome whatever the body is hears so before any of it is sent', async () => {
  const source = await aSource(world, api, { maxBodyBytes: 1_000 })
  const barred = await aSource(world, api, { allowedIps: ['192.0.2.1'] })
  const gone = await aSource(world, api)
  await api.patch(gone.path, { status: 'DISABLED' })
  for (const [path, bytes, answer] of [
    ['/hooks/x', mebibyte, '404'],
    [`/hooks/src_${'0'.repeat(26)}`, mebibyte, '404'],
    [new URL(gone.url).pathname, mebibyte, '404'],
    [new URL(barred.url).pathname, mebibyte, '403'],
    [new URL(source.url).pathname, 1_001, '413'],
  ] as const) {
    const sending = begins(path, bytes)
    await expect.poll(sending.answer, { timeout: 2_000, message: path }).toBe(answer)
  }
})

test('a change of what a source takes holds for the head of the next webhook', async () => {
  const source = await aSource(world, api, { maxBodyBytes: 100 })
  expect((await source.send()).status).toBe(200)
  await api.patch(source.path, { maxBodyBytes: 1_000 })
  const body = JSON.stringify({ type: 'a', note: 'x'.repeat(500) })
  expect((await source.send({ body })).status).toBe(200)
  expect(await receiptsOf(world, source.id)).toHaveLength(2)
})

test('bodies that come together are bounded for a tenant, and others are served meanwhile', async () => {
  const flooded = await aSource(world, api, { maxBodyBytes: 5 * mebibyte })
  const other = await aSource(world, await world.newTenant())
  const path = new URL(flooded.url).pathname
  const sending = Array.from({ length: 7 }, () => begins(path, 5 * mebibyte))
  for (const { socket } of sending) void write(socket, 5 * mebibyte - 1)
  // Which of them is one too many says the order in which their bytes are read.
  const refused = () => sending.filter(({ answer }) => answer() !== undefined)
  await expect.poll(() => refused().length, { timeout: 5_000 }).toBeGreaterThan(0)
  for (const { answer, heard } of refused()) {
    expect(answer()).toBe('503')
    expect(heard().toLowerCase()).toContain('retry-after: 1')
    expect(heard()).toContain('"overloaded"')
  }
  expect(refused().length).toBeLessThan(sending.length / 2)
  expect((await other.send()).status).toBe(200)

  for (const { socket } of sending) socket.destroy()
  await expect.poll(async () => (await flooded.send()).status, { timeout: 5_000 }).toBe(200)
})
