import { beforeAll, describe, expect, it } from 'vitest'
import { SELF_SIGNED, SELF_SIGNED_LEAF } from '../../test/fixtures/self-signed.ts'
import { issueCertificates } from '../net/index.ts'
import { refuseSelfSigned } from './guest-trust.ts'

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
