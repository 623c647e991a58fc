import { randomUUID } from 'node:crypto'
import {
  type Cannot,
  type MatrixBench,
  type MatrixImage,
  type MatrixProgram,
  referencesOf,
  type Sign,
  tagOf,
  type Verify,
} from './matrix.ts'
import { peer } from './peers.ts'
import type { Outcome } from './sandbox.ts'

const NO_BUNDLES = 'skopeo knows no bundles'
const OF_AN_INDEX = 'of an index, skopeo verifies the images in it, never the index itself'

/** skopeo signs an image when it copies it, here onto itself, and verifies when it copies it out under a policy. */
export const SKOPEO_PROGRAM: MatrixProgram = {
  name: 'skopeo',
  label: 'skopeo 1.22',
  makes: {
    sigstore: async ({ sandbox, passphraseFile }, name) => {
      const flags = ['--output-prefix', sandbox.path(name), '--passphrase-file', passphraseFile]
      await sandbox.succeed(peer('skopeo'), ['generate-sigstore-key', ...flags])
      return {
        secret: sandbox.path(`${name}.private`),
        pub: sandbox.path(`${name}.pub`),
        fingerprint: '',
      }
    },
  },
  signs: {
    cosign: {
      does: sign(({ passphraseFile }, { secret }) => [
        ...['--sign-by-sigstore-private-key', secret, '--sign-passphrase-file', passphraseFile],
      ]),
    },
    bundle: {
      cannot: NO_BUNDLES,
      asked: ({ sandbox }) => sandbox.run(peer('skopeo'), ['copy', '--help']),
      // Of all its flags that sign, none makes a bundle.
      says: /^(?=.*--sign-by-sigstore)(?!.*bundle)/is,
    },
    simple: { does: sign((_, { fingerprint }) => ['--sign-by', fingerprint]) },
  },
  verifies: {
    cosign: { does: verify((pub) => ({ type: 'sigstoreSigned', keyPath: pub })), by: OF_AN_INDEX },
    bundle: {
      cannot: NO_BUNDLES,
      asked: (bench, { pub }, image) => copyOut(bench, image, { type: 'sigstoreSigned', keyPath: pub }),
      says: /A signature was required, but no signature exists/,
    } satisfies Cannot,
    simple: {
      does: verify((pub) => ({ type: 'signedBy', keyType: 'GPGKeys', keyPath: pub })),
      by: OF_AN_INDEX,
    },
  },
}

function sign(flags: (bench: MatrixBench, key: Parameters<Sign>[1]) => readonly string[]): Sign {
  return (bench, key, image) =>
    bench.sandbox.succeed(peer('skopeo'), [
      ...['--insecure-policy', '--registries.d', bench.registriesD],
      ...['copy', '--all', '--preserve-digests', ...flags(bench, key)],
      ...[`docker://${referencesOf(image)[0]}`, `docker://${tagOf(image)}`],
    ])
}

function verify(requirement: (pub: string) => object): Verify {
  return async (bench, { pub }, image) => {
    const { status, stderr } = await copyOut(bench, image, requirement(pub))
    if (status === 0) return true
    if (/Source image rejected/.test(stderr)) return false
    throw new Error(`skopeo copy ${tagOf(image)} ended with ${status}:\n${stderr}`)
  }
}

/** Copies the index and every image in it; each image must fulfil the requirement. */
async function copyOut(bench: MatrixBench, image: MatrixImage, requirement: object): Promise<Outcome> {
  const id = randomUUID()
  const policy = await bench.sandbox.write(
    `policy-${id}.json`,
    JSON.stringify({ default: [{ ...requirement, signedIdentity: { type: 'matchRepository' } }] }),
  )
  return await bench.sandbox.run(peer('skopeo'), [
    ...['--policy', policy, '--registries.d', bench.registriesD],
    ...['copy', '--all', `docker://${tagOf(image)}`, `dir:${bench.sandbox.path(`out-${id}`)}`],
  ])
}
