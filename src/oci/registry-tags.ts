import { CosignetError, type JsonValue, LIMITS } from '../core/index.ts'
import { isTag, parseAnswer, refuseHtml } from './registry-answers.ts'
import { nextPage, PAGES_MAX } from './registry-pages.ts'
import type { RegistryRequest, RegistryTransport } from './registry-transport.ts'

const FIRST_PAGE = 'tags/list?n=1000'

/**
 * Lists the tags of a repository (distribution-spec 1.1, "Listing Tags"), each once, in the order of the registry.
 * @param name of the repository, for messages.
 * @throws TOO_LARGE, BAD_RESPONSE, and as `RegistryTransport.send`
 */
export async function listTags(
  transport: RegistryTransport,
  name: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const tags = new Set<string>()
  let path: string | URL | undefined = FIRST_PAGE
  for (let page = 0; path !== undefined; page += 1) {
    const read = await readPage(transport, path, name, signal)
    path = read.next
    for (const tag of read.tags) tags.add(tag)
    if (page >= PAGES_MAX) {
      throw new CosignetError('TOO_LARGE', `${taskOf(name)} does not end after ${PAGES_MAX} pages.`)
    }
  }
  return [...tags]
}

/** Lists the tags of a repository if they are on one page; undefined if there are more. @throws as `listTags` */
export async function listFirstTags(
  transport: RegistryTransport,
  name: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string> | undefined> {
  const { tags, next } = await readPage(transport, FIRST_PAGE, name, signal)
  return next === undefined ? new Set(tags) : undefined
}

async function readPage(
  transport: RegistryTransport,
  path: string | URL,
  name: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly tags: readonly string[]; readonly next: URL | undefined }> {
  const request: RegistryRequest = { method: 'GET', path, action: 'pull', signal, task: taskOf(name) }
  const { response, bytes } = await transport.read(request, LIMITS.jsonBytes)
  refuseHtml(response, name)
  return { tags: readTags(bytes, name), next: nextPage(response) }
}

function taskOf(name: string): string {
  return `Listing the tags of ${name}`
}

function readTags(bytes: Uint8Array, name: string): readonly string[] {
  const what = `The list of tags of ${name}`
  const tags = (parseAnswer(bytes, what) as { readonly [key: string]: JsonValue } | null)?.['tags'] ?? []
  // What is not a tag could not be asked for, so it is not passed on.
  if (Array.isArray(tags)) return tags.filter((tag): tag is string => typeof tag === 'string' && isTag(tag))
  throw new CosignetError('BAD_RESPONSE', `${what} is not a list.`)
}
