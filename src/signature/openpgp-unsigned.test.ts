import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fixtureKey, fixtureMessage, GPG_FIXTURE } from '../../test/fixtures/openpgp-gpg.ts'
import { parseOpenPgpKeys } from '../keys/index.ts'
import { verifyOpenPgpMessage } from './index.ts'

interface Verdicts {
  readonly areas: readonly {
    readonly what: string
    /** The unsigned subpackets, in hex. */
    readonly area: string
    readonly gpg: boolean
    readonly guest: boolean
  }[]
}

const { areas }: Verdicts = JSON.parse(
  readFileSync(new URL('../../test/fixtures/openpgp-unsigned.json', import.meta.url), 'utf8'),
)

describe('a signature whose unsigned part is', () => {
  const keys = parseOpenPgpKeys(fixtureKey('ed25519'), 'The key')
  const original = fixtureMessage('uncompressed')
  // gpg --list-packets: the signature begins at 293, with a header of two bytes.
  const body = original.subarray(295)
  const hashedEnd = 6 + body.readUInt16BE(4)
  const unhashedEnd = hashedEnd + 2 + body.readUInt16BE(hashedEnd)

  it.each(areas)('$what is for us what it is for gpg and the guest', ({ area, gpg, guest }) => {
    const bytes = Buffer.from(area, 'hex')
    const packet = Buffer.concat([
      body.subarray(0, hashedEnd),
      size(bytes),
      bytes,
      body.subarray(unhashedEnd),
    ])
    const message = Buffer.concat([original.subarray(0, 293), Buffer.from([0x89]), size(packet), packet])
    for (const [verifier, expected] of [
      ['gpg', gpg],
      ['guest', guest],
    ] as const) {
      const result = verifyOpenPgpMessage(message, keys, verifier, new Date('2026-02-03'))
      expect('failure' in result ? result.message : 'good').toEqual(
        expected ? 'good' : expect.stringMatching(/\.$/),
      )
      if (!('failure' in result)) expect(Buffer.from(result.payload).toString()).toBe(GPG_FIXTURE.payload)
    }
  })
})

/** Two bytes: how long something is. */
function size({ length }: Uint8Array): Buffer {
  return Buffer.from([length >> 8, length & 0xff])
}
