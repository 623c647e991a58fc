import type { TestImage } from './images.ts'
import type { TestRegistry } from './registries.ts'
import type { Outcome, Sandbox } from './sandbox.ts'

/** The programs that sign, and verify what the others signed. */
export type ProgramName = 'cosignet' | 'cosign22' | 'cosign2' | 'cosign3' | 'skopeo' | 'gpg'

/** Forms of a signature: cosign's attachment, the bundle of cosign 3, the OpenPGP message of gpg and skopeo. */
export const FORMATS = ['cosign', 'bundle', 'simple'] as const
export type Format = (typeof FORMATS)[number]

/** What signs in each form. */
export const KEY_KINDS = { cosign: 'sigstore', bundle: 'sigstore', simple: 'openpgp' } as const
export type KeyKind = (typeof KEY_KINDS)[Format]

/** A key pair in two files: with the empty password in cosign's format, or as OpenPGP armor without a password. */
export interface MatrixKey {
  readonly secret: string
  readonly pub: string
  /** Of an OpenPGP key, which is in the keyring of the sandbox too; else empty. */
  readonly fingerprint: string
}

/** An image in a registry, which has the tag `latest` there. */
export interface MatrixImage extends TestImage {
  readonly registry: TestRegistry
  /** Name in the registry. */
  readonly repository: string
}

/** What programs of the matrix find in their sandbox. */
export interface MatrixBench {
  readonly sandbox: Sandbox
  /** Folder of settings: cosign's signatures stand beside images, others in a lookaside store. */
  readonly registriesD: string
  /** Root of the lookaside store. */
  readonly lookaside: string
  /** Settings by which cosign 3 signs without any service. */
  readonly signingConfig: string
  /** A trusted root of cosign's without any service. */
  readonly trustedRoot: string
  /** An empty password. */
  readonly passphraseFile: string
}

/** Signs an image; of an index, every image in it too. */
export type Sign = (bench: MatrixBench, key: MatrixKey, image: MatrixImage) => Promise<unknown>

/** Whether the program accepts an image; of an index, each image in it too. What is no verdict throws. */
export type Verify = (bench: MatrixBench, key: MatrixKey, image: MatrixImage) => Promise<boolean>

/** Something that a program does; `by` names how, where it is not the obvious way. */
export interface Can<Does> {
  readonly does: Does
  readonly by?: string
}

/** Something that a program cannot do, and what it says when it is asked to. */
export interface Cannot {
  readonly cannot: string
  /** Asks it: to sign this image with this key, or to verify it where it is signed with it. */
  readonly asked: (bench: MatrixBench, key: MatrixKey, image: MatrixImage) => Promise<Outcome>
  readonly says: RegExp
}

export interface MatrixProgram {
  readonly name: ProgramName
  readonly label: string
  readonly makes: Partial<Record<KeyKind, (bench: MatrixBench, name: string) => Promise<MatrixKey>>>
  readonly signs: Readonly<Record<Format, Can<Sign> | Cannot>>
  readonly verifies: Readonly<Record<Format, Can<Verify> | Cannot>>
}

/** `HOST/REPOSITORY:latest` */
export function tagOf({ registry, repository }: MatrixImage): string {
  return `${registry.host}/${repository}:latest`
}

/** `HOST/REPOSITORY@DIGEST` of the image, or of the index and of each image in it. */
export function referencesOf(image: MatrixImage): readonly string[] {
  return digestsOf(image).map((digest) => `${image.registry.host}/${image.repository}@${digest}`)
}

/** Digests of all that is signed. */
export function digestsOf({ digest, images }: TestImage): readonly string[] {
  return [...new Set([digest, ...images])]
}

export async function prepareBench(sandbox: Sandbox): Promise<MatrixBench> {
  const lookaside = sandbox.path('lookaside')
  // In the home folder, where the programs look for it unasked.
  await sandbox.write(
    'home/.config/containers/registries.d/default.yaml',
    `default-docker:\n  use-sigstore-attachments: true\n  lookaside: file://${lookaside}\n`,
  )
  const mediaType = 'application/vnd.dev.sigstore'
  return {
    sandbox,
    lookaside,
    registriesD: sandbox.path('home/.config/containers/registries.d'),
    signingConfig: await sandbox.write(
      'signing-config.json',
      JSON.stringify({
        mediaType: `${mediaType}.signingconfig.v0.2+json`,
        rekorTlogConfig: {},
        tsaConfig: {},
      }),
    ),
    trustedRoot: await sandbox.write(
      'trusted-root.json',
      JSON.stringify({ mediaType: `${mediaType}.trustedroot+json;version=0.1` }),
    ),
    passphraseFile: await sandbox.write('passphrase', ''),
  }
}
