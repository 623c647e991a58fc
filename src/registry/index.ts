/**
 * The embedded OCI registry, for demonstrations, tests and sites without a network: distribution-spec 1.1 with
 * referrers, conditional pushes (If-Match), users by an htpasswd file and content that survives a crash. It keeps
 * OpenPGP signatures too (X-Registry-Supports-Signatures), and all signatures without reading them. `createRegistry` is the app; where the content is kept is passed in.
 */
export { type Authenticator, createBasicAuth } from './basic-auth.ts'
export { fileStorage } from './file-storage.ts'
export { parseHtpasswd } from './htpasswd.ts'
export { memoryStorage } from './memory-storage.ts'
export { createPasswordVerifier } from './password-thread.ts'
export { createRegistry } from './registry.ts'
export type { RegistryStorage } from './storage.ts'
