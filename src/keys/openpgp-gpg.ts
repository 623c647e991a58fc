import { CosignetError, decodeUtf8, quote } from '../core/index.ts'
import { checkSignedMessage } from './openpgp-check.ts'
import { type GpgJob, type GpgOutcome, runGpg } from './openpgp-gpg-process.ts'
import { type OpenPgpKey, parseOpenPgpKeys } from './openpgp-key.ts'
import type { OpenPgpKeyPart } from './openpgp-self-signatures.ts'
import type { OpenPgpSigner } from './openpgp-signer.ts'

export interface GpgSignerOptions {
  /** Of a primary key or a subkey in the user's keyring: 40 characters of hex. */
  readonly fingerprint: string
  /** On one line. Default: gpg's agent asks the user, or a card, or knows it yet. */
  readonly passphrase?: Uint8Array
  /** Of gpg; `GNUPGHOME` among it says where the keyring is. */
  readonly environment: GpgJob['environment']
  readonly signal: AbortSignal
}

/**
 * Prepares to sign with a key of the user's gpg keyring, through gpg itself, so that agents and smartcards work. Of a
 * key with signing subkeys the primary key signs if it can and its secret is there, for the guest looks at no other; a
 * fingerprint of a subkey asks for this one. What gpg writes is read again and verified before it is returned.
 * @throws USAGE for what is no fingerprint or passphrase; NOT_FOUND if the keyring has no such private key; UNSUPPORTED
 * if there is no gpg; INVALID_KEY, ABORTED. `sign` throws INVALID_PASSWORD, BAD_RESPONSE, too.
 */
export async function gpgSigner(options: GpgSignerOptions): Promise<OpenPgpSigner> {
  const fingerprint = options.fingerprint.toUpperCase()
  if (!/^[0-9A-F]{40}$/.test(fingerprint)) {
    throw new CosignetError(
      'USAGE',
      `${quote(options.fingerprint)} is not a fingerprint of 40 hex characters.`,
      {
        hint: 'List the keys with: gpg --list-secret-keys --with-subkey-fingerprint.',
      },
    )
  }
  if (options.passphrase?.includes(NEWLINE) === true) {
    throw new CosignetError('USAGE', 'A passphrase for gpg must be one line.')
  }
  const [key, secrets] = await Promise.all([
    exportKey(fingerprint, options),
    listSecrets(fingerprint, options),
  ])
  const part = chooseSecret(key, fingerprint, secrets)
  return {
    key,
    signingFingerprint: part.fingerprint,
    bySubkey: part.fingerprint !== key.fingerprint,
    sign: (message) => signWith(part, message, options),
  }
}

const NEWLINE = 0x0a

async function exportKey(fingerprint: string, options: GpgSignerOptions): Promise<OpenPgpKey> {
  const { output } = await runGpg({ ...jobOf(options), args: ['--export', fingerprint] })
  if (output.byteLength === 0) throw notFound(fingerprint)
  const keys = parseOpenPgpKeys(output, `The key ${fingerprint} of the gpg keyring`)
  const key = keys.find((each) => partsOf(each).some((part) => part.fingerprint === fingerprint))
  if (key === undefined) throw notFound(fingerprint)
  return key
}

/** The part that signs: the one that was asked for, if it can; the newest subkey in place of a primary key that cannot. */
function chooseSecret(key: OpenPgpKey, fingerprint: string, secrets: ReadonlySet<string>): OpenPgpKeyPart {
  const newestFirst = [...key.subkeys].sort((a, b) => b.created.getTime() - a.created.getTime())
  const candidates = fingerprint === key.fingerprint ? [key.primary, ...newestFirst] : newestFirst
  const asked = candidates.filter(
    (part) => fingerprint === key.fingerprint || part.fingerprint === fingerprint,
  )
  const part = asked.find((each) => each.canSign && !each.revoked && secrets.has(each.fingerprint))
  if (part === undefined) throw notFound(fingerprint)
  return part
}

async function listSecrets(fingerprint: string, options: GpgSignerOptions): Promise<ReadonlySet<string>> {
  const args = ['--with-colons', '--list-secret-keys', fingerprint]
  const { output } = await runGpg({ ...jobOf(options), args })
  return secretFingerprints(decodeUtf8(output) ?? '')
}

/**
 * Fingerprints of the keys whose secret gpg has at hand, on disk or on a card (gnupg, doc/DETAILS, "Format of the
 * colon listings": field 15 of `sec` and `ssb` is `#` where it is missing; `fpr` follows them).
 */
function secretFingerprints(listing: string): ReadonlySet<string> {
  const found = new Set<string>()
  let isThere = false
  for (const line of listing.split('\n')) {
    const fields = line.split(':')
    if (fields[0] === 'sec' || fields[0] === 'ssb') isThere = fields[14] !== '#'
    if (fields[0] === 'fpr' && isThere && fields[9] !== undefined) found.add(fields[9])
  }
  return found
}

async function signWith(
  part: OpenPgpKeyPart,
  message: Uint8Array,
  options: GpgSignerOptions,
): Promise<Uint8Array> {
  const { passphrase } = options
  const outcome = await runGpg({
    ...jobOf(options),
    ...(passphrase === undefined ? {} : { passphrase }),
    // The exclamation mark asks for this very key, where gpg would take a subkey instead of it.
    args: ['--no-textmode', '--compress-algo', 'zip', '--local-user', `${part.fingerprint}!`, '--sign'],
    input: message,
  })
  const created = outcome.status.filter(([keyword]) => keyword === 'SIG_CREATED')
  if (outcome.exitStatus !== 0 || created.length !== 1 || created[0]?.at(-1) !== part.fingerprint) {
    throw signingFailed(part, outcome)
  }
  checkSignedMessage(outcome.output, part, message, 'gpg')
  return outcome.output
}

/** GPG_ERR_BAD_PASSPHRASE and GPG_ERR_NO_PASSPHRASE, without the number of the program they come from. */
const PASSPHRASE_ERRORS: readonly number[] = [11, 177]

function signingFailed({ fingerprint }: OpenPgpKeyPart, { status, talk }: GpgOutcome): CosignetError {
  const codes = status
    .filter(([keyword]) => keyword === 'FAILURE' || keyword === 'ERROR')
    .map((fields) => Number(fields[2]) & 0xffff)
  if (codes.some((code) => PASSPHRASE_ERRORS.includes(code))) {
    return new CosignetError(
      'INVALID_PASSWORD',
      `The passphrase of the key ${fingerprint} is wrong or missing.`,
    )
  }
  return new CosignetError('BAD_RESPONSE', `Gpg did not sign with the key ${fingerprint}: ${quote(talk)}.`, {
    hint: 'If gpg cannot ask for the passphrase here, give it in a file, or set GPG_TTY to a terminal.',
  })
}

function jobOf({ environment, signal }: GpgSignerOptions): Pick<GpgJob, 'environment' | 'signal'> {
  return { environment, signal }
}

function partsOf({ primary, subkeys }: OpenPgpKey): readonly OpenPgpKeyPart[] {
  return [primary, ...subkeys]
}

function notFound(fingerprint: string): CosignetError {
  return new CosignetError(
    'NOT_FOUND',
    `The gpg keyring has no private key ${fingerprint} that can sign messages now.`,
    { hint: 'List the keys with: gpg --list-secret-keys --with-subkey-fingerprint.' },
  )
}
