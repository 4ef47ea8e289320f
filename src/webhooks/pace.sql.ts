/*
 * A *rate* is kept by when the next request would be due if all were sent evenly (`webhook_pace`): a
 * claim takes as many as have become due by then, and moves it on. Claims take turns, so this holds
 * over all workers; for endpoints without a rate nothing is read or written.
 */

/** Claims are this far apart, and so much may be made up for at once. */
const burstSeconds = 0.06

/** So much later than others a request may arrive, and the rate still holds where it arrives. */
const delaySeconds = 0.08

/**
 * Lanes with a rate: seconds from one request to the next (`gap`), how far ahead they have spent it
 * (`ahead`), and how many may begin now. At idle a burst may come, so the gap makes up for it:
 * within `rate_seconds` no more than `rate_count` arrive.
 */
export const paces = `
  paces as materialized (
    select rated.*, greatest(0, 1 + floor((${burstSeconds} - ahead) / gap))::integer as tokens
    from (
      -- No rate is spent further ahead than this: it was a lower one, or the clock went back.
      select spaced.*, case when spent > ${burstSeconds} + 2 * gap then 0 else spent end as ahead
      from (
        select known.tenant_id, known.endpoint_id,
          (known.rate_seconds + ${burstSeconds + delaySeconds}::double precision)
            / known.rate_count as gap,
          coalesce(greatest(extract(epoch from pace.next_at - statement_timestamp()), 0), 0)
            ::double precision as spent
        from known left join webhook_pace as pace using (tenant_id, endpoint_id)
        where known.rate_count is not null
      ) as spaced
    ) as rated
  )`

/** Spends what was claimed. */
export const paced = `
  paced as (
    insert into webhook_pace (tenant_id, endpoint_id, next_at)
    select tenant_id, endpoint_id,
      statement_timestamp() + make_interval(
        secs => ahead + count(distinct coalesce(batch_id, delivery_id)) * gap)
    from claimed join paces using (tenant_id, endpoint_id)
    group by tenant_id, endpoint_id, ahead, gap
    on conflict (tenant_id, endpoint_id) do update set next_at = excluded.next_at
  )`
