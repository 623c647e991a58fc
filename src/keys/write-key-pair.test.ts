import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  decryptPrivateKey,
  type KeyFiles,
  keyFilePaths,
  parsePublicKey,
  writeKeyFiles,
  writeKeyPair,
} from './index.ts'

const password = Buffer.from('pass')

describe('writeKeyPair', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cosignet-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('writes a pair that belongs together, the private key for its owner alone', async () => {
    const written = await writeKeyPair({ prefix: join(folder, 'cosign'), password })
    expect(written.privateKeyPath).toBe(join(folder, 'cosign.key'))
    expect(written.publicKeyPath).toBe(join(folder, 'cosign.pub'))
    const key = await decryptPrivateKey(await readFile(written.privateKeyPath), password)
    const pub = parsePublicKey(await readFile(written.publicKeyPath), 'The key')
    expect(pub.algorithm).toBe('ecdsa-p256')
    expect(key.publicKey.fingerprint).toBe(pub.fingerprint)
    expect(written.publicKey.fingerprint).toBe(pub.fingerprint)
    expect((await stat(written.privateKeyPath)).mode & 0o777).toBe(0o600)
    expect((await stat(written.publicKeyPath)).mode & 0o777).toBe(0o644 & ~process.umask())
  })

  it.each(['cosign.key', 'cosign.pub'])('overwrites no %s and leaves nothing else', async (name) => {
    await writeFile(join(folder, name), 'mine')
    await expect(writeKeyPair({ prefix: join(folder, 'cosign'), password })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: `The file ${JSON.stringify(join(folder, name))} exists already.`,
    })
    expect(await readdir(folder)).toEqual([name])
    expect(await readFile(join(folder, name), 'utf8')).toBe('mine')
  })

  it('replaces a pair where it is told to', async () => {
    const prefix = join(folder, 'cosign')
    const old = await writeKeyPair({ prefix, password })
    const { publicKey } = await writeKeyPair({ prefix, password, replace: true })
    expect(publicKey.fingerprint).not.toBe(old.publicKey.fingerprint)
    const key = await decryptPrivateKey(await readFile(`${prefix}.key`), password)
    expect(key.publicKey.fingerprint).toBe(publicKey.fingerprint)
    const pub = parsePublicKey(await readFile(`${prefix}.pub`), 'The key')
    expect(pub.fingerprint).toBe(publicKey.fingerprint)
    expect((await readdir(folder)).sort()).toEqual(['cosign.key', 'cosign.pub'])
    expect((await stat(`${prefix}.key`)).mode & 0o777).toBe(0o600)
  })

  it('replaces where nothing is', async () => {
    await writeKeyFiles({ ...files(), replace: true })
    expect((await readdir(folder)).sort()).toEqual(['cosign.key', 'cosign.pub'])
    expect((await stat(join(folder, 'cosign.key'))).mode & 0o777).toBe(0o600)
  })

  it.each([
    ['the public key', 'cosign.pub', 'cosign.key'],
    ['the private key', 'cosign.key', 'cosign.pub'],
  ])('leaves the old pair where %s cannot be replaced', async (_, blocked, other) => {
    await mkdir(join(folder, blocked, 'in'), { recursive: true })
    await writeFile(join(folder, other), 'mine')
    await expect(writeKeyFiles({ ...files(), replace: true })).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringContaining('cannot be replaced'),
    })
    expect((await readdir(folder)).sort()).toEqual(['cosign.key', 'cosign.pub'])
    expect(await readFile(join(folder, other), 'utf8')).toBe('mine')
    expect(await readdir(join(folder, blocked))).toEqual(['in'])
  })

  it('leaves no public key where none was and the private key cannot be replaced', async () => {
    await mkdir(join(folder, 'cosign.key'))
    await expect(writeKeyFiles({ ...files(), replace: true })).rejects.toMatchObject({ code: 'FILE' })
    expect(await readdir(folder)).toEqual(['cosign.key'])
  })

  it('leaves a link that is replaced, and what it leads to, as they are if that fails', async () => {
    await writeFile(join(folder, 'elsewhere'), 'mine')
    await symlink('elsewhere', join(folder, 'cosign.pub'))
    await mkdir(join(folder, 'cosign.key'))
    await expect(writeKeyFiles({ ...files(), replace: true })).rejects.toMatchObject({ code: 'FILE' })
    expect(await readlink(join(folder, 'cosign.pub'))).toBe('elsewhere')
    expect(await readFile(join(folder, 'elsewhere'), 'utf8')).toBe('mine')
  })

  it('writes through no dangling link', async () => {
    await symlink(join(folder, 'elsewhere'), join(folder, 'cosign.pub'))
    await expect(writeKeyPair({ prefix: join(folder, 'cosign'), password })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    })
    expect(await readdir(folder)).toEqual(['cosign.pub'])
  })

  it('leaves no private key where the public key appeared meanwhile', async () => {
    const writing = writeKeyPair({ prefix: join(folder, 'cosign'), password })
    await new Promise((resolve) => setTimeout(resolve, 50))
    await writeFile(join(folder, 'cosign.pub'), 'mine')
    await expect(writing).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await readdir(folder)).toEqual(['cosign.pub'])
  })

  function files(): KeyFiles {
    const [privateKey, publicKey] = [Buffer.from('private'), Buffer.from('public')]
    return { ...keyFilePaths(join(folder, 'cosign'), 'cosign'), privateKey, publicKey }
  }
})
