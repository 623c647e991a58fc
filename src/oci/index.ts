/**
 * Images: references, digests, manifests, and the places that hold them. Bytes are kept as they were read; a manifest
 * or blob that does not have its digest never leaves this room.
 */
export { type AuthFilePaths, authFileToWrite } from './auth-document.ts'
export { type AuthFileOptions, createAuthFileCredentials } from './auth-files.ts'
export { type LoginAnswer, type LoginOptions, tryLogin } from './auth-login.ts'
export {
  type AuthKey,
  type AuthStore,
  eraseAllLogins,
  eraseLogin,
  type Login,
  storeLogin,
} from './auth-store.ts'
export { readBlobFile } from './blob-files.ts'
export { type BaseImage, buildFromDockerfile, type DockerfileBuildOptions } from './build-dockerfile.ts'
export { type BuildImageOptions, buildImage } from './build-image.ts'
export { formatPlatform, parsePlatform } from './build-platform.ts'
export type { BuiltImage } from './build-result.ts'
export {
  certificatesIn,
  type HostCertificates,
  type HostCertificatesOptions,
  readHostCertificates,
} from './certs-d.ts'
export type { CredentialProvider, Credentials } from './credentials.ts'
export {
  checkDigest,
  type Digest,
  DigestVerifier,
  digestOf,
  digestParts,
  isDigest,
  parseDigest,
} from './digest.ts'
export { type DirectoryImage, openDirectory } from './directory.ts'
export { createDirectory, type DirectoryDestination } from './directory-destination.ts'
export { signatureFileOf } from './directory-names.ts'
export { type DockerArchiveImage, openDockerArchive } from './docker-archive.ts'
export { createDockerArchive, type DockerArchiveOptions } from './docker-archive-destination.ts'
export type { DockerArchiveSelection } from './docker-archive-manifest.ts'
export {
  type CreateDaemonOptions,
  createDockerDaemon,
  type OpenDaemonOptions,
  openDockerDaemon,
} from './docker-daemon.ts'
export { type DaemonHost, DEFAULT_DAEMON_HOST, parseDaemonHost } from './docker-daemon-host.ts'
export { LayerSpool } from './layer-spool.ts'
export { openLayout } from './layout.ts'
export { type ArchivedImage, type LayoutArchiveOptions, openLayoutArchive } from './layout-archive.ts'
export { createLayoutArchive } from './layout-archive-destination.ts'
export { createLayout, type LayoutOptions, type WritableLayout } from './layout-destination.ts'
export type { LocalImage } from './layout-image.ts'
export { UNNAMED } from './layout-index.ts'
export { type ImageLocation, parseLocation, type Transport } from './location.ts'
export {
  type Descriptor,
  type ImageManifest,
  type IndexManifest,
  isManifestMediaType,
  MANIFEST_MEDIA_TYPES,
  type Manifest,
  MEDIA_TYPES,
  type Platform,
  parseManifest,
} from './manifest.ts'
export { createMirroredSource, type MirrorEndpoint } from './mirrored-source.ts'
export {
  formatReference,
  parseReference,
  type Reference,
  repositoryName,
  withDigest,
  withTag,
} from './reference.ts'
export {
  checkNotBlocked,
  type RegistriesConf,
  type RegistryEndpoint,
  readEndpoints,
  writeEndpoint,
} from './registries-conf.ts'
export { type RegistriesConfOptions, readRegistriesConf } from './registries-conf-files.ts'
export { type ManifestHead, openRegistry, RegistryClient } from './registry-client.ts'
export type { RegistrySignatures } from './registry-signatures.ts'
export type { RegistryOptions } from './registry-transport.ts'
export type {
  BlobOutcome,
  DestinationRules,
  ImageDestination,
  ImageSource,
  StagedDestination,
} from './store.ts'
export { ZstdFrameReader } from './tar-zstd-frames.ts'
export { verifiedStream, watchedStream } from './verified-stream.ts'
