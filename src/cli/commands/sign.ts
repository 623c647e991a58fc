import { CosignetError, LIMITS, quote, readFileBounded } from '../../core/index.ts'
import { decryptPrivateKey, KEY_ALGORITHMS, type SigningKey } from '../../keys/index.ts'
import {
  type Digest,
  parseReference,
  type Reference,
  type RegistryClient,
  repositoryName,
} from '../../oci/index.ts'
import { signDigest } from '../../signature/index.ts'
import { asJson, type Cli } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { manyTexts, parseText, switchFlag, textFlag } from '../flags.ts'
import { readPassword } from '../password.ts'
import { REGISTRY_FLAGS, type RegistryFlags, withRegistries } from '../registry-access.ts'

interface Flags extends RegistryFlags {
  readonly key: string
  readonly recursive: boolean
  readonly annotations?: readonly string[] | undefined
}

/** One signature that was made, or was there. */
interface Signed {
  readonly reference: string
  readonly digest: Digest
  readonly signature: Digest
  readonly alreadySigned: boolean
}

export const command = defineCommand<Flags, string[]>({
  brief: 'Signs images in the format that the guest reads.',
  details:
    "The signature is cosign's older one (tag sha256-….sig), which every cosign verifies too; nothing is uploaded to a\n" +
    'transparency log. A signature that is there is kept. The password comes from COSIGN_PASSWORD, else from the terminal.',
  parameters: {
    flags: {
      ...REGISTRY_FLAGS,
      key: textFlag('Private key, as key generate or cosign made it', 'FILE'),
      recursive: switchFlag('Of an index, sign the manifests in it, too'),
      annotations: {
        kind: 'parsed',
        parse: parseText,
        variadic: true,
        optional: true,
        brief: 'Annotation to sign with it; may be repeated',
        placeholder: 'KEY=VALUE',
      },
    },
    aliases: { r: 'recursive', a: 'annotations' },
    positional: manyTexts('REFERENCE', 'Image to sign, by tag or digest'),
  },
  async run(cli, flags, ...names) {
    const references = names.map(parseReference)
    const annotations = parseAnnotations(flags.annotations ?? [])
    const password = await readPassword(cli, { confirm: false })
    // Decrypting takes longer than all the rest, so the images are looked up meanwhile.
    const key = readKey(flags.key, password)
    key.catch(() => undefined)
    const signed = await withRegistries(cli, flags, async (open) => {
      const results: Signed[] = []
      for (const reference of references) {
        results.push(
          ...(await signOne({ cli, flags, key, annotations, reference, store: await open(reference) })),
        )
      }
      return results
    })
    warnOfGuest(cli, await key)
    return { exit: 0, data: asJson({ signed }), text: signed.map(describe).join('\n') }
  },
})

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

async function readKey(path: string, password: Uint8Array): Promise<SigningKey> {
  const bytes = await readFileBounded(path, LIMITS.keyBytes, 'private key')
  return await decryptPrivateKey(bytes, password, `The private key ${quote(path)}`)
}

interface Task {
  readonly cli: Cli
  readonly flags: Flags
  readonly key: Promise<SigningKey>
  readonly annotations: Readonly<Record<string, string>> | undefined
  readonly reference: Reference
  readonly store: RegistryClient
}

async function signOne({ cli, flags, key, annotations, reference, store }: Task): Promise<Signed[]> {
  // Read and not only looked up: what is signed is the digest of these bytes, not the registry's word.
  const target = reference.digest ?? reference.tag ?? 'latest'
  const [manifest] = await Promise.all([store.getManifest(target, cli.signal), failEarly(key)])
  const children =
    flags.recursive && manifest.content.kind === 'index'
      ? manifest.content.manifests.map(({ digest }) => digest)
      : []
  const signed: Signed[] = []
  for (const digest of [manifest.digest, ...children]) {
    const result = await signDigest({
      store,
      reference,
      digest,
      key,
      signal: cli.signal,
      ...(annotations === undefined ? {} : { annotations }),
    })
    signed.push({
      reference: `${repositoryName(reference)}@${digest}`,
      digest,
      signature: result.signatureDigest,
      alreadySigned: result.alreadySigned,
    })
  }
  return signed
}

/** Rejects if the key turns out to be unusable by now, without waiting for it. */
async function failEarly(key: Promise<SigningKey>): Promise<void> {
  await Promise.race([key, Promise.resolve()])
}

function parseAnnotations(pairs: readonly string[]): Readonly<Record<string, string>> | undefined {
  if (pairs.length === 0) return undefined
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      if (equals < 1)
        throw new CosignetError('USAGE', `${quote(pair)} is not an annotation such as key=value.`)
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}

function describe({ reference, alreadySigned }: Signed): string {
  return alreadySigned ? `Was signed with this key already: ${reference}` : `Signed ${reference}`
}
