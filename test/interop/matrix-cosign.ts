import { ALL_COSIGNS, type CosignName, PASSWORD } from './cosign.ts'
import {
  type Can,
  type Cannot,
  type MatrixBench,
  type MatrixProgram,
  referencesOf,
  type Sign,
  tagOf,
  type Verify,
} from './matrix.ts'
import { peer } from './peers.ts'
import type { Outcome } from './sandbox.ts'

const NO_OPENPGP = 'cosign knows no OpenPGP'
const REFUSED = /^Error: no (signatures found|valid bundles exist|matching (signatures|attestations))/m

/** The cosigns: what they have in common, and since when there are bundles. */
export const COSIGN_PROGRAMS: readonly MatrixProgram[] = [
  program('cosign22', 'cosign 2.2', signsNoBundle('cosign22'), {
    cannot: 'cosign 2.2 knows no bundles',
    asked: ({ sandbox }, { pub }, image) =>
      sandbox.run(peer('cosign22'), [
        'verify',
        '--insecure-ignore-tlog',
        '--key',
        pub,
        ...referencesOf(image),
      ]),
    says: /no signatures found/,
  }),
  program('cosign2', 'cosign 2.5', signsNoBundle('cosign2'), {
    by: 'by `cosign verify-attestation`; `cosign verify` reads bundles since 2.6',
    does: verify('cosign2', (bench) => [
      ...['verify-attestation', '--new-bundle-format', '--type', 'https://sigstore.dev/cosign/sign/v1'],
      ...['--trusted-root', bench.trustedRoot],
    ]),
  }),
  program(
    'cosign3',
    'cosign 3.1',
    { does: sign('cosign3', (bench) => ['--signing-config', bench.signingConfig]) },
    { does: verify('cosign3', () => ['verify']) },
  ),
]

function program(
  name: CosignName,
  label: string,
  signsBundle: Can<Sign> | Cannot,
  verifiesBundle: Can<Verify> | Cannot,
): MatrixProgram {
  const legacy = ALL_COSIGNS.find(({ cosign }) => cosign === name)?.legacy ?? []
  return {
    name,
    label,
    makes: {
      sigstore: async ({ sandbox }, prefix) => {
        await run({ sandbox }, name, ['generate-key-pair', '--output-key-prefix', sandbox.path(prefix)])
        return {
          secret: sandbox.path(`${prefix}.key`),
          pub: sandbox.path(`${prefix}.pub`),
          fingerprint: '',
        }
      },
    },
    signs: {
      cosign: { does: sign(name, () => legacy) },
      bundle: signsBundle,
      simple: {
        cannot: NO_OPENPGP,
        asked: ({ sandbox }, { secret }, image) =>
          sandbox.run(
            peer(name),
            ['sign', '--yes', ...legacy, '--key', secret, ...referencesOf(image)],
            PASSWORD,
          ),
        says: /reading key: invalid pem block/,
      },
    },
    verifies: {
      cosign: { does: verify(name, () => ['verify']) },
      bundle: verifiesBundle,
      simple: {
        cannot: NO_OPENPGP,
        asked: ({ sandbox }, { pub }, image) =>
          sandbox.run(peer(name), ['verify', '--insecure-ignore-tlog', '--key', pub, ...referencesOf(image)]),
        says: /pem to public key: PEM decoding failed/,
      },
    },
  }
}

function sign(name: CosignName, flags: (bench: MatrixBench) => readonly string[]): Sign {
  return (bench, { secret }, image) =>
    run(bench, name, ['sign', '--yes', '--recursive', ...flags(bench), '--key', secret, tagOf(image)])
}

function verify(name: CosignName, command: (bench: MatrixBench) => readonly string[]): Verify {
  return async (bench, { pub }, image) => {
    const args = [...command(bench), '--insecure-ignore-tlog', '--key', pub, ...referencesOf(image)]
    const { status, stdout, stderr } = await bench.sandbox.run(peer(name), args)
    if (status === 0) return true
    if (REFUSED.test(stderr)) return false
    throw new Error(`${name} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
  }
}

function signsNoBundle(name: CosignName): Cannot {
  return {
    cannot: '`cosign sign` makes bundles since 2.6',
    asked: ({ sandbox }, { secret }, image) =>
      sandbox.run(peer(name), ['sign', '--new-bundle-format', '--key', secret, tagOf(image)], PASSWORD),
    says: /unknown flag: --new-bundle-format/,
  }
}

function run(
  { sandbox }: Pick<MatrixBench, 'sandbox'>,
  name: CosignName,
  args: readonly string[],
): Promise<Outcome> {
  return sandbox.succeed(peer(name), args, PASSWORD)
}
