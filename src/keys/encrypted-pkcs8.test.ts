import { createPrivateKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encryptPkcs8, generateKeyPair, importPrivateKey } from './index.ts'

describe.concurrent('encryptPkcs8', () => {
  it.each(['pass', 'pässwörd 🔑', 'x'.repeat(1000)])('writes what OpenSSL reads: %j', async (password) => {
    const key = await generateKeyPair()
    const pem = await encryptPkcs8(key, Buffer.from(password))
    const opened = createPrivateKey({ key: pem, passphrase: password })
    expect(opened.export({ type: 'pkcs8', format: 'der' })).toEqual(key.exportPkcs8())
    expect(() => createPrivateKey({ key: pem, passphrase: `${password}.` })).toThrow(/decrypt/i)
  })

  it('writes the parameters that it promises', async () => {
    const random = (size: number): Uint8Array => Buffer.alloc(size, size)
    const pem = await encryptPkcs8(await generateKeyPair(), Buffer.from('pass'), random)
    const der = Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64').toString('hex')
    const bytes16 = '10'.repeat(16)
    // RFC 8018: PBES2 { PBKDF2 { salt, 600 000 iterations, HMAC-SHA-256 }, AES-256-CBC { iv } }, by hand.
    expect(der).toContain(
      '306006092a864886f70d01050d3053' +
        `303206092a864886f70d01050c30250410${bytes16}0203${(600_000).toString(16).padStart(6, '0')}300c06082a864886f70d02090500` +
        `301d060960864801650304012a0410${bytes16}`,
    )
  })

  it('takes a new salt and initial value each time, and reads itself', async () => {
    const key = await generateKeyPair()
    const [a, b] = await Promise.all([1, 2].map(() => encryptPkcs8(key, Buffer.alloc(0))))
    expect(a).not.toBe(b)
    const again = await importPrivateKey(Buffer.from(a ?? ''), async () => Buffer.alloc(0))
    expect(again.exportPkcs8()).toEqual(key.exportPkcs8())
  })

  it('zeroes the private key that it was handed', async () => {
    const key = await generateKeyPair()
    const pkcs8 = key.exportPkcs8()
    await encryptPkcs8({ ...key, exportPkcs8: () => pkcs8 }, Buffer.from('pass'))
    expect(pkcs8.every((byte) => byte === 0)).toBe(true)
  })
})
