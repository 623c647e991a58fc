import { LIMITS, quote, readFileBounded } from '../../core/index.ts'
import { formatPublicKey, parsePublicKey } from '../../keys/index.ts'
import { type Digest, type ImageSource, parseReference, type Reference } from '../../oci/index.ts'
import { evaluatePolicy, type Policy, type Verdict } from '../../policy/index.ts'
import { asJson, type Cli } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { manyTexts, textFlag } from '../flags.ts'
import { REGISTRY_FLAGS, type RegistryFlags, withRegistries } from '../registry-access.ts'
import { formatVerdict } from '../verdict-text.ts'

interface Flags extends RegistryFlags {
  readonly key: string
}

export const command = defineCommand<Flags, string[]>({
  brief: 'Verifies images with a public key, as cosign verify --key --insecure-ignore-tlog does.',
  details: 'Exit status 0 if each image has a signature of the key, 1 if one has not.',
  parameters: {
    flags: { ...REGISTRY_FLAGS, key: textFlag('Public key, PEM', 'FILE') },
    positional: manyTexts('REFERENCE', 'Image to verify, by tag or digest'),
  },
  async run(cli, flags, ...names) {
    const references = names.map(parseReference)
    const policy = await policyFor(flags.key)
    const verdicts = await withRegistries(cli, flags, async (_open, openSource) => {
      const results: Verdict[] = []
      for (const reference of references)
        results.push(await verifyOne(cli, policy, reference, await openSource(reference)))
      return results
    })
    return {
      exit: verdicts.every(({ outcome }) => outcome === 'allowed') ? 0 : 1,
      data: asJson({ verdicts }),
      text: verdicts.map((verdict) => formatVerdict(verdict)).join('\n\n'),
    }
  },
})

/** What `--key` compiles to: every image must be signed with it, under whatever name. */
async function policyFor(path: string): Promise<Policy> {
  const bytes = await readFileBounded(path, LIMITS.keyBytes, 'public key')
  const keyData = formatPublicKey(parsePublicKey(bytes, `The public key ${quote(path)}`))
  return { default: [{ type: 'sigstoreSigned', keyData }], transports: new Map() }
}

async function verifyOne(
  cli: Cli,
  policy: Policy,
  reference: Reference,
  source: ImageSource,
): Promise<Verdict> {
  const manifestDigest = reference.digest ?? (await resolve(cli, reference, source))
  return await evaluatePolicy({
    policy,
    profile: 'cosign',
    image: { reference, manifestDigest },
    source,
    // The key is in the policy itself.
    resources: async () => ({ outcome: 'missing', message: 'There are no resources.', fix: 'Use --key.' }),
    signal: cli.signal,
  })
}

async function resolve(cli: Cli, reference: Reference, source: ImageSource): Promise<Digest> {
  const manifest = await source.getManifest(reference.tag ?? 'latest', cli.signal)
  return manifest.digest
}
