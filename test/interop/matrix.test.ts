import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeWithPeers } from './describe-with-peers.ts'
import {
  type Cannot,
  FORMATS,
  type Format,
  KEY_KINDS,
  type MatrixImage,
  type MatrixKey,
  type MatrixProgram,
} from './matrix.ts'
import { COSIGNET_PROGRAM } from './matrix-cosignet.ts'
import { GPG_PROGRAM } from './matrix-gpg.ts'
import { MATRIX_PEERS, MATRIX_PROGRAMS } from './matrix-programs.ts'
import { can, type MatrixRun, type Place, startMatrix } from './matrix-run.ts'
import { keyCell, Measured, matrixTable, verifyCell } from './matrix-table.ts'
import { Sandbox } from './sandbox.ts'

const PLACES: readonly Place[] = [
  { registry: 'docker-registry', kind: 'image' },
  { registry: 'docker-registry', kind: 'index' },
  { registry: 'embedded', kind: 'image' },
  { registry: 'embedded', kind: 'index' },
]
/** Where something is tried that is the same everywhere. */
const HERE: Place = { registry: 'docker-registry', kind: 'image' }

const README = new URL('../../README.md', import.meta.url)
const FOLDER = new URL('../../dist/', import.meta.url)

describeWithPeers('the matrix', MATRIX_PEERS, () => {
  const measured = new Measured()
  let sandbox: Sandbox
  let run: MatrixRun

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    run = await startMatrix(sandbox)
  })
  afterAll(() => sandbox.dispose())

  describe.concurrent.each(FORMATS)('%s signatures:', (format) => {
    const signers = MATRIX_PROGRAMS.filter(({ signs }) => 'does' in signs[format])
    const verifiers = MATRIX_PROGRAMS.filter(({ verifies }) => 'does' in verifies[format])

    for (const place of PLACES) {
      for (const signer of signers) {
        for (const verifier of verifiers) {
          it(`${place.kind} on ${place.registry}: ${signer.label} signs, ${verifier.label} verifies`, async () => {
            const maker = makerFor(format, signer)
            const image = await run.signed({ format, signer, maker, ...place })
            const key = await run.key(maker, KEY_KINDS[format])
            expect(await can(verifier.verifies[format]).does(run.bench, key, image)).toBe(true)
            measured.add(verifyCell(format, signer, verifier))
          })
        }
      }
    }

    for (const maker of MATRIX_PROGRAMS.filter(({ makes }) => makes[KEY_KINDS[format]] !== undefined)) {
      for (const signer of signers) {
        const verifier = verifiers.includes(maker) ? maker : signer
        it(`key of ${maker.label}: ${signer.label} signs, ${verifier.label} verifies`, async () => {
          const image = await run.signed({ format, signer, maker, ...HERE })
          const key = await run.key(maker, KEY_KINDS[format])
          expect(await can(verifier.verifies[format]).does(run.bench, key, image)).toBe(true)
          measured.add(keyCell(format, maker, signer))
        })
      }
    }

    const theirs = MATRIX_PROGRAMS.findLast(({ signs }) => 'does' in signs[format]) ?? COSIGNET_PROGRAM
    const theirMaker = makerFor(format, theirs)

    for (const { label, verifies } of MATRIX_PROGRAMS) {
      const ability = verifies[format]
      if ('does' in ability) {
        it(`${label} refuses another key, and an image without a signature`, async () => {
          const [signed, unsigned, key, other] = await Promise.all([
            run.signed({ format, signer: theirs, maker: theirMaker, ...HERE }),
            run.image('unsigned', HERE),
            run.key(theirMaker, KEY_KINDS[format]),
            run.key(theirMaker, KEY_KINDS[format], 'other'),
          ])
          expect(await ability.does(run.bench, key, signed)).toBe(true)
          expect(await ability.does(run.bench, other, signed)).toBe(false)
          expect(await ability.does(run.bench, key, unsigned)).toBe(false)
        })
      } else {
        it(`${label} cannot verify them: ${ability.cannot}`, async () => {
          const image = await run.signed({ format, signer: theirs, maker: theirMaker, ...HERE })
          await expectCannot(ability, await run.key(theirMaker, KEY_KINDS[format]), image)
        })
      }
    }

    for (const { label, signs } of MATRIX_PROGRAMS) {
      const ability = signs[format]
      if ('does' in ability) continue
      it(`${label} cannot make them: ${ability.cannot}`, async () => {
        const [image, key] = await Promise.all([
          run.image('unsigned', HERE),
          run.key(theirMaker, KEY_KINDS[format]),
        ])
        await expectCannot(ability, key, image)
      })
    }
  })

  async function expectCannot({ asked, says }: Cannot, key: MatrixKey, image: MatrixImage): Promise<void> {
    const { stdout, stderr } = await asked(run.bench, key, image)
    expect(stdout + stderr).toMatch(says)
  }

  it('is what the README shows', async () => {
    const table = matrixTable(MATRIX_PROGRAMS, measured, PLACES.length)
    await mkdir(FOLDER, { recursive: true })
    await writeFile(new URL('interop-matrix.md', FOLDER), table)
    const [, shown] =
      /<!-- interop-matrix -->\n(.*)<!-- \/interop-matrix -->/s.exec(await readFile(README, 'utf8')) ?? []
    if (shown === undefined) throw new Error('README has no matrix')
    expect(shown.trim()).toBe(table.trim())
  })
})

/** Who makes the key that a program signs with: it does so itself where it can. */
function makerFor(format: Format, signer: MatrixProgram): MatrixProgram {
  return signer.makes[KEY_KINDS[format]] === undefined ? GPG_PROGRAM : signer
}
