import type pg from 'pg'

/** What one would do without a sequencer: each event's deliveries in a transaction of their own. */
export async function fanOutByJobs(client: pg.Client, events: number): Promise<number> {
  await client.query(
    'create table if not exists bench_delivery (id text primary key, url text, event_id text)',
  )
  const startMs = performance.now()
  for (let event = 0; event < events; event += 1) {
    await client.query('begin')
    for (let endpoint = 0; endpoint < 10; endpoint += 1) {
      const id = `${startMs}.${event}.${endpoint}`
      await client.query({
        name: 'bench_delivery',
        text: 'insert into bench_delivery (id, url, event_id) values ($1, $2, $3)',
        values: [id, `http://127.0.0.1/${endpoint}`, String(event)],
      })
      await client.query({
        name: 'bench_add_job',
        text: `select id from graphile_worker.add_job(identifier => 'told', payload => $1::json)`,
        values: [JSON.stringify({ id })],
      })
    }
    await client.query('commit')
  }
  const tookMs = performance.now() - startMs
  await client.query(`delete from graphile_worker._private_jobs`)
  return tookMs
}
