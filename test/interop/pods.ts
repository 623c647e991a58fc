import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { cosignet } from './cosignet.ts'
import type { Sandbox } from './sandbox.ts'

/** What a guest is told, and which image its Pod names. */
export interface GuestSetup {
  readonly image: string
  /** PEM file of the key that the policy asks for. */
  readonly pub: string
  /** PEM of an authority that the guest is to trust; empty for none. */
  readonly ca: string
}

/** The parts of preflight's JSON that the tests read. */
export type PreflightVerdict =
  | { readonly outcome: 'allowed' }
  | {
      readonly outcome: 'denied'
      readonly cause: { readonly code: string; readonly message: string; readonly fix: string }
    }
  /** It could not decide: exit status 3. */
  | { readonly outcome: 'undecided' }

/**
 * Asks `preflight` about a Pod written here by hand, as the CoCo guide does it: a policy and a key as resources of the
 * KBS, init data that names them, packed into the annotation.
 */
export async function preflight(sandbox: Sandbox, { image, pub, ca }: GuestSetup): Promise<PreflightVerdict> {
  // The scope: the reference without digest and tag; the host has a colon too.
  const repository = image.replace(/@.*/, '').replace(/:[^:/]*$/, '')
  await sandbox.write('resources/default/sig-public-key/test', await readFile(pub))
  await sandbox.write(
    'resources/default/security-policy/test',
    JSON.stringify({
      default: [{ type: 'reject' }],
      transports: {
        docker: {
          [repository]: [{ type: 'sigstoreSigned', keyPath: 'kbs:///default/sig-public-key/test' }],
        },
      },
    }),
  )
  const annotation = gzipSync(initData(ca)).toString('base64')
  const pod = await sandbox.write(
    'pod.json',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'test',
        annotations: { 'io.katacontainers.config.hypervisor.cc_init_data': annotation },
      },
      spec: { runtimeClassName: 'kata-qemu-coco-dev', containers: [{ name: 'main', image }] },
    }),
  )
  return runPreflight(sandbox, pod, ['--resources', sandbox.path('resources')])
}

/** Runs `preflight` on a manifest with one Pod of one container. */
export async function runPreflight(
  sandbox: Sandbox,
  manifest: string,
  flags: readonly string[] = [],
): Promise<PreflightVerdict> {
  const args = ['preflight', manifest, ...flags, '-o', 'json']
  const { status, stdout, stderr } = await cosignet(sandbox, args)
  if (status === 3) return { outcome: 'undecided' }
  if (status !== 0 && status !== 1) throw new Error(`preflight ended with ${status}:\n${stdout}${stderr}`)
  const report: { pods: { containers: { verdict: PreflightVerdict }[] }[] } = JSON.parse(stdout)
  const verdict = report.pods[0]?.containers[0]?.verdict
  if (verdict?.outcome !== (status === 0 ? 'allowed' : 'denied')) {
    throw new Error(`preflight ended with ${status}, but printed:\n${stdout}${stderr}`)
  }
  return verdict
}

function initData(ca: string): string {
  const roots = ca === '' ? '' : `extra_root_certificates = ["""\n${ca.trimEnd()}\n"""]\n`
  return `algorithm = "sha256"
version = "0.1.0"

[data]
"aa.toml" = '''
[token_configs.kbs]
url = 'https://kbs.example'
'''

"cdh.toml" = '''
socket = 'unix:///run/confidential-containers/cdh.sock'
credentials = []

[kbc]
name = 'cc_kbc'
url = 'https://kbs.example'

[image]
image_security_policy_uri = 'kbs:///default/security-policy/test'
${roots}'''
`
}
