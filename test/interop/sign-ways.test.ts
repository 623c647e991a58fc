import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { KEY_KINDS, type MatrixImage, type MatrixKey, tagOf } from './matrix.ts'
import { GPG_PROGRAM } from './matrix-gpg.ts'
import { MATRIX_PEERS, MATRIX_PROGRAMS } from './matrix-programs.ts'
import { MATRIX_REGISTRIES, type MatrixRun, startMatrix } from './matrix-run.ts'
import { SKOPEO_PROGRAM } from './matrix-skopeo.ts'
import { Sandbox } from './sandbox.ts'

interface Way {
  readonly way: string
  readonly format: 'cosign' | 'simple'
  readonly command: (key: MatrixKey, image: MatrixImage) => readonly string[]
}

/** Ways to sign beside the one of the matrix, with keys of other tools. */
const WAYS: readonly Way[] = [
  {
    way: 'image copy with a key of skopeo',
    format: 'cosign',
    command: ({ secret }, image) => copy(image, '--sign-by-sigstore-private-key', secret),
  },
  {
    way: 'image copy with a key of the gpg keyring',
    format: 'simple',
    command: ({ fingerprint }, image) => copy(image, '--sign-by', fingerprint),
  },
  {
    way: 'sign with a key of the gpg keyring',
    format: 'simple',
    command: ({ fingerprint }, image) => [
      'sign',
      '--format',
      'simple',
      '--sign-by',
      fingerprint,
      tagOf(image),
    ],
  },
]

describeWithPeers('an index signed here by', MATRIX_PEERS, () => {
  let sandbox: Sandbox
  let run: MatrixRun

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    run = await startMatrix(sandbox)
  })
  afterAll(() => sandbox.dispose())

  for (const [i, { way, format, command }] of WAYS.entries()) {
    it.each(MATRIX_REGISTRIES)(`${way}, on %s, is accepted by all who read its format`, async (registry) => {
      const key = await run.key(format === 'cosign' ? SKOPEO_PROGRAM : GPG_PROGRAM, KEY_KINDS[format])
      const image = await run.image(`way-${i}`, { registry, kind: 'index' })
      await cosignetDoes(sandbox, command(key, image))
      for (const { label, verifies } of MATRIX_PROGRAMS) {
        const ability = verifies[format]
        if ('does' in ability)
          expect([label, await ability.does(run.bench, key, image)]).toEqual([label, true])
      }
    })
  }
})

function copy(image: MatrixImage, ...flags: readonly string[]): readonly string[] {
  return ['image', 'copy', '--all', ...flags, `oci:${image.layout}`, `docker://${tagOf(image)}`]
}
