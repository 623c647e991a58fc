import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCosignetError } from '../core/index.ts'
import { formatReference, parseReference, repositoryName, withDigest, withTag } from './reference.ts'

const HEX = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

describe('parseReference', () => {
  // The normal forms are those of distribution/reference (normalize_test.go) and oci-spec-rs (reference.rs).
  it.each([
    ['busybox', 'docker.io/library/busybox:latest'],
    ['busybox:1', 'docker.io/library/busybox:1'],
    ['user/app', 'docker.io/user/app:latest'],
    ['docker.io/busybox', 'docker.io/library/busybox:latest'],
    ['index.docker.io/busybox', 'docker.io/library/busybox:latest'],
    ['localhost/a', 'localhost/a:latest'],
    ['localhost:5000/a:b', 'localhost:5000/a:b'],
    ['ghcr.io/a/b/c:v1.0_x-y', 'ghcr.io/a/b/c:v1.0_x-y'],
    [`ghcr.io/a@sha256:${HEX}`, `ghcr.io/a@sha256:${HEX}`],
    [`ghcr.io/a:t@sha256:${HEX}`, `ghcr.io/a:t@sha256:${HEX}`],
    ['quay.io/a__b/c--d/e.f', 'quay.io/a__b/c--d/e.f:latest'],
  ])('normalises %s', (text, expected) => {
    expect(formatReference(parseReference(text))).toBe(expected)
  })

  it.each([
    ['', 'the form is'],
    [' busybox', 'the form is'],
    ['Busybox', 'the form is'],
    ['ghcr.io/A/b', 'the form is'],
    ['https://ghcr.io/a', 'the form is'],
    ['docker://ghcr.io/a', 'the form is'],
    ['ghcr.io/a:', 'the form is'],
    [`ghcr.io/a:${'t'.repeat(129)}`, 'the form is'],
    ['ghcr.io/a:-t', 'the form is'],
    ['ghcr.io/../a', 'the form is'],
    ['ghcr.io/a//b', 'the form is'],
    ['ghcr.io/a/', 'the form is'],
    ['ghcr.io/a\n', 'the form is'],
    ['ghcr.io/a@sha256:short', 'is not a digest'],
    [`ghcr.io/a@sha256:${HEX.toUpperCase()}`, 'is not a digest'],
    [`ghcr.io/${'a'.repeat(256)}`, 'longer than 255'],
    ['a'.repeat(1025), 'the form is'],
  ])('refuses %j', (text, reason) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_REFERENCE', message: expect.stringContaining(reason) }),
    )
  })

  it('gives back what it wrote, for any text that it takes', () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,8})?$/)
    const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
    fc.assert(
      fc.property(name, fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/), (path, tag) => {
        const once = formatReference(parseReference(`${path}:${tag}`))
        expect(formatReference(parseReference(once))).toBe(once)
      }),
    )
  })

  it('throws nothing but INVALID_REFERENCE', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        try {
          parseReference(text)
        } catch (error) {
          expect(isCosignetError(error, 'INVALID_REFERENCE')).toBe(true)
        }
      }),
    )
  })
})

describe('references', () => {
  it('are moved to a tag or a digest', () => {
    const reference = parseReference(`ghcr.io/a/b:t@sha256:${HEX}`)
    expect(repositoryName(reference)).toBe('ghcr.io/a/b')
    expect(formatReference(withTag(reference, 'x'))).toBe('ghcr.io/a/b:x')
    expect(reference.digest).toBeDefined()
    if (reference.digest === undefined) return
    expect(formatReference(withDigest(reference, reference.digest))).toBe(`ghcr.io/a/b@sha256:${HEX}`)
  })
})

describe('an address with a password', () => {
  it.each([
    ['me:secret@registry.example/app', '"…@registry.example/app"'],
    ['//me:sec/ret@registry.example/app', '"//…@registry.example/app"'],
  ])('is told without it: %s', (text, shown) => {
    expect(() => parseReference(text)).toThrow(shown)
    expect(() => parseReference(text)).not.toThrow(/sec/)
  })
})
