import { repositoryName } from '../oci/index.ts'
import type { KeysContext } from './keys-context.ts'
import type { TrustedKey } from './keys-requirement.ts'
import type { SeenSignature } from './seen-signature.ts'

/** A key that can sign an image, as `sign` takes it. */
interface SignerFlag {
  readonly kind: TrustedKey['kind']
  readonly fingerprint: string
  readonly flag: string
}

/**
 * The commands that have an image signed by as many of the keys as are missing, as they are typed where the image is;
 * in capitals stands what nobody here knows.
 * @param signers fingerprints of the keys whose signatures count.
 */
export function signFix(
  context: KeysContext,
  seen: readonly SeenSignature[],
  signers: ReadonlySet<string>,
): string {
  const { annotations, rekorKeys, required } = context.requirement
  const isBeyondOpenPgp = Object.keys(annotations).length > 0 || rekorKeys !== undefined
  const missing = flagsOf(context)
    .filter(({ fingerprint }) => !signers.has(fingerprint))
    .filter(({ kind }) => kind === 'cosign' || !isBeyondOpenPgp)
  if (missing.length < required - signers.size) {
    return "Have it signed with keys of cosign, as 'cosignet key generate' makes them: OpenPGP signatures carry no annotations, and no log takes them."
  }
  // Who signed something here before is likely to be at hand.
  const hasSigned = ({ fingerprint }: SignerFlag): boolean =>
    seen.some(({ signer }) => signer?.fingerprint === fingerprint)
  const chosen = [...missing.filter(hasSigned), ...missing.filter((key) => !hasSigned(key))]
  const commands = chosen.slice(0, required - signers.size).flatMap((key) => commandsFor(context, key))
  return [...new Set(commands)].join(' && ')
}

function commandsFor({ image, requirement }: KeysContext, { kind, flag }: SignerFlag): readonly string[] {
  const { annotations, rekorKeys } = requirement
  const { reference, name, digest } = image
  const sign = [
    `cosignet sign ${flag}`,
    ...Object.entries(annotations).map((pair) => `-a ${shellWord(csvField(pair.join('=')))}`),
    ...(rekorKeys === undefined ? [] : ['--rekor-url URL']),
  ].join(' ')
  if (reference !== undefined) return [`${sign} ${repositoryName(reference)}@${digest}`]
  const named = `${sign} --identity ${kind === 'cosign' ? 'REPOSITORY' : 'REPOSITORY:TAG'}`
  const place = kind === 'cosign' ? 'oci:FOLDER' : 'dir:FOLDER'
  const canHold = name.startsWith('dir:') || (kind === 'cosign' && name.startsWith('oci:'))
  if (canHold) return [`${named} ${shellWord(name)}`]
  return [`cosignet image copy --all ${shellWord(name)} ${place}`, `${named} ${place}`]
}

/** Each key once, in the order in which they are given. */
function flagsOf({ requirement: { keys } }: KeysContext): readonly SignerFlag[] {
  const all = keys.flatMap((trusted): readonly SignerFlag[] => {
    const { kind, name } = trusted
    const file = privateKeyOf(name)
    if (trusted.kind === 'cosign') {
      return [{ kind, fingerprint: trusted.key.fingerprint, flag: `--key ${file ?? 'cosign.key'}` }]
    }
    return trusted.keys.map(({ fingerprint }) => {
      const only = trusted.keys.length === 1 ? file : undefined
      return { kind, fingerprint, flag: only === undefined ? `--sign-by ${fingerprint}` : `--key ${only}` }
    })
  })
  return all.filter((key, i) => all.findIndex(({ fingerprint }) => fingerprint === key.fingerprint) === i)
}

/** Where the private key is, as `key generate` and `key import` put it beside the public one. */
function privateKeyOf(name: string): string | undefined {
  if (/^(?:k8s|gitlab):\/\//.test(name)) return shellWord(name)
  const isFile = name.endsWith('.pub') && !name.includes('://')
  return isFile ? shellWord(name.replace(/pub$/, 'key')) : undefined
}

/** An annotation as `-a` takes it, which splits at commas as in a line of CSV (RFC 4180). */
function csvField(text: string): string {
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** A word for a shell (POSIX, "Quoting"). */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
