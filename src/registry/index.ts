/**
 * The embedded OCI registry, for demonstrations, tests and sites without a network: distribution-spec 1.1 with
 * referrers, conditional pushes (If-Match) and content that survives a crash. It keeps signature blobs without reading
 * them. `createRegistry` is the app; where the content is kept is passed in.
 */
export { fileStorage } from './file-storage.ts'
export { memoryStorage } from './memory-storage.ts'
export { createRegistry } from './registry.ts'
