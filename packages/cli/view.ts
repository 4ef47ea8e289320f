import type { Sent } from './webhook.ts'

/** An event that was forwarded, or sent, and what became of it. */
export interface Told extends Sent {
  readonly type: string
  readonly id: string
  readonly position?: number
}

/** What is shown, and how: lines for people, or an object a line for programs. */
export interface View {
  told(told: Told): void
  /** Something about the program itself. */
  note(kind: string, text: string, facts?: Record<string, unknown>): void
}

type Write = (line: string) => void

export function viewOf(isJson: boolean, isColoured: boolean, write: Write): View {
  return isJson ? jsonView(write) : lineView(isColoured, write)
}

function jsonView(write: Write): View {
  const put = (kind: string, facts: Record<string, unknown>) =>
    write(JSON.stringify({ kind, time: new Date().toISOString(), ...facts }))
  return {
    told: (told) => put('event', { ...told }),
    note: (kind, text, facts = {}) => put(kind, { text, ...facts }),
  }
}

const colours = { green: 32, red: 31, yellow: 33, grey: 90 }

function lineView(isColoured: boolean, write: Write): View {
  const paint = (colour: keyof typeof colours, text: string) =>
    isColoured ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text
  const time = () => paint('grey', new Date().toTimeString().slice(0, 8))
  return {
    told({ type, id, status, error, ms }) {
      const outcome = status === undefined ? `--- ${error}` : String(status)
      const shown = paint(isTaken({ status }) ? 'green' : 'red', outcome)
      write(`${time()}  ${type.padEnd(28)} ${paint('grey', id)}  ${shown}  ${ms} ms`)
    },
    note: (kind, text) => write(`${time()}  ${kind === 'broken' ? paint('yellow', text) : text}`),
  }
}

/** Whether the answer is one that a delivery would be done with. */
export function isTaken({ status }: Pick<Sent, 'status'>): boolean {
  return status !== undefined && status >= 200 && status < 300
}
