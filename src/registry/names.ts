const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`)
const REPOSITORY_LENGTH_MAX = 255
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

const SIGNATURE_ID = /^[0-9a-f]{32}$/

/**
 * Whether `text` is a repository name (distribution-spec 1.1, "Pulling manifests"), of at most 255 characters. Such a
 * name is safe as a path: no part is empty or starts with a dot or an underscore.
 */
export function isRepositoryName(text: string): boolean {
  return text.length <= REPOSITORY_LENGTH_MAX && REPOSITORY.test(text)
}

/** Whether `text` is a tag (distribution-spec 1.1, "Pulling manifests"); safe as a file name. */
export function isTag(text: string): boolean {
  return TAG.test(text)
}

/** Whether `text` is what containers/image calls a signature: 32 lower-case hex digits; safe as a file name. */
export function isSignatureId(text: string): boolean {
  return SIGNATURE_ID.test(text)
}
