import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type GeneratedOpenPgpKey,
  type GpgSignerOptions,
  generateOpenPgpKey,
  gpgSigner,
  type OpenPgpKey,
  openOpenPgpSigner,
  parseOpenPgpKeys,
} from '../../src/keys/index.ts'
import { parseDigest } from '../../src/oci/index.ts'
import { encodeSimplePayload, parseSimplePayload, verifyOpenPgpMessage } from '../../src/signature/index.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { peer, peersFolder } from './peers.ts'
import { type Outcome, Sandbox } from './sandbox.ts'

const PASSPHRASE = 'a passphrase'
const PASSWORD = Buffer.from(PASSPHRASE)
const REFERENCE = 'registry.example/team/app:v1'
const MANIFEST = '{"schemaVersion":2}'
const DIGEST = parseDigest(`sha256:${createHash('sha256').update(MANIFEST).digest('hex')}`)
const ALGORITHMS = ['rsa3072', 'ed25519'] as const

describeWithPeers('OpenPGP', ['gpg', 'skopeo'], () => {
  let sandbox: Sandbox
  let manifest: string
  let passphraseFile: string
  const made = new Map<string, GeneratedOpenPgpKey>()

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    sandbox.atEnd(() => sandbox.run('gpgconf', ['--kill', 'all']))
    await sandbox.write('home/.gnupg/gpg-agent.conf', 's2k-count 65536\n')
    manifest = await sandbox.write('manifest.json', MANIFEST)
    passphraseFile = await sandbox.write('passphrase', `${PASSPHRASE}\n`)
    for (const algorithm of ALGORITHMS) {
      const userId = `${algorithm} <${algorithm}@here.example>`
      const key = await generateOpenPgpKey({ userId, password: PASSWORD, algorithm })
      made.set(algorithm, key)
      const file = await sandbox.write(`${algorithm}.asc`, key.secretKey)
      await gpg('--import', file)
    }
  })
  afterAll(() => sandbox.dispose())

  describe.each(ALGORITHMS)('a key made here, %s', (algorithm) => {
    it('signs here for gpg and skopeo', async () => {
      const { fingerprint } = key(algorithm).key
      const signer = await openOpenPgpSigner(Buffer.from(key(algorithm).secretKey), PASSWORD, 'The key')
      const payload = encodeSimplePayload({ dockerReference: REFERENCE, manifestDigest: DIGEST })
      const file = await sandbox.write(`${algorithm}.sig`, await signer.sign(payload))
      const { stdout } = await sandbox.succeed(peer('gpg'), [
        '--batch',
        '--status-fd',
        '1',
        '--decrypt',
        file,
      ])
      expect(stdout).toContain(Buffer.from(payload).toString())
      expect(stdout).toMatch(new RegExp(`VALIDSIG ${fingerprint} .* ${fingerprint}\n`))
      await expect(skopeoVerifies(fingerprint, file)).resolves.toContain(DIGEST)
    })

    it('signs in gpg for us, and for the guest', async () => {
      const file = await gpgSigns(key(algorithm).key.fingerprint, 'text')
      for (const verifier of ['gpg', 'guest'] as const) {
        const result = verifyOpenPgpMessage(file, [key(algorithm).key], verifier, new Date())
        if ('failure' in result) throw new Error(result.message)
        expect(Buffer.from(result.payload).toString()).toBe('text')
      }
    })

    it('signs in skopeo for us, over the payload that we would write', async () => {
      const file = await skopeoSigns(key(algorithm).key.fingerprint)
      const result = verifyOpenPgpMessage(file, [key(algorithm).key], 'guest', new Date())
      if ('failure' in result) throw new Error(result.message)
      const { dockerReference, manifestDigest, optional } = parseSimplePayload(result.payload, 'strict')
      expect({ dockerReference, manifestDigest }).toEqual({
        dockerReference: REFERENCE,
        manifestDigest: DIGEST,
      })
      const { creator = '', timestamp = 0 } = optional ?? {}
      const ours = encodeSimplePayload({
        ...{ dockerReference: REFERENCE, manifestDigest: DIGEST, creator },
        timestamp: new Date(timestamp * 1000),
      })
      expect(Buffer.from(ours).toString()).toBe(Buffer.from(result.payload).toString())
    })

    it('signs through gpg for us', async () => {
      const { fingerprint } = key(algorithm).key
      const signer = await gpgSigner({ ...gpgOptions(), fingerprint })
      expect(signer).toMatchObject({ signingFingerprint: fingerprint, bySubkey: false })
      const message = await signer.sign(Buffer.from('text'))
      expect(verifyOpenPgpMessage(message, [key(algorithm).key], 'guest', new Date())).not.toHaveProperty(
        'failure',
      )
    })
  })

  describe.each([
    ['rsa2048', 'sign,cert', []],
    ['ed25519', 'sign,cert', []],
    ['nistp256', 'sign,cert', []],
    ['nistp384', 'sign,cert', []],
    ['nistp521', 'sign,cert', []],
    ['ed25519', 'cert', ['ed25519']],
    ['rsa2048', 'sign,cert', ['rsa2048', 'ed25519']],
  ])('a key made by gpg, %s [%s] with subkeys %j', (algorithm, usage, subkeys) => {
    const userId = `${algorithm} ${usage} ${subkeys.join()} <gpg@there.example>`
    const bySubkey = usage === 'cert'
    let fingerprint: string
    let exported: readonly OpenPgpKey[]

    beforeAll(async () => {
      await gpg('--quick-gen-key', userId, algorithm, usage, 'never')
      const { stdout } = await gpg('--with-colons', '--list-keys', `=${userId}`)
      fingerprint = /^fpr:{9}(\w{40}):/m.exec(stdout)?.[1] ?? ''
      for (const subkey of subkeys) await gpg('--quick-add-key', fingerprint, subkey, 'sign', 'never')
      exported = parseOpenPgpKeys(await gpgWrites('--export', fingerprint), 'The key')
    })

    it('signs here for gpg and skopeo, and for the guest if the primary key signs', async () => {
      const secret = await gpgWrites('--export-secret-keys', fingerprint)
      const signer = await openOpenPgpSigner(secret, PASSWORD, 'The key')
      expect(signer.bySubkey).toBe(bySubkey)
      const payload = encodeSimplePayload({ dockerReference: REFERENCE, manifestDigest: DIGEST })
      const message = await signer.sign(payload)
      const file = await sandbox.write(`${fingerprint}.sig`, message)
      expect(await gpgTakes(file)).toBe(true)
      await expect(skopeoVerifies(fingerprint, file)).resolves.toContain(DIGEST)
      const result = verifyOpenPgpMessage(message, exported, 'guest', new Date())
      expect('failure' in result ? result.failure : 'good').toBe(bySubkey ? 'unknown-key' : 'good')
    })

    it('signs in gpg and skopeo for us', async () => {
      for (const message of [await gpgSigns(fingerprint, 'text'), await skopeoSigns(fingerprint)]) {
        const result = verifyOpenPgpMessage(message, exported, 'gpg', new Date())
        expect(result).toMatchObject({ fingerprint })
      }
    })

    it('signs through gpg with the part that the guest takes, if there is one', async () => {
      const signer = await gpgSigner({ ...gpgOptions(), fingerprint })
      expect(signer.bySubkey).toBe(bySubkey)
      const message = await signer.sign(Buffer.from('text'))
      expect(verifyOpenPgpMessage(message, exported, 'gpg', new Date())).toMatchObject({ fingerprint })
    })
  })

  it('says that the passphrase is wrong', async () => {
    await sandbox.run('gpgconf', ['--kill', 'all'])
    const { fingerprint } = key('rsa3072').key
    const signer = await gpgSigner({ ...gpgOptions(), fingerprint, passphrase: Buffer.from('another') })
    await expect(signer.sign(Buffer.from('text'))).rejects.toMatchObject({ code: 'INVALID_PASSWORD' })
  })

  it('judges 300 changed messages as gpg does', async () => {
    const { secretKey, key: publicKey } = key('ed25519')
    const signer = await openOpenPgpSigner(Buffer.from(secretKey), PASSWORD, 'The key')
    const payload = encodeSimplePayload({ dockerReference: REFERENCE, manifestDigest: DIGEST })
    const compressed = await signer.sign(payload)
    const changed = [
      ...changesOf(inflateRawSync(compressed.subarray(2)), 220),
      ...changesOf(compressed, 40),
      ...unsignedChangesOf(inflateRawSync(compressed.subarray(2))),
    ]
    expect(changed.length).toBeGreaterThanOrEqual(300)
    const differing: string[] = []
    let taken = 0
    for (const [i, { what, bytes }] of changed.entries()) {
      const file = await sandbox.write(`changed/${i}`, bytes)
      const theirs = await gpgTakes(file)
      const result = verifyOpenPgpMessage(bytes, [publicKey], 'gpg', new Date())
      const ours = !('failure' in result)
      if (ours) {
        taken += 1
        expect(Buffer.from(result.payload)).toEqual(Buffer.from(payload))
      }
      // Gpg takes a last packet that is shorter than it says.
      const isShort = !ours && /ends in the middle of a packet/.test(result.message)
      if (ours !== theirs && !isShort) differing.push(`${what}: gpg ${theirs}, here ${ours}`)
    }
    expect(differing).toEqual([])
    // Some of what is not signed was changed, or nothing was tried.
    expect(taken).toBeGreaterThan(10)
  })

  function key(algorithm: string): GeneratedOpenPgpKey {
    const found = made.get(algorithm)
    if (found === undefined) throw new Error(`no key ${algorithm}`)
    return found
  }

  function gpg(...args: readonly string[]): Promise<Outcome> {
    const flags = ['--batch', '--yes', '--pinentry-mode', 'loopback', '--passphrase-file', passphraseFile]
    return sandbox.succeed(peer('gpg'), [...flags, ...args])
  }

  async function gpgWrites(...args: readonly string[]): Promise<Buffer> {
    const file = sandbox.path(randomUUID())
    await gpg('--output', file, ...args)
    return await readFile(file)
  }

  async function gpgSigns(fingerprint: string, text: string): Promise<Buffer> {
    return await gpgWrites('--local-user', fingerprint, '--sign', await sandbox.write('text', text))
  }

  /** Whether gpg takes a message as containers/image asks it: one signature, good, and no fault (mechanism_gpgme.go). */
  async function gpgTakes(file: string): Promise<boolean> {
    const flags = ['--batch', '--no-auto-check-trustdb', '--trust-model', 'always', '--status-fd', '1']
    // Not by its exit status, of which gpgme knows nothing.
    const { stdout } = await sandbox.run(peer('gpg'), [...flags, '--verify', file])
    const keywords = [...stdout.matchAll(/^\[GNUPG:\] (\w+)/gm)].map(([, keyword]) => keyword)
    const count = (keyword: string): number => keywords.filter((each) => each === keyword).length
    const faults = ['EXPSIG', 'EXPKEYSIG', 'REVKEYSIG', 'BADSIG', 'ERRSIG', 'ERROR', 'FAILURE', 'NODATA']
    const isGood = count('NEWSIG') === 1 && count('GOODSIG') === 1 && count('VALIDSIG') === 1
    return isGood && faults.every((fault) => count(fault) === 0)
  }

  function gpgOptions(): Omit<GpgSignerOptions, 'fingerprint'> {
    const environment = sandbox.environment()
    const PATH = [join(peersFolder(), 'bin'), environment['PATH']].join(delimiter)
    const signal = AbortSignal.timeout(60_000)
    return { environment: { ...environment, PATH }, passphrase: PASSWORD, signal }
  }

  async function skopeoSigns(fingerprint: string): Promise<Buffer> {
    const file = sandbox.path(randomUUID())
    const flags = ['--passphrase-file', passphraseFile, '--output', file]
    await sandbox.succeed(peer('skopeo'), ['standalone-sign', ...flags, manifest, REFERENCE, fingerprint])
    return await readFile(file)
  }

  async function skopeoVerifies(fingerprint: string, file: string): Promise<string> {
    const args = ['standalone-verify', manifest, REFERENCE, fingerprint, file]
    return (await sandbox.succeed(peer('skopeo'), args)).stdout
  }
})

interface Change {
  readonly what: string
  readonly bytes: Uint8Array
}

/** The message with one bit changed, at places that are spread over it by a generator with a fixed seed. */
function changesOf(message: Uint8Array, count: number): readonly Change[] {
  let state = 20_260_203
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const bytes = Buffer.from(message)
    const offset = (state >>> 8) % bytes.length
    const mask = 1 << (state >>> 29)
    bytes[offset] = (bytes[offset] ?? 0) ^ mask
    return { what: `bit ${mask} of byte ${offset}`, bytes }
  })
}

/** The message with other parts that the signature does not cover: subpackets, the one-pass signature, the framing. */
function unsignedChangesOf(message: Uint8Array): readonly Change[] {
  const bytes = Buffer.from(message)
  // As they are written here: 15 bytes of one-pass signature; a text with a new header; a signature with an old one.
  const [onePass, rest] = [bytes.subarray(0, 15), bytes.subarray(15)]
  const start = rest.lastIndexOf(Buffer.from([4, 0, 22, 10])) - 2
  const [text, body] = [rest.subarray(0, start), rest.subarray(start + 2)]
  const hashedEnd = 6 + body.readUInt16BE(4)
  const [hashed, end] = [
    body.subarray(0, hashedEnd),
    body.subarray(hashedEnd + 2 + body.readUInt16BE(hashedEnd)),
  ]
  const issuer = body.subarray(hashedEnd + 2, hashedEnd + 12)
  const withArea = (area: Uint8Array, tail: Uint8Array = end): Buffer => {
    const size = Buffer.from([area.length >> 8, area.length & 0xff])
    const packet = Buffer.concat([hashed, size, area, tail])
    const header = Buffer.from([0x89, packet.length >> 8, packet.length & 0xff])
    return Buffer.concat([onePass, text, header, packet])
  }
  const hex = (area: string): Buffer => Buffer.from(area.replaceAll(' ', ''), 'hex')
  const areas: Readonly<Record<string, Buffer>> = {
    'no subpackets': hex(''),
    'the issuer twice': Buffer.concat([issuer, issuer]),
    'another issuer': hex('09 10 0102030405060708'),
    'a short issuer': hex('03 10 0102'),
    'another fingerprint': hex(`16 21 04 ${'ab'.repeat(20)}`),
    'another fingerprint before the issuer': Buffer.concat([hex(`16 21 04 ${'ab'.repeat(20)}`), issuer]),
    'another time': hex('05 02 00000001'),
    'a lifetime of a second': hex('05 03 00000001'),
    'an unknown subpacket': hex('02 65 00'),
    'a critical unknown subpacket': hex('02 e5 00'),
    'a critical known subpacket': hex('05 83 00000001'),
    'a critical notation': hex('0a 94 00000000 0001 0000 61'),
    'a critical notation that gpg knows': hex(
      `29 94 00000000 0020 0000 ${Buffer.from('preferred-email-encoding@pgp.com').toString('hex')}`,
    ),
    'a critical user ID of the signer': hex('02 9c 61'),
    'a key block': hex(`34 26 00 ${'00'.repeat(50)}`),
    'a critical key block of another version': hex(`34 a6 01 ${'00'.repeat(50)}`),
    'an empty subpacket': hex('00'),
    'an empty subpacket before the issuer': Buffer.concat([hex('00'), issuer]),
    'an empty subpacket before a critical one': hex('00 86 02 65 00 00 00 00'),
    'a subpacket that is too long': hex('09 10 0102'),
    'a length of two bytes': hex(`c0 00 65 ${'00'.repeat(191)}`),
    'a length of two bytes where parts would begin': hex(`e0 00 65 ${'00'.repeat(8383)}`),
    'a length of five bytes': hex('ff 00000002 65 00'),
    'a length of four gigabytes': hex('ff ffffffff 65 00'),
    'half of a length': hex('ff 0000'),
    '10000 bytes': hex(`ff 0000270b 65 ${'00'.repeat(9994)}`),
    '10001 bytes': hex(`ff 0000270c 65 ${'00'.repeat(9995)}`),
  }
  const edited = (buffer: Buffer, offset: number, value: number): Buffer => {
    const copy = Buffer.from(buffer)
    copy[offset] = value
    return copy
  }
  const signature = withArea(issuer).subarray(15 + text.length)
  const join = (first: Buffer, second: Buffer): Buffer => Buffer.concat([first, second, signature])
  const others: Readonly<Record<string, Buffer>> = {
    'another start of the hash': withArea(issuer, edited(end, 0, (end[0] ?? 0) ^ 0xff)),
    'something after the signature': withArea(issuer, Buffer.concat([end, Buffer.from('surplus')])),
    'more bits than the number has': withArea(issuer, edited(edited(end, 2, 1), 3, 0)),
    'another version of the one-pass signature': join(edited(onePass, 2, 4), text),
    'another type of the one-pass signature': join(edited(onePass, 3, 1), text),
    'another hash of the one-pass signature': join(edited(onePass, 4, 8), text),
    'another algorithm of the one-pass signature': join(edited(onePass, 5, 1), text),
    'another key of the one-pass signature': join(edited(onePass, 6, 0), text),
    'a one-pass signature that is not the last': join(edited(onePass, 14, 0), text),
    ...Object.fromEntries(
      ['t', 'u', 'l', '1', '\0'].map((format) => {
        const at = text.indexOf('b')
        return [
          `a text of the format ${JSON.stringify(format)}`,
          join(onePass, edited(text, at, format.charCodeAt(0))),
        ]
      }),
    ),
  }
  return [
    ...Object.entries(areas).map(([what, area]) => ({ what, bytes: withArea(area) })),
    ...Object.entries(others).map(([what, changed]) => ({ what, bytes: changed })),
  ]
}
