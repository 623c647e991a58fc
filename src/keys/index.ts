/**
 * Keys that sign images, of cosign and of OpenPGP: their files, the signatures that they make and verify, and the stores
 * at GitHub and GitLab that keep them. A private key is in memory as a `SigningKey` or `OpenPgpSigner` and nowhere else;
 * what a file is instead of a key is said in the refusal.
 */
export { KEY_ALGORITHMS, type KeyAlgorithm, type SignatureHash } from './algorithms.ts'
export { decryptPrivateKey, encryptPrivateKey } from './encrypted-key.ts'
export { encryptPkcs8, formatPkcs8, type KeyDerivation } from './encrypted-pkcs8.ts'
export { type GitHubOptions, openGitHubSecrets } from './github-secrets.ts'
export { type GitLabOptions, openGitLabVariables } from './gitlab-variables.ts'
export { importPrivateKey } from './import-key.ts'
export { formatOpenPgpPublicKey, importOpenPgpKey, type OpenPgpPasswords } from './import-openpgp.ts'
export { type EncryptionFacts, inspectKey, type KeyFacts } from './inspect-key.ts'
export { KEY_VERIFIERS, type KeyAcceptance, type KeyVerifier } from './inspect-verifiers.ts'
export type { OpenPgpAlgorithm, OpenPgpHash } from './openpgp-algorithms.ts'
export {
  type GeneratedOpenPgpKey,
  type GenerateOpenPgpKeyOptions,
  generateOpenPgpKey,
} from './openpgp-generate.ts'
export { type GpgSignerOptions, gpgSigner } from './openpgp-gpg.ts'
export { type OpenPgpKey, parseOpenPgpKeys } from './openpgp-key.ts'
export { parseOpenPgpMessage, type UntrustedOpenPgpMessage } from './openpgp-message.ts'
export type { OpenPgpKeyMaterial } from './openpgp-public-key.ts'
export type { OpenPgpKeyPart, OpenPgpSubkey } from './openpgp-self-signatures.ts'
export {
  creationTime,
  endOf,
  fingerprintIn,
  hasCriticalUnknownToGpg,
  isOpenPgpSignature,
  issuerFingerprint,
  issuerKeyId,
  keyIdIn,
  type OpenPgpSignature,
  SUBPACKETS,
  type Subpacket,
  secondsIn,
} from './openpgp-signature.ts'
export { type OpenPgpSigner, openOpenPgpSigner } from './openpgp-signer.ts'
export { hashStartMatches, verifyOpenPgpSignature } from './openpgp-verify.ts'
export { looksLikeOpenPgp } from './pem.ts'
export { formatPublicKey, type PublicKey, parsePublicKey } from './public-key.ts'
export { generateKeyPair, type SigningKey } from './signing-key.ts'
export { echoesSecret } from './store-echo.ts'
export {
  type GitHubKeys,
  type GitLabKeys,
  type KeyReference,
  type KubernetesKeys,
  parseKeyReference,
} from './store-reference.ts'
export type { KeyPairFiles, KeyStore, PutKeyPairOptions, ReadableKeyStore } from './stores.ts'
export { verifySignature } from './verify-signature.ts'
export {
  findKeyFile,
  type KeyFilePaths,
  type KeyFiles,
  keyFileExists,
  keyFilePaths,
  writeKeyFiles,
} from './write-key-files.ts'
export { type WriteKeyPairOptions, type WrittenKeyPair, writeKeyPair } from './write-key-pair.ts'
