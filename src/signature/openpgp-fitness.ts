import {
  hasCriticalUnknownToGpg,
  type OpenPgpSignature,
  type UntrustedOpenPgpMessage,
} from '../keys/index.ts'
import { isRefusedByGuest } from './openpgp-guest-subpackets.ts'
import type { OpenPgpRules } from './openpgp-rules.ts'

/** Types of signatures on messages (RFC 9580, section 5.2.1): over bytes as they are, and over text. */
const BINARY = 0
const TEXT = 1

/** Why a signature does not count, whoever made it. */
export interface Unfitness {
  readonly failure: 'malformed-message' | 'weak-hash'
  /** One sentence. */
  readonly message: string
}

/** Finds what a verifier holds against a signature before it looks for the key; undefined for nothing. */
export function unfitnessOf(
  { signature, onePass }: UntrustedOpenPgpMessage,
  rules: OpenPgpRules,
): Unfitness | undefined {
  const { type, hash, hashNumber, surplus } = signature
  if (type !== BINARY && type !== TEXT) {
    return malformed(`The signature is of the type ${type}, which is not one on a message.`)
  }
  if (hash === undefined || !rules.hashes.includes(hash)) {
    const name = hash ?? `hash algorithm ${hashNumber}`
    return {
      failure: 'weak-hash',
      message: `The signature is over ${name}, which the verifier does not take.`,
    }
  }
  if (rules.onePass === 'hash' && onePass.hashNumber !== hashNumber) {
    return malformed('The signature is over another hash than the one that is announced before the text.')
  }
  if (rules.surplus === 'refused' && surplus > 0) {
    return malformed('Something follows the numbers of the signature.')
  }
  const refuses = rules.subpackets === 'gpg' ? hasCriticalUnknownToGpg : isRefusedByGuest
  if (!refuses(signature)) return undefined
  return malformed(
    'The signature has a malformed part, or one that is critical and that the verifier does not know.',
  )
}

/** The signed bytes that go with a text. */
export function contentOf({ type }: OpenPgpSignature, text: Uint8Array, rules: OpenPgpRules): Uint8Array {
  if (type !== TEXT || rules.text === 'as-it-stands') return text
  return Buffer.from(Buffer.from(text).toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1')
}

function malformed(message: string): Unfitness {
  return { failure: 'malformed-message', message }
}
