import { isCosignetError, parseJsonTree } from '../core/index.ts'
import { memberOf, shapeFault } from './pull-json.ts'
import { IMAGE_CONFIG } from './pull-shapes.ts'

/** What the guest needs of an image configuration. */
export interface GuestImageConfig {
  /** As Go names it. */
  readonly os: string
  /** One for each layer, as they stand; not checked to be digests. */
  readonly diffIds: readonly string[]
}

/**
 * Reads an image configuration as the guest does (oci-spec-rs, `ImageConfiguration::from_reader`), which needs
 * `architecture`, `os` and `rootfs`, and every known field to be of its type.
 * @returns the end of a sentence where the guest cannot read it.
 */
export function readImageConfig(bytes: Uint8Array): GuestImageConfig | { readonly fault: string } {
  try {
    const tree = parseJsonTree(bytes, 'the configuration')
    const fault = shapeFault(tree, IMAGE_CONFIG, 'the configuration')
    if (fault !== undefined) return { fault }
    const os = memberOf(tree, 'os')
    const diffIds = memberOf(memberOf(tree, 'rootfs'), 'diff_ids')
    return {
      os: os?.kind === 'string' ? os.value : '',
      diffIds:
        diffIds?.kind === 'array'
          ? diffIds.items.flatMap((item) => (item.kind === 'string' ? [item.value] : []))
          : [],
    }
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_JSON')) throw error
    return { fault: error.message.replace(/\.$/, '') }
  }
}
