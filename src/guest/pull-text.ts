import { formatReference, type Reference } from '../oci/index.ts'

/** What a Pod shows if the guest cannot set up its image client (confidential-data-hub, `error.rs`). */
export function imageClientError(reason: string): string {
  return `Image Client error: ${reason}`
}

/**
 * What a Pod shows if the guest does not pull an image (image-rs, `PullImageError::AllTasksTried`). Of the reason,
 * only the outermost sentence reaches the Pod; the rest stays in the guest's log.
 * @param image as the Pod gives it.
 */
export function imagePullError(image: string, reference: Reference, reason: string): string {
  const tried = `image: ${formatReference(reference)}, error: ${reason}`
  return `Image Pull error: Failed to pull image ${image} from all mirror/mapping locations or original location: ${tried}`
}

/** The reason where the manifest cannot be read. */
export function manifestError(reason: string): string {
  return `Errors happened when pulling image: failed to pull image manifest: ${reason}`
}

/** The reason where a layer cannot be used. */
export function layerError(reason: string): string {
  return `Errors happened when pulling image: ${reason}`
}
