import { startDemoReceiver } from './demo/receiver.ts'

/** `npm run receive -- whsec_… [port]`: a receiver to try things with; it verifies and prints. */
const [secret = '', port = '4000'] = process.argv.slice(2)
if (!/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/.test(secret)) {
  console.error('Give the secret of the endpoint: npm run receive -- whsec_…')
  process.exit(1)
}
process.on('uncaughtException', (error) => {
  console.error(`Cannot listen: ${error.message}. Another port: npm run receive -- whsec_… 4001`)
  process.exit(1)
})
const receiver = await startDemoReceiver(
  Number(port),
  ({ id, type, data }) => console.log(`verified      ${type.padEnd(26)} ${data.id}  (${id})`),
  (reason) => console.log(`NOT VERIFIED  ${reason}`),
)
receiver.trust(secret)
console.log(`Listening on ${receiver.url}`)
