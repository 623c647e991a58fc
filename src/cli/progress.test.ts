import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { encodeUtf8 } from '../core/index.ts'
import { digestOf } from '../oci/index.ts'
import type { CopiedBlob, CopyEvent } from '../transfer/index.ts'
import type { Cli, OutputFormat } from './cli.ts'
import { formatBytes, type Progress, showProgress } from './progress.ts'

const MiB = 1024 * 1024
const [LAYER, OTHER] = ['layer', 'other'].map(blobOf) as [CopiedBlob, CopiedBlob]

beforeEach(() => vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => vi.useRealTimers())

describe('on a terminal', () => {
  it('draws what runs below what is done, and leaves a clean screen', () => {
    const screen = new Screen(100)
    const progress = showProgress(screen.cli(), false)
    start(progress, LAYER)
    start(progress, OTHER)
    pass(progress, LAYER, 1000, 2 * MiB)
    expect(screen.lines()).toEqual([
      `layer     ${short(LAYER)}  2.00 MiB of 8.00 MiB  25%  2.00 MiB/s`,
      // Begun a second ago, with nothing read.
      `layer     ${short(OTHER)}  0 B of 8.00 MiB  0%  0 B/s`,
    ])
    pass(progress, OTHER, 1000, 4 * MiB)
    expect(screen.lines()).toEqual([
      `layer     ${short(LAYER)}  2.00 MiB of 8.00 MiB  25%  1.00 MiB/s`,
      `layer     ${short(OTHER)}  4.00 MiB of 8.00 MiB  50%  2.00 MiB/s`,
    ])
    done(progress, OTHER, 'written')
    expect(screen.lines()).toEqual([
      `layer     ${short(OTHER)}  8.00 MiB  copied  4.00 MiB/s`,
      `layer     ${short(LAYER)}  2.00 MiB of 8.00 MiB  25%  1.00 MiB/s`,
    ])
    progress.end()
    expect(screen.lines()).toEqual([`layer     ${short(OTHER)}  8.00 MiB  copied  4.00 MiB/s`])
  })

  it.each([20, 40, 61])('draws no line that a terminal of %i columns would break', (columns) => {
    const screen = new Screen(columns)
    const progress = showProgress(screen.cli(), false)
    for (let step = 1; step <= 8; step += 1) {
      if (step === 1) start(progress, LAYER)
      pass(progress, LAYER, 1000, step * MiB)
    }
    expect(screen.lines()).toHaveLength(1)
    expect(screen.lines()[0]).toMatch(/^layer {5}sha256:/)
    progress.end()
    expect(screen.lines()).toEqual([])
  })

  it('draws ten pictures a second at most', () => {
    const screen = new Screen(80)
    const progress = showProgress(screen.cli(), false)
    start(progress, LAYER)
    for (let i = 1; i <= 1000; i += 1) pass(progress, LAYER, 1, i * 1000)
    expect(screen.writes).toBeGreaterThan(5)
    expect(screen.writes).toBeLessThanOrEqual(10)
  })

  it('ends twice as well as once', () => {
    const screen = new Screen(80)
    const progress = showProgress(screen.cli(), false)
    start(progress, LAYER)
    done(progress, LAYER, 'present')
    progress.end()
    progress.end()
    expect(screen.lines()).toEqual([`layer     ${short(LAYER)}  8.00 MiB  there already`])
  })
})

describe('in a pipe', () => {
  it.each([
    ['written', 'copied  8.00 MiB/s'],
    ['present', 'there already'],
    ['mounted', 'mounted from the other repository'],
    ['left', 'left where it is: a foreign layer'],
  ] as const)('says once what became of a blob: %s', (outcome, says) => {
    const { cli, said } = pipe('text')
    const progress = showProgress(cli, false)
    start(progress, LAYER)
    pass(progress, LAYER, 1000, 8 * MiB)
    done(progress, LAYER, outcome)
    progress.end()
    expect(said).toEqual([`layer     ${short(LAYER)}  8.00 MiB  ${says}`])
  })

  it('names no rate for what took no time', () => {
    const { cli, said } = pipe('text')
    const progress = showProgress(cli, false)
    start(progress, LAYER)
    done(progress, LAYER, 'written')
    expect(said).toEqual([`layer     ${short(LAYER)}  8.00 MiB  copied`])
  })

  it('writes events as JSON, those of progress twice a second', () => {
    const { cli, said } = pipe('json')
    const progress = showProgress(cli, false)
    start(progress, LAYER)
    for (let i = 1; i <= 20; i += 1) pass(progress, LAYER, 100, i)
    done(progress, LAYER, 'written')
    progress.onEvent({ kind: 'manifest', digest: LAYER.digest, tag: 'v1' })
    const events = said.map((line) => JSON.parse(line) as CopyEvent)
    expect(events[0]).toEqual({ kind: 'blob-started', blob: LAYER })
    expect(events.slice(1, -2)).toEqual(
      [1, 6, 11, 16].map((bytes) => ({ kind: 'blob-progress', blob: LAYER, bytes })),
    )
    expect(events.slice(-2)).toEqual([
      { kind: 'blob-done', blob: LAYER, outcome: 'written' },
      { kind: 'manifest', digest: LAYER.digest, tag: 'v1' },
    ])
  })

  it.each(['text', 'json', 'yaml'] as const)('is quiet where it is told to be: %s', (format) => {
    const { cli, said } = pipe(format)
    const progress = showProgress(cli, true)
    start(progress, LAYER)
    done(progress, LAYER, 'written')
    progress.end()
    expect(said).toEqual([])
  })
})

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '0.98 KiB'],
    [1024, '1.00 KiB'],
    [10 * 1024, '10.0 KiB'],
    [999 * 1024, '999 KiB'],
    [1023.9 * 1024, '1.00 MiB'],
    [1.25 * 1024 ** 3, '1.25 GiB'],
    [5000 * 1024 ** 4, '5000 TiB'],
  ])('%d is %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })
})

function blobOf(content: string): CopiedBlob {
  return { digest: digestOf(encodeUtf8(content)), size: 8 * MiB, mediaType: 'a/b', role: 'layer' }
}

/** The digest as far as it is shown: its algorithm and twelve digits. */
function short({ digest }: CopiedBlob): string {
  return digest.slice(0, 'sha256:'.length + 12)
}

function start(progress: Progress, blob: CopiedBlob): void {
  progress.onEvent({ kind: 'blob-started', blob })
}

function pass(progress: Progress, blob: CopiedBlob, ms: number, bytes: number): void {
  vi.advanceTimersByTime(ms)
  progress.onEvent({ kind: 'blob-progress', blob, bytes })
}

function done(
  progress: Progress,
  blob: CopiedBlob,
  outcome: Extract<CopyEvent, { kind: 'blob-done' }>['outcome'],
): void {
  progress.onEvent({ kind: 'blob-done', blob, outcome })
}

function pipe(format: OutputFormat): { cli: Cli; said: string[] } {
  const said: string[] = []
  return { said, cli: quietCli({ format, say: (message) => said.push(message) }) }
}

/** A sequence, a control character, or text. */
const TERMINAL = /ESC\[\d*[A-Z]|[\r\n]|(?:(?!ESC)[^\r\n])+/g

/** A terminal that understands what is needed: a new line, the start of one, lines up, erase below; it breaks lines. */
class Screen {
  writes = 0
  readonly #columns: number
  #rows: string[] = ['']
  #row = 0

  constructor(columns: number) {
    this.#columns = columns
  }

  cli(): Cli {
    return quietCli({ terminal: { write: (text) => this.#write(text), columns: () => this.#columns } })
  }

  /** What is to be seen, without the empty line of the cursor. */
  lines(): readonly string[] {
    expect(this.#rows.at(-1)).toBe('')
    return this.#rows.slice(0, -1)
  }

  #write(text: string): void {
    this.writes += 1
    for (const part of text.replaceAll('\u001b', 'ESC').match(TERMINAL) ?? []) this.#obey(part)
  }

  #obey(part: string): void {
    const up = /^ESC\[(\d+)A$/.exec(part)?.[1]
    if (up !== undefined) {
      this.#row -= Number(up)
      expect(this.#row).toBeGreaterThanOrEqual(0)
    } else if (part === 'ESC[J') this.#rows = [...this.#rows.slice(0, this.#row), '']
    else if (part === '\n') {
      this.#row += 1
      this.#rows[this.#row] ??= ''
    } else if (part !== '\r') this.#print(part)
  }

  #print(text: string): void {
    for (let rest = text; rest !== ''; rest = rest.slice(this.#columns)) {
      if (rest !== text) this.#obey('\n')
      this.#rows[this.#row] = rest.slice(0, this.#columns)
    }
  }
}
