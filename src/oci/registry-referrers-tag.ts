import {
  CosignetError,
  encodeUtf8,
  isCosignetError,
  type JsonValue,
  parseJson,
  quote,
} from '../core/index.ts'
import { type Digest, digestOf } from './digest.ts'
import { type Descriptor, type Manifest, MEDIA_TYPES } from './manifest.ts'
import { referrersTag } from './registry-referrers.ts'
import type { ImageDestination, ImageSource } from './store.ts'

/** Where the list is kept: one repository of a registry. */
type Repository = Pick<ImageSource, 'name' | 'getManifest'> & Pick<ImageDestination, 'putManifest'>

type Entries = readonly JsonValue[]
type Change = (entries: Entries) => Entries

/** How often a change is made anew because another writer was first. */
const ROUNDS = 10

/**
 * Enters a manifest in the list of its subject's referrers, on a registry that keeps none itself (distribution-spec
 * 1.1, "Unavailable Referrers API"). What others entered stays as they wrote it. The list is read back, since many
 * registries heed no If-Match; where another writer's list has won, the entry is made again.
 * @throws CONFLICT if others win all the time, or the tag holds what is no list; as `getManifest` and `putManifest`
 */
export async function addReferrer(
  repository: Repository,
  referrer: Manifest,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const entry = describe(referrer) as unknown as JsonValue
  await change(repository, subject, signal, (entries) =>
    entries.some((other) => digestIn(other) === referrer.digest) ? entries : [...entries, entry],
  )
}

/** Takes a manifest off that list. @throws as `addReferrer` */
export async function removeReferrer(
  repository: Repository,
  referrer: Digest,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<void> {
  await change(repository, subject, signal, (entries) => {
    const others = entries.filter((entry) => digestIn(entry) !== referrer)
    return others.length === entries.length ? entries : others
  })
}

/** @param apply returns the same list where there is nothing to do. */
async function change(
  repository: Repository,
  subject: Digest,
  signal: AbortSignal | undefined,
  apply: Change,
): Promise<void> {
  const tag = referrersTag(subject)
  for (let round = 0; round < ROUNDS; round += 1) {
    const { list, digest } = await readList(repository, tag, signal)
    const entries = apply(list.manifests)
    // True at once, or when the list that was written is read back.
    if (entries === list.manifests) return
    const bytes = encodeUtf8(JSON.stringify({ ...list, manifests: entries }))
    const options = { tag, ifMatch: digest, ...(signal === undefined ? {} : { signal }) }
    try {
      await repository.putManifest(
        { bytes, digest: digestOf(bytes), mediaType: MEDIA_TYPES.ociIndex },
        options,
      )
    } catch (error) {
      if (!isCosignetError(error, 'CONFLICT')) throw error
    }
  }
  throw new CosignetError(
    'CONFLICT',
    `The list of referrers ${quote(tag)} of ${repository.name} was changed by others ${ROUNDS} times meanwhile.`,
    { hint: 'Repeat the command when nobody else writes there.' },
  )
}

interface List {
  readonly manifests: Entries
  readonly [key: string]: JsonValue
}

const EMPTY: List = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }

/** The document as it stands, so that members that are not known here survive. */
async function readList(
  repository: Repository,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<{ list: List; digest: Digest | null }> {
  let manifest: Manifest
  try {
    manifest = await repository.getManifest(tag, signal)
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return { list: EMPTY, digest: null }
    throw error
  }
  const { bytes, digest, mediaType } = manifest
  if (mediaType !== MEDIA_TYPES.ociIndex) {
    throw new CosignetError(
      'CONFLICT',
      `The tag ${quote(tag)} of ${repository.name} holds ${quote(mediaType)} and no list of referrers.`,
      {
        hint: 'The registry has no referrers API, so this tag is where the list belongs: delete what is there.',
      },
    )
  }
  return { list: parseJson(bytes, `The list of referrers ${quote(tag)}`) as unknown as List, digest }
}

/** The entry of a referrer: type and annotations as the API would answer them. */
function describe({ bytes, digest, mediaType, content }: Manifest): Descriptor {
  const config = content.kind === 'image' ? content.config.mediaType : undefined
  const artifactType = content.artifactType ?? config
  return {
    mediaType,
    digest,
    size: bytes.byteLength,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(content.annotations === undefined ? {} : { annotations: content.annotations }),
  }
}

function digestIn(entry: JsonValue): JsonValue | undefined {
  return (entry as { readonly [key: string]: JsonValue })['digest']
}
