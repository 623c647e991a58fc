import { tmpdir } from 'node:os'
import { CosignetError, encodeUtf8 } from '../../core/index.ts'
import { type ImageLocation, type ImageSource, parseLocation, repositoryName } from '../../oci/index.ts'
import type { SignatureStore } from '../../signature/index.ts'
import { type CopiedImage, copyImage, type ImageFormat, type RefusedImage } from '../../transfer/index.ts'
import { asJson, type Cli, type Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { openDaemon } from '../daemon-access.ts'
import { optionalText, switchFlag, twoTexts } from '../flags.ts'
import { formatLocation, openImage, openTarget } from '../image-access.ts'
import { type PolicyFlags, readJudge } from '../image-policy.ts'
import { sayWhatIsLocal } from '../local-stores.ts'
import { writeOutputFile } from '../output-file.ts'
import { PLATFORM_FLAGS, type PlatformFlags, wantedPlatform } from '../platform-flags.ts'
import { formatBytes, showProgress } from '../progress.ts'
import { openRegistryAccess, type RegistryAccess } from '../registry-access.ts'
import {
  type RegistrySideFlags,
  registryFlags,
  registrySettings,
  SHARED_REGISTRY_FLAGS,
  type SharedRegistryFlags,
} from '../registry-flags.ts'
import type { CopySigners } from '../sign-copy.ts'
import { COPY_SIGN_FLAGS, type CopySignFlags } from '../sign-copy-flags.ts'
import { openSignatureStore } from '../signature-stores.ts'
import { formatVerdict } from '../verdict-text.ts'

interface Flags
  extends PlatformFlags,
    PolicyFlags,
    CopySignFlags,
    SharedRegistryFlags,
    RegistrySideFlags<'src'>,
    RegistrySideFlags<'dest'> {
  readonly all: boolean
  readonly format?: ImageFormat | undefined
  readonly preserveDigests: boolean
  readonly removeSignatures: boolean
  readonly digestfile?: string | undefined
  readonly srcDaemonHost?: string | undefined
  readonly destDaemonHost?: string | undefined
  readonly quiet: boolean
}

export const command = defineCommand<Flags, [string, string]>({
  brief: 'Copies an image with all that refers to it from one place to another.',
  details:
    'SOURCE and DESTINATION are docker://REFERENCE, oci:FOLDER[:NAME], oci-archive:FILE[:NAME], dir:FOLDER,\n' +
    'docker-archive:FILE[:REFERENCE] or docker-daemon:REFERENCE.\n\n' +
    'Signatures, attestations, SBOMs and other referrers go with the image; a destination that cannot hold them\n' +
    'refuses the copy. Digests stay as they are unless --format or the destination demands another form. With\n' +
    '--policy the image is judged by the rules of the guest before the destination is opened: exit status 1 if it is\n' +
    'denied, and nothing was touched. The name at the destination moves last.\n\n' +
    'With --sign-by or --sign-by-sigstore-private-key every manifest is signed under its digest at the destination\n' +
    'before the name moves; a signature of the key that is there already is kept. A signature of cosign names the\n' +
    'repository without the tag (the guest, and podman with matchRepository, take it), an OpenPGP signature has both.',
  parameters: {
    flags: {
      all: switchFlag('Copy every image of an index, and the index'),
      ...PLATFORM_FLAGS,
      format: {
        kind: 'enum',
        values: ['oci', 'v2s2'],
        optional: true,
        brief: 'Format of the manifests at the destination (default: as they are)',
      },
      preserveDigests: switchFlag('Fail if the destination cannot hold the image under its digest'),
      removeSignatures: switchFlag('Copy the image alone, without what refers to it'),
      policy: optionalText('Copy only what this containers-policy.json allows', 'FILE'),
      resources: optionalText(
        'Folder that stands for the KBS, with the keys that the policy names',
        'FOLDER',
      ),
      ...COPY_SIGN_FLAGS,
      digestfile: optionalText('Write the digest at the destination to this file', 'FILE'),
      quiet: switchFlag('Show no progress'),
      srcDaemonHost: optionalText('Docker daemon to read from (default: DOCKER_HOST)', 'HOST'),
      destDaemonHost: optionalText('Docker daemon to write to (default: DOCKER_HOST)', 'HOST'),
      ...SHARED_REGISTRY_FLAGS,
      ...registryFlags('src'),
      ...registryFlags('dest'),
    },
    aliases: { a: 'all', f: 'format', q: 'quiet' },
    positional: twoTexts(['SOURCE', 'Image to copy'], ['DESTINATION', 'Where to copy it']),
  },
  async run(cli, flags, from, to) {
    const source = parseLocation(from)
    const destination = parseLocation(to)
    const toStdout = 'path' in destination && destination.path === '/dev/stdout'
    if (toStdout && cli.format !== 'text') {
      throw new CosignetError('USAGE', 'Standard output takes the image or the result as data, not both.')
    }
    const judge = await readJudge(cli, flags, source, destination)
    const signing = await signersFor(cli, flags, destination)
    const [sourceAccess, targetAccess] = await Promise.all([
      openRegistryAccess(cli, registrySettings('src', flags)),
      openRegistryAccess(cli, registrySettings('dest', flags)),
    ])
    const progress = showProgress(cli, flags.quiet)
    const places = { ...targetAccess, openDaemon: () => openDaemon(cli, flags.destDaemonHost) }
    try {
      const opened = await openImage(source, {
        ...sourceAccess,
        openDaemon: () => openDaemon(cli, flags.srcDaemonHost),
      })
      try {
        const besideSource = flags.removeSignatures
          ? undefined
          : await openStore(cli, flags, sourceAccess, source, opened.source)
        const besideTarget =
          flags.removeSignatures && signing === undefined
            ? undefined
            : await openStore(cli, flags, targetAccess, destination)
        const result = await copyImage({
          source: opened.source,
          signatures: besideSource,
          from: opened.from,
          openTarget: async () => {
            // A wrong passphrase must leave the destination as it is.
            await signing?.ready
            const target = await openTarget(destination, places, source)
            return besideTarget === undefined ? target : { ...target, signatures: besideTarget }
          },
          select: flags.all ? 'all' : wantedPlatform(flags),
          attached: !flags.removeSignatures,
          preserveDigests: flags.preserveDigests,
          temporaryFolder: tmpdir(),
          signal: cli.signal,
          onEvent: progress.onEvent,
          ...(flags.format === undefined ? {} : { format: flags.format }),
          ...(judge === undefined ? {} : { judge }),
          ...(signing === undefined ? {} : { signers: signing.signers }),
        })
        progress.end()
        if (result.outcome === 'denied') return refused(result)
        if (flags.digestfile !== undefined) {
          await writeOutputFile(flags.digestfile, encodeUtf8(result.digest), { mode: 0o644 })
        }
        const outcome = copied(cli, source, destination, result)
        if (!toStdout) return outcome
        cli.say(outcome.text)
        return { ...outcome, text: '' }
      } finally {
        await opened.close()
      }
    } finally {
      progress.end()
      sourceAccess.close()
      targetAccess.close()
    }
  },
})

/** What signs the copy; undefined where no flag speaks of it, so that no key is loaded. */
async function signersFor(
  cli: Cli,
  flags: Flags,
  destination: ImageLocation,
): Promise<CopySigners | undefined> {
  const { signBy, signBySigstorePrivateKey, signPassphraseFile, signIdentity } = flags
  if ((signBy ?? signBySigstorePrivateKey ?? signPassphraseFile ?? signIdentity) === undefined)
    return undefined
  const { openCopySigners } = await import('../sign-copy.ts')
  return await openCopySigners(cli, flags, destination)
}

/** The store beside an image in a registry; other places keep signatures themselves, or none. */
async function openStore(
  cli: Cli,
  { registryCa }: Flags,
  access: RegistryAccess,
  location: ImageLocation,
  source?: ImageSource,
): Promise<SignatureStore | undefined> {
  if (location.transport !== 'docker') return undefined
  const open = source === undefined ? {} : { source }
  return (await openSignatureStore(cli, access, location, { registryCa, ...open })).store
}

function refused({ verdicts }: RefusedImage): Outcome {
  return {
    exit: 1,
    data: asJson({ outcome: 'denied', verdicts }),
    text: verdicts.map((verdict) => formatVerdict(verdict)).join('\n\n'),
  }
}

function copied(cli: Cli, source: ImageLocation, destination: ImageLocation, result: CopiedImage): Outcome {
  const { digest, manifests, blobs, attached, openPgp, signed, signatureStore, left } = result
  const along = attached.length + openPgp
  if (left.length > 0) {
    cli.say(
      `Note: ${left.length} signature(s) or other referrers of the whole index stay behind; copy it with --all to take them along.`,
    )
  }
  sayWhatIsLocal(cli, [signatureStore])
  const name =
    destination.transport === 'docker' ? `${repositoryName(destination.reference)}@${digest}` : digest
  const moved = [
    `${blobs.written} blob(s) with ${formatBytes(blobs.bytes)} sent`,
    `${blobs.present} there already`,
    ...(blobs.mounted > 0 ? [`${blobs.mounted} mounted`] : []),
    ...(blobs.left > 0 ? [`${blobs.left} foreign left where they are`] : []),
    ...(signed > 0 ? [`${signed} signature(s) made`] : []),
    ...(along > 0 ? [`${along} signature(s) and other referrers went along`] : []),
    ...(signatureStore === undefined ? [] : [`OpenPGP signatures are in ${signatureStore}`]),
  ]
  return {
    exit: 0,
    data: asJson({
      outcome: 'copied',
      source: formatLocation(source),
      destination: formatLocation(destination),
      digest,
      manifests,
      blobs,
      attached,
      openPgp,
      signed,
      ...(signatureStore === undefined ? {} : { signatureStore }),
      left,
    }),
    text: `Copied ${formatLocation(source)} to ${formatLocation(destination)}\n${moved.join(', ')}\n${name}`,
  }
}
