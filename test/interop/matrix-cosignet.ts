import { cosignet, cosignetDoes } from './cosignet.ts'
import { type Format, type MatrixProgram, referencesOf, type Sign, tagOf, type Verify } from './matrix.ts'
import { importOpenPgpKey, openPgpFingerprint } from './matrix-gpg.ts'

/** The command line of the project, in every form. */
export const COSIGNET_PROGRAM: MatrixProgram = {
  name: 'cosignet',
  label: 'cosignet',
  makes: {
    sigstore: async ({ sandbox }, name) => {
      await cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', sandbox.path(name)])
      return { secret: sandbox.path(`${name}.key`), pub: sandbox.path(`${name}.pub`), fingerprint: '' }
    },
    openpgp: async (bench, name) => {
      const prefix = bench.sandbox.path(name)
      const flags = ['--type', 'gpg', '--user-id', `${name}@example.com`, '--output-key-prefix', prefix]
      await cosignetDoes(bench.sandbox, ['key', 'generate', ...flags])
      const [secret, pub] = [`${prefix}.gpg.key`, `${prefix}.gpg.pub`]
      await importOpenPgpKey(bench, secret)
      return { secret, pub, fingerprint: await openPgpFingerprint(bench, pub) }
    },
  },
  signs: {
    cosign: { does: sign('cosign') },
    bundle: { does: sign('bundle') },
    simple: { does: sign('simple') },
  },
  verifies: { cosign: { does: verify }, bundle: { does: verify }, simple: { does: verify } },
}

function sign(format: Format): Sign {
  return ({ sandbox }, { secret }, image) =>
    cosignetDoes(sandbox, ['sign', '--format', format, '--key', secret, tagOf(image)])
}

async function verify(...[{ sandbox }, { pub }, image]: Parameters<Verify>): Promise<boolean> {
  const args = ['verify', '--key', pub, ...referencesOf(image)]
  const { status, stdout, stderr } = await cosignet(sandbox, args)
  if (status === 0) return true
  if (status === 1) return false
  throw new Error(`cosignet ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
}
