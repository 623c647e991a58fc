import { readFileBounded } from '../core/index.ts'

/** A value that stands in a kubeconfig (`…-data`, base64 there) or in a file that it names. */
export type FileOrData = { readonly data: string } | { readonly path: string }

/**
 * Reads such a value as text.
 * @param what names the kind of file in messages.
 * @throws FILE, TOO_LARGE
 */
export async function readFileOrData(
  from: FileOrData | undefined,
  limit: number,
  what: string,
): Promise<string | undefined> {
  if (from === undefined || 'data' in from) return from?.data
  return Buffer.from(await readFileBounded(from.path, limit, what)).toString('utf8')
}
