import { COSIGNS, cosignSign, makeCosignKey } from '../test/interop/cosign.ts'
import { cosignetProgram } from '../test/interop/cosignet.ts'
import { pushNewImage } from '../test/interop/images.ts'
import { peer } from '../test/interop/peers.ts'
import { startDockerRegistry } from '../test/interop/registries.ts'
import type { Sandbox } from '../test/interop/sandbox.ts'
import { cosignBinary, RUNS, type Task, WARM_UPS } from './tasks.ts'

/** Images that are verified in one command. */
const MANY = 200

/** Where, and with what, everything here is signed. */
interface Bench {
  readonly sandbox: Sandbox
  readonly cosign: string
  readonly host: string
  readonly key: string
  readonly pub: string
}

/**
 * Prepares signing and verifying with a key, in each format, beside the program that does the same. Images stand in
 * distribution's registry on plain HTTP and are named by digest, so that neither program has a look-up that the other is
 * spared; OpenPGP signatures stand in a folder.
 */
export async function makeSignatureTasks(sandbox: Sandbox): Promise<readonly Task[]> {
  const { host } = await startDockerRegistry(sandbox, { tls: false })
  const bench: Bench = { sandbox, host, cosign: cosignBinary(), ...(await makeCosignKey(sandbox, 'bench')) }
  return [...(await cosignTasks(bench)), ...(await bundleTasks(bench)), ...(await simpleTasks(bench))]
}

async function cosignTasks(bench: Bench): Promise<readonly Task[]> {
  const { sandbox, cosign, key, pub } = bench
  const signed = await newImage(bench)
  await cosignSign(sandbox, 'cosign3', key, signed)
  const many = await newImages(bench, MANY)
  await sandbox.succeed(cosignetProgram, ['sign', '--key', key, ...many], {
    env: { COSIGN_PASSWORD: '' },
    timeout: 120_000,
  })
  const list = await sandbox.write('many.txt', many.map((name) => `${name}\n`).join(''))
  const theirs = ['verify', '--insecure-ignore-tlog', '--key', pub]
  return [
    verifying('verify: cosign', ['verify', '--key', pub, signed], {
      label: 'cosign 3 verify',
      program: cosign,
      args: () => [...theirs, signed],
    }),
    await signing(bench, 'sign: cosign', ['sign', '--key', key], {
      label: 'cosign 3 sign',
      program: cosign,
      args: (image) => ['sign', '--yes', ...COSIGNS[0].legacy, '--key', key, image],
    }),
    {
      name: `verify: ${MANY} images`,
      cosignet: {
        label: 'cosignet verify',
        program: cosignetProgram,
        args: () => ['verify', '--key', pub, ...many],
      },
      peers: [
        { label: 'cosign 3 verify, one command', program: cosign, args: () => [...theirs, ...many] },
        {
          label: 'xargs -P2 cosign 3 verify',
          program: 'xargs',
          args: () => ['-a', list, '-P2', '-n1', cosign, ...theirs],
        },
      ],
      warmUps: 1,
      runs: 7,
      memory: true,
    },
  ]
}

/** A bundle without a log: cosign is told so by a signing configuration with no services in it. */
async function bundleTasks(bench: Bench): Promise<readonly Task[]> {
  const { sandbox, cosign, key, pub } = bench
  const empty = (kind: string): object => ({ mediaType: `application/vnd.dev.sigstore.${kind}` })
  const signingConfig = await sandbox.write(
    'signing-config.json',
    JSON.stringify({ ...empty('signingconfig.v0.2+json'), rekorTlogConfig: {}, tsaConfig: {} }),
  )
  const trustedRoot = await sandbox.write(
    'trusted-root.json',
    JSON.stringify(empty('trustedroot+json;version=0.1')),
  )
  const theirs = ['sign', '--yes', '--signing-config', signingConfig, '--trusted-root', trustedRoot]
  const signed = await newImage(bench)
  await sandbox.succeed(cosign, [...theirs, '--key', key, signed], { env: { COSIGN_PASSWORD: '' } })
  return [
    verifying('verify: bundle', ['verify', '--key', pub, signed], {
      label: 'cosign 3 verify',
      program: cosign,
      args: () => ['verify', '--insecure-ignore-tlog', '--key', pub, signed],
    }),
    await signing(bench, 'sign: bundle', ['sign', '--format', 'bundle', '--key', key], {
      label: 'cosign 3 sign',
      program: cosign,
      args: (image) => [...theirs, '--key', key, image],
    }),
  ]
}

/** Both sign through gpg with a key of the keyring, and verify without it. */
async function simpleTasks(bench: Bench): Promise<readonly Task[]> {
  const { sandbox } = bench
  const user = 'bench@example.com'
  const gpg = (...args: readonly string[]) =>
    sandbox.succeed(peer('gpg'), ['--batch', '--pinentry-mode', 'loopback', '--passphrase', '', ...args])
  await gpg('--quick-generate-key', user, 'rsa3072', 'sign')
  const pub = sandbox.path('bench.asc')
  await gpg('--armor', '--output', pub, '--export', user)
  const { stdout } = await gpg('--with-colons', '--list-keys', user)
  const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? ''
  const stores = `default-docker:\n  lookaside: file://${sandbox.path('lookaside')}\n`
  await sandbox.write('home/.config/containers/registries.d/default.yaml', stores)
  const policy = await sandbox.write(
    'policy.json',
    JSON.stringify({
      default: [
        {
          type: 'signedBy',
          keyType: 'GPGKeys',
          keyPath: pub,
          signedIdentity: { type: 'matchRepository' },
        },
      ],
    }),
  )
  const skopeo = peer('skopeo')
  const flags = ['--src-tls-verify=false', '--dest-tls-verify=false']
  const signed = await newImage(bench)
  await sandbox.succeed(cosignetProgram, ['sign', '--sign-by', fingerprint, signed])
  return [
    verifying('verify: simple', ['verify', '--key', pub, signed], {
      label: 'skopeo copy to dir: by policy',
      program: skopeo,
      args: (run) => [
        '--policy',
        policy,
        'copy',
        '--quiet',
        ...flags,
        `docker://${signed}`,
        `dir:${sandbox.path(`out-${run}`)}`,
      ],
    }),
    await signing(bench, 'sign: simple', ['sign', '--sign-by', fingerprint], {
      label: 'skopeo copy --sign-by to itself',
      program: skopeo,
      args: (image) => [
        ...['--insecure-policy', 'copy', '--quiet', ...flags, '--sign-by', fingerprint],
        ...['--sign-identity', image.replace(/@.*/, ':v1'), `docker://${image}`, `docker://${image}`],
      ],
    }),
  ]
}

function verifying(name: string, ours: readonly string[], peerProgram: Task['peers'][number]): Task {
  return {
    name,
    cosignet: { label: 'cosignet verify', program: cosignetProgram, args: () => ours },
    peers: [peerProgram],
  }
}

/** A signature that is there already would be read and compared: each run signs an image of its own. */
async function signing(
  bench: Bench,
  name: string,
  ours: readonly string[],
  theirs: { label: string; program: string; args: (image: string) => readonly string[] },
): Promise<Task> {
  const images = await newImages(bench, 2 * (WARM_UPS + RUNS))
  const { label, program, args } = theirs
  return {
    name,
    cosignet: {
      label: 'cosignet sign',
      program: cosignetProgram,
      args: (run) => [...ours, images[2 * run] ?? ''],
    },
    peers: [{ label, program, args: (run) => args(images[2 * run + 1] ?? '') }],
  }
}

async function newImages(bench: Bench, count: number): Promise<readonly string[]> {
  const images: string[] = []
  for (let i = 0; i < count; i += 1) images.push(await newImage(bench))
  return images
}

async function newImage({ sandbox, host }: Bench): Promise<string> {
  return (await pushNewImage(sandbox, `${host}/bench`)).reference
}
