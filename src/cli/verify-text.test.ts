import { describe, expect, it } from 'vitest'
import { digestOf } from '../oci/index.ts'
import type { SeenSignature, TraceStep, Verdict } from '../policy/index.ts'
import { formatVerified } from './verify-text.ts'

const DIGEST = digestOf(new Uint8Array())
/** Clears a screen, rings, turns the direction of what follows, ends the line. */
const EVIL = 'a\u001b[2J\u0007\u202eb\nALLOWED'
const FINGERPRINT = 'ab'.repeat(32)

const GOOD: SeenSignature = {
  kind: 'cosign',
  location: 'registry.example/app:sha256-1.sig',
  signer: { fingerprint: FINGERPRINT, name: 'cosign.pub' },
  time: { at: '2023-11-14T22:13:20Z', source: 'log', claimed: true },
  claims: { reference: 'registry.example/app', digest: DIGEST, annotations: { a: 'b' } },
  counts: true,
}
const WRONG: SeenSignature = {
  kind: 'simple',
  location: 'file:///sigstore (signature 1)',
  time: { at: '2023-11-14T22:13:20Z', source: 'signature', claimed: false },
  claims: { reference: 'registry.example/app:v1', digest: DIGEST, key: 'ABCD' },
  counts: false,
  fault: { code: 'wrong-key', message: 'None of the keys made it.' },
}
const TRACE: readonly TraceStep[] = [
  { step: 'key', outcome: 'ok', message: 'The key.' },
  { step: 'signatures', outcome: 'skipped', message: 'The place.' },
  { step: 'identity', outcome: 'warning', message: 'The warning.' },
]

function verdictOf(signatures: readonly SeenSignature[], isAllowed: boolean, text = ''): Verdict {
  const base = {
    apiVersion: 'cosignet/v1',
    kind: 'Verdict',
    profile: 'cosign',
    image: { reference: `registry.example/app${text}`, manifestDigest: DIGEST },
    trace: TRACE,
    signatures,
  } as const
  if (isAllowed) return { ...base, outcome: 'allowed' }
  const cause = { code: 'wrong-key', message: `The cause${text}.`, fix: `The fix${text}.` } as const
  return { ...base, outcome: 'denied', cause, verifierText: `The text${text}` }
}

describe('formatVerified', () => {
  it('says of an image that is allowed who signed what, and what to be warned of', () => {
    const lines = formatVerified(verdictOf([GOOD], true)).split('\n')
    expect(lines.slice(0, 3)).toEqual([
      'ALLOWED  registry.example/app',
      `  ok   cosign signature by cosign.pub (${FINGERPRINT})`,
      '       of registry.example/app a=b, claimed to be made 2023-11-14T22:13:20Z, in registry.example/app:sha256-1.sig',
    ])
    expect(lines.slice(3).join('\n')).toMatch(/^.*The warning\.$/)
  })

  it('says of an image that is denied where was looked, why it is denied, and what to do', () => {
    const lines = formatVerified(verdictOf([WRONG], false)).split('\n')
    expect(lines.slice(0, 3)).toEqual([
      'DENIED  registry.example/app',
      '  no   OpenPGP signature: None of the keys made it. [wrong-key]',
      `       it claims to be by ABCD of registry.example/app:v1 ${DIGEST}, made 2023-11-14T22:13:20Z, in file:///sigstore (signature 1)`,
    ])
    expect(lines.slice(3, 6).map((line) => line.match(/The \w+\.$/)?.[0])).toEqual([
      'The key.',
      'The place.',
      'The warning.',
    ])
    expect(lines.slice(6)).toEqual([
      '  cosign says: The text',
      '  cause: The cause. [wrong-key]',
      '  fix: The fix.',
    ])
  })

  it('says no more than that there is no signature', () => {
    expect(formatVerified({ ...verdictOf([], true), trace: [] })).toBe('ALLOWED  registry.example/app')
  })

  it.each<[string, Partial<SeenSignature>]>([
    ['a name', { claims: { reference: EVIL } }],
    ['a digest', { claims: { digest: EVIL } }],
    ['an annotation', { claims: { annotations: { [EVIL]: EVIL } } }],
    ['a key', { claims: { key: EVIL } }],
    ['a user ID', { signer: { fingerprint: FINGERPRINT, name: EVIL, userIds: [EVIL] } }],
    ['a place', { location: EVIL }],
    ['a fault', { fault: { code: 'unreadable', message: EVIL } }],
  ])('shows what a stranger wrote in %s on its own line, escaped', (_, more) => {
    const plain = formatVerified(verdictOf([{ ...WRONG, ...more }], false)).split('\n')
    const quiet = JSON.parse(JSON.stringify({ ...WRONG, ...more }).replaceAll(JSON.stringify(EVIL), '"x"'))
    const lines = formatVerified(verdictOf([quiet], false)).split('\n')
    expect(plain).toHaveLength(lines.length)
    expect(plain.join('')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(plain.filter((line) => /^ALLOWED/.test(line))).toEqual([])
  })

  it('escapes the name of the image and what is made of it', () => {
    const text = formatVerified(verdictOf([], false, EVIL))
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(text.split('\n')).toHaveLength(1 + TRACE.length + 3)
  })
})
