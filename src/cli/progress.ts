import type { BlobOutcome } from '../oci/index.ts'
import type { CopiedBlob, CopyEvent } from '../transfer/index.ts'
import type { Cli } from './cli.ts'
import { visibleJson } from './visible-text.ts'

/** Milliseconds between two pictures on a terminal, or two events of progress on one blob. */
const PICTURE_MS = 100
const EVENT_MS = 500

/** Shows how a copy goes on. */
export interface Progress {
  onEvent(event: CopyEvent): void
  /** Leaves the terminal as it should be. */
  end(): void
}

/**
 * Shows a copy on standard error: on a terminal a line for each blob on its way, with bytes and rate; in a pipe one
 * line for each blob when it is done; with `-o json` one JSON object a line for each event.
 */
export function showProgress(cli: Cli, quiet: boolean): Progress {
  if (quiet) return { onEvent: () => undefined, end: () => undefined }
  if (cli.format === 'json') return eventLines(cli)
  return cli.terminal === undefined ? blobLines(cli) : picture(cli.terminal)
}

type Outcome = BlobOutcome | 'left'

/** What became of a blob, for people. */
const OUTCOMES: Readonly<Record<Outcome, string>> = {
  written: 'copied',
  present: 'there already',
  mounted: 'mounted from the other repository',
  left: 'left where it is: a foreign layer',
}

function blobLines(cli: Cli): Progress {
  const started = new Map<CopiedBlob, number>()
  return {
    onEvent: (event) => {
      if (event.kind === 'blob-started') started.set(event.blob, performance.now())
      if (event.kind !== 'blob-done') return
      cli.say(doneLine(event.blob, event.outcome, performance.now() - (started.get(event.blob) ?? 0)))
    },
    end: () => undefined,
  }
}

function eventLines(cli: Cli): Progress {
  const told = new Map<CopiedBlob, number>()
  return {
    onEvent: (event) => {
      if (event.kind === 'blob-progress') {
        const now = performance.now()
        if (now - (told.get(event.blob) ?? Number.NEGATIVE_INFINITY) < EVENT_MS) return
        told.set(event.blob, now)
      }
      cli.say(visibleJson(event))
    },
    end: () => undefined,
  }
}

interface Running {
  readonly started: number
  bytes: number
}

/** What runs is drawn below what is done, and drawn over again and again. */
function picture(terminal: NonNullable<Cli['terminal']>): Progress {
  const running = new Map<CopiedBlob, Running>()
  let drawn = 0
  let last = Number.NEGATIVE_INFINITY
  const draw = (done: readonly string[]): void => {
    const lines = [...running].map(([blob, state]) => runningLine(blob, state))
    const erase = drawn === 0 ? '' : `\u001b[${drawn}A\r\u001b[J`
    const cut = lines.map((line) => line.slice(0, terminal.columns() - 1))
    terminal.write(`${erase}${[...done, ...cut].map((line) => `${line}\n`).join('')}`)
    drawn = cut.length
    last = performance.now()
  }
  return {
    onEvent: (event) => {
      switch (event.kind) {
        case 'blob-started':
          running.set(event.blob, { started: performance.now(), bytes: 0 })
          return
        case 'blob-progress': {
          const state = running.get(event.blob)
          if (state !== undefined) state.bytes = event.bytes
          if (performance.now() - last >= PICTURE_MS) draw([])
          return
        }
        case 'blob-done': {
          const { started = 0 } = running.get(event.blob) ?? {}
          running.delete(event.blob)
          draw([doneLine(event.blob, event.outcome, performance.now() - started)])
          return
        }
        case 'manifest':
          return
      }
    },
    end: () => {
      running.clear()
      draw([])
    },
  }
}

function runningLine(blob: CopiedBlob, { started, bytes }: Running): string {
  const percent = blob.size === 0 ? 100 : Math.floor((100 * bytes) / blob.size)
  const rate = formatRate(bytes, performance.now() - started)
  return `${nameOf(blob)}  ${formatBytes(bytes)} of ${formatBytes(blob.size)}  ${percent}%${rate}`
}

function doneLine(blob: CopiedBlob, outcome: Outcome, ms: number): string {
  const rate = outcome === 'written' ? formatRate(blob.size, ms) : ''
  return `${nameOf(blob)}  ${formatBytes(blob.size)}  ${OUTCOMES[outcome]}${rate}`
}

function nameOf({ digest, role }: CopiedBlob): string {
  return `${role.padEnd(8)}  ${digest.slice(0, digest.indexOf(':') + 13)}`
}

/** A rate says nothing of what took no time. */
function formatRate(bytes: number, ms: number): string {
  return ms < 50 ? '' : `  ${formatBytes((1000 * bytes) / ms)}/s`
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Writes a number of bytes with three digits: `1.25 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}
