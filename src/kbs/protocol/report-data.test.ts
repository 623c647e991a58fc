import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { RuntimeData } from './rcar.ts'
import { computeReportData, selectedHashAlgorithm } from './report-data.ts'

const RUNTIME_DATA: RuntimeData = {
  nonce: 'bm9uY2U=',
  'tee-pubkey': { kty: 'EC', crv: 'P-256', alg: 'ECDH-ES+A256KW', x: 'eA', y: 'eQ' },
}

// RFC 8785 by hand: members sorted, no white space; a solidus is not escaped, a quotation mark is.
const CANONICAL =
  '{"additional-evidence":"{\\"sampledevice\\":\\"a/b\\"}","nonce":"bm9uY2U=","tee-pubkey":' +
  '{"alg":"ECDH-ES+A256KW","crv":"P-256","kty":"EC","x":"eA","y":"eQ"}}'

describe('computeReportData', () => {
  it('hashes the canonical JSON with SHA-384', () => {
    const expected = createHash('sha384').update(CANONICAL).digest('hex')
    const actual = computeReportData(RUNTIME_DATA, '{"sampledevice":"a/b"}')
    expect(Buffer.from(actual).toString('hex')).toBe(expected)
  })

  it.each([
    ['sha256', 32],
    ['sha384', 48],
    ['sha512', 64],
    ['sm3', 32],
  ] as const)('has with %s the length %i', (algorithm, length) => {
    const expected = createHash(algorithm).update(CANONICAL).digest()
    expect(expected.byteLength).toBe(length)
    expect(computeReportData(RUNTIME_DATA, '{"sampledevice":"a/b"}', algorithm)).toEqual(expected)
  })

  it.each<[string, RuntimeData, string]>([
    ['the nonce', { ...RUNTIME_DATA, nonce: 'bm9uY2V=' }, ''],
    [
      'the key',
      { ...RUNTIME_DATA, 'tee-pubkey': { kty: 'RSA', alg: 'RSA-OAEP-256', n: 'bg', e: 'AQAB' } },
      '',
    ],
    ['the additional evidence', RUNTIME_DATA, '{}'],
  ])('changes with %s', (_, runtimeData, additional) => {
    expect(computeReportData(runtimeData, additional)).not.toEqual(computeReportData(RUNTIME_DATA, ''))
  })
})

describe('selectedHashAlgorithm', () => {
  it.each([
    ['', 'sha384'],
    [null, 'sha384'],
    [{}, 'sha384'],
    [[], 'sha384'],
    [{ 'selected-hash-algorithm': 'sha512' }, 'sha512'],
    [{ 'selected-hash-algorithm': 'SHA256' }, 'sha256'],
  ])('reads %j as %s', (extraParams, expected) => {
    expect(selectedHashAlgorithm(extraParams)).toBe(expected)
  })

  it.each(['md5', '', 7, null])('refuses %j', (algorithm) => {
    expect(() => selectedHashAlgorithm({ 'selected-hash-algorithm': algorithm })).toThrow(
      expect.objectContaining({
        code: 'BAD_RESPONSE',
        message: `The KBS selected the hash algorithm ${JSON.stringify(String(algorithm))}, which is not one of sha256, sha384, sha512, sm3.`,
      }),
    )
  })
})
