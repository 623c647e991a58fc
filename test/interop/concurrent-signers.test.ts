import { afterAll, beforeAll, expect, it } from 'vitest'
import { COSIGNS, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { startCosignetRegistry, startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { readSignatureImage } from './signature-image.ts'

/** Signs one image with so many processes at once, each with an annotation of its own. */
type SignOnce = (reference: string, annotation: string) => Promise<unknown>

describeWithPeers('signers at once', ['cosign3', 'cosign2', 'skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let key: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    ;({ key } = await makeCosignKey(sandbox, 'theirs'))
  })
  afterAll(() => sandbox.dispose())

  it('lose nothing on a registry that heeds If-Match: 20 of 20', async () => {
    const registry = await startCosignetRegistry(sandbox, { tls: true })
    expect(await signAtOnce(registry, 20, ours)).toBe(20)
  })

  it('lose less than those of cosign on one that does not', async ({ annotate }) => {
    const registry = await startDockerRegistry(sandbox, { tls: true })
    const kept = await signAtOnce(registry, 10, ours)
    const [{ cosign }] = COSIGNS
    const theirs = await signAtOnce(registry, 10, (reference, annotation) =>
      cosignSign(sandbox, cosign, key, reference, ['-a', annotation]),
    )
    await annotate(`of 10 signatures, ${kept} are kept of ours, and ${theirs} of cosign's`)
    expect(kept).toBeGreaterThanOrEqual(theirs)
  })

  const ours: SignOnce = (reference, annotation) =>
    cosignetDoes(sandbox, ['sign', '--key', key, '-a', annotation, reference])

  /** @returns how many signatures the image has then. */
  async function signAtOnce(registry: TestRegistry, count: number, signOnce: SignOnce): Promise<number> {
    const { reference, digest } = await pushNewImage(sandbox, `${registry.host}/at-once`)
    await Promise.all(Array.from({ length: count }, (_, i) => signOnce(reference, `signer=${i}`)))
    return (await readSignatureImage(registry, 'at-once', digest)).payloads.length
  }
})
