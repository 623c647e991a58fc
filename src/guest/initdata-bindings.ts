import { createHash } from 'node:crypto'
import { type InitData, type InitDataAlgorithm, initDataDigest } from './initdata.ts'

/** Where a platform reports the digest of the init data, and the value that it reports. */
export interface TeeBinding {
  /** The platform, as Trustee names it. */
  readonly tee: 'snp' | 'tdx' | 'cca' | 'se' | 'az-vtpm'
  /** Field of the evidence. */
  readonly field: string
  /** Lower-case hex; undefined where the platform cannot bind a digest of this algorithm. */
  readonly value: string | undefined
  /** What a verifier does with the field that its name does not tell. */
  readonly note?: string
}

/**
 * What each platform reports for this init data; reference values for an attestation policy.
 *
 * Fields of the hardware hold the digest cut to their length or filled up with zero bytes at the end (Kata, govmm
 * `qemu.go` and kata-types `initdata.rs`; Trustee, `regularize_data`). A vTPM extends PCR 8, which starts as zeros.
 */
export function teeBindings(initData: Pick<InitData, 'bytes' | 'algorithm'>): readonly TeeBinding[] {
  const digest = initDataDigest(initData)
  return PLATFORMS.map(({ tee, field, report, notes }) => {
    const note = notes?.[initData.algorithm]
    return { tee, field, value: report(digest)?.toString('hex'), ...(note === undefined ? {} : { note }) }
  })
}

const CCA_NOTE = 'Trustee compares without filling up, so it accepts sha512 alone here.'
const SE_NOTE = 'Trustee does not check the init data of IBM Secure Execution.'
const VTPM_NOTE = 'The vTPM bank takes 32 bytes: the guest fails to boot unless the algorithm is sha256.'

const PLATFORMS: readonly {
  readonly tee: TeeBinding['tee']
  readonly field: string
  readonly report: (digest: Uint8Array) => Buffer | undefined
  readonly notes?: Readonly<Partial<Record<InitDataAlgorithm, string>>>
}[] = [
  { tee: 'snp', field: 'HOSTDATA', report: (digest) => fitField(digest, 32) },
  { tee: 'tdx', field: 'MRCONFIGID', report: (digest) => fitField(digest, 48) },
  {
    tee: 'cca',
    field: 'realm personalization value',
    report: (digest) => fitField(digest, 64),
    notes: { sha256: CCA_NOTE, sha384: CCA_NOTE },
  },
  {
    tee: 'se',
    field: 'user data',
    report: (digest) => fitField(digest, 256),
    notes: { sha256: SE_NOTE, sha384: SE_NOTE, sha512: SE_NOTE },
  },
  {
    tee: 'az-vtpm',
    field: 'PCR 8',
    report: extendedPcr,
    notes: { sha384: VTPM_NOTE, sha512: VTPM_NOTE },
  },
]

function fitField(digest: Uint8Array, length: number): Buffer {
  const field = Buffer.alloc(length)
  field.set(digest.subarray(0, length))
  return field
}

/** The SHA-256 bank after one extension. The guest refuses a digest of another length (az_snp_vtpm, `extend_pcr_sync`). */
function extendedPcr(digest: Uint8Array): Buffer | undefined {
  if (digest.byteLength !== 32) return undefined
  return createHash('sha256').update(Buffer.alloc(32)).update(digest).digest()
}
