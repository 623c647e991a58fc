import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { issueCertificates } from './certificates.ts'

const NOW = new Date('2026-03-01T12:00:00Z')

describe('issueCertificates', () => {
  it('issues a leaf for the names and addresses, signed by a CA of its own', async () => {
    const issued = await issueCertificates({ hosts: ['registry.example', '127.0.0.1', '::1'], now: NOW })
    const ca = new X509Certificate(issued.ca)
    const leaf = new X509Certificate(issued.cert)
    expect(leaf.checkIssued(ca) && leaf.verify(ca.publicKey)).toBe(true)
    expect(leaf.checkPrivateKey(createPrivateKey(issued.key))).toBe(true)
    expect([ca.ca, leaf.ca]).toEqual([true, false])
    // id-kp-serverAuth, RFC 5280 section 4.2.1.12
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
    expect(leaf.checkHost('registry.example')).toBe('registry.example')
    expect(leaf.checkHost('other.example')).toBeUndefined()
    expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(leaf.checkIP('::1')).toBe('::1')
    expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
  })

  it('is valid from an hour before the given time for the given days', async () => {
    const { cert } = await issueCertificates({ hosts: ['a'], now: NOW, days: 2 })
    const leaf = new X509Certificate(cert)
    expect(leaf.validFromDate).toEqual(new Date('2026-03-01T11:00:00Z'))
    expect(leaf.validToDate).toEqual(new Date('2026-03-03T12:00:00Z'))
  })

  it.each([
    [[], undefined, 'A certificate needs at least one host.'],
    [['a b'], undefined, '"a b" is neither a DNS name nor an IP address.'],
    [['-a.example'], undefined, '"-a.example" is neither a DNS name nor an IP address.'],
    [['a.example:443'], undefined, '"a.example:443" is neither a DNS name nor an IP address.'],
    [['a'], 0, 'A certificate is valid for more than 0 and at most 825 days, not 0.'],
    [['a'], 826, 'A certificate is valid for more than 0 and at most 825 days, not 826.'],
    [['a'], Number.NaN, 'A certificate is valid for more than 0 and at most 825 days, not NaN.'],
  ])('refuses hosts %j for %s days', async (hosts, days, message) => {
    const request = { hosts, now: NOW, ...(days === undefined ? {} : { days }) }
    await expect(issueCertificates(request)).rejects.toMatchObject({ code: 'INVALID_CONFIG', message })
  })
})
