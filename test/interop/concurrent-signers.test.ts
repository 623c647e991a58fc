import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignSign } from './cosign.ts'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { startCosignetRegistry, startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { readSignatureImage } from './signature-image.ts'

const SIGNERS = Array.from({ length: 20 }, (_, i) => `signer=${i}`)

/** All at once have some seconds of work for two processors. */
const TIMEOUT_MS = 120_000

/** Each signs the same image in a process of its own, with an annotation of its own. */
describeWithPeers(`${SIGNERS.length} signers at once`, ['cosign3', 'docker-registry', 'skopeo'], () => {
  let sandbox: Sandbox
  let key: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    await cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', sandbox.path('ours')])
    key = sandbox.path('ours.key')
  })
  afterAll(() => sandbox.dispose())

  it(
    'lose nothing where the registry honours If-Match',
    async () => {
      const registry = await startCosignetRegistry(sandbox, { tls: true })
      expect(await keptOf(registry, signHere)).toEqual([...SIGNERS].sort())
    },
    TIMEOUT_MS,
  )

  it(
    'lose no more than those of cosign where it does not',
    async ({ annotate }) => {
      const registry = await startDockerRegistry(sandbox, { tls: true })
      const ours = await keptOf(registry, signHere)
      const theirs = await keptOf(registry, (reference, annotation) =>
        cosignSign(sandbox, 'cosign3', key, reference, ['-a', annotation]),
      )
      const of = `of ${SIGNERS.length} signatures`
      await annotate(`docker-registry keeps ${ours.length} ${of} made here, ${theirs.length} of cosign 3`)
      expect(ours.length).toBeGreaterThanOrEqual(theirs.length)
    },
    TIMEOUT_MS,
  )

  const signHere = async (reference: string, annotation: string): Promise<void> => {
    await cosignetDoes(sandbox, ['sign', '--key', key, '-a', annotation, reference])
  }

  /** Annotations of the signatures that are there once all have signed. */
  async function keptOf(
    registry: TestRegistry,
    sign: (reference: string, annotation: string) => Promise<void>,
  ): Promise<readonly string[]> {
    const image = await pushNewImage(sandbox, `${registry.host}/signers`)
    await Promise.all(SIGNERS.map((annotation) => sign(image.reference, annotation)))
    const { payloads } = await readSignatureImage(registry, 'signers', image.digest)
    return payloads.map((payload) => `signer=${JSON.parse(payload).optional.signer}`).sort()
  }
})
