/**
 * The guest: what a Pod hands to it and what it makes of that. Init data (TOML, its digest, the annotation, what the
 * evidence will say), the configuration files in it, the decision which settings win, and preflight: what the guest will
 * decide about each image, and why. What the guest skips without a word comes back as a warning.
 */
export { type AaConfig, parseAaConfig } from './aa-config.ts'
export {
  ANNOTATIONS_BYTES_MAX,
  annotationSizeWarning,
  decodeAnnotation,
  encodeAnnotation,
  INITDATA_ANNOTATION,
  KERNEL_PARAMS_ANNOTATION,
  LEGACY_INITDATA_ANNOTATION,
} from './annotation.ts'
export { type CdhConfig, type ImageConfig, parseCdhConfig } from './cdh-config.ts'
export type { ConfigWarning } from './cdh-config-fields.ts'
export { parseRegistriesConfig, type RegistriesConfig, type RegistryEntry } from './cdh-config-registries.ts'
export { directoryResources, kbsResources } from './guest-resources.ts'
export {
  encodeInitData,
  INITDATA_ALGORITHMS,
  INITDATA_VERSION,
  type InitData,
  type InitDataAlgorithm,
  initDataDigest,
  parseInitData,
} from './initdata.ts'
export { type TeeBinding, teeBindings } from './initdata-bindings.ts'
export { type CreateInitDataOptions, createInitData } from './initdata-create.ts'
export { type DocumentSource, type GuestConfig, resolveGuestConfig } from './initdata-resolve.ts'
export { type KernelParams, type ProxyConfig, parseKbcParams, parseKernelParams } from './kernel-params.ts'
export { type ContainerReport, type PreflightOptions, type PreflightReport, preflight } from './preflight.ts'
export { judgePull, type PulledContent, type PullOptions } from './pull-image.ts'
