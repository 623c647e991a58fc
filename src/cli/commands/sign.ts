import { CosignetError } from '../../core/index.ts'
import { KEY_ALGORITHMS, type SigningKey } from '../../keys/index.ts'
import type { ImageLocation } from '../../oci/index.ts'
import { parallel } from '../../transfer/index.ts'
import type { Cli } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { openDaemon } from '../daemon-access.ts'
import { manyTexts, optionalText } from '../flags.ts'
import type { PlaceAccess } from '../image-access.ts'
import { REGISTRY_FLAGS, type RegistryFlags, withRegistries } from '../registry-access.ts'
import { planSigning, SIGN_ALIASES, SIGN_FLAGS, type SignFlags, type SignPlan } from '../sign-flags.ts'
import type { MadeSignature, SignForm } from '../sign-form.ts'
import { openSigningIdentity, type SigningIdentity } from '../sign-key.ts'
import { printedOutcome, type SignedImage, storedOutcome, writeOutputs } from '../sign-output.ts'
import { findSubject, parseImageName } from '../sign-subject.ts'

interface Flags extends RegistryFlags, SignFlags {
  readonly daemonHost?: string | undefined
}

/** Images that are signed at once. */
const PARALLEL = 8

const DETAILS = `IMAGE is a reference, or a place as skopeo spells it: oci:FOLDER[:NAME], dir:FOLDER, docker-daemon:REFERENCE, …
A tag is looked up once and shown; what is signed is its digest. A signature of the key that is there is kept.

Formats: cosign is a tag sha256-….sig beside the image, which the guest, every cosign and podman read; bundle is what
cosign 3 writes, and no guest reads it; simple is an OpenPGP message for podman's signedBy.

An image in docker-daemon: or an archive is signed as 'image copy' will put it into a registry; its signature goes to
--repository or into a file. The password comes from --password-file, else from COSIGN_PASSWORD, else from the terminal.

Examples:
  cosignet sign --key cosign.key ghcr.io/team/app:v1
  cosignet sign --key cosign.key --identity ghcr.io/team/app oci:layout:v1
  cosignet sign --key cosign.key --upload=false --output-signature app.sig ghcr.io/team/app:v1
  cosignet sign --sign-by 0123456789ABCDEF0123456789ABCDEF01234567 registry.example/app:v1`

export const command = defineCommand<Flags, string[]>({
  brief: 'Signs images, by default in the format that the guest reads.',
  details: DETAILS,
  parameters: {
    flags: {
      ...REGISTRY_FLAGS,
      ...SIGN_FLAGS,
      daemonHost: optionalText('Docker daemon to read from (default: DOCKER_HOST)', 'HOST'),
    },
    aliases: SIGN_ALIASES,
    positional: manyTexts('IMAGE', 'Image to sign, by tag or digest'),
  },
  async run(cli, flags, ...names) {
    const locations = names.map(parseImageName)
    const identity = await openSigningIdentity(cli, flags)
    const plan = planSigning(flags, identity.kind, cli.environment)
    const signed = await withRegistries(cli, flags, async (open, openSource) => {
      const access = { open, openSource, openDaemon: () => openDaemon(cli, flags.daemonHost) }
      const forms = await openForms(cli, plan, identity, access)
      for (const location of locations) for (const form of forms) form.check(location)
      const work = parallel(locations, PARALLEL, 'Signing', cli.signal, (location, signal) =>
        signImage({ cli, flags, forms, access, location, signal }),
      )
      // A wrong password is told at once.
      const [results] = await Promise.all([work, identity.key])
      return results.flat()
    })
    await writeOutputs(flags, signed)
    warnOfGuest(cli, await identity.key)
    const written = (flags.outputSignature ?? flags.outputBundle) !== undefined
    return plan.upload ? storedOutcome(signed) : printedOutcome(signed, written)
  },
})

interface ImageTask {
  readonly cli: Cli
  readonly flags: Flags
  readonly forms: readonly SignForm[]
  readonly access: PlaceAccess
  readonly location: ImageLocation
  readonly signal: AbortSignal
}

async function signImage({
  cli,
  flags,
  forms,
  access,
  location,
  signal,
}: ImageTask): Promise<readonly SignedImage[]> {
  const subject = await findSubject(cli, location, access, flags.recursive)
  const made: MadeSignature[] = []
  for (const form of forms) made.push(...(await form.sign(subject, signal)))
  return made.map((one) => ({ ...one, location }))
}

/** Each form is loaded when it is asked for. */
async function openForms(
  cli: Cli,
  plan: SignPlan,
  { key }: SigningIdentity,
  access: PlaceAccess,
): Promise<readonly SignForm[]> {
  return await Promise.all(
    plan.forms.map(async (form) => {
      switch (form) {
        case 'cosign': {
          const { cosignForm } = await import('../sign-as-cosign.ts')
          return cosignForm(cli, { plan, access, key })
        }
        case 'bundle':
        case 'simple':
          throw new CosignetError('UNSUPPORTED', `The format ${form} cannot be made yet.`)
      }
    }),
  )
}

/** cosign and the guest take different hashes for some keys, and what is made here is for cosign. */
function warnOfGuest(cli: Cli, { publicKey: { algorithm } }: SigningKey): void {
  const { guestHash, cosignHash } = KEY_ALGORITHMS[algorithm]
  if (guestHash === cosignHash) return
  const reason =
    guestHash === undefined
      ? `cannot read an ${algorithm} key`
      : `wants ${guestHash} with an ${algorithm} key, and cosign ${cosignHash}`
  cli.say(
    `WARN No guest will verify this signature: it ${reason}. Sign for guests with a P-256 key, as 'cosignet key generate' makes it.`,
  )
}
