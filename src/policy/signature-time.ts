import type { SignatureTime } from './seen-signature.ts'

/** The first second of the year 10000, which RFC 3339 cannot write. */
const YEAR_10000 = 253_402_300_800

/**
 * Writes a time for a verdict.
 * @param seconds since 1970.
 * @returns undefined for one before 1970 or after 9999, which is as good as none.
 */
export function signatureTime(
  seconds: number,
  source: SignatureTime['source'],
  claimed: boolean,
): SignatureTime | undefined {
  if (!(seconds >= 0 && seconds < YEAR_10000)) return undefined
  const at = `${new Date(Math.floor(seconds) * 1000).toISOString().slice(0, -5)}Z`
  return { at, source, claimed }
}
