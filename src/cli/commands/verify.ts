import { CosignetError, LIMITS, quote, readFileBounded } from '../../core/index.ts'
import type { ImageLocation } from '../../oci/index.ts'
import type { KeysRequirement, TrustedKey, Verdict } from '../../policy/index.ts'
import { parseRekorKeys, type RekorKeys } from '../../signature/index.ts'
import { asJson, type Cli, type Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { formatFailure } from '../failure.ts'
import { manyTexts, optionalText, parseText, switchFlag } from '../flags.ts'
import { readPublicKeys } from '../key-access.ts'
import { REGISTRY_FLAGS, type RegistryFlags, withRegistries } from '../registry-access.ts'
import { parseAnnotations } from '../sign-flags.ts'
import { parseImageName } from '../sign-subject.ts'
import { signaturesRepository } from '../signatures-repository.ts'
import { cosignExit } from '../verify-exit.ts'
import { verifyImages } from '../verify-images.ts'
import { formatVerified } from '../verify-text.ts'

interface Flags extends RegistryFlags {
  readonly key: readonly string[]
  readonly require: string
  readonly annotations?: readonly string[] | undefined
  readonly checkClaims: boolean
  readonly rekorPublicKey?: string | undefined
  readonly offline: boolean
  readonly cosignExitCodes: boolean
}

const DETAILS = `IMAGE is a reference, or a place as skopeo spells it: docker://REFERENCE, oci:FOLDER[:NAME], oci-archive:FILE[:NAME],
dir:FOLDER. Each signature counts or not whatever the others are: those of cosign (sha256-….sig) and bundles of cosign 3
by keys of cosign, OpenPGP messages in the signature store by OpenPGP keys. Kinds that no KEY makes are looked for only
before an image is denied; 'cosignet signatures' shows all.

KEY is a file (cosign.pub, PEM or OpenPGP), env://VARIABLE, https://…, k8s://NAMESPACE/NAME or gitlab://PROJECT.
Without a key of a transparency log, logs are not looked at, as by cosign verify --insecure-ignore-tlog.

Exit status 0 if each image is signed with enough of the keys, 1 if one is not.

Examples:
  cosignet verify --key cosign.pub ghcr.io/team/app:v1
  cosignet verify --key a.pub --key b.pub --require 2 -a build=release ghcr.io/team/app:v1
  cosignet verify --key release.asc dir:image`

export const command = defineCommand<Flags, string[]>({
  brief: 'Verifies images with public keys, as cosign verify --key does.',
  details: DETAILS,
  parameters: {
    flags: {
      ...REGISTRY_FLAGS,
      key: {
        kind: 'parsed',
        parse: parseText,
        variadic: true,
        brief: 'Public key whose signatures count; may be repeated',
        placeholder: 'KEY',
      },
      require: {
        kind: 'parsed',
        parse: parseText,
        default: '1',
        brief: 'How many different keys must have signed',
        placeholder: 'COUNT',
      },
      annotations: {
        kind: 'parsed',
        parse: parseText,
        variadic: true,
        optional: true,
        brief: 'Annotations that a signature must carry, separated by commas; may be repeated',
        placeholder: 'KEY=VALUE',
      },
      checkClaims: {
        kind: 'boolean',
        default: true,
        withNegated: false,
        brief: 'Compare the digest that a signature names; =false takes cosign signatures of any image',
      },
      rekorPublicKey: optionalText(
        'Key of a transparency log that must hold the signature (default: SIGSTORE_REKOR_PUBLIC_KEY, else no log)',
        'FILE',
      ),
      offline: switchFlag(
        'Ask nobody but the registry of the image; refuse keys that are not on this machine',
      ),
      cosignExitCodes: switchFlag(
        'Exit as cosign does: 10 no signature, 11 no image, 12 no match, 1 all else',
      ),
    },
    aliases: { a: 'annotations' },
    positional: manyTexts('IMAGE', 'Image to verify, by tag or digest'),
  },
  async run(cli, flags, ...names) {
    if (!flags.cosignExitCodes) return await verify(cli, flags, names)
    try {
      return await verify(cli, flags, names)
    } catch (error) {
      return failAsCosign(cli, error, [], 1)
    }
  },
})

async function verify(cli: Cli, flags: Flags, names: readonly string[]): Promise<Outcome> {
  const locations = names.map(parseImageToVerify)
  const signatureRepository = signaturesRepository(cli.environment)
  // The keys are read while the configuration of the registries is.
  const reading = readRequirement(cli, flags)
  reading.catch(() => undefined)
  const results = await withRegistries(cli, flags, async (open, openSource) => {
    const task = {
      cli,
      requirement: await reading,
      access: { open, openSource },
      ...(flags.registryCa === undefined ? {} : { registryCa: flags.registryCa }),
      ...(signatureRepository === undefined ? {} : { signatureRepository }),
    }
    return await verifyImages(task, locations)
  })
  const verdicts = results.flatMap((result) => ('error' in result ? [] : [result]))
  const failed = results.find((result) => 'error' in result)
  if (!flags.cosignExitCodes) {
    if (failed !== undefined) throw failed.error
    return outcomeOf(verdicts, verdicts.every(({ outcome }) => outcome === 'allowed') ? 0 : 1)
  }
  const exit = cosignExit(locations, results)
  return failed === undefined ? outcomeOf(verdicts, exit) : failAsCosign(cli, failed.error, verdicts, exit)
}

function outcomeOf(verdicts: readonly Verdict[], exit: number): Outcome {
  return { exit, data: asJson({ verdicts }), text: verdicts.map(formatVerified).join('\n\n') }
}

/** What could not be done has a status of its own where the statuses are cosign's. */
function failAsCosign(cli: Cli, error: unknown, verdicts: readonly Verdict[], exit: number): Outcome {
  cli.say(formatFailure(error, { output: cli.format, debug: cli.trace !== undefined }).trimEnd())
  return outcomeOf(verdicts, exit)
}

/** @throws USAGE for a place where images have no signatures; INVALID_REFERENCE */
function parseImageToVerify(name: string): ImageLocation {
  const location = parseImageName(name)
  const { transport } = location
  if (transport !== 'docker-daemon' && transport !== 'docker-archive') return location
  throw new CosignetError('USAGE', `${quote(name)} cannot be verified: ${transport}: keeps no signatures.`, {
    hint: 'Verify the image where it was signed, in its registry.',
  })
}

async function readRequirement(cli: Cli, flags: Flags): Promise<KeysRequirement> {
  const { registryCa: ca, offline, checkClaims } = flags
  const required = /^[1-9][0-9]{0,2}$/.test(flags.require) ? Number(flags.require) : undefined
  if (required === undefined) {
    throw new CosignetError('USAGE', `--require is a number such as 2, not ${quote(flags.require)}.`)
  }
  const annotations = parseAnnotations(flags.annotations ?? []) ?? {}
  const [keys, rekorKeys]: [readonly TrustedKey[], RekorKeys | undefined] = await Promise.all([
    readPublicKeys(cli, flags.key, { offline, ca }),
    readLogKeys(cli, flags),
  ])
  return { keys, required, annotations, checkClaims, ...(rekorKeys === undefined ? {} : { rekorKeys }) }
}

async function readLogKeys(cli: Cli, { rekorPublicKey }: Flags): Promise<RekorKeys | undefined> {
  const path = rekorPublicKey ?? cli.environment['SIGSTORE_REKOR_PUBLIC_KEY'] ?? ''
  if (path === '') return undefined
  const bytes = await readFileBounded(path, LIMITS.keyBytes, 'public key')
  return parseRekorKeys(bytes, `The key of the log ${quote(path)}`)
}
