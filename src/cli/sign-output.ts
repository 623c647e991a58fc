import { decodeUtf8, encodeBase64 } from '../core/index.ts'
import { type Digest, digestParts, type ImageLocation } from '../oci/index.ts'
import { asJson, type Outcome } from './cli.ts'
import { writeOutputFile } from './output-file.ts'
import type { SignFlags } from './sign-flags.ts'
import type { MadeSignature } from './sign-form.ts'
import { nameOfManifest } from './sign-subject.ts'

/** A signature of an image that was named on the command line. */
export interface SignedImage extends MadeSignature {
  readonly location: ImageLocation
}

/**
 * Writes signatures, payloads and bundles to the files named for them. Where more than one manifest is signed, each has a
 * file of its own, whose name ends in its digest, as with cosign: `FILE-sha256-<hex>`.
 * @throws FILE
 */
export async function writeOutputs(flags: SignFlags, signed: readonly SignedImage[]): Promise<void> {
  const several = new Set(signed.map(({ digest }) => digest)).size > 1
  const write = async (file: string | undefined, digest: Digest, bytes: Uint8Array | undefined) => {
    if (file === undefined || bytes === undefined) return
    const { algorithm, hex } = digestParts(digest)
    await writeOutputFile(several ? `${file}-${algorithm}-${hex}` : file, bytes, { mode: 0o644 })
  }
  for (const { form, digest, content, payload } of signed) {
    if (form === 'bundle') {
      await write(flags.outputBundle, digest, content)
    } else {
      await write(flags.outputSignature, digest, content)
      await write(flags.outputPayload, digest, payload)
    }
  }
}

/** The outcome of signatures that were stored. */
export function storedOutcome(signed: readonly SignedImage[]): Outcome {
  const lines = signed.map((one) => {
    const name = nameOfManifest(one.location, one.digest)
    const kind = one.form === 'cosign' ? '' : one.form === 'bundle' ? ' (bundle)' : ' (simple)'
    const place = one.store === undefined ? '' : ` in ${one.store}`
    return one.alreadySigned
      ? `Was signed with this key already${kind}: ${name}`
      : `Signed${kind} ${name}${place}`
  })
  return { exit: 0, data: asJson({ signed: signed.map(rowOf) }), text: lines.join('\n') }
}

/**
 * The outcome of signatures that were not stored: each that no file took on a line, as cosign prints it; one OpenPGP
 * message as it is.
 */
export function printedOutcome(flags: SignFlags, signed: readonly SignedImage[]): Outcome {
  const data = asJson({
    signed: signed.map((one) => ({ ...rowOf(one), content: encodeBase64(one.content) })),
  })
  const left = signed.filter(
    ({ form }) => (form === 'bundle' ? flags.outputBundle : flags.outputSignature) === undefined,
  )
  const [first] = left
  if (first?.form === 'simple' && left.length === 1) {
    return { exit: 0, data, text: '', bytes: first.content }
  }
  const lines = left.map(({ form, content }) =>
    form === 'simple' ? encodeBase64(content) : decodeUtf8(content),
  )
  return { exit: 0, data, text: lines.join('\n') }
}

function rowOf({ location, form, digest, alreadySigned, signature, store }: SignedImage): object {
  return {
    reference: nameOfManifest(location, digest),
    digest,
    format: form,
    ...(signature === undefined ? {} : { signature }),
    ...(store === undefined ? {} : { store }),
    alreadySigned,
  }
}
