import { CosignetError, LIMITS, quote, readFileBounded } from '../core/index.ts'
import { directoryResources } from '../guest/index.ts'
import type { ImageLocation, Reference } from '../oci/index.ts'
import { evaluatePolicy, parsePolicy, type ResourceProvider } from '../policy/index.ts'
import type { CopyOptions } from '../transfer/index.ts'
import type { Cli } from './cli.ts'

export interface PolicyFlags {
  readonly policy?: string | undefined
  readonly resources?: string | undefined
}

/**
 * Reads the policy that a copy is under, and judges by the rules of the guest. The image is judged by its name in the
 * registry that it comes from; one from elsewhere by the name that it gets.
 * @throws USAGE if no registry gives the image a name; INVALID_POLICY, INVALID_JSON, FILE
 */
export async function readJudge(
  cli: Cli,
  flags: PolicyFlags,
  source: ImageLocation,
  destination: ImageLocation,
): Promise<CopyOptions['judge']> {
  if (flags.policy === undefined) {
    if (flags.resources === undefined) return undefined
    throw new CosignetError('USAGE', '--resources holds the keys of a policy: give --policy too.')
  }
  const reference = nameFor(source) ?? nameFor(destination)
  if (reference === undefined) {
    throw new CosignetError(
      'USAGE',
      'A policy judges an image by its name in a registry; here it has none.',
      {
        hint: 'Copy from or to docker://, where the name of the image is known.',
      },
    )
  }
  const bytes = await readFileBounded(flags.policy, LIMITS.policyBytes, 'policy file')
  const policy = parsePolicy(bytes, `The policy ${quote(flags.policy)}`)
  const resources = resourcesOf(flags.resources)
  return async (from, image) =>
    await evaluatePolicy({
      policy,
      profile: 'guest',
      image: { reference, ...image },
      source: from,
      resources,
      signal: cli.signal,
    })
}

function nameFor(location: ImageLocation): Reference | undefined {
  return location.transport === 'docker' ? location.reference : undefined
}

/** Keys by path are files of this machine; those of the KBS are files of the folder that stands for it. */
function resourcesOf(folder: string | undefined): ResourceProvider {
  const kbs = folder === undefined ? undefined : directoryResources(folder)
  return async (location, signal) => {
    if (location.kind === 'file') {
      return { outcome: 'found', bytes: await readFileBounded(location.path, LIMITS.keyBytes, 'key file') }
    }
    if (kbs !== undefined) return await kbs(location, signal)
    throw new CosignetError('USAGE', `The policy names ${quote(location.uri)}, and there is no KBS here.`, {
      hint: 'Give the folder that holds its resources with --resources.',
    })
  }
}
