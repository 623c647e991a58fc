import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtureKey, fixtureSecret, GPG_FIXTURE } from '../../test/fixtures/openpgp-gpg.ts'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { type GpgSignerOptions, gpgSigner, openOpenPgpSigner } from './index.ts'

const TEXT = encodeUtf8(GPG_FIXTURE.payload)
const CARD = 'D2760001240103040006123456780000'

/** What a program that plays gpg is told to do; gpg itself is tried in the interop tests. */
interface Play {
  readonly key?: string
  /** Field 15 of `sec` and of `ssb`: `+`, `#` for a missing secret, or the number of a card. */
  readonly secrets?: readonly string[]
  readonly output?: Uint8Array
  readonly status?: string
  readonly exit?: number
}

describe('gpgSigner', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cosignet-gpg-'))
    await writeFile(join(folder, 'gpg'), ACTOR)
    await chmod(join(folder, 'gpg'), 0o755)
  })
  afterAll(() => rm(folder, { recursive: true }))

  const parts = GPG_FIXTURE.keys['both']?.parts ?? []
  const [primary = '', subkey = ''] = parts.map(({ fingerprint }) => fingerprint)
  const created = (fingerprint: string): string => `[GNUPG:] SIG_CREATED S 22 10 00 1 ${fingerprint}\n`

  it('has gpg sign, and verifies what it wrote', async () => {
    await play({ status: created(primary), output: await signed(primary) })
    const signer = await gpgSigner(options({ fingerprint: primary.toLowerCase() }))
    expect(signer).toMatchObject({ signingFingerprint: primary, bySubkey: false })
    expect(Buffer.from(await signer.sign(TEXT))).toEqual(Buffer.from(await signed(primary)))
    const { args, input, passphrase } = await call()
    expect(args).toEqual([
      ...['--batch', '--no-tty', '--no-armor', '--display-charset', 'utf-8', '--status-fd', '3'],
      ...['--no-textmode', '--compress-algo', 'zip', '--local-user', `${primary}!`, '--sign'],
    ])
    expect(input).toBe(GPG_FIXTURE.payload)
    expect(passphrase).toBe('')
  })

  it('gives a passphrase by a pipe and by nothing else', async () => {
    await play({ status: created(primary), output: await signed(primary) })
    const passphrase = encodeUtf8('canary-passphrase')
    await (await gpgSigner(options({ passphrase }))).sign(TEXT)
    const { args, passphrase: given, environment } = await call()
    expect(given).toBe('canary-passphrase\n')
    expect(args).toEqual(expect.arrayContaining(['--pinentry-mode', 'loopback', '--passphrase-fd', '4']))
    expect(JSON.stringify([args, environment])).not.toContain('canary')
  })

  it.each<[string, readonly string[], string, boolean]>([
    ['the primary key', ['+', '+'], 'primary', false],
    ['a primary key on a card', [CARD, '+'], 'primary', false],
    ['a subkey where the primary key is elsewhere', ['#', '+'], 'primary', true],
    ['a subkey on a card', ['#', CARD], 'primary', true],
    ['the subkey that is asked for', ['+', '+'], 'subkey', true],
  ])('signs with %s', async (_, secrets, asked, bySubkey) => {
    await play({ secrets })
    const signer = await gpgSigner(options({ fingerprint: asked === 'subkey' ? subkey : primary }))
    expect(signer).toMatchObject({ bySubkey, signingFingerprint: bySubkey ? subkey : primary })
  })

  it.each<[string, Partial<Play>, Partial<GpgSignerOptions>, string, RegExp]>([
    ['a short key ID', {}, { fingerprint: 'DEADBEEF' }, 'USAGE', /"DEADBEEF" is not a fingerprint of 40 hex/],
    ['an option', {}, { fingerprint: '--output' }, 'USAGE', /is not a fingerprint/],
    ['a passphrase of two lines', {}, { passphrase: encodeUtf8('a\nb') }, 'USAGE', /must be one line/],
    ['a key that gpg does not have', { key: '' }, {}, 'NOT_FOUND', /has no private key D9CF/],
    ['another key than was asked for', { key: 'rsa' }, {}, 'NOT_FOUND', /has no private key/],
    ['a public key alone', { secrets: [] }, {}, 'NOT_FOUND', /has no private key/],
    ['secrets that are elsewhere', { secrets: ['#', '#'] }, {}, 'NOT_FOUND', /has no private key/],
    [
      'too much from gpg',
      { output: Buffer.alloc(LIMITS.keyringBytes + 1) },
      {},
      'TOO_LARGE',
      /What gpg printed/,
    ],
  ])('refuses %s', async (_, acts, more, code, message) => {
    await play(acts)
    const signing = gpgSigner(options(more)).then((signer) => signer.sign(TEXT))
    await expect(signing).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })

  const wrong = '[GNUPG:] FAILURE sign 67108875\n'
  it.each<[string, () => Promise<Partial<Play>>, string]>([
    ['nothing, and says that it signed', async () => ({ status: created(primary) }), 'INVALID_SIGNATURE'],
    ['a signature without a word', async () => ({ output: await signed(primary) }), 'BAD_RESPONSE'],
    // CVE-2018-12020: what stands in a message or in the talk of gpg is not taken for its status.
    [
      'a signature and its status as text',
      async () => ({ output: Buffer.concat([Buffer.from(created(primary)), await signed(primary)]) }),
      'BAD_RESPONSE',
    ],
    [
      'of another key',
      async () => ({ output: await signed(subkey), status: created(subkey) }),
      'BAD_RESPONSE',
    ],
    [
      'of another key than it says',
      async () => ({ output: await signed(subkey), status: created(primary) }),
      'BAD_RESPONSE',
    ],
    [
      'over another text',
      async () => ({ output: await signed(primary, 'another'), status: created(primary) }),
      'BAD_RESPONSE',
    ],
    [
      'and fails at the end',
      async () => ({ output: await signed(primary), status: created(primary), exit: 2 }),
      'BAD_RESPONSE',
    ],
    [
      'twice',
      async () => ({ output: await signed(primary), status: created(primary).repeat(2) }),
      'BAD_RESPONSE',
    ],
    ['not, for want of the passphrase', async () => ({ status: wrong, exit: 2 }), 'INVALID_PASSWORD'],
  ])('fails where gpg signs %s', async (_, acts, code) => {
    await play(await acts())
    const signer = await gpgSigner(options())
    await expect(signer.sign(TEXT)).rejects.toMatchObject({ name: 'CosignetError', code })
  })

  it('says so where there is no gpg, or where it is to stop', async () => {
    const environment = { PATH: join(folder, 'none') }
    await expect(gpgSigner(options({ environment }))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(gpgSigner(options({ signal: AbortSignal.abort() }))).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  function options(more: Partial<GpgSignerOptions> = {}): GpgSignerOptions {
    const PATH = [folder, '/usr/bin', '/bin'].join(delimiter)
    return {
      fingerprint: primary,
      environment: { PATH, PLAY: folder },
      signal: AbortSignal.timeout(20_000),
      ...more,
    }
  }

  /** Writes down what gpg answers. */
  async function play({
    key = 'both',
    secrets = ['+', '+'],
    output,
    status = '',
    exit = 0,
  }: Play): Promise<void> {
    const listing = secrets.map((secret, i) => {
      const { fingerprint = '', created = 0 } = parts[i] ?? {}
      return `${i === 0 ? 'sec' : 'ssb'}:u:255:22:${fingerprint.slice(-16)}:${created}:::u:::scSC:::${secret}::ed25519:::0:\nfpr:::::::::${fingerprint}:\n`
    })
    const files = {
      key: key === '' ? '' : fixtureKey(key),
      listing: listing.join(''),
      status,
      exit: `${exit}`,
    }
    for (const [name, content] of Object.entries({ ...files, output: output ?? '' })) {
      await writeFile(join(folder, name), content)
    }
  }

  /** What the program was last called with. */
  async function call(): Promise<{ args: string[]; input: string; passphrase: string; environment: string }> {
    const [args = '', input = '', passphrase = '', environment = ''] = await Promise.all(
      ['args', 'input', 'passphrase', 'environment'].map((name) => readFile(join(folder, name), 'utf8')),
    )
    return { args: args.trimEnd().split('\n'), input, passphrase, environment }
  }
})

/** Signs with one of the two parts of the fixture's key "both". */
async function signed(fingerprint: string, text = GPG_FIXTURE.payload): Promise<Uint8Array> {
  const password = encodeUtf8(GPG_FIXTURE.password)
  const clock = (): Date => new Date('2025-06-01T00:00:00Z')
  const signer = await openOpenPgpSigner(fixtureSecret('both'), password, 'The key', clock)
  const message = Buffer.from(await signer.sign(encodeUtf8(text)))
  if (fingerprint === signer.signingFingerprint) return message
  // A signature of the right shape by another key.
  const other = await openOpenPgpSigner(fixtureSecret('ed25519'), password, 'The key', clock)
  return await other.sign(encodeUtf8(text))
}

const ACTOR = `#!/bin/sh
cd "$PLAY" || exit 3
case "$*" in
*--export*) exec cat key ;;
*--list-secret-keys*) exec cat listing ;;
esac
cat > input
case "$*" in *--passphrase-fd*) cat <&4 > passphrase ;; *) : > passphrase ;; esac
printf '%s\\n' "$@" > args
env > environment
cat status >&3
cat status >&2
cat output
exit "$(cat exit)"
`
