import { startDemoReceiver } from './demo/receiver.ts'

/** `npm run receive -- whsec_…`: a receiver to try things with; it verifies and prints. */
const secret = process.argv[2]
if (!secret?.startsWith('whsec_')) {
  console.error('Give the secret of the endpoint: npm run receive -- whsec_…')
  process.exit(1)
}
const receiver = await startDemoReceiver(4000, ({ id, type, data }) =>
  console.log(`verified  ${type.padEnd(26)} ${data.id}  (${id})`),
)
receiver.trust(secret)
console.log(`Listening on ${receiver.url}`)
