import { CosignetError, quote } from '../core/index.ts'
import type { InitDataMessage, KbsClient } from '../kbs/index.ts'
import type { ResourceAnswer, ResourceProvider, TraceStep } from '../policy/index.ts'
import { inRootFileSystem, kbsResources } from './guest-resources.ts'
import type { InitData } from './initdata.ts'
import type { GuestConfig } from './initdata-resolve.ts'

export interface GuestKbsOptions {
  /** Resources to use in place of the KBS that the Pod names. */
  readonly resources?: ResourceProvider
  readonly openKbs: (url: string, cert: string | undefined) => KbsClient
}

/**
 * Resources of the KBS that the guest is configured for; the first one attests, with sample evidence and the init data.
 * Where the Attestation Agent has no KBS, or another one than CDH, nothing is released or nothing decided, whatever
 * stands in for the KBS.
 */
export function attestingResources(
  options: GuestKbsOptions,
  config: GuestConfig,
  initData: InitData | undefined,
  trace: TraceStep[],
): ResourceProvider {
  const { kbs, tokenKbs } = config
  if (kbs === undefined) return offlineResources
  if (tokenKbs === undefined) return async (location) => withoutToken(kbs.url, location)
  if (options.resources !== undefined) return options.resources
  const client = options.openKbs(kbs.url, kbs.cert)
  const resources = kbsResources(client)
  let attested = false
  return async (location, signal) => {
    // A guest that needs nothing from the KBS never attests.
    if (!attested && location.kind === 'kbs') {
      await attest(options, { kbs, tokenKbs, client }, initData)
      attested = true
      const message = `The KBS at ${kbs.url} accepts sample evidence and the init data.`
      trace.push({ step: 'attest', outcome: 'ok', message, facts: { kbs: kbs.url, tee: 'sample' } })
    }
    return await resources(location, signal)
  }
}

type Kbs = NonNullable<GuestConfig['kbs']>

async function attest(
  { openKbs }: GuestKbsOptions,
  { kbs, tokenKbs, client }: { readonly kbs: Kbs; readonly tokenKbs: Kbs; readonly client: KbsClient },
  initData: InitData | undefined,
): Promise<void> {
  if (!isSameUrl(kbs.url, tokenKbs.url)) {
    throw new CosignetError(
      'UNSUPPORTED',
      `Whether the KBS ${quote(kbs.url)} of cdh.toml takes a token of the KBS ${quote(tokenKbs.url)} of aa.toml cannot be seen from here.`,
      { hint: 'Name the same KBS in both, unless they are one service.' },
    )
  }
  const options = {
    tee: 'sample',
    ...(initData === undefined ? {} : { initData: messageOf(initData) }),
  } as const
  // The Attestation Agent trusts a certificate of its own.
  if ((kbs.cert ?? '').trim() !== (tokenKbs.cert ?? '').trim()) {
    await openKbs(tokenKbs.url, tokenKbs.cert).attest(options)
  }
  await client.attest(options)
}

function isSameUrl(a: string, b: string): boolean {
  const normal = (text: string): string => URL.parse(text)?.href.replace(/\/+$/, '') ?? text
  return normal(a) === normal(b)
}

function messageOf({ bytes }: InitData): InitDataMessage {
  return { format: 'toml', body: Buffer.from(bytes).toString('utf8') }
}

/** `offline_fs_kbc`, and a guest without cdh.toml: resources lie in a file of the guest. */
const offlineResources: ResourceProvider = async (location) => {
  throw inRootFileSystem(location.kind === 'file' ? location.path : location.uri)
}

function withoutToken(url: string, location: Parameters<ResourceProvider>[0]): ResourceAnswer {
  if (location.kind === 'file') throw inRootFileSystem(location.path)
  return {
    outcome: 'missing',
    message: `The Attestation Agent has no KBS to get a token from, so ${url} does not release ${quote(location.uri)}.`,
    fix: 'Name the KBS in aa.toml as well, as [token_configs.kbs]: cosignet initdata create --kbs-url URL …',
  }
}
