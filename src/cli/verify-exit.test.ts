import { describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { type ImageLocation, parseLocation } from '../oci/index.ts'
import type { DenialCode, SeenSignature, SignatureFault, SignatureKind, Verdict } from '../policy/index.ts'
import { cosignExit } from './verify-exit.ts'
import type { Verified } from './verify-images.ts'

const REMOTE = parseLocation('docker://registry.example/app:v1')
const LOCAL = parseLocation('oci:/layout')
const BASE = {
  apiVersion: 'cosignet/v1',
  kind: 'Verdict',
  profile: 'cosign',
  image: { reference: 'registry.example/app:v1' },
  trace: [],
} as const
const ALLOWED: Verdict = { ...BASE, outcome: 'allowed' }

function denied(code: DenialCode, signatures: readonly SeenSignature[] = []): Verdict {
  const cause = { code, message: 'It is not signed.', fix: 'Sign it.' }
  return { ...BASE, outcome: 'denied', cause, verifierText: 'no', signatures }
}

function seen(kind: SignatureKind, code: SignatureFault): readonly SeenSignature[] {
  return [{ kind, location: 'x', claims: {}, counts: false, fault: { code, message: 'No.' } }]
}

const failure = (code: 'NOT_FOUND' | 'UNAVAILABLE'): Verified => ({ error: new CosignetError(code, 'No.') })

describe('cosignExit', () => {
  // From cosign, cmd/cosign/errors/exit_codes.go; test/interop/verify-kinds.test.ts asks cosign itself.
  it.each<[string, readonly [Verified, ImageLocation?][], number]>([
    ['all verified', [[ALLOWED], [ALLOWED]], 0],
    ['no signature', [[ALLOWED], [denied('unsigned')]], 10],
    ['no image', [[failure('NOT_FOUND')]], 11],
    ['none of the key', [[denied('wrong-key', seen('cosign', 'wrong-key'))]], 12],
    ['one that is unreadable', [[denied('signature-image-invalid', seen('cosign', 'unreadable'))]], 12],
    ['an OpenPGP signature alone', [[denied('wrong-key', seen('simple', 'wrong-key'))]], 10],
    ['a bundle of another key', [[denied('wrong-key', seen('bundle', 'wrong-key'))]], 1],
    ['an attestation', [[denied('unsigned', seen('bundle', 'not-a-signature'))]], 1],
    [
      'a bundle that cosign passes over',
      [[denied('signature-image-invalid', seen('bundle', 'unreadable'))]],
      10,
    ],
    ['an image in a layout', [[denied('unsigned'), LOCAL]], 1],
    ['no registry', [[failure('UNAVAILABLE')]], 1],
    ['the first that is not verified', [[ALLOWED], [denied('unsigned')], [failure('NOT_FOUND')]], 10],
  ])('is that of cosign for %s', (_, images, exit) => {
    const locations = images.map(([, location = REMOTE]) => location)
    expect(
      cosignExit(
        locations,
        images.map(([result]) => result),
      ),
    ).toBe(exit)
  })
})
