import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encryptPrivateKey, inspectKey, KEY_ALGORITHMS, KEY_VERIFIERS } from './index.ts'
import { signingKeyOf } from './signing-key.ts'

const what = 'The key x'
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const spki = p256.publicKey.export({ type: 'spki', format: 'pem' })

describe('inspectKey', () => {
  it.each([
    ['ENCRYPTED SIGSTORE PRIVATE KEY', 65536, 'cosign 2.2 and later'],
    ['ENCRYPTED SIGSTORE PRIVATE KEY', 131072, 'cosign 2.2 and later'],
    ['ENCRYPTED SIGSTORE PRIVATE KEY', 32768, 'cosign 2.0.1 and later'],
    ['ENCRYPTED COSIGN PRIVATE KEY', 65536, 'cosign 1.13.6, 2.2 and later'],
    ['ENCRYPTED COSIGN PRIVATE KEY', 32768, 'every cosign'],
  ])('tells who opens a key of cosign: %s with N=%i', async (label, cost, openedBy) => {
    const facts = await inspectKey(ofCosign(label, cost), what)
    expect(facts).toEqual({
      ...{ format: 'pem', secret: true, label, openedBy },
      encryption: { derivation: { name: 'scrypt', N: cost, r: 8, p: 1 }, cipher: 'nacl/secretbox' },
    })
  })

  it('tells how PKCS#8 is encrypted, as openssl writes it by default', async () => {
    const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-192-cbc', passphrase: 'x' } as const
    const facts = await inspectKey(Buffer.from(p256.privateKey.export(options)), what)
    expect(facts).toEqual({
      ...{ format: 'pem', secret: true, label: 'ENCRYPTED PRIVATE KEY' },
      encryption: {
        derivation: { name: 'pbkdf2', hash: 'sha256', iterations: 2048 },
        cipher: 'aes-192-cbc',
      },
    })
  })

  it.each([
    ['PUBLIC KEY', false, spki],
    ['PRIVATE KEY', true, p256.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    ['EC PRIVATE KEY', true, p256.privateKey.export({ type: 'sec1', format: 'pem' })],
  ])('reads the public half of a %s', async (label, secret, file) => {
    const facts = await inspectKey(Buffer.from(file), what)
    expect(facts).toMatchObject({ format: 'pem', secret, label, publicKey: { algorithm: 'ecdsa-p256' } })
    expect(facts).not.toHaveProperty('encryption')
  })

  it.each([
    ['nothing', '', 'it is empty'],
    ['a certificate', '-----BEGIN CERTIFICATE-----\n', 'it is a certificate, not a key'],
    ['a page', '<html>', 'it is a web page, not a PEM file'],
  ])('refuses %s', async (_, file, reason) => {
    await expect(inspectKey(Buffer.from(file), what)).rejects.toMatchObject({
      code: 'INVALID_KEY',
      message: `The key x is not valid: ${reason}.`,
    })
  })

  it('refuses scrypt beyond what cosign uses, without trying it', async () => {
    await expect(inspectKey(ofCosign('ENCRYPTED COSIGN PRIVATE KEY', 2 ** 30), what)).rejects.toMatchObject({
      code: 'INVALID_KEY',
    })
  })

  it('says of a file of ours what it says of that of cosign', async () => {
    const file = await encryptPrivateKey(signingKeyOf(p256.privateKey), randomBytes(8))
    expect(await inspectKey(Buffer.from(file), what)).toMatchObject({ openedBy: 'cosign 2.2 and later' })
  })
})

describe('KEY_VERIFIERS', () => {
  it('says of the guest what the table of algorithms says', () => {
    const guest = KEY_VERIFIERS.find(({ name }) => name === 'CoCo guest since v0.19')
    for (const [algorithm, { guestHash, cosignHash }] of Object.entries(KEY_ALGORITHMS)) {
      const cell = Object.entries(guest?.keys ?? {}).find(([kind]) => kind === algorithm)?.[1]
      expect([algorithm, cell?.accepts]).toEqual([algorithm, guestHash === cosignHash])
    }
  })

  it('gives a reason for every no, and a source for every cell', () => {
    for (const cell of KEY_VERIFIERS.flatMap(({ keys }) => Object.values(keys))) {
      expect(cell.accepts || cell.note !== undefined).toBe(true)
      expect(cell.source).not.toBe('')
    }
  })

  it('has one kind of key that everything but gpg accepts', () => {
    const everywhere = Object.keys(KEY_ALGORITHMS).filter((algorithm) =>
      KEY_VERIFIERS.every(({ name, keys }) => {
        const cell = Object.entries(keys).find(([kind]) => kind === algorithm)?.[1]
        return name === 'gpg 2.2' || cell?.accepts === true
      }),
    )
    expect(everywhere).toEqual(['ecdsa-p256'])
  })
})

/** The envelope of cosign around nothing: it is looked at and not opened. */
function ofCosign(label: string, N: number): Uint8Array {
  const json = JSON.stringify({
    kdf: { name: 'scrypt', params: { N, r: 8, p: 1 }, salt: Buffer.alloc(32).toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: Buffer.alloc(24).toString('base64') },
    ciphertext: Buffer.alloc(154).toString('base64'),
  })
  return Buffer.from(
    `-----BEGIN ${label}-----\n${Buffer.from(json).toString('base64')}\n-----END ${label}-----\n`,
  )
}
