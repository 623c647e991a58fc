import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignSign, makeCosignKey } from './cosign.ts'
import { cosignetDoes, cosignetProgram } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { runPreflight } from './pods.ts'
import { startDockerRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

describeWithPeers(
  'the procedure for signed images',
  ['cosign3', 'skopeo', 'docker-registry', 'openssl'],
  () => {
    let sandbox: Sandbox

    beforeAll(async () => {
      sandbox = await Sandbox.create()
    })
    afterAll(() => sandbox.dispose())

    it('leads from keys of cosign and openssl to a Pod that the guest admits', async () => {
      const registry = await startDockerRegistry(sandbox, { tls: true })
      const repository = `${registry.host}/guide/app`
      const { key, pub } = await makeCosignKey(sandbox, 'cosign')
      const image = await pushNewImage(sandbox, repository)

      // The administrator's key pair, as Trustee's documentation makes it.
      await openssl('genpkey', '-algorithm', 'ed25519', '-out', 'admin.key')
      await openssl('pkey', '-in', 'admin.key', '-pubout', '-out', 'admin.pub')
      const kbs = await sandbox.serve(
        cosignetProgram,
        [
          ...['kbs', 'serve', '--storage', sandbox.path('kbs'), '--admin-public-key', 'admin.pub'],
          ...['--insecure-http', '--insecure-allow-sample-tee'],
        ],
        /(http:\/\/127\.0\.0\.1:\d+)/,
      )
      const setResource = (path: string, file: string): Promise<unknown> =>
        cosignetDoes(sandbox, [
          ...['kbs', 'set-resource', '--url', kbs, '--auth-private-key', 'admin.key'],
          ...['--path', path, '--resource-file', file],
        ])
      await setResource('default/sig-public-key/test', pub)
      const requirement = { type: 'sigstoreSigned', keyPath: 'kbs:///default/sig-public-key/test' }
      const policy = await sandbox.write(
        'policy.json',
        JSON.stringify({
          default: [{ type: 'reject' }],
          transports: { docker: { [repository]: [requirement] } },
        }),
      )
      await setResource('default/security-policy/test', policy)

      await cosignetDoes(sandbox, [
        ...['initdata', 'create', '--kbs-url', kbs, '--policy-uri', 'kbs:///default/security-policy/test'],
        ...['--registry-ca', sandbox.caFile, '--out', 'initdata.toml'],
      ])
      const pod = await sandbox.write(
        'pod.yaml',
        `apiVersion: v1
kind: Pod
metadata:
  name: app
spec:
  runtimeClassName: kata-qemu-coco-dev
  containers:
    - name: app
      image: ${image.reference}
`,
      )
      await cosignetDoes(sandbox, ['pod', 'annotate', pod, '--initdata', 'initdata.toml'])

      expect(await runPreflight(sandbox, pod)).toMatchObject({
        outcome: 'denied',
        cause: { code: 'unsigned' },
      })
      await cosignSign(sandbox, 'cosign3', key, image.reference)
      expect(await runPreflight(sandbox, pod)).toMatchObject({ outcome: 'allowed' })
    })

    function openssl(...args: readonly string[]): Promise<unknown> {
      return sandbox.succeed(peer('openssl'), args)
    }
  },
)
