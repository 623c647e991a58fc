import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SELF_SIGNED, SELF_SIGNED_LEAF } from '../../test/fixtures/self-signed.ts'
import { issueCertificates } from '../net/index.ts'
import { type HostCertificates, readHostCertificates } from './certs-d.ts'

let pair: Awaited<ReturnType<typeof issueCertificates>>
let home: string
beforeAll(async () => {
  pair = await issueCertificates({ hosts: ['client'], now: new Date() })
})
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cosignet-certs-'))
})
afterEach(async () => {
  await rm(home, { recursive: true })
})

async function write(path: string, text: string): Promise<void> {
  const file = join(home, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

async function read(host: string, certDir?: string): Promise<HostCertificates> {
  return await readHostCertificates(host, {
    home,
    systemFolders: [join(home, 'etc/containers/certs.d'), join(home, 'etc/docker/certs.d')],
    ...(certDir === undefined ? {} : { certDir: join(home, certDir) }),
  })
}

const pem = (text: string): string => text.trim()

describe('the certificates for a registry', () => {
  it('may be none', async () => {
    expect(await read('r.io')).toEqual({ ca: [] })
  })

  it('are those of the first folder that is there', async () => {
    await write('etc/docker/certs.d/r.io:5000/ca.crt', SELF_SIGNED)
    expect(await read('r.io:5000')).toEqual({ ca: [pem(SELF_SIGNED)] })
    expect(await read('r.io')).toEqual({ ca: [] })
    await write('etc/containers/certs.d/r.io:5000/ca.crt', SELF_SIGNED_LEAF)
    expect(await read('r.io:5000')).toEqual({ ca: [pem(SELF_SIGNED_LEAF)] })
    await mkdir(join(home, '.config/containers/certs.d/r.io:5000'), { recursive: true })
    expect(await read('r.io:5000')).toEqual({ ca: [] })
  })

  it('are all of a folder, with the pair of the client', async () => {
    await write('dir/a.crt', SELF_SIGNED + SELF_SIGNED_LEAF)
    await write('dir/b.crt', pair.ca)
    await write('dir/me.cert', pair.cert)
    await write('dir/me.key', pair.key)
    await write('dir/README', 'nothing')
    expect(await read('any.io', 'dir')).toEqual({
      ca: [pem(SELF_SIGNED), pem(SELF_SIGNED_LEAF), pem(pair.ca)],
      clientCertificate: { cert: pair.cert, key: pair.key },
    })
  })

  it.each([
    ['a certificate alone', { 'me.cert': 'cert' }, 'me.cert" lacks its "me.key"'],
    ['a key alone', { 'me.key': 'key' }, 'me.key" lacks its "me.cert"'],
    [
      'two pairs',
      { 'a.cert': 'cert', 'a.key': 'key', 'b.cert': 'cert', 'b.key': 'key' },
      '2 client certificates',
    ],
    ['a pair of two pairs', { 'a.cert': 'self', 'a.key': 'key' }, 'a.cert" and its key are not a pair'],
    ['no PEM', { 'a.cert': 'cert', 'a.key': 'CANARY' }, 'a.cert" and its key are not a pair'],
    ['an authority without PEM', { 'ca.crt': 'CANARY' }, 'ca.crt" holds no PEM certificate'],
  ])('that are %s are refused', async (_name, files, message) => {
    const texts: Readonly<Record<string, string>> = { cert: pair.cert, key: pair.key, self: SELF_SIGNED }
    for (const [name, text] of Object.entries(files)) await write(`dir/${name}`, texts[text] ?? text)
    const error = await read('any.io', 'dir').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'INVALID_CONFIG', message: expect.stringContaining(message) })
    expect(error).not.toHaveProperty('cause')
    expect(String(error)).not.toContain('CANARY')
  })

  it('are looked for where the user says', async () => {
    await expect(read('any.io', 'gone')).rejects.toMatchObject({ code: 'FILE' })
  })
})
