import { systemClock } from '../core/index.ts'
import {
  formatReference,
  type ImageLocation,
  type ImageSource,
  isDigest,
  type Reference,
  RegistryClient,
  repositoryName,
} from '../oci/index.ts'
import { evaluateKeys, type KeysRequirement, type Verdict } from '../policy/index.ts'
import { parallel } from '../transfer/index.ts'
import type { Cli } from './cli.ts'
import { openDaemon } from './daemon-access.ts'
import { formatLocation, openImage } from './image-access.ts'
import type { RegistryAccess } from './registry-access.ts'
import { openSignatureStore } from './signature-stores.ts'

export interface VerifyTask {
  readonly cli: Cli
  readonly requirement: KeysRequirement
  readonly access: Pick<RegistryAccess, 'open' | 'openSource'>
  /** Authority to trust at lookaside stores that are read by `https:`. */
  readonly registryCa?: string
  /** Repository where signatures are, if not in that of the image. */
  readonly signatureRepository?: Reference
}

/** What became of an image: a verdict, or why there is none. */
export type Verified = Verdict | { readonly error: unknown }

/** Images that are judged at once. */
const PARALLEL = 16

/**
 * Judges images, several at once. After the first that cannot be judged no other is begun.
 * @returns what became of the images up to the first that could not be judged, in their order.
 * @throws ABORTED
 */
export async function verifyImages(
  task: VerifyTask,
  locations: readonly ImageLocation[],
): Promise<readonly Verified[]> {
  const opened = withOneClientEach(task)
  let failed = false
  const results = await parallel(
    locations,
    PARALLEL,
    'Verifying',
    task.cli.signal,
    async (location): Promise<Verified | undefined> => {
      if (failed) return undefined
      try {
        return await verifyImage(opened, location)
      } catch (error) {
        failed = true
        return { error }
      }
    },
  )
  const first = results.findIndex((result) => result !== undefined && 'error' in result)
  return results.slice(0, first === -1 ? undefined : first + 1).filter((result) => result !== undefined)
}

async function verifyImage(task: VerifyTask, location: ImageLocation): Promise<Verdict> {
  const { cli, requirement, access, registryCa, signatureRepository } = task
  const { signal } = cli
  const image = await openImage(location, { ...access, openDaemon: () => openDaemon(cli, undefined) })
  try {
    const { from } = image
    const digest = isDigest(from) ? from : (await image.source.getManifest(from, signal)).digest
    const inRegistry = location.transport === 'docker'
    const source =
      inRegistry && signatureRepository !== undefined
        ? await access.openSource(signatureRepository)
        : image.source
    return await evaluateKeys({
      requirement,
      image: {
        digest,
        ...(inRegistry
          ? { name: formatReference(location.reference), reference: location.reference }
          : { name: formatLocation(location) }),
      },
      source,
      openSignatures: async () =>
        await openSignatureStore(cli, access, location, {
          source: image.source,
          ...(registryCa === undefined ? {} : { registryCa }),
        }),
      now: systemClock,
      signal,
    })
  } finally {
    await image.close()
  }
}

/** Opens each repository once: what it told of itself, and what it was shown, is not asked for again. */
function withOneClientEach(task: VerifyTask): VerifyTask {
  const sources = new Map<string, Promise<ImageSource>>()
  const openSource = (reference: Reference): Promise<ImageSource> => {
    // Mirrors may be for digests only.
    const key = `${repositoryName(reference)} ${reference.digest === undefined ? 'tag' : 'digest'}`
    const source = sources.get(key) ?? openToRead(task, reference)
    sources.set(key, source)
    return source
  }
  return { ...task, access: { ...task.access, openSource } }
}

async function openToRead({ access }: VerifyTask, reference: Reference): Promise<ImageSource> {
  const source = await access.openSource(reference)
  if (source instanceof RegistryClient) source.expectManyReads()
  return source
}
