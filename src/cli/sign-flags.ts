import type { FlagParametersForType } from '@stricli/core'
import { CosignetError, quote } from '../core/index.ts'
import { parseReference, type Reference } from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { optionalText, parseText } from './flags.ts'
import { PASSWORD_FLAGS, type PasswordFlags } from './password.ts'
import { signaturesRepository } from './signatures-repository.ts'

/** In which form a signature is made: cosign's attachment, cosign 3's bundle, these two, or an OpenPGP message. */
export type SignatureFormat = 'cosign' | 'bundle' | 'both' | 'simple'

/** How `sign` signs, whatever it signs. */
export interface SignFlags extends PasswordFlags {
  readonly key?: string | undefined
  readonly signBy?: string | undefined
  readonly format?: SignatureFormat | undefined
  readonly annotations?: readonly string[] | undefined
  readonly recursive: boolean
  readonly identity?: string | undefined
  readonly upload: boolean
  readonly outputSignature?: string | undefined
  readonly outputPayload?: string | undefined
  readonly outputBundle?: string | undefined
  readonly repository?: string | undefined
  readonly rekorUrl?: string | undefined
  readonly rekorPublicKey?: string | undefined
}

/** The flags of `SignFlags`. */
export const SIGN_FLAGS: FlagParametersForType<SignFlags> = {
  key: optionalText('Private key, as key generate, cosign or gpg made it', 'KEY'),
  signBy: optionalText('Sign with this key of the gpg keyring, through gpg', 'FINGERPRINT'),
  format: {
    kind: 'enum',
    values: ['cosign', 'bundle', 'both', 'simple'],
    optional: true,
    brief: 'Form of the signature (default: cosign, which the guest reads; with an OpenPGP key simple)',
  },
  annotations: {
    kind: 'parsed',
    parse: parseText,
    variadic: true,
    optional: true,
    brief: 'Annotations to sign with it, separated by commas; may be repeated',
    placeholder: 'KEY=VALUE',
  },
  recursive: {
    kind: 'boolean',
    default: true,
    withNegated: false,
    brief: 'Of an index, sign every image in it, too; =false signs the index alone',
  },
  identity: optionalText(
    'Name of the image in the signature (default: its repository; of a simple signature with the tag)',
    'REFERENCE',
  ),
  upload: {
    kind: 'boolean',
    default: true,
    withNegated: false,
    brief: 'Store the signature beside the image; =false prints it instead',
  },
  outputSignature: optionalText('Write the signature to this file', 'FILE'),
  outputPayload: optionalText('Write what is signed to this file', 'FILE'),
  outputBundle: optionalText('Write the bundle to this file', 'FILE'),
  repository: optionalText(
    'Repository to store signatures in (default: COSIGN_REPOSITORY, else that of the image)',
    'REPOSITORY',
  ),
  ...PASSWORD_FLAGS,
  rekorUrl: optionalText('Upload the signature to this Rekor transparency log (default: to none)', 'URL'),
  rekorPublicKey: optionalText('Public key of the log, PEM (default: SIGSTORE_REKOR_PUBLIC_KEY)', 'FILE'),
}

/** The letters of `SIGN_FLAGS`. */
export const SIGN_ALIASES = { r: 'recursive', a: 'annotations' } as const

/** What a key makes: a cosign key the first three, an OpenPGP key the last. */
export type KeyKind = 'cosign' | 'openpgp'

/** What is to be made and where it goes, once the kind of the key is known. */
export interface SignPlan {
  /** Forms, in the order in which they are made. */
  readonly forms: readonly Exclude<SignatureFormat, 'both'>[]
  readonly annotations?: Readonly<Record<string, string>>
  /** Verbatim, as it goes into the payload. */
  readonly identity?: string
  /** Whether signatures are stored beside the image. */
  readonly upload: boolean
  /** Another repository for the signatures, wherever the image is. */
  readonly repository?: Reference
  /** The repository of COSIGN_REPOSITORY, for images that do not have their signatures beside them in a folder. */
  readonly commonRepository?: Reference
}

const FORMS = {
  cosign: ['cosign'],
  bundle: ['bundle'],
  both: ['cosign', 'bundle'],
  simple: ['simple'],
} as const

/**
 * Works out what the flags ask for.
 * @throws USAGE where flags contradict each other or the key; INVALID_REFERENCE
 */
export function planSigning(flags: SignFlags, kind: KeyKind, environment: Cli['environment']): SignPlan {
  const format = flags.format ?? (kind === 'openpgp' ? 'simple' : 'cosign')
  if (kind === 'openpgp' && format !== 'simple') {
    throw usage(
      `An OpenPGP key makes simple signatures, and none of the format ${format}.`,
      'Give a key of cosign, or leave out --format.',
    )
  }
  if (kind === 'cosign' && format === 'simple') {
    throw usage(
      'A simple signature is made with an OpenPGP key, not with a key of cosign.',
      'Give --sign-by, or an OpenPGP key with --key.',
    )
  }
  for (const [given, meaning] of contradictions(flags, format)) if (given) throw usage(meaning)
  const annotations = parseAnnotations(flags.annotations ?? [])
  const stored = format !== 'simple' && flags.upload
  const repository = stored ? repositoryOf(flags) : undefined
  const common = stored && repository === undefined ? signaturesRepository(environment) : undefined
  return {
    forms: FORMS[format],
    upload: flags.upload,
    ...(annotations === undefined ? {} : { annotations }),
    ...(flags.identity === undefined ? {} : { identity: checkIdentity(flags.identity, format) }),
    ...(repository === undefined ? {} : { repository }),
    ...(common === undefined ? {} : { commonRepository: common }),
  }
}

function contradictions(flags: SignFlags, format: SignatureFormat): readonly (readonly [boolean, string])[] {
  const {
    annotations = [],
    identity,
    upload,
    outputSignature,
    outputPayload,
    outputBundle,
    repository,
    rekorUrl,
    rekorPublicKey,
  } = flags
  const simple = format === 'simple'
  return [
    [simple && annotations.length > 0, 'A simple signature has no place for --annotations.'],
    [
      simple && repository !== undefined,
      'Where a simple signature goes, registries.d says, and not --repository.',
    ],
    [
      simple && (rekorUrl ?? rekorPublicKey) !== undefined,
      'A simple signature does not go to a transparency log.',
    ],
    [
      format === 'bundle' && identity !== undefined,
      'A bundle names no repository, so --identity has no place in it.',
    ],
    [
      format === 'bundle' && (outputSignature ?? outputPayload) !== undefined,
      'A bundle is written whole: give --output-bundle.',
    ],
    [
      (format === 'cosign' || simple) && outputBundle !== undefined,
      `There is no bundle in the format ${format}: give --format bundle or both with --output-bundle.`,
    ],
    [
      !upload && repository !== undefined,
      '--upload=false stores no signature, so --repository contradicts it.',
    ],
    [
      rekorUrl === undefined && rekorPublicKey !== undefined,
      '--rekor-public-key is the key of a log: give --rekor-url too.',
    ],
  ]
}

/**
 * Checks a name for a signature, which goes into it as it stands: in full, and for a simple signature with a tag or
 * digest, without which no rule of containers/image but `matchRepository` and `exactRepository` takes it.
 * @throws USAGE, INVALID_REFERENCE
 */
export function checkIdentity(text: string, format: SignatureFormat): string {
  const reference = parseReference(text)
  const full = text.startsWith(`${reference.registry}/`) || text.startsWith('index.docker.io/')
  if (!full) {
    throw usage(
      `The identity ${quote(text)} does not begin with a registry.`,
      `Did you mean ${reference.registry}/${reference.repository}?`,
    )
  }
  if (format === 'simple' && reference.digest === undefined && !hasTag(text)) {
    throw usage(`The identity ${quote(text)} of a simple signature needs a tag or digest.`)
  }
  return text
}

function repositoryOf({ repository }: SignFlags): Reference | undefined {
  if (repository === undefined) return undefined
  const reference = parseReference(repository)
  if (reference.digest === undefined && !hasTag(repository)) return reference
  throw usage(`${quote(repository)} names an image: a repository for signatures has neither tag nor digest.`)
}

function hasTag(text: string): boolean {
  return text.slice(text.lastIndexOf('/')).includes(':')
}

/** Reads annotations as cosign does: a list of `key=value` by commas, as in a line of CSV; the last of a key counts. */
export function parseAnnotations(lists: readonly string[]): Readonly<Record<string, string>> | undefined {
  const pairs = lists.flatMap(splitList)
  if (pairs.length === 0) return undefined
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      if (equals < 1) throw usage(`${quote(pair)} is not an annotation such as key=value.`)
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}

/** A field of CSV (Go, encoding/csv): in quotes, in which two stand for one, or without any. */
const FIELD = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y

function splitList(list: string): readonly string[] {
  const fields: string[] = []
  if (list === '') return fields
  FIELD.lastIndex = 0
  for (;;) {
    const match = FIELD.exec(list)
    if (match === null)
      throw usage(`${quote(list)} is not a list of annotations: a quotation mark is out of place.`)
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === '') return fields
  }
}

function usage(message: string, hint?: string): CosignetError {
  return new CosignetError('USAGE', message, { hint })
}
