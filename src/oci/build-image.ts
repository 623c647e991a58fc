import { CosignetError, quote } from '../core/index.ts'
import { assembleImage, type BuiltImage } from './build-result.ts'
import type { Digest } from './digest.ts'
import { packFolder } from './folder-tar.ts'
import { LayerSpool } from './layer-spool.ts'
import type { Platform } from './manifest.ts'

export interface BuildImageOptions {
  /** One image for each; more than one makes an index. */
  readonly platforms: readonly Platform[]
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** `NAME=value`. */
  readonly env?: readonly string[]
  readonly workdir?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Where the compressed layer is kept until the image is closed. */
  readonly temporaryFolder: string
  readonly signal?: AbortSignal
}

/** Image time that does not change with the day of the build. */
const CREATED = '1970-01-01T00:00:00Z'

/**
 * Makes an OCI image of a folder: one gzip layer, a configuration for each platform, an index over more than one. The
 * same files and options give the same digests. The folder is read and compressed once, here; the image must be closed.
 * @throws USAGE without a platform or with a broken variable; INVALID_IMAGE, FILE as `packFolder`; ABORTED
 */
export async function buildImage(folder: string, options: BuildImageOptions): Promise<BuiltImage> {
  checkOptions(options)
  const name = `the image of ${quote(folder)}`
  const spool = await LayerSpool.open(options.temporaryFolder)
  try {
    const { layer, diffId } = await spool.add(packFolder(folder), options.signal)
    const parts = options.platforms.map((platform) => {
      return { platform, config: imageConfig(platform, diffId, options), layers: [layer] }
    })
    return assembleImage(name, parts, {
      read: (descriptor) => spool.read(descriptor, `The layer of ${name}`),
      close: () => spool.close(),
    })
  } catch (error) {
    await spool.close()
    throw error
  }
}

function checkOptions({ platforms, env = [] }: BuildImageOptions): void {
  if (platforms.length === 0) throw new CosignetError('USAGE', 'An image needs at least one platform.')
  for (const variable of env) {
    if (variable.indexOf('=') < 1) {
      throw new CosignetError(
        'USAGE',
        `An environment variable of an image is NAME=value, not ${quote(variable)}.`,
      )
    }
  }
}

function imageConfig(platform: Platform, diffId: Digest, options: BuildImageOptions): object {
  const { entrypoint, cmd, env, workdir, labels } = options
  return {
    created: CREATED,
    architecture: platform.architecture,
    os: platform.os,
    variant: platform.variant,
    config: { Env: env, Entrypoint: entrypoint, Cmd: cmd, WorkingDir: workdir, Labels: labels },
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: CREATED, created_by: 'cosignet' }],
  }
}
