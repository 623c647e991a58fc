import { writeSync } from 'node:fs'

/** File descriptors, as every Unix has them. */
const STDIN = 0
const STDOUT = 1
const STDERR = 2

/** Milliseconds until a reader that is slow is tried again. */
const PATIENCE_MS = 5

/**
 * Writes to standard output. Not by `process.stdout`: Node takes some milliseconds to make that, and it would be made for
 * every command. A reader that went away ends the process with 3: what it did not read was not told.
 */
export function writeOut(content: string | Uint8Array): void {
  writeAll(STDOUT, content)
}

/** Writes to standard error, as `writeOut` does. */
export function writeErr(text: string): void {
  writeAll(STDERR, text)
}

/** Whether a person sits at it: standard input and error are a terminal. */
export function isInteractive(): boolean {
  return isTerminal(STDIN) && isTerminal(STDERR)
}

/** Standard error, if it is a terminal. */
export function errorTerminal(): { write(text: string): void; columns(): number } | undefined {
  if (!isTerminal(STDERR)) return undefined
  return { write: writeErr, columns: () => process.stderr.columns || 80 }
}

function isTerminal(fd: number): boolean {
  return process.getBuiltinModule('node:tty').isatty(fd)
}

function writeAll(fd: number, content: string | Uint8Array): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  let written = 0
  while (written < bytes.byteLength) {
    try {
      written += writeSync(fd, bytes, written)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPIPE') process.exit(3)
      // Who started this process may have made the pipe one that does not wait.
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PATIENCE_MS)
    }
  }
}
