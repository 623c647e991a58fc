import type { KeyFilePaths, OpenPgpKey, WrittenKeyPair } from '../keys/index.ts'
import { asJson, type Outcome } from './cli.ts'
import { guestNote } from './key-facts.ts'

/** Tells where a key pair of cosign was written to. */
export function describePair(written: WrittenKeyPair): Outcome {
  const { algorithm, fingerprint } = written.publicKey
  return describe(written, algorithm, fingerprint, [])
}

/** Tells where an OpenPGP key pair was written to, and which part of it signs for a guest. */
export function describeOpenPgpPair(paths: KeyFilePaths, key: OpenPgpKey): Outcome {
  return describe(paths, key.algorithmName, key.fingerprint, [guestNote(key)])
}

function describe(
  { privateKeyPath, publicKeyPath }: KeyFilePaths,
  algorithm: string,
  fingerprint: string,
  notes: readonly string[],
): Outcome {
  const text = [
    `Private key written to ${privateKeyPath}`,
    `Public key written to ${publicKeyPath} (fingerprint ${fingerprint})`,
    ...notes,
  ]
  return {
    exit: 0,
    data: asJson({ privateKey: privateKeyPath, publicKey: publicKeyPath, algorithm, fingerprint }),
    text: text.join('\n'),
  }
}
