import { CosignetError, isCosignetError, type JsonValue, parseJson, quote } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'
import { type Digest, digestParts, isDigest } from './digest.ts'

const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

/** Whether `text` is a tag (distribution-spec 1.1, "Pulling manifests"). */
export function isTag(text: string): boolean {
  return TAG.test(text)
}

/** What stands for a manifest in a path: only a tag or a digest may (CVE-2024-3727). @throws INVALID_REFERENCE */
export function pathPart(tagOrDigest: string): string {
  if (isDigest(tagOrDigest) || isTag(tagOrDigest)) return tagOrDigest
  throw new CosignetError('INVALID_REFERENCE', `${quote(tagOrDigest)} is neither a tag nor a digest.`)
}

/**
 * The digest by which a registry announces a manifest; its word, to be checked.
 * @param what names the manifest in messages.
 * @throws BAD_RESPONSE if it is none
 */
export function announcedDigest({ headers }: HttpResponse, what: string): Digest | undefined {
  const announced = headers['docker-content-digest']
  if (announced === undefined) return undefined
  if (!isDigest(announced)) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `${what} is announced with ${quote(announced)}, which is not a digest.`,
    )
  }
  return announced
}

/** Whether two digests name different content for certain: of two algorithms, nobody can tell. */
export function contradict(a: Digest, b: Digest): boolean {
  return digestParts(a).algorithm === digestParts(b).algorithm && a !== b
}

/** Refuses a login page or a proxy's notice that is answered with status 200. @throws BAD_RESPONSE */
export function refuseHtml({ headers }: HttpResponse, name: string): void {
  if (!/^text\/html\b/i.test(headers['content-type'] ?? '')) return
  throw new CosignetError('BAD_RESPONSE', `${name} answers with an HTML page instead of JSON.`, {
    hint: 'Check that the host is a registry, and that no proxy or login page stands in between.',
  })
}

/** The error for a list that a registry answered: what is wrong with it is not wrong with what the user gave. */
export function asBadResponse(error: unknown): unknown {
  return isCosignetError(error, 'INVALID_JSON', 'INVALID_MANIFEST')
    ? new CosignetError('BAD_RESPONSE', error.message, { cause: error })
    : error
}

/** Parses the JSON that a registry answered. @throws BAD_RESPONSE */
export function parseAnswer(bytes: Uint8Array, what: string): JsonValue {
  try {
    return parseJson(bytes, what)
  } catch (error) {
    throw asBadResponse(error)
  }
}
