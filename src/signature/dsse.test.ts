import { createHash, createPublicKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import { parsePublicKey } from '../keys/index.ts'
import { mayBeOfKey, preAuthEncoding } from './dsse.ts'

describe('preAuthEncoding', () => {
  it('encodes the example of the specification', () => {
    // DSSE, protocol.md, "Test Vectors".
    const encoded = preAuthEncoding('http://example.com/HelloWorld', encodeUtf8('hello world'))
    expect(Buffer.from(encoded).toString()).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world')
  })

  it('counts bytes, not characters, and takes a payload that is no text', () => {
    const encoded = preAuthEncoding('é', Buffer.of(0xff, 0))
    expect(Buffer.from(encoded).toString('latin1')).toBe('DSSEv1 2 \xc3\xa9 2 \xff\0')
  })

  it('keeps apart what type and payload alone do not', () => {
    const hashes = [preAuthEncoding('a b', encodeUtf8('c')), preAuthEncoding('a', encodeUtf8('b c'))]
    expect(new Set(hashes.map((bytes) => createHash('sha256').update(bytes).digest('hex'))).size).toBe(2)
  })
})

/** SPKI, and what `ssh-keygen -l` of OpenSSH 9.2 printed for the same key. */
const KEYS = [
  [
    'ecdsa-p256',
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEevvbf3VDMP3E4UEo+fBIv8ZFMVTArQ3Sg0dj/TXUL3I2UB2ScTsq1ErSNPwfR5NCHPXrJ4G31+tUSVYHUJUEfA==',
    'SHA256:pBSEpwNQjKyFVWUrioVBPgVkOB/Diw9FAuRQsxBwX50',
  ],
  [
    'ecdsa-p384',
    'MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAESY9fLAee9hgEwS6Lu8CetEPWXyYQUyGC2wYP131oqXUvm4bX3jfsIz7V/pTC3GkoUWqrM+WQxSs/m+auwgtLZ5TXnNXPNUmmlbsgJwxJAe07scpE1900T+JFTzzroj4E',
    'SHA256:wDhaWkB9pL5Zg7wWzucXV5HTmOwWwdKEt/IXCrZ18nE',
  ],
  [
    'ecdsa-p521',
    'MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAm4bRTysufvx2SaZR2WaUkL2a/DNF/ILBVidX6sPb55CWs0CEatpj+Ahh7z7lND/F7SXM7KSNklGZqojHuto/BdYA/GuOI1dQm4e+S5pHmlVBExuBsQUg3xzM5DF5dSDu6E2WoNQKsd/zm2c7Kv/H206ckV38rJd8IDxaVRXdnCxVL48=',
    'SHA256:T3aWndk/ftVJVDUEFu27mAJAa/GZY5gsxZdN+QKUngY',
  ],
  [
    'rsa',
    'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofycNUXCrzO41tl0P7I4oi5tyfcma9/H97+bg/EUD+w4w3qXEPm370HwtEmdvKdkO68bKl67WkArGSOE1EG1ac0QAi0+ZODNMLvKXXg2pDmXC/NkKZn9eQk6GaANUL0wu+ebUYsGKE2wQazrh7HB7iS+kvTYheJwlBZLwV4bRR/oO4tCBRat+BoHsU3fgD27hgjvItDGNHoRsYMpUR2bJpzrNzBptsYSTKcqaqBrsxqJ4fESqfk5IL+f8MeLRn+ll4On7GgPrf65yJRkolholUeTlSxdVzerJU5Spba0vcklHVGN93EMwFSkH/NXubCHrlPka6hly8k6uqGeuI07XwIDAQAB',
    'SHA256:fAJ8C0KlNtO3BrC4i+dJh1fgMzowuEarWfoa99UpQFA',
  ],
  [
    'ed25519',
    'MCowBQYDK2VwAyEABBORPYTF2SY7ZNfjbwCOgU6r6twiXMzzhxUQMakE74s=',
    'SHA256:9ELvC4SsFLJwGx2wUU1VbqxSSIZuO6mdNjvZQ+Zao4g',
  ],
] as const

describe('mayBeOfKey', () => {
  it.each(KEYS)(
    'knows a key of the kind %s by the name that OpenSSH has for it',
    (algorithm, spki, fingerprint) => {
      const der = Buffer.from(spki, 'base64')
      const pem = createPublicKey({ key: der, format: 'der', type: 'spki' }).export({
        type: 'spki',
        format: 'pem',
      })
      const key = parsePublicKey(encodeUtf8(pem.toString()), 'The key')
      expect(key.algorithm).toBe(algorithm)
      const named = (keyId: string): boolean => mayBeOfKey({ signature: Buffer.of(), keyId }, key)
      expect(named(fingerprint)).toBe(true)
      expect(named('')).toBe(true)
      expect(named(`${fingerprint}=`)).toBe(false)
      expect(named(key.fingerprint)).toBe(false)
    },
  )
})
