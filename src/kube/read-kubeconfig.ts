import { join } from 'node:path'
import { errnoOf, isCosignetError, LIMITS, readFileBounded } from '../core/index.ts'
import { type KubeConfig, parseKubeConfig } from './kubeconfig.ts'

/** Where this user's kubeconfig is. */
export interface KubeConfigPlace {
  /** `KUBECONFIG`: a list of files, separated by colons. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly home: string
}

/**
 * Reads the files of `KUBECONFIG`, else `~/.kube/config`, and merges them as client-go does: of each name, the first
 * file that has it counts, whole; files that are not there are skipped.
 * @returns undefined if no file is there.
 * @throws INVALID_CONFIG, INVALID_YAML; FILE, TOO_LARGE
 */
export async function readKubeConfig({
  environment,
  home,
}: KubeConfigPlace): Promise<KubeConfig | undefined> {
  const listed = (environment['KUBECONFIG'] ?? '').split(':').filter((path) => path !== '')
  const paths = listed.length > 0 ? listed : [join(home, '.kube', 'config')]
  const configs: KubeConfig[] = []
  for (const path of paths) {
    const text = await readIfThere(path)
    if (text !== undefined && text.trim() !== '') configs.push(await parseKubeConfig(text, path))
  }
  return configs.length === 0 ? undefined : mergeKubeConfigs(configs)
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await readFileBounded(path, LIMITS.kubeconfigBytes, 'kubeconfig')).toString('utf8')
  } catch (error) {
    if (isCosignetError(error, 'FILE') && errnoOf(error.cause) === 'ENOENT') return undefined
    throw error
  }
}

function mergeKubeConfigs(configs: readonly KubeConfig[]): KubeConfig {
  // A later entry of a Map replaces an earlier one, so the first file comes last.
  const reversed = configs.toReversed()
  const currentContext = configs.find((config) => config.currentContext !== undefined)?.currentContext
  return {
    ...(currentContext === undefined ? {} : { currentContext }),
    clusters: new Map(reversed.flatMap(({ clusters }) => [...clusters])),
    users: new Map(reversed.flatMap(({ users }) => [...users])),
    contexts: new Map(reversed.flatMap(({ contexts }) => [...contexts])),
  }
}
