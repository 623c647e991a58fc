import { describe, expect, it } from 'vitest'
import { bundleMutations } from '../../test/fixtures/bundle-mutations.ts'
import {
  FIRST_BUNDLE_PUB,
  LOGGED_BUNDLE,
  LOGGED_DIGEST,
  REKOR_PUB,
} from '../../test/fixtures/cosign-bundles.ts'
import { encodeUtf8, isCosignetError } from '../core/index.ts'
import { parsePublicKey } from '../keys/index.ts'
import { parseBundle, parseRekorKeys, verifyBundle } from './index.ts'

const key = parsePublicKey(encodeUtf8(FIRST_BUNDLE_PUB), 'The key')
const rekorKeys = parseRekorKeys(encodeUtf8(REKOR_PUB), 'The key of the log')
const mutations = bundleMutations(LOGGED_BUNDLE)

/** Whether the bundle counts; throws whatever is not a refusal by name. */
function accepts(bundle: string): boolean {
  try {
    return !(
      'failure' in verifyBundle(parseBundle(encodeUtf8(bundle)), key, { digest: LOGGED_DIGEST, rekorKeys })
    )
  } catch (error) {
    if (isCosignetError(error, 'INVALID_SIGNATURE')) return false
    throw error
  }
}

describe('a bundle that was changed', () => {
  it('is accepted where it was not', () => {
    expect(accepts(LOGGED_BUNDLE)).toBe(true)
  })

  it('is changed in more than 200 ways', () => {
    expect(new Set(mutations.map(({ bundle }) => bundle)).size).toBe(mutations.length)
    expect(mutations.length).toBeGreaterThan(200)
  })

  it.each(mutations)('with $name gets the verdict of cosign', ({ bundle, accepted }) => {
    expect(accepts(bundle)).toBe(accepted)
  })
})
