import { KEY_ALGORITHMS, type OpenPgpSigner, type SigningKey } from '../../keys/index.ts'
import type { ImageLocation } from '../../oci/index.ts'
import type { TransparencyLog } from '../../signature/index.ts'
import { parallel } from '../../transfer/index.ts'
import type { Cli } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { openDaemon } from '../daemon-access.ts'
import { manyTexts, optionalText } from '../flags.ts'
import type { PlaceAccess } from '../image-access.ts'
import { sayWhatIsLocal } from '../local-stores.ts'
import { REGISTRY_FLAGS, type RegistryFlags, withRegistries } from '../registry-access.ts'
import {
  type KeyKind,
  planSigning,
  SIGN_ALIASES,
  SIGN_FLAGS,
  type SignFlags,
  type SignPlan,
} from '../sign-flags.ts'
import type { SignForm } from '../sign-form.ts'
import { openSigningIdentity, type SigningIdentity } from '../sign-key.ts'
import type { OpenedLog } from '../sign-log.ts'
import { printedOutcome, type SignedImage, storedOutcome, writeOutputs } from '../sign-output.ts'
import { parseImageName, type SignSubject, withSubject } from '../sign-subject.ts'

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
    const planFor = (kind: KeyKind): SignPlan => planSigning(flags, kind, cli.environment)
    const identity = await openSigningIdentity(cli, flags, planFor)
    const plan = planFor(identity.kind)
    const opened = await openLogOf(cli, plan, flags)
    const signed = await withRegistries(cli, flags, async (open, openSource) => {
      const access = { open, openSource, openDaemon: () => openDaemon(cli, flags.daemonHost) }
      const context = { identity, access, log: opened?.log, registryCa: flags.registryCa }
      const forms = await openForms(cli, plan, context)
      return await signAll({ cli, identity, access, forms, locations, recursive: flags.recursive })
    }).finally(() => opened?.close())
    await writeOutputs(flags, signed)
    if (identity.kind === 'cosign' && opened === undefined) {
      cli.say('Nothing is uploaded to a transparency log.')
    }
    await warnOfGuest(cli, identity)
    sayWhatIsLocal(
      cli,
      signed.map(({ store }) => store),
    )
    return plan.upload ? storedOutcome(signed) : printedOutcome(flags, signed)
  },
})

interface SignTask {
  readonly cli: Cli
  readonly identity: SigningIdentity
  readonly access: PlaceAccess
  readonly forms: readonly SignForm[]
  readonly locations: readonly ImageLocation[]
  readonly recursive: boolean
}

/** Signs images at once, in every form. A key that cannot be opened ends it at once. */
async function signAll(task: SignTask): Promise<readonly SignedImage[]> {
  const { cli, identity, access, forms, locations, recursive } = task
  for (const location of locations) for (const form of forms) form.check(location)
  const stop = new AbortController()
  const outer = AbortSignal.any([cli.signal, stop.signal])
  const work = parallel(locations, PARALLEL, 'Signing', outer, (location, signal) =>
    withSubject(cli, location, access, { recursive, signal }, (subject) =>
      signSubject(subject, forms, signal),
    ),
  )
  try {
    const [signed] = await Promise.all([work, identity.kind === 'cosign' ? identity.key : identity.signer])
    return signed.flat()
  } finally {
    stop.abort()
    await work.catch(() => undefined)
  }
}

async function signSubject(
  subject: SignSubject,
  forms: readonly SignForm[],
  signal: AbortSignal,
): Promise<readonly SignedImage[]> {
  const { location } = subject
  const signed: SignedImage[] = []
  for (const form of forms) {
    for (const made of await form.sign(subject, signal)) signed.push({ ...made, location })
  }
  return signed
}

/** Opens the log that signatures go to, if they go to one. */
async function openLogOf(cli: Cli, { forms }: SignPlan, flags: Flags): Promise<OpenedLog | undefined> {
  const { rekorUrl } = flags
  if (forms.includes('simple') || rekorUrl === undefined) return undefined
  const { openLog } = await import('../sign-log.ts')
  return await openLog(cli, { ...flags, rekorUrl })
}

interface FormContext {
  readonly identity: SigningIdentity
  readonly access: PlaceAccess
  readonly log: TransparencyLog | undefined
  readonly registryCa: string | undefined
}

/** Each form is loaded when it is asked for. */
async function openForms(
  cli: Cli,
  plan: SignPlan,
  { identity, access, log, registryCa }: FormContext,
): Promise<readonly SignForm[]> {
  if (identity.kind === 'openpgp') {
    const { simpleForm } = await import('../sign-as-simple.ts')
    return [simpleForm(cli, { plan, access, signer: identity.signer, registryCa })]
  }
  const { key } = identity
  return await Promise.all(
    plan.forms.map(async (form) => {
      if (form === 'cosign') {
        const { cosignForm } = await import('../sign-as-cosign.ts')
        return cosignForm(cli, { plan, access, key, log })
      }
      const { bundleForm } = await import('../sign-as-bundle.ts')
      return bundleForm({ plan, access, key, log })
    }),
  )
}

/** Says it where a guest takes no signature of this key, however good it is. */
async function warnOfGuest(cli: Cli, identity: SigningIdentity): Promise<void> {
  const reason =
    identity.kind === 'cosign' ? guestOnKey(await identity.key) : guestOnSigner(await identity.signer)
  if (reason !== undefined) cli.say(`WARN No guest will verify this signature: ${reason}`)
}

/** cosign and the guest take different hashes for some keys, and what is made here is for cosign. */
function guestOnKey({ publicKey: { algorithm } }: SigningKey): string | undefined {
  const { guestHash, cosignHash } = KEY_ALGORITHMS[algorithm]
  if (guestHash === cosignHash) return undefined
  const reason =
    guestHash === undefined
      ? `it cannot read an ${algorithm} key`
      : `it wants ${guestHash} with an ${algorithm} key, and cosign ${cosignHash}`
  return `${reason}. Sign for guests with a P-256 key, as 'cosignet key generate' makes it.`
}

function guestOnSigner({ bySubkey, signingFingerprint, key }: OpenPgpSigner): string | undefined {
  if (!bySubkey) return undefined
  return `the subkey ${signingFingerprint} signs, and it looks at the primary key ${key.fingerprint} alone.`
}
