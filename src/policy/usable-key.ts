import { CosignetError } from '../core/index.ts'
import type { PublicKey } from '../keys/index.ts'
import type { TrustedKey } from './keys-requirement.ts'
import { PROFILES, type ProfileRules } from './profiles.ts'

/**
 * Says why a verifier does not take a public key that is otherwise in order.
 * @returns half a sentence: what the key is, instead of one that is taken.
 */
export function unusableKey(key: PublicKey, rules: ProfileRules): string | undefined {
  const { keyAlgorithms, rsa } = rules
  if (!keyAlgorithms.includes(key.algorithm)) {
    return `an ${key.algorithm} key, which this verifier cannot read; it reads ${keyAlgorithms.join(', ')}`
  }
  const { modulusLength: bits, publicExponent: exponent } = key.keyObject.asymmetricKeyDetails ?? {}
  if (bits === undefined || exponent === undefined) return undefined
  if (bits < rsa.bits[0] || bits > rsa.bits[1]) {
    return `an RSA key of ${bits} bits, and this verifier reads ${rsa.bits[0]} to ${rsa.bits[1]}`
  }
  const fits = exponent >= rsa.exponent[0] && exponent <= rsa.exponent[1] && exponent % 2n === 1n
  return fits ? undefined : `an RSA key with the exponent ${exponent}, which this verifier does not read`
}

/** @throws INVALID_KEY for a key that cosign cannot read */
export function checkUsableKeys(keys: readonly TrustedKey[]): void {
  for (const trusted of keys) {
    const reason = trusted.kind === 'cosign' ? unusableKey(trusted.key, PROFILES.cosign.rules) : undefined
    if (reason !== undefined) throw new CosignetError('INVALID_KEY', `${trusted.name} is ${reason}.`)
  }
}
