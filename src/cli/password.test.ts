import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { readPassword } from './password.ts'

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-'))
})
afterAll(() => rm(folder, { recursive: true }))
afterEach(() => vi.unstubAllGlobals())

describe('readPassword', () => {
  it.each([
    ['a line', 'secret\n', 'secret'],
    ['no line break', 'secret', 'secret'],
    ['more lines', 'secret\nanother\n', 'secret'],
    ['spaces and a carriage return, which belong to it', ' a b\r\n', ' a b\r'],
    ['an empty line', '\nsecret\n', ''],
    ['nothing', '', ''],
  ])('takes the first line of a file with %s', async (_, content, password) => {
    const file = join(folder, 'password')
    await writeFile(file, content, { mode: 0o600 })
    const cli = quietCli({ environment: { COSIGN_PASSWORD: 'another' } })
    expect(text(await readPassword(cli, { confirm: true, file }))).toBe(password)
  })

  it('keeps bytes that are not UTF-8', async () => {
    const file = join(folder, 'binary')
    await writeFile(file, Buffer.from('ff00fe0a', 'hex'), { mode: 0o600 })
    const password = await readPassword(quietCli(), { confirm: false, file })
    expect(Buffer.from(password).toString('hex')).toBe('ff00fe')
  })

  it.each([
    [0o600, false],
    [0o640, true],
    [0o604, true],
  ])('warns of a file that others can read: %o', async (mode, warned) => {
    const file = join(folder, `mode-${mode}`)
    await writeFile(file, 'secret-canary\n')
    await chmod(file, mode)
    const said: string[] = []
    await readPassword(quietCli({ say: (message) => said.push(message) }), { confirm: false, file })
    expect(said).toHaveLength(warned ? 1 : 0)
    expect(said.join()).not.toContain('canary')
  })

  it.each([
    ['that is not there', 'missing', 'FILE', /"missing" cannot be read: no such file/],
    ['that is a folder', '', 'FILE', /it is a folder/],
    ['without end', '/dev/zero', 'TOO_LARGE', /"\/dev\/zero" is larger than the limit of 65536 bytes/],
  ])('refuses a file %s', async (_, name, code, message) => {
    const file = name.startsWith('/') ? name : join(folder, name)
    await expect(readPassword(quietCli(), { confirm: false, file })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(new RegExp(message.source.replace('"missing"', '"[^"]*missing"'))),
    })
  })

  it.each(['secret', '', 'pässwörd 🔑'])('takes COSIGN_PASSWORD: %j', async (password) => {
    const cli = quietCli({ environment: { COSIGN_PASSWORD: password } })
    expect(text(await readPassword(cli, { confirm: true }))).toBe(password)
  })

  it('waits for nobody where nobody sits', async () => {
    await expect(readPassword(quietCli(), { confirm: false })).rejects.toMatchObject({
      code: 'INVALID_PASSWORD',
      message: 'COSIGN_PASSWORD is not set, and there is no terminal to ask for the password.',
      hint: expect.stringContaining('--password-file'),
    })
  })

  it('asks once for a password that is tried, and shows nothing of it', async () => {
    const shown = type(['secret'])
    expect(text(await readPassword(quietCli({ interactive: true }), { confirm: false }))).toBe('secret')
    expect(shown()).toBe('Enter password for private key: \n')
  })

  it('asks twice for a password that is set', async () => {
    const shown = type(['secret', 'secret'])
    expect(text(await readPassword(quietCli({ interactive: true }), { confirm: true }))).toBe('secret')
    expect(shown()).toBe('Enter password for private key: \nEnter password for private key again: \n')
  })

  it('refuses two passwords that differ', async () => {
    type(['secret', 'secrets'])
    await expect(readPassword(quietCli({ interactive: true }), { confirm: true })).rejects.toMatchObject({
      code: 'INVALID_PASSWORD',
      message: 'The two passwords do not match.',
    })
  })

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('is stopped by %s', async (_, key) => {
    type([], key)
    await expect(readPassword(quietCli({ interactive: true }), { confirm: false })).rejects.toMatchObject({
      name: 'AbortError',
    })
  })

  it('is stopped by a terminal that goes away', async () => {
    type([], null)
    await expect(readPassword(quietCli({ interactive: true }), { confirm: false })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })
})

/** Lets somebody type a line after each question, or one key, or hang up (null). @returns what was shown */
function type(lines: readonly string[], key?: string | null): () => string {
  const [stdin, stderr] = [new PassThrough(), new PassThrough()]
  const answers = [...lines]
  let shown = ''
  stderr.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
    if (!shown.endsWith(': ')) return
    const answer = answers.shift()
    if (answer !== undefined) setImmediate(() => stdin.write(`${answer}\r`))
    else if (typeof key === 'string') setImmediate(() => stdin.write(key))
    else if (key === null) setImmediate(() => stdin.end())
  })
  vi.stubGlobal('process', Object.create(process, { stdin: { value: stdin }, stderr: { value: stderr } }))
  return () => shown
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}
