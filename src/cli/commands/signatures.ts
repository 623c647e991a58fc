import { systemClock } from '../../core/index.ts'
import {
  type Digest,
  formatPlatform,
  formatReference,
  type ImageLocation,
  type ImageSource,
  type Manifest,
  repositoryName,
} from '../../oci/index.ts'
import {
  readSignatureFacts,
  type SignatureFact,
  type SignedImage,
  type TrustedKey,
  type VerifierAnswer,
  whoCanVerify,
} from '../../policy/index.ts'
import type { SignatureStore } from '../../signature/index.ts'
import {
  type Attached,
  attachedName,
  findAttached,
  parallel,
  withSignatureTags,
} from '../../transfer/index.ts'
import { asJson, type Cli, type Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText, repeatedText } from '../flags.ts'
import { formatLocation } from '../image-access.ts'
import { readPublicKeys } from '../key-access.ts'
import { ONE_IMAGE_FLAGS, type OneImageFlags, withImageAt } from '../one-image.ts'
import type { RegistryAccess } from '../registry-access.ts'
import { parseImageName } from '../sign-subject.ts'
import { openSignatureStore } from '../signature-stores.ts'
import { signaturesRepository } from '../signatures-repository.ts'
import { drawTree, type SignedManifest } from '../signatures-tree.ts'
import { visible } from '../visible-text.ts'

interface Flags extends OneImageFlags {
  readonly key?: readonly string[] | undefined
}

export const command = defineCommand<Flags, [string]>({
  brief: 'Shows what refers to an image, and who can verify its signatures.',
  details:
    'The table says for each verifier whether it can accept the image under a policy that asks for a signature with the\n' +
    "image's own repository (matchRepository), and if not, the one reason and the command that changes it. With --key, a\n" +
    'signature counts if the key made it; without, none is checked, and the table says what each could verify if the\n' +
    'signatures are good and it has the key. It decides nothing: ask verify or preflight for that. Signatures are looked\n' +
    'for beside the image and, where COSIGN_REPOSITORY names a repository for them, as for sign, there too.',
  parameters: {
    flags: {
      key: repeatedText('Public key by which the signatures are checked; may be repeated', 'KEY'),
      ...ONE_IMAGE_FLAGS,
    },
    positional: oneText('IMAGE', 'REFERENCE, or oci:FOLDER[:NAME], or where else image copy copies from'),
  },
  async run(cli, flags, name) {
    const location = parseImageName(name)
    const keys =
      flags.key === undefined ? undefined : await readPublicKeys(cli, flags.key, { ca: flags.registryCa })
    return await withImageAt(cli, flags, location, async (image, access) => {
      const source = withSignatureTags(image.source)
      const root = await source.getManifest(image.from, cli.signal)
      const { store } = await openSignatureStore(cli, access, location, flags)
      const named = await openNamed(cli, access, location)
      const manifests = await readManifests({ cli, source, keys, store, ...named }, root)
      const { repository, apart } = named
      return describe(
        {
          name: nameOf(location),
          ...(repository === undefined ? {} : { repository }),
          ...(apart === undefined ? {} : { signatureRepository: apart.repository }),
        },
        manifests,
        keys,
      )
    })
  },
})

interface NamedRepositories {
  /** That of the image; undefined outside registries. */
  readonly repository?: string
  /** Where cosign is told that signatures are, if not beside the image. */
  readonly apart?: { readonly repository: string; readonly source: ImageSource }
}

async function openNamed(
  cli: Cli,
  access: Pick<RegistryAccess, 'openSource'>,
  location: ImageLocation,
): Promise<NamedRepositories> {
  if (location.transport !== 'docker') return {}
  const repository = repositoryName(location.reference)
  const elsewhere = signaturesRepository(cli.environment)
  if (elsewhere === undefined || repositoryName(elsewhere) === repository) return { repository }
  const source = await access.openSource(elsewhere)
  return { repository, apart: { repository: repositoryName(elsewhere), source } }
}

/** As users type it. */
function nameOf(location: ImageLocation): string {
  return location.transport === 'docker' ? formatReference(location.reference) : formatLocation(location)
}

interface Reading extends NamedRepositories {
  readonly cli: Cli
  readonly source: ImageSource
  readonly keys: readonly TrustedKey[] | undefined
  readonly store: SignatureStore | undefined
}

/** Requests for one manifest or another that are under way at once. */
const PARALLEL = 4

/** The index or image, then the platforms of the index. */
async function readManifests(reading: Reading, root: Manifest): Promise<readonly SignedManifest[]> {
  const { cli, source, apart } = reading
  const roles = rolesOf(root)
  const sources = apart === undefined ? [source] : [source, apart.source]
  const attached = (
    await Promise.all(sources.map((one) => findAttached(one, [...roles.keys()], cli.signal)))
  ).flat()
  return await parallel(
    [...roles],
    PARALLEL,
    `Reading ${source.name}`,
    cli.signal,
    async ([digest, role], signal) => {
      const signatures = await readSignatures(reading, digest, signal)
      return {
        digest,
        signatures,
        others: attached.filter((one) => !isSignature(one, signatures)),
        ...(role === undefined ? {} : { role }),
      }
    },
  )
}

async function readSignatures(
  { source, keys, store, repository, apart }: Reading,
  digest: Digest,
  signal: AbortSignal,
): Promise<readonly SignatureFact[]> {
  const options = {
    digest,
    now: systemClock(),
    signal,
    ...(repository === undefined ? {} : { repository }),
    ...(keys === undefined ? {} : { keys }),
  }
  const [beside, elsewhere] = await Promise.all([
    readSignatureFacts({ ...options, source, ...(store === undefined ? {} : { store }) }),
    apart === undefined ? [] : readSignatureFacts({ ...options, source: apart.source }),
  ])
  return [...beside, ...elsewhere.map((fact) => ({ ...fact, apart: apart?.repository ?? '' }))]
}

/** What an image consists of; entries without a platform (attestations of BuildKit) are nothing that runs. */
function rolesOf({ digest, content }: Manifest): ReadonlyMap<Digest, string | undefined> {
  if (content.kind === 'image') return new Map([[digest, undefined]])
  const platforms = content.manifests.filter(({ platform }) => platform?.os !== 'unknown')
  return new Map([
    [digest, 'index'],
    ...platforms.map(
      (one) => [one.digest, one.platform === undefined ? 'image' : formatPlatform(one.platform)] as const,
    ),
  ])
}

/** What is shown as a signature is not shown again as a referrer. */
function isSignature({ tag, manifest }: Attached, signatures: readonly SignatureFact[]): boolean {
  return tag?.endsWith('.sig') === true || signatures.some(({ location }) => location === manifest.digest)
}

function describe(
  image: Pick<SignedImage, 'name' | 'repository' | 'signatureRepository'>,
  manifests: readonly SignedManifest[],
  keys: readonly TrustedKey[] | undefined,
): Outcome {
  const [root, ...platforms] = manifests
  if (root === undefined) return { exit: 0, data: {}, text: '' }
  const answers = whoCanVerify({
    ...image,
    root: root.digest,
    platforms: platforms.map(({ digest }) => digest),
    signatures: manifests.flatMap(({ signatures }) => signatures),
  })
  const condition =
    keys === undefined ? 'if the signatures are good and it has the key' : 'with the key that was given'
  return {
    exit: 0,
    data: asJson({
      image: image.name,
      checked: keys !== undefined,
      manifests: manifests.map(({ digest, role, signatures, others }) => ({
        digest,
        ...(role === undefined ? {} : { role }),
        signatures,
        others: others.filter(({ subject }) => subject === digest).map(attachedName),
      })),
      verifiers: answers,
    }),
    text: [
      ...drawTree(image.name, manifests),
      '',
      `Who can verify it, ${condition}:`,
      ...table(answers),
    ].join('\n'),
  }
}

function table(answers: readonly VerifierAnswer[]): readonly string[] {
  const width = Math.max(...answers.map(({ verifier }) => verifier.length))
  return answers.flatMap((answer) => {
    const name = answer.verifier.padEnd(width)
    if (answer.can) {
      const needs = answer.needs === undefined ? '' : `, with ${answer.needs}`
      return [`  yes  ${name}  by its ${answer.kinds.join(' and ')} signature${needs}`]
    }
    const indent = ' '.repeat(width)
    return [`  no   ${name}  ${visible(answer.reason)}`, `       ${indent}  ${visible(answer.fix)}`]
  })
}
