import { describe, expect, it } from 'vitest'
import { parseReference } from '../oci/index.ts'
import { identityMismatch } from './identity.ts'
import type { SignedIdentity } from './policy.ts'

const DIGEST = `sha256:${'5'.repeat(64)}`
const TAG = 'quay.io/org/app:v1'
const BY_DIGEST = `quay.io/org/app@${DIGEST}`
const BOTH = `quay.io/org/app:v1@${DIGEST}`

const matches = (identity: SignedIdentity, pulled: string, claimed: string): boolean =>
  identityMismatch(identity, parseReference(pulled), claimed) === undefined

const EXACT: SignedIdentity = { type: 'matchExact' }
const REPO_DIGEST_OR_EXACT: SignedIdentity = { type: 'matchRepoDigestOrExact' }
const REPOSITORY: SignedIdentity = { type: 'matchRepository' }
const exactReference = (dockerReference: string): SignedIdentity => ({
  type: 'exactReference',
  dockerReference,
})
const exactRepository = (dockerRepository: string): SignedIdentity => ({
  type: 'exactRepository',
  dockerRepository,
})
const remap = (prefix: string, signedPrefix: string): SignedIdentity => ({
  type: 'remapIdentity',
  prefix,
  signedPrefix,
})

describe('identityMismatch', () => {
  it.each<[SignedIdentity, string, string, boolean]>([
    [EXACT, TAG, TAG, true],
    [EXACT, TAG, 'quay.io/org/app:v2', false],
    [EXACT, TAG, 'quay.io/org/app', false],
    [EXACT, BY_DIGEST, BY_DIGEST, false],
    [EXACT, BOTH, BOTH, false],
    [EXACT, 'busybox', 'docker.io/library/busybox:latest', true],
    // Raw strings: a short name is no full name, though both mean the same.
    [EXACT, 'busybox', 'busybox:latest', false],
    [EXACT, 'busybox', 'index.docker.io/library/busybox:latest', false],

    [REPO_DIGEST_OR_EXACT, TAG, TAG, true],
    [REPO_DIGEST_OR_EXACT, TAG, 'quay.io/org/app:v2', false],
    [REPO_DIGEST_OR_EXACT, BY_DIGEST, TAG, true],
    [REPO_DIGEST_OR_EXACT, BY_DIGEST, 'quay.io/org/app', true],
    [REPO_DIGEST_OR_EXACT, BY_DIGEST, 'quay.io/org/other:v1', false],
    [REPO_DIGEST_OR_EXACT, BY_DIGEST, 'not a name', false],
    // With a tag and a digest both checks must pass, and only the full name does that.
    [REPO_DIGEST_OR_EXACT, BOTH, TAG, false],
    [REPO_DIGEST_OR_EXACT, BOTH, BY_DIGEST, false],
    [REPO_DIGEST_OR_EXACT, BOTH, BOTH, true],
    [REPO_DIGEST_OR_EXACT, `busybox@${DIGEST}`, 'index.docker.io/library/busybox', true],

    [REPOSITORY, TAG, 'quay.io/org/app', true],
    [REPOSITORY, TAG, 'quay.io/org/app:v2', true],
    [REPOSITORY, TAG, BOTH, true],
    [REPOSITORY, BY_DIGEST, 'quay.io/org/app', true],
    [REPOSITORY, BOTH, 'quay.io/org/app:v2', true],
    [REPOSITORY, TAG, 'quay.io/org/other', false],
    [REPOSITORY, TAG, 'quay.io/org', false],
    [REPOSITORY, TAG, 'quay.io/org/app/sub', false],
    [REPOSITORY, TAG, 'quay.io:443/org/app', false],
    [REPOSITORY, TAG, 'org/app', false],
    [REPOSITORY, 'busybox', 'index.docker.io/library/busybox', true],
    [REPOSITORY, 'busybox', 'docker.io/busybox', true],
    [REPOSITORY, 'busybox', 'busybox:1.36', true],
    [REPOSITORY, TAG, '', false],
    [REPOSITORY, TAG, 'quay.io/Org/app', false],
    [REPOSITORY, TAG, 'quay.io/org/app:', false],
    [REPOSITORY, TAG, ' quay.io/org/app', false],
    [REPOSITORY, TAG, 'quay.io/org/app\n', false],

    [exactReference('x'), TAG, 'x', true],
    [exactReference(TAG), 'busybox', TAG, true],
    [exactReference('busybox'), 'busybox', 'docker.io/library/busybox:latest', false],
    [exactReference(''), TAG, '', true],

    [exactRepository('quay.io/org/app'), 'busybox', TAG, true],
    [exactRepository('quay.io/org/app'), TAG, 'quay.io/org/other', false],
    // What is claimed is normalised, what the policy says is not.
    [exactRepository('docker.io/library/busybox'), TAG, 'busybox', true],
    [exactRepository('busybox'), TAG, 'busybox', false],
    [exactRepository('index.docker.io/library/busybox'), TAG, 'index.docker.io/library/busybox', false],
    [exactRepository('not a name'), TAG, 'not a name', false],
    [exactRepository('quay.io/org/app:v1'), TAG, TAG, false],

    [remap('quay.io/org', 'ghcr.io/us'), TAG, 'ghcr.io/us/app:v1', true],
    [remap('quay.io/org', 'ghcr.io/us'), TAG, TAG, false],
    [remap('quay.io/org', 'ghcr.io/us'), BY_DIGEST, 'ghcr.io/us/app', true],
    [remap('quay.io/org', 'ghcr.io/us'), BOTH, 'ghcr.io/us/app:v1', false],
    [remap('ghcr.io', 'quay.io'), TAG, TAG, true],
    [remap('ghcr.io', 'quay.io'), TAG, 'quay.io/org/app:v2', false],
    // The prefix ends anywhere, within a path component too.
    [remap('quay.io/or', 'ghcr.io/x'), TAG, 'ghcr.io/xg/app:v1', true],
    [remap('', 'ghcr.io/'), TAG, 'ghcr.io/quay.io/org/app:v1', true],
    [remap('quay.io', 'Not A Host'), TAG, 'Not A Host/org/app:v1', false],
    // The remapped name is normalised before it is compared.
    [remap('quay.io/org/app', 'busybox'), TAG, 'docker.io/library/busybox:v1', true],
    [remap('quay.io/org/app', 'busybox'), TAG, 'busybox:v1', false],
  ])('%j: pulled as %s, signed as %j: %s', (identity, pulled, claimed, expected) => {
    expect(matches(identity, pulled, claimed)).toBe(expected)
  })

  it('says what differs, with hostile names quoted', () => {
    const claimed = 'evil\u202e\n'
    expect(identityMismatch(EXACT, parseReference(TAG), claimed)).toBe(
      `the signature is for "evil\\u202e\\n", not for "${TAG}"`,
    )
    expect(identityMismatch(REPOSITORY, parseReference(TAG), claimed)).toBe(
      'the name in the signature, "evil\\u202e\\n", is not an image reference',
    )
  })
})
