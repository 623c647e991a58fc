import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, isCosignetError, LIMITS } from '../core/index.ts'
import { DER, encodeDer, encodeInteger } from './der.ts'
import { encryptPrivateKey, formatPublicKey, importPrivateKey } from './index.ts'

/** Everything below was written by openssl 3.0.19, and the public keys by its `pkey -pubout`. */
const ED25519_PUB = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAsB1nqavFRF5u8TiYBGTr3mVwytbiTvsMEgN0b8PDzQ0=
-----END PUBLIC KEY-----
`
/** openssl pkcs8 -topk8 -scrypt -passout pass:pw */
const SCRYPT = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAjCqZKxLjem5QICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBBGp4Olfahetxejge7LfFK3BEAEubOcwaf3ULEX
0RiglPzAyotAO6CPACrGYA3FyFqiGZAnHSI/l4zUBaNIGUV4eekCMgBw8IbP5Qae
IwxOEiaC
-----END ENCRYPTED PRIVATE KEY-----
`
/** openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512 -passout pass:pw */
const HMAC_SHA512 = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj32iEgLwoQTQICCAAw
DAYIKoZIhvcNAgsFADAdBglghkgBZQMEASoEELqt1fmBp/+XOkWWq/RRucMEQAG1
Sxn2GzFL9wxeyAZz/ZbHXqWeeN1r/f4pgxdp7MezeGaje5ln91q4AjcTWgY8taYn
IzrzFsY2TtY4B3tOpM8=
-----END ENCRYPTED PRIVATE KEY-----
`
/** openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA1 -passout pass:pw */
const HMAC_SHA1 = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGNMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAig/MSqfO/d/gICCAAw
HQYJYIZIAWUDBAEqBBAKntaeKr+UlHHkBC1SQPGqBEA2BGKocLworr7ijprQ0LJu
KD38itbQBUWSRVR5sOZSdXq9LFI7ShdZpg735R9iZxaP3g6vLdBCQzq0yG7f+wsn
-----END ENCRYPTED PRIVATE KEY-----
`
const P256_PUB = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtkwMB40TS/uH4qoPULBE/3V8GcpP
VvGad9R1IYQNFiYFMnhWtnA/uiJon+jgGKbuZ2FIEcqPB67q1i+Uw5iMkA==
-----END PUBLIC KEY-----
`
/** openssl pkcs8 -topk8 -v2 des3 -passout pass:pw */
const TRIPLE_DES = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAhoIUkt5WzaNgICCAAw
DAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQIKgqlmPg2SV4EgZCouCNaVy3DP1Z9
SgxNXAHACD4WfgjqrhgG174iLsNXOqRP6yBkEiCMEWvueZ4gdOLrmI0zG69uoJcr
L3Wsp9eTc4a4akYaov96poLGZwCZd+fVNT0PB9GPfKARkqNa2P7TrLxJmtLZHAFl
yc5vQUJ4h7NQKdZVvR2bzM3gvzTd80Y0tRzg8yp/FGZXr42XweY=
-----END ENCRYPTED PRIVATE KEY-----
`
/** openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -passout pass:pw */
const PBES1 = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGxMBwGCiqGSIb3DQEMAQMwDgQINvQe2JuOIocCAggABIGQ+jHS+fC11lELPtbc
Y2yDRr0V1AiemDSbClIvnD8104MYsoi9tKnOUUI8r2ri5n35rfS8Q4eALu+upY2O
r/kEy2XrYzmP4hwaibmG7n0YxKK0qyMWWQqLc38ey+7uTcVW2FtPUwF7m4eEchGj
mvkUylWDBNV2f4CNmFWFj/xtCcPf7u8QG7va/Kn/A5BPD5AW
-----END ENCRYPTED PRIVATE KEY-----
`
/** openssl ec -no_public */
const NO_PUBLIC = `-----BEGIN EC PRIVATE KEY-----
MDECAQEEIB0rsbWUtPXcCznNJAch4eDS/iyFt/0QmTu3gpMsBj9VoAoGCCqGSM49
AwEH
-----END EC PRIVATE KEY-----
`
/** openssl ec -param_enc explicit */
const EXPLICIT = `-----BEGIN EC PRIVATE KEY-----
MIIBaAIBAQQgHSuxtZS09dwLOc0kByHh4NL+LIW3/RCZO7eCkywGP1WggfowgfcC
AQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////
MFsEIP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57Pr
vVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG5wSTamZ44ROdJreBn36QBEEE
axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54W
K84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8
YyVRAgEBoUQDQgAEtkwMB40TS/uH4qoPULBE/3V8GcpPVvGad9R1IYQNFiYFMnhW
tnA/uiJon+jgGKbuZ2FIEcqPB67q1i+Uw5iMkA==
-----END EC PRIVATE KEY-----
`
const P384_PUB = `-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEfE2zA8MWR/vGkoBtJE6wJO16I2S1bswM
c7OIAMvlIyCBymqU7tSOz//5rOnORT5bmJbnz04VFf5EqAjT1cI+xG7ZJFRrSAXA
YOhy0wfDQPxliZzD2GCiHQwiY1Wrvo7K
-----END PUBLIC KEY-----
`
/** openssl ec -conv_form compressed */
const COMPRESSED = `-----BEGIN EC PRIVATE KEY-----
MHQCAQEEMHeUAoB61/5pliB9ZmTfWVTUBUthdeZpY+ByCg7YhSFeMI6YFdEv10Dv
qlW/smhGe6AHBgUrgQQAIqE0AzIAAnxNswPDFkf7xpKAbSROsCTteiNktW7MDHOz
iADL5SMggcpqlO7Ujs//+azpzkU+Ww==
-----END EC PRIVATE KEY-----
`
const WITH_PARAMETERS_PUB = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP971VqWF+HOhW04+9KCSQbx/Mtus
jaAdAzQbOon3ig/cFaTvIbhkFiTno5VA2Kqf1j3p7DxCYmyjlf8CclfR9g==
-----END PUBLIC KEY-----
`
/** openssl ecparam -name prime256v1 -genkey */
const WITH_PARAMETERS = `-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEICuvvNIh3NsUs8TtHKrSsCdfJpsBD/ZXKQAs1LQlR5CsoAoGCCqGSM49
AwEHoUQDQgAEP971VqWF+HOhW04+9KCSQbx/MtusjaAdAzQbOon3ig/cFaTvIbhk
FiTno5VA2Kqf1j3p7DxCYmyjlf8CclfR9g==
-----END EC PRIVATE KEY-----
`

const PASSWORD = 'pw'
const ask = async (): Promise<Uint8Array> => Buffer.from(PASSWORD)
const askNobody = async (): Promise<Uint8Array> => {
  throw new Error('a password was asked for')
}

const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ed25519 = generateKeyPairSync('ed25519')

describe.concurrent('importPrivateKey', () => {
  it.each<[string, string, string]>([
    ['PBES2 with scrypt', SCRYPT, ED25519_PUB],
    ['PBES2 with HMAC-SHA-512', HMAC_SHA512, ED25519_PUB],
    ['PBES2 with HMAC-SHA-1, which is not named', HMAC_SHA1, ED25519_PUB],
    ['PBES2 with triple DES', TRIPLE_DES, P256_PUB],
    ['SEC1 without a public key', NO_PUBLIC, P256_PUB],
    ['SEC1 with its curve spelled out', EXPLICIT, P256_PUB],
    ['SEC1 with a compressed point', COMPRESSED, P384_PUB],
    ['SEC1 after its parameters', WITH_PARAMETERS, WITH_PARAMETERS_PUB],
  ])('reads %s of openssl', async (_, file, pub) => {
    expect(formatPublicKey((await importPrivateKey(Buffer.from(file), ask)).publicKey)).toBe(pub)
  })

  it.each<[string, KeyObject, KeyObject, 'pkcs1' | 'sec1' | 'pkcs8']>([
    ['PKCS#1', rsa.privateKey, rsa.publicKey, 'pkcs1'],
    ['SEC1', p521.privateKey, p521.publicKey, 'sec1'],
    ['PKCS#8 of RSA', rsa.privateKey, rsa.publicKey, 'pkcs8'],
    ['PKCS#8 of P-256', p256.privateKey, p256.publicKey, 'pkcs8'],
    ['PKCS#8 of P-521', p521.privateKey, p521.publicKey, 'pkcs8'],
    ['PKCS#8 of Ed25519', ed25519.privateKey, ed25519.publicKey, 'pkcs8'],
  ])('reads %s, and asks for no password', async (_, privateKey, publicKey, type) => {
    const key = await importPrivateKey(pemOf(privateKey, type), askNobody)
    expect(formatPublicKey(key.publicKey)).toBe(publicKey.export({ type: 'spki', format: 'pem' }))
  })

  it.each([
    ['aes-128-cbc', p256],
    ['aes-192-cbc', rsa],
    ['aes-256-cbc', ed25519],
    ['aes-256-cbc', p521],
  ])('reads PKCS#8 encrypted with %s', async (cipher, { privateKey, publicKey }) => {
    const file = privateKey.export({ type: 'pkcs8', format: 'pem', cipher, passphrase: PASSWORD })
    const key = await importPrivateKey(Buffer.from(file), ask)
    expect(formatPublicKey(key.publicKey)).toBe(publicKey.export({ type: 'spki', format: 'pem' }))
  })

  it('reads the file of cosign, for another password', async () => {
    const key = await importPrivateKey(pemOf(p256.privateKey, 'pkcs8'), askNobody)
    const file = Buffer.from(await encryptPrivateKey(key, Buffer.from(PASSWORD)))
    expect((await importPrivateKey(file, ask)).publicKey.fingerprint).toBe(key.publicKey.fingerprint)
  })

  it('says that the password is wrong, and not what it is', async () => {
    const wrong = async (): Promise<Uint8Array> => Buffer.from('secret-canary')
    for (const file of [SCRYPT, HMAC_SHA1, TRIPLE_DES]) {
      const failure = importPrivateKey(Buffer.from(file), wrong, 'The key x.pem')
      await expect(failure).rejects.toMatchObject({
        code: 'INVALID_PASSWORD',
        message: 'The key x.pem cannot be decrypted with the password given.',
      })
      await expect(failure).rejects.not.toThrow('canary')
    }
  })

  it('takes no wrong password for a key that is not one', async () => {
    const file = ed25519.privateKey.export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'x',
    })
    const codes = new Set<unknown>()
    for (let i = 0; i < 300; i += 1) {
      const password = async (): Promise<Uint8Array> => Buffer.from(`wrong ${i}`)
      codes.add(
        await importPrivateKey(Buffer.from(file), password).catch(({ code }: { code: unknown }) => code),
      )
    }
    expect([...codes]).toEqual(['INVALID_PASSWORD'])
  })

  const others = {
    k1: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey,
    ed448: generateKeyPairSync('ed448').privateKey,
    x25519: generateKeyPairSync('x25519').privateKey,
    pss: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey,
    small: generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey,
    three: generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey,
  }
  it.each<[string, Uint8Array, string]>([
    [
      'another curve',
      pemOf(others.k1, 'sec1'),
      'its kind "secp256k1" is none that a verifier of images knows',
    ],
    ['Ed448', pemOf(others.ed448, 'pkcs8'), 'its kind "ed448" is none that a verifier of images knows'],
    ['X25519', pemOf(others.x25519, 'pkcs8'), 'its kind "x25519" is none that a verifier of images knows'],
    ['RSA-PSS', pemOf(others.pss, 'pkcs8'), 'its kind "rsa-pss" is none that a verifier of images knows'],
    [
      'a small RSA key',
      pemOf(others.small, 'pkcs1'),
      'its RSA modulus has 1024 bits, and cosign takes 2048, 3072, 4096',
    ],
    [
      'an RSA exponent of 3',
      pemOf(others.three, 'pkcs1'),
      'its RSA exponent is 3, and cosign takes 65537 alone',
    ],
    ['another public key within', mixed(), 'its private and its public part do not belong together'],
    [
      'garbage in a block',
      Buffer.from('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'),
      'its block "PRIVATE KEY" does not hold a private key',
    ],
    ['PBES1', Buffer.from(PBES1), 'it is not encrypted by PBES2, but in an older way'],
    [
      'the old encryption of openssl',
      Buffer.from(
        p256.privateKey.export({ type: 'sec1', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }),
      ),
      'it is encrypted in the old way of OpenSSL',
    ],
    ['a public key', Buffer.from(P256_PUB), 'it is a public key, not a private key'],
    [
      'an OpenSSH key',
      Buffer.from('-----BEGIN OPENSSH PRIVATE KEY-----\n'),
      'it is an OpenSSH private key, not a private key',
    ],
    ['parameters alone', Buffer.from(WITH_PARAMETERS.slice(0, 76)), 'it holds no PEM block'],
    [
      'a key that was cut short',
      Buffer.from(SCRYPT.slice(0, 200)),
      'its block "ENCRYPTED PRIVATE KEY" has no end, so it was cut short',
    ],
    ['nothing', Buffer.alloc(0), 'it is empty'],
  ])('refuses %s', async (_, file, reason) => {
    await expect(importPrivateKey(file, askNobody)).rejects.toMatchObject({
      code: 'INVALID_KEY' satisfies ErrorCode,
      message: `The private key is not valid: ${reason}.`,
    })
  })

  /** Any of these would take minutes or gigabytes, if it were tried. */
  it.each<[string, Uint8Array, string]>([
    [
      'PBKDF2 of hours',
      encrypted(pbkdf2(2 ** 31 - 1)),
      `its PBKDF2 takes 2147483647 iterations, beyond the limit of ${LIMITS.pbkdf2Iterations}`,
    ],
    ['PBKDF2 without work', encrypted(pbkdf2(0)), 'its PBKDF2 has no number of iterations'],
    [
      'scrypt of gigabytes',
      encrypted(scrypt(2 ** 24, 8, 1)),
      'its scrypt parameters N=16777216, r=8, p=1 are beyond the limits',
    ],
    [
      'scrypt of large blocks',
      encrypted(scrypt(2, 2 ** 30, 1)),
      'its scrypt parameters N=2, r=1073741824, p=1 are beyond the limits',
    ],
    [
      'scrypt of hours',
      encrypted(scrypt(2 ** 17, 8, 2 ** 20)),
      'its scrypt parameters N=131072, r=8, p=1048576 are beyond the limits',
    ],
    [
      'scrypt with a cost that is no power of two',
      encrypted(scrypt(1000, 8, 1)),
      'its scrypt parameters are not valid',
    ],
    ['scrypt without parameters', encrypted(scrypt(0, 0, 0)), 'its scrypt parameters are not valid'],
  ])('refuses %s before a password is asked for', async (_, file, reason) => {
    await expect(importPrivateKey(file, askNobody)).rejects.toMatchObject({
      code: 'INVALID_KEY' satisfies ErrorCode,
      message: `The private key is not valid: ${reason}.`,
    })
  })

  it('takes no damage for another key', async () => {
    const der = Buffer.from(TRIPLE_DES.split('\n').slice(1, -2).join(''), 'base64')
    const outcomes = new Set<unknown>()
    for (let i = 0; i < der.byteLength; i += 1) {
      const flipped = Buffer.from(der)
      flipped.writeUInt8(flipped.readUInt8(i) ^ 0xff, i)
      for (const bytes of [der.subarray(0, i), flipped]) {
        const file = pemBlock('ENCRYPTED PRIVATE KEY', bytes)
        const outcome = importPrivateKey(file, ask).then(({ publicKey }) => formatPublicKey(publicKey))
        outcomes.add(await outcome.catch((error: unknown) => (isCosignetError(error) ? error.code : error)))
      }
    }
    // Where the tag of a NULL or the version is damaged, the key is still the same.
    outcomes.delete(P256_PUB)
    expect([...outcomes].sort()).toEqual(['INVALID_KEY', 'INVALID_PASSWORD'])
  })

  it('refuses a huge file', async () => {
    await expect(importPrivateKey(Buffer.alloc(LIMITS.keyBytes + 1), ask)).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
  })
})

function pemOf(key: KeyObject, type: 'pkcs1' | 'sec1' | 'pkcs8'): Uint8Array {
  return Buffer.from(key.export({ type, format: 'pem' } as { type: 'pkcs8'; format: 'pem' }))
}

function pemBlock(label: string, bytes: Uint8Array): Uint8Array {
  return Buffer.from(
    `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString('base64')}\n-----END ${label}-----\n`,
  )
}

/** The private number of one key with the point of another. */
function mixed(): Uint8Array {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const point = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(-65)
  const sec1 = p256.privateKey.export({ type: 'sec1', format: 'der' }).toString('hex')
  const changed = sec1.replace(point(p256.publicKey).toString('hex'), point(other.publicKey).toString('hex'))
  return pemBlock('EC PRIVATE KEY', Buffer.from(changed, 'hex'))
}

function pbkdf2(iterations: number): Uint8Array {
  return kdf('2a864886f70d01050c', [iterations])
}

function scrypt(...numbers: readonly number[]): Uint8Array {
  return kdf('2b06010401da47040b', numbers)
}

function kdf(id: string, numbers: readonly number[]): Uint8Array {
  const parameters = encodeDer(
    DER.sequence,
    encodeDer(DER.octets, Buffer.alloc(8)),
    ...numbers.map(encodeInteger),
  )
  return encodeDer(DER.sequence, encodeDer(DER.oid, Buffer.from(id, 'hex')), parameters)
}

function encrypted(derivation: Uint8Array): Uint8Array {
  const id = (hex: string): Uint8Array => encodeDer(DER.oid, Buffer.from(hex, 'hex'))
  const cipher = encodeDer(DER.sequence, id('60864801650304012a'), encodeDer(DER.octets, Buffer.alloc(16)))
  const scheme = encodeDer(
    DER.sequence,
    id('2a864886f70d01050d'),
    encodeDer(DER.sequence, derivation, cipher),
  )
  return pemBlock(
    'ENCRYPTED PRIVATE KEY',
    encodeDer(DER.sequence, scheme, encodeDer(DER.octets, Buffer.alloc(48))),
  )
}
