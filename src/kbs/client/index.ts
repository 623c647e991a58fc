/**
 * The client of a Key Broker Service, as a guest and as an administrator. Loads no package, so that a command can
 * start fast.
 */
export {
  type AdminKeyPair,
  type AdminTokenOptions,
  generateAdminKeyPair,
  signAdminToken,
} from './admin-token.ts'
export type { Attested, AttestOptions } from './handshake.ts'
export {
  type AdminOptions,
  KbsClient,
  type KbsClientOptions,
  type SetResourceOptions,
} from './kbs-client.ts'
export type { KbsHttp } from './kbs-http.ts'
