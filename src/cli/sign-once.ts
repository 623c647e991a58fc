import type { SigningKey } from '../keys/index.ts'
import { digestOf } from '../oci/index.ts'
import type { TransparencyLog } from '../signature/index.ts'

/** What signs, and the log that what it signed goes to. */
export interface Signing {
  readonly key: Promise<SigningKey>
  readonly log?: TransparencyLog
}

/**
 * Has each message signed once and each signature logged once, however often it must be stored: where others write to
 * the same layout, all is done again, and what is in a log stays there. What fails is not kept.
 */
export function signOnce(key: Promise<SigningKey>, log: TransparencyLog | undefined): Signing {
  const once = key.then(keyOnce)
  // Who waits for the key itself is told why there is none.
  once.catch(() => undefined)
  return { key: once, ...(log === undefined ? {} : { log: logOnce(log) }) }
}

function keyOnce(key: SigningKey): SigningKey {
  const made = new Map<string, Uint8Array>()
  return {
    ...key,
    sign: (message) => {
      const name = digestOf(message)
      const signature = made.get(name) ?? key.sign(message)
      made.set(name, signature)
      return signature
    },
  }
}

function logOnce(log: TransparencyLog): TransparencyLog {
  return {
    ...log,
    logSignature: once((signed, signal) => log.logSignature(signed, signal)),
    logEnvelope: once((signed, signal) => log.logEnvelope(signed, signal)),
  }
}

/** By the signature alone: no two messages have the same of one key. */
function once<Signed extends { readonly signature: Uint8Array }, Entry>(
  enter: (signed: Signed, signal: AbortSignal | undefined) => Promise<Entry>,
): (signed: Signed, signal?: AbortSignal) => Promise<Entry> {
  const entries = new Map<string, Entry>()
  return async (signed, signal) => {
    const name = digestOf(signed.signature)
    const entry = entries.get(name) ?? (await enter(signed, signal))
    entries.set(name, entry)
    return entry
  }
}
