import { CosignetError, quote } from '../core/index.ts'
import { parseReference, type Reference } from '../oci/index.ts'
import type { Cli } from './cli.ts'

/**
 * The repository where cosign keeps the signatures of all images, as `COSIGN_REPOSITORY` names it.
 * @returns undefined where they are beside each image.
 * @throws INVALID_REFERENCE; USAGE for the name of an image
 */
export function signaturesRepository(environment: Cli['environment']): Reference | undefined {
  const name = environment['COSIGN_REPOSITORY'] ?? ''
  if (name === '') return undefined
  const reference = parseReference(name)
  const isImage = reference.digest !== undefined || name.slice(name.lastIndexOf('/')).includes(':')
  if (!isImage) return reference
  throw new CosignetError(
    'USAGE',
    `${quote(name)} in COSIGN_REPOSITORY names an image: a repository for signatures has neither tag nor digest.`,
  )
}
