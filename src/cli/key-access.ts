import { CosignetError, encodeUtf8, isCosignetError, LIMITS, quote, readFileBounded } from '../core/index.ts'
import {
  decryptPrivateKey,
  type GitHubKeys,
  type KeyReference,
  looksLikeOpenPgp,
  type OpenPgpSigner,
  openOpenPgpSigner,
  parseKeyReference,
  parseOpenPgpKeys,
  parsePublicKey,
  type SigningKey,
} from '../keys/index.ts'
import type { TrustedKey } from '../policy/index.ts'
import type { Cli } from './cli.ts'
import { downloadKey } from './key-download.ts'
import { type KeyServerOptions, withReadableStore } from './key-stores.ts'
import { type PasswordFlags, readPassword } from './password.ts'

export interface ReadPublicKeysOptions extends KeyServerOptions {
  /** Refuse every key that is not on this machine. Default: false. */
  readonly offline?: boolean
}

/**
 * Reads the public keys that `--key` names: files, `env://`, `https://` (`http://` from this machine alone), `k8s://`
 * (the entry cosign.pub), `gitlab://` (COSIGN_PUBLIC_KEY). What a place holds, and not its name, says which kind of key
 * it is. Of several PEM blocks the first counts, as for cosign.
 * @returns one for each reference, in their order.
 * @throws USAGE, UNSUPPORTED, INVALID_KEY, TOO_LARGE, FILE; NOT_FOUND, UNAUTHORIZED, FORBIDDEN, UNAVAILABLE, TIMEOUT and
 * others of the place that a key comes from
 */
export async function readPublicKeys(
  cli: Cli,
  refs: readonly string[],
  options: ReadPublicKeysOptions = {},
): Promise<readonly TrustedKey[]> {
  // All are understood before the first is looked for.
  const references = refs.map((ref) => ({ name: nameOf(ref), reference: parseKeyReference(ref) }))
  return await Promise.all(
    references.map(async ({ name, reference }) => {
      if (options.offline === true) refuseRemote(reference, name)
      return trust(cli, await readPublicBytes(cli, reference, name, options), name)
    }),
  )
}

function trust(cli: Cli, bytes: Uint8Array, name: string): TrustedKey {
  const what = `The public key ${quote(name)}`
  if (looksLikeOpenPgp(bytes)) return { kind: 'openpgp', keys: parseOpenPgpKeys(bytes, what), name }
  const key = parsePublicKey(bytes, what)
  const blocks =
    Buffer.from(bytes)
      .toString('latin1')
      .match(/^-----BEGIN (?:RSA )?PUBLIC KEY-----/gm) ?? []
  if (blocks.length > 1) {
    cli.say(
      `WARN ${what} holds ${blocks.length} keys; the first alone counts, as for cosign. Give each in a file of its own.`,
    )
  }
  return { kind: 'cosign', key, name }
}

/** What signs: its kind is known from the content, and the key while other work is done. */
export type OpenedSigningKey =
  | { readonly kind: 'cosign'; readonly key: Promise<SigningKey>; readonly name: string }
  | { readonly kind: 'openpgp'; readonly signer: Promise<OpenPgpSigner>; readonly name: string }

export interface ReadSigningKeyOptions extends KeyServerOptions, PasswordFlags {
  /** Is told the kind of the key before its password is asked for; what it throws is thrown. Default: nothing. */
  readonly check?: (kind: OpenedSigningKey['kind']) => void
}

/**
 * Opens the private key that `--key` names: a file, `env://`, `k8s://` (cosign.key) or `gitlab://` (COSIGN_PRIVATE_KEY);
 * a key of cosign or an OpenPGP key, as the content says. The password comes from the place itself for the last two, as
 * for cosign, else as `readPassword` takes it; it is asked for once the key is there, and never for an OpenPGP key
 * without one.
 * @returns once the password is there; the key is a promise that fails with INVALID_PASSWORD or INVALID_KEY, and may be
 * left alone.
 * @throws as `readPublicKeys`; INVALID_PASSWORD where none can be asked for
 */
export async function readSigningKey(
  cli: Cli,
  ref: string,
  options: ReadSigningKeyOptions = {},
): Promise<OpenedSigningKey> {
  const name = nameOf(ref)
  const { privateKey, password } = await readPrivateBytes(cli, parseKeyReference(ref), name, options)
  const what = `The private key ${quote(name)}`
  const kind = looksLikeOpenPgp(privateKey) ? 'openpgp' : 'cosign'
  options.check?.(kind)
  if (kind === 'openpgp') {
    const open = (bytes: Uint8Array) => started(openOpenPgpSigner(privateKey, bytes, what))
    // Nobody is to be asked for the password of a key that has none.
    const unlocked = open(new Uint8Array())
    const signer = (await isLocked(unlocked)) ? open(await password()) : unlocked
    return { kind, signer, name }
  }
  return { kind, key: started(decryptPrivateKey(privateKey, await password(), what)), name }
}

async function isLocked(opening: Promise<unknown>): Promise<boolean> {
  return await opening.then(
    () => false,
    (error) => isCosignetError(error, 'INVALID_PASSWORD'),
  )
}

/** A failure is told to who waits for the key, if anybody does. */
function started<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

async function readPublicBytes(
  cli: Cli,
  reference: KeyReference,
  name: string,
  options: KeyServerOptions,
): Promise<Uint8Array> {
  switch (reference.kind) {
    case 'file':
      return await readFileBounded(reference.path, LIMITS.keyringBytes, 'public key')
    case 'environment':
      return fromEnvironment(cli, reference.variable)
    case 'url':
      return await downloadKey(cli, reference.url, name, options)
    case 'kubernetes':
    case 'gitlab':
      return await withReadableStore(
        cli,
        reference,
        options,
        async (store) => await store.readPublicKey(cli.signal),
      )
    case 'github':
      throw notReadable(reference, name)
  }
}

interface PrivateBytes {
  readonly privateKey: Uint8Array
  readonly password: () => Promise<Uint8Array>
}

async function readPrivateBytes(
  cli: Cli,
  reference: KeyReference,
  name: string,
  options: ReadSigningKeyOptions,
): Promise<PrivateBytes> {
  const password = async () => await readPassword(cli, { confirm: false, file: options.passwordFile })
  switch (reference.kind) {
    case 'file':
      return {
        privateKey: await readFileBounded(reference.path, LIMITS.keyringBytes, 'private key'),
        password,
      }
    case 'environment':
      return { privateKey: fromEnvironment(cli, reference.variable), password }
    case 'url':
      throw new CosignetError('USAGE', `A private key is not read from the web, as from ${quote(name)}.`, {
        hint: 'Keep it in a file, or in a store: k8s://NAMESPACE/NAME or gitlab://PROJECT.',
      })
    case 'kubernetes':
    case 'gitlab': {
      const stored = await withReadableStore(
        cli,
        reference,
        options,
        async (store) => await store.readPrivateKey(cli.signal),
      )
      return { privateKey: stored.privateKey, password: async () => stored.password }
    }
    case 'github':
      throw notReadable(reference, name)
  }
}

/** How a key is named in messages: without the query of a URL, which may be a token. */
function nameOf(ref: string): string {
  return /^https?:\/\//.test(ref) ? ref.replace(/[?#].*$/s, '') : ref
}

function refuseRemote({ kind }: KeyReference, name: string): void {
  if (kind === 'file' || kind === 'environment') return
  throw new CosignetError(
    'USAGE',
    `The key ${quote(name)} is not on this machine, and --offline was given.`,
    {
      hint: 'Give the key as a file.',
    },
  )
}

function fromEnvironment(cli: Cli, variable: string): Uint8Array {
  const value = cli.environment[variable]
  if (value !== undefined) return encodeUtf8(value)
  throw new CosignetError('INVALID_CONFIG', `The environment has no variable ${quote(variable)}.`)
}

/** GitHub gives no secret out, and cosign says of such a key that its scheme is not known. */
function notReadable({ repository }: GitHubKeys, name: string): CosignetError {
  const owner = repository === undefined ? 'organization' : 'repository'
  return new CosignetError(
    'UNSUPPORTED',
    `The key ${quote(name)} cannot be read: GitHub gives no secret out.`,
    {
      hint: `In a workflow of the ${owner}, use env://COSIGN_PRIVATE_KEY or env://COSIGN_PUBLIC_KEY; elsewhere, the file that the public key was written to.`,
    },
  )
}
