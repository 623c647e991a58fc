import { CosignetError, isCosignetError } from '../core/index.ts'
import {
  createLayout,
  type ImageDestination,
  type ImageLocation,
  type ImageSource,
  type Reference,
} from '../oci/index.ts'
import { formatLocation } from './image-access.ts'
import type { RegistryAccess } from './registry-access.ts'
import type { SignPlan } from './sign-flags.ts'

/** Lends the place that manifests of signatures go to. What was put is there for good once `use` has ended. */
export type LendStore = <T>(use: (store: ImageSource & ImageDestination) => Promise<T>) => Promise<T>

/** How often a layout is tried again that others write to. */
const ATTEMPTS = 20

/**
 * Finds the place where cosign's signatures and bundles of an image go: the repository named for them, that of the image,
 * or the layout that it is in.
 * @returns undefined for `dir:`, which keeps signatures in files.
 * @throws UNSUPPORTED where an image has no such place
 */
export function storeFor(
  location: ImageLocation,
  plan: Repositories,
  access: Pick<RegistryAccess, 'open'>,
): LendStore | undefined {
  const { transport } = location
  const home = repositoryFor(location, plan) ?? (transport === 'docker' ? location.reference : undefined)
  if (home !== undefined) return async (use) => await use(await access.open(home))
  if (transport === 'oci') return (use) => inLayout(location.path, use)
  if (transport === 'dir') return undefined
  throw new CosignetError('UNSUPPORTED', `${formatLocation(location)} cannot hold signatures.`, {
    hint:
      'Copy the image to a registry and sign it there, name a repository for the signature with --repository, or have it ' +
      'written to a file with --upload=false --output-signature FILE.',
  })
}

type Repositories = Pick<SignPlan, 'repository' | 'commonRepository'>

/** The repository that signatures go to in place of the image's own; who verifies a folder looks only there. */
export function repositoryFor(
  { transport }: ImageLocation,
  { repository, commonRepository }: Repositories,
): Reference | undefined {
  return repository ?? (transport === 'oci' || transport === 'dir' ? undefined : commonRepository)
}

/** What a layout gets becomes visible at once; where others changed it meanwhile, all is done again on what they left. */
async function inLayout<T>(
  path: string,
  use: (store: ImageSource & ImageDestination) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const layout = await createLayout(path)
    try {
      const result = await use(layout)
      await layout.commit()
      return result
    } catch (error) {
      await layout.abort()
      if (attempt === ATTEMPTS || !isCosignetError(error, 'CONFLICT')) throw error
    }
  }
}
