import type { WrittenKeyPair } from '../keys/index.ts'
import type { Outcome } from './cli.ts'

/** Tells where a key pair was written to. */
export function describeWritten({ privateKeyPath, publicKeyPath, publicKey }: WrittenKeyPair): Outcome {
  const { algorithm, fingerprint } = publicKey
  return {
    exit: 0,
    data: { privateKey: privateKeyPath, publicKey: publicKeyPath, algorithm, fingerprint },
    text: `Private key written to ${privateKeyPath}\nPublic key written to ${publicKeyPath} (fingerprint ${fingerprint})`,
  }
}
