import { decodeUtf8, LIMITS, quote, readFileBounded } from '../../core/index.ts'
import { decodeAnnotation, parseInitData, resolveGuestConfig } from '../../guest/index.ts'
import { asJson } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText } from '../flags.ts'
import { formatInitData, initDataJson } from '../initdata-text.ts'

export const command = defineCommand<Record<never, never>, [string]>({
  brief: 'Shows init data: its digest, what each TEE will report, and what the guest makes of it.',
  details: 'FILE holds the TOML, or the value of the annotation (base64 of gzip).',
  parameters: { flags: {}, positional: oneText('FILE', 'Init data or annotation') },
  async run(_cli, _flags, path) {
    const bytes = await readFileBounded(path, LIMITS.initdataBytes, 'init data')
    const initData = parseInitData(unpack(bytes), `The init data ${quote(path)}`)
    const { kbs, policy, warnings } = resolveGuestConfig({ initData })
    const policySource = policy.kind === 'uri' ? policy.uri : policy.kind
    return {
      exit: 0,
      data: asJson({
        initData: initDataJson(initData),
        kbs: kbs?.url ?? null,
        policy: policySource,
        warnings,
      }),
      text: [
        formatInitData(initData),
        `KBS: ${kbs?.url ?? 'none'}`,
        `Image policy: ${policySource}`,
        ...warnings.map(({ message }) => `WARN ${message}`),
      ].join('\n'),
    }
  },
})

/** A gzip member in base64 begins with "H4sI" (1f 8b 08), which no TOML of init data does. */
function unpack(bytes: Uint8Array): Uint8Array {
  const text = decodeUtf8(bytes)?.trim() ?? ''
  return text.startsWith('H4sI') ? decodeAnnotation(text) : bytes
}
