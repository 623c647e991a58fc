import sodium from 'libsodium-wrappers'
import { beforeAll, describe, expect, it } from 'vitest'
import { sealBox } from './sealed-box.ts'

beforeAll(() => sodium.ready)

describe('sealBox', () => {
  it.each([0, 1, 63, 64, 65, 1000, 40_000])('seals %i bytes that libsodium opens', async (size) => {
    const { publicKey, privateKey } = sodium.crypto_box_keypair()
    const message = sodium.randombytes_buf(size)
    const sealed = await sealBox(message, publicKey)
    expect(sealed.byteLength).toBe(size + sodium.crypto_box_SEALBYTES)
    expect(sodium.crypto_box_seal_open(sealed, publicKey, privateKey)).toEqual(message)
  })

  it('seals the same message otherwise each time', async () => {
    const { publicKey } = sodium.crypto_box_keypair()
    const message = new Uint8Array(32)
    expect(await sealBox(message, publicKey)).not.toEqual(await sealBox(message, publicKey))
  })

  it.each([
    ['too short', new Uint8Array(31).fill(9)],
    ['too long', new Uint8Array(33).fill(9)],
    ['the point 0, with which every secret is 0', new Uint8Array(32)],
    ['the point 1, of order 4', Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0))],
  ])('refuses a key that is %s', async (_, recipient) => {
    await expect(sealBox(new Uint8Array(1), recipient)).rejects.toMatchObject({
      code: 'INVALID_KEY',
      message: 'The key to encrypt for is not an X25519 public key.',
    })
  })
})
