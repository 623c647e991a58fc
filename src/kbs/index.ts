/**
 * The Key Broker Service (KBS) of Confidential Containers: it hands secrets, among them the keys and the policy for
 * signed images, to guests that prove what they are. Here are the protocol that both sides share and the client; the
 * service itself has its own door, `server/index.ts`, so that who only asks does not load it. What is here speaks to
 * Trustee as Trustee's own parts do.
 */
export {
  type AdminKeyPair,
  type AdminOptions,
  type AdminTokenOptions,
  type Attested,
  type AttestOptions,
  generateAdminKeyPair,
  KbsClient,
  type KbsClientOptions,
  type KbsHttp,
  type SetResourceOptions,
  signAdminToken,
} from './client/index.ts'
export {
  decryptForTee,
  encryptForTee,
  type JweMessage,
} from './protocol/jwe.ts'
export {
  type InitDataMessage,
  KBS_PROTOCOL_VERSION,
  type RcarAttestation,
  type RcarChallenge,
  type RcarRequest,
  type RcarResult,
  type RuntimeData,
  type SampleEvidence,
  TEES,
  type Tee,
} from './protocol/rcar.ts'
export { computeReportData, HASH_ALGORITHMS, type HashAlgorithm } from './protocol/report-data.ts'
export {
  formatResourceUri,
  isResourcePath,
  parseResourcePath,
  parseResourceUri,
  type ResourcePath,
} from './protocol/resource-path.ts'
export {
  generateTeeKey,
  readTeePublicKey,
  type TeeKey,
  type TeeKeyKind,
  type TeePublicKey,
} from './protocol/tee-key.ts'
