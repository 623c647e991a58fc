/**
 * Keys that sign images: public keys as PEM, private keys as the encrypted files of cosign, and the signatures that
 * they make and verify. A private key is in memory as a `SigningKey` and nowhere else; what a file is instead of a key
 * is said in the refusal.
 */
export { KEY_ALGORITHMS, type KeyAlgorithm, type SignatureHash } from './algorithms.ts'
export { decryptPrivateKey, encryptPrivateKey } from './encrypted-key.ts'
export { formatPublicKey, type PublicKey, parsePublicKey } from './public-key.ts'
export { generateKeyPair, type SigningKey } from './signing-key.ts'
export { verifySignature } from './verify-signature.ts'
export { type WriteKeyPairOptions, type WrittenKeyPair, writeKeyPair } from './write-key-pair.ts'
