import { peer } from './peers.ts'
import type { RunOptions, Sandbox } from './sandbox.ts'

export type CosignName = 'cosign3' | 'cosign2' | 'cosign22'

/** The cosigns that are tried, and the flags by which each signs in the legacy format without a transparency log. */
export const COSIGNS = [
  {
    cosign: 'cosign3',
    legacy: ['--new-bundle-format=false', '--use-signing-config=false', '--tlog-upload=false'],
  },
  { cosign: 'cosign2', legacy: ['--tlog-upload=false'] },
] as const

/** These, and the oldest that the guide of CoCo names. */
export const ALL_COSIGNS = [...COSIGNS, { cosign: 'cosign22', legacy: ['--tlog-upload=false'] }] as const

/** The empty password is a password too: without the variable, cosign would ask for one. */
export const PASSWORD: RunOptions = { env: { COSIGN_PASSWORD: '' } }

/** Makes a key pair with cosign 3: `NAME.key` and `NAME.pub`. */
export async function makeCosignKey(sandbox: Sandbox, name: string): Promise<{ key: string; pub: string }> {
  await sandbox.succeed(
    peer('cosign3'),
    ['generate-key-pair', '--output-key-prefix', sandbox.path(name)],
    PASSWORD,
  )
  return { key: sandbox.path(`${name}.key`), pub: sandbox.path(`${name}.pub`) }
}

/** Signs in the legacy format, as a CoCo guest needs it. */
export async function cosignSign(
  sandbox: Sandbox,
  cosign: CosignName,
  key: string,
  reference: string,
  flags: readonly string[] = [],
): Promise<void> {
  const legacy = ALL_COSIGNS.find((row) => row.cosign === cosign)?.legacy ?? []
  await sandbox.succeed(
    peer(cosign),
    ['sign', '--yes', ...legacy, '--key', key, ...flags, reference],
    PASSWORD,
  )
}

/** Whether cosign accepts a signature on the image by this public key. */
export async function cosignAccepts(
  sandbox: Sandbox,
  cosign: CosignName,
  pub: string,
  reference: string,
): Promise<boolean> {
  const args = ['verify', '--insecure-ignore-tlog', '--key', pub, reference]
  const { status, stdout, stderr } = await sandbox.run(peer(cosign), args)
  // 10 to 12: no signature, or none that matches. Anything else is not a verdict.
  if (status === 0) return true
  if (status === 10 || status === 12) return false
  throw new Error(`${cosign} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
}
