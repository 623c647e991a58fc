import type { TraceStep } from '../policy/index.ts'
import type { Workload } from '../workload/index.ts'
import {
  annotationSizeWarning,
  decodeAnnotation,
  INITDATA_ANNOTATION,
  KERNEL_PARAMS_ANNOTATION,
  LEGACY_INITDATA_ANNOTATION,
} from './annotation.ts'
import { type InitData, initDataDigest, parseInitData } from './initdata.ts'

/** What a Pod hands to its guest through annotations. */
export interface PodInput {
  readonly initData: InitData | undefined
  readonly kernelParams: string | undefined
}

/**
 * Reads the annotations of a Pod as Kata does: base64, gzip, TOML.
 * @throws INVALID_BASE64, INVALID_GZIP, INVALID_TOML, INVALID_INITDATA, TOO_LARGE
 */
export function readPodInitData(workload: Workload, trace: TraceStep[]): PodInput {
  const { annotations } = workload
  const sizeWarning = annotationSizeWarning(annotations)
  if (sizeWarning !== undefined) trace.push({ step: 'initdata', outcome: 'warning', message: sizeWarning })
  if (workload.runtimeClassName === undefined) {
    const message =
      'The Pod has no runtimeClassName: unless the cluster adds one, it runs in no confidential guest.'
    trace.push({ step: 'config', outcome: 'warning', message })
  }
  const kernelParams = annotations.get(KERNEL_PARAMS_ANNOTATION)
  const annotation = annotations.get(INITDATA_ANNOTATION)
  if (annotation === undefined) {
    const legacy = annotations.has(LEGACY_INITDATA_ANNOTATION)
    const also = legacy ? ` (only ${LEGACY_INITDATA_ANNOTATION}, which guests of today do not read)` : ''
    const message = `The Pod has no init data${also}: nothing in it makes its guest check any image.`
    trace.push({ step: 'initdata', outcome: 'warning', message })
    return { initData: undefined, kernelParams }
  }
  const initData = parseInitData(
    decodeAnnotation(annotation),
    `The init data of ${workload.kind} ${workload.name}`,
  )
  const digest = Buffer.from(initDataDigest(initData)).toString('hex')
  const message = `The annotation holds init data with the ${initData.algorithm} digest ${digest}.`
  trace.push({ step: 'initdata', outcome: 'ok', message, facts: { algorithm: initData.algorithm, digest } })
  return { initData, kernelParams }
}
