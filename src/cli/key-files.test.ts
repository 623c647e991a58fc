import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { keyFilePaths } from '../keys/index.ts'
import { mayReplace, readImportPassword } from './key-files.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-'))
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await rm(folder, { recursive: true })
})

describe('mayReplace', () => {
  it.each([
    ['nothing is there', [], false],
    ['another kind of key is there', ['cosign.gpg.key', 'cosign.gpg.pub'], false],
  ])('asks nobody where %s', async (_, names, replace) => {
    for (const name of names) await writeFile(join(folder, name), 'mine')
    expect(await mayReplace(quietCli(), keyFilePaths(join(folder, 'cosign'), 'cosign'), false)).toBe(replace)
  })

  it.each(['cosign.key', 'cosign.pub'])('refuses where %s is there and nobody sits', async (name) => {
    await symlink('nowhere', join(folder, name))
    const paths = keyFilePaths(join(folder, 'cosign'), 'cosign')
    await expect(mayReplace(quietCli(), paths, false)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: `The file ${JSON.stringify(join(folder, name))} exists already.`,
      hint: expect.stringContaining('--yes'),
    })
    expect(await mayReplace(quietCli(), paths, true)).toBe(true)
  })

  it.each([
    ['y', true],
    ['n', false],
    ['', false],
  ])('takes the answer %j', async (answer, replace) => {
    await writeFile(join(folder, 'cosign.gpg.key'), 'mine')
    type(`${answer}\n`)
    const paths = keyFilePaths(join(folder, 'cosign'), 'openpgp')
    const asked = mayReplace(quietCli({ interactive: true }), paths, false)
    if (replace) expect(await asked).toBe(true)
    else await expect(asked).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  })
})

describe('readImportPassword', () => {
  it('takes the first line of a file', async () => {
    const file = join(folder, 'password')
    await writeFile(file, 'secret\n', { mode: 0o600 })
    const cli = quietCli({ environment: { COSIGN_PASSWORD: 'of the new key' } })
    expect(Buffer.from(await readImportPassword(cli, 'x.pem', file)).toString()).toBe('secret')
  })

  it('is no business of COSIGN_PASSWORD, and waits for nobody', async () => {
    const cli = quietCli({ environment: { COSIGN_PASSWORD: 'of the new key' } })
    await expect(readImportPassword(cli, 'x.pem', undefined)).rejects.toMatchObject({
      code: 'INVALID_PASSWORD',
      message: 'The private key "x.pem" is encrypted, and there is no terminal to ask for its password.',
      hint: 'Give --import-password-file.',
    })
  })

  it('asks for it by the name of the file', async () => {
    const shown = type('secret\r')
    const cli = quietCli({ interactive: true })
    expect(Buffer.from(await readImportPassword(cli, 'x.pem', undefined)).toString()).toBe('secret')
    expect(shown()).toBe('Enter password of "x.pem": \n')
  })
})

/** Lets somebody type. @returns what was shown */
function type(text: string): () => string {
  const [stdin, stderr] = [new PassThrough(), new PassThrough()]
  let shown = ''
  stderr.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
  })
  stdin.write(text)
  vi.stubGlobal('process', Object.create(process, { stdin: { value: stdin }, stderr: { value: stderr } }))
  return () => shown
}
