import { join } from 'node:path'
import {
  CosignetError,
  errnoOf,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
  reasonOf,
} from '../core/index.ts'
import { formatResourceUri, type KbsClient, parseResourcePath, type ResourcePath } from '../kbs/index.ts'
import type { ResourceAnswer, ResourceLocation, ResourceProvider } from '../policy/index.ts'

/**
 * Fetches resources from a live KBS, as the guest does after it has attested. Each is fetched once.
 * @param client has attested.
 */
export function kbsResources(client: Pick<KbsClient, 'getResource'>): ResourceProvider {
  return guestResources(async (path) => {
    try {
      return await client.getResource(path)
    } catch (error) {
      if (isCosignetError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }, 'the KBS')
}

/**
 * Reads resources from files, with no KBS: `kbs:///default/security-policy/test` is
 * `DIRECTORY/default/security-policy/test`.
 */
export function directoryResources(directory: string): ResourceProvider {
  return guestResources(
    async (path) => {
      try {
        return await readFileBounded(join(directory, path), LIMITS.resourceBytes, 'resource file')
      } catch (error) {
        const missing =
          isCosignetError(error, 'FILE') && ['ENOENT', 'ENOTDIR'].includes(errnoOf(error.cause) ?? '')
        if (missing) return undefined
        throw error
      }
    },
    `the folder ${quote(directory)}`,
  )
}

type Fetch = (path: ResourcePath) => Promise<Uint8Array | undefined>

function guestResources(fetch: Fetch, place: string): ResourceProvider {
  const answers = new Map<ResourcePath, Promise<ResourceAnswer>>()
  return async (location) => {
    const path = resourcePathOf(location)
    if (typeof path !== 'string') return path
    const answer = answers.get(path) ?? answerFor(path, fetch, place)
    answers.set(path, answer)
    return await answer
  }
}

async function answerFor(path: ResourcePath, fetch: Fetch, place: string): Promise<ResourceAnswer> {
  const bytes = await fetch(path)
  if (bytes !== undefined) return { outcome: 'found', bytes }
  return {
    outcome: 'missing',
    message: `The resource ${formatResourceUri(path)} is not in ${place}.`,
    fix: `Store it: cosignet kbs set-resource --path ${path} --resource-file FILE …`,
  }
}

function resourcePathOf(location: ResourceLocation): ResourcePath | ResourceAnswer {
  if (location.kind === 'file') throw inRootFileSystem(location.path)
  const url = URL.parse(location.uri)
  if (url !== null && (url.protocol !== 'kbs:' || url.search !== '')) {
    throw new CosignetError(
      'UNSUPPORTED',
      `${quote(location.uri)} names a plugin of the KBS or has a query, which cannot be judged yet.`,
    )
  }
  try {
    // The guest's own KBS is asked, whatever host the URI names (guest-components, `resource_uri`).
    return parseResourcePath(url?.pathname.slice(1) ?? location.uri)
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_RESOURCE_PATH')) throw error
    return {
      outcome: 'missing',
      message: `${reasonOf(error)}.`,
      fix: 'Write it as kbs:///repository/type/tag.',
    }
  }
}

/** What lies in the guest's image of its own root file system leaves the decision open. */
export function inRootFileSystem(what: string): CosignetError {
  return new CosignetError(
    'UNSUPPORTED',
    `${quote(what)} lies in the root file system of the guest, which cannot be seen from here.`,
    {
      hint: 'Keep policy and keys in the KBS (kbs:///…), where the owner of the workload can read them back.',
    },
  )
}
