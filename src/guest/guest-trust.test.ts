import { beforeAll, describe, expect, it } from 'vitest'
import { issueCertificates } from '../net/index.ts'
import { refuseSelfSigned } from './guest-trust.ts'

// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=registry \
//   -addext subjectAltName=DNS:registry.test,IP:192.0.2.1 (OpenSSL 3.0.19; it writes CA:TRUE where nothing else is said)
const SELF_SIGNED = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUOgAwIBAgIUP2hMoZ2b5vjG6xNXe9iI+cIw+tAwCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIcmVnaXN0cnkwIBcNMjYxMTIyMjAwMDQ1WhgPMjEyNjEwMjky
MDAwNDVaMBMxETAPBgNVBAMMCHJlZ2lzdHJ5MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEdiKg9wcyhTPfK+yC06CYtGNu9J90rZLUHbTyVgbRrvZLVrIw5NxIojRd
bnnSt8hyF5Z6Y1anBcalI0oS++k+PKNzMHEwHQYDVR0OBBYEFBl8WtsQG0VvYluZ
B84bpIOG42l1MB8GA1UdIwQYMBaAFBl8WtsQG0VvYluZB84bpIOG42l1MA8GA1Ud
EwEB/wQFMAMBAf8wHgYDVR0RBBcwFYINcmVnaXN0cnkudGVzdIcEwAACATAKBggq
hkjOPQQDAgNHADBEAiBu7PLMsNxnIy//cUs8vYioXxc6uc7ffAP6k7B0hYk99AIg
NgvjIEzriFDbYy649f2pSub3IJYMSiq3tHgAK9Sk5k4=
-----END CERTIFICATE-----
`
// The same with -addext basicConstraints=critical,CA:FALSE
const SELF_SIGNED_LEAF = `-----BEGIN CERTIFICATE-----
MIIBmjCCAUCgAwIBAgIUIHiETUmWEHV7vTtWi/mpg8eZjfowCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIcmVnaXN0cnkwIBcNMjYxMTIyMjAwMDQ1WhgPMjEyNjEwMjky
MDAwNDVaMBMxETAPBgNVBAMMCHJlZ2lzdHJ5MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAE/mKg9igOrRvc5SBRq0CFfwirZoeS4y1B133ewKdqmOp3w/ANgT7PoOZd
pTbKetozcdsebZFpfIAupHoEpdnwUaNwMG4wHQYDVR0OBBYEFDRlWhHWcSfuxtar
Vs3Ad6XNUaosMB8GA1UdIwQYMBaAFDRlWhHWcSfuxtarVs3Ad6XNUaosMB4GA1Ud
EQQXMBWCDXJlZ2lzdHJ5LnRlc3SHBMAAAgEwDAYDVR0TAQH/BAIwADAKBggqhkjO
PQQDAgNIADBFAiB90ruJFs+XLMzeKIJU1RLv07Fa99mQaqfnKOAxdhmFHQIhALxs
qyPpj4vg/6E46f5BwoldxjJ93ZvQlObTZcIrGLZA
-----END CERTIFICATE-----
`

let ca: string
beforeAll(async () => {
  ca = (await issueCertificates({ hosts: ['registry.test'], now: new Date() })).ca
})

describe('refuseSelfSigned', () => {
  it.each(['registry.test', 'registry.test:5000', '192.0.2.1:5000'])('leaves open %s', (registry) => {
    expect(() => refuseSelfSigned([ca, SELF_SIGNED], { registry })).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED', hint: expect.stringContaining('CA:FALSE') }),
    )
  })

  it('passes authorities, plain certificates, other hosts, and what is no certificate', () => {
    const registry = 'registry.test'
    expect(() => refuseSelfSigned([ca, SELF_SIGNED_LEAF, 'x'], { registry })).not.toThrow()
    expect(() => refuseSelfSigned([SELF_SIGNED], { registry: 'other.test' })).not.toThrow()
    expect(() => refuseSelfSigned([SELF_SIGNED], { registry: '192.0.2.2' })).not.toThrow()
    expect(() => refuseSelfSigned([SELF_SIGNED], { registry: 'docker.io' })).not.toThrow()
  })
})
