/** Characters that a text may share with a secret by chance. */
const SHARED = 7

/**
 * Whether a text of a server repeats a part of a secret that it was sent: more than seven characters of it, or all of a
 * shorter one of four at least. API servers quote the request that they could not read, and gateways what they like.
 */
export function echoesSecret(text: string, secrets: readonly string[]): boolean {
  return secrets.some((secret) => {
    if (secret.length < 4) return false
    const size = Math.min(secret.length, SHARED + 1)
    for (let start = 0; start + size <= text.length; start += 1) {
      if (secret.includes(text.slice(start, start + size))) return true
    }
    return false
  })
}
