import { taskName } from '#jobs/task.ts'

/** Fetches an address by which a sender wants to see that its webhooks are welcome. */
export const confirmation = taskName<{ sourceId: string; url: string }>('CONFIRM_SOURCE')
