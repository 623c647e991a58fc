import { CosignetError, decodeUtf8, LIMITS, quote, readFileBounded } from '../../core/index.ts'
import {
  type CreateInitDataOptions,
  createInitData,
  INITDATA_ALGORITHMS,
  type InitDataAlgorithm,
} from '../../guest/index.ts'
import { parsePolicy } from '../../policy/index.ts'
import { defineCommand } from '../command.ts'
import { optionalText, textFlag } from '../flags.ts'
import { readCertificates } from '../http-access.ts'
import { formatInitData, initDataJson } from '../initdata-text.ts'
import { writeOutputFile } from '../output-file.ts'

interface Flags {
  readonly kbsUrl: string
  readonly kbsCert?: string | undefined
  readonly policyUri?: string | undefined
  readonly policyFile?: string | undefined
  readonly registryCa?: string | undefined
  readonly algorithm: InitDataAlgorithm
  readonly out: string
}

export const command = defineCommand<Flags>({
  brief: 'Writes init data that binds a guest to a KBS and an image policy.',
  parameters: {
    flags: {
      kbsUrl: textFlag('The KBS, as the guest reaches it', 'URL'),
      kbsCert: optionalText('PEM certificate that the guest trusts for the KBS', 'FILE'),
      policyUri: optionalText(
        'Where the guest fetches the policy: kbs:///default/security-policy/test',
        'URI',
      ),
      policyFile: optionalText('Policy to carry in the init data itself', 'FILE'),
      registryCa: optionalText(
        'PEM certificates of authorities that the guest trusts for registries',
        'FILE',
      ),
      algorithm: {
        kind: 'enum',
        values: INITDATA_ALGORITHMS,
        default: 'sha256',
        brief: 'Hash of the digest',
      },
      out: textFlag('File to write', 'FILE'),
    },
  },
  async run(_cli, flags) {
    const initData = createInitData({
      kbsUrl: flags.kbsUrl,
      policy: await policyFor(flags),
      algorithm: flags.algorithm,
      ...(flags.kbsCert === undefined ? {} : { kbsCert: await readText(flags.kbsCert, 'KBS certificate') }),
      ...(flags.registryCa === undefined ? {} : { registryCa: await readCertificates(flags.registryCa) }),
    })
    await writeOutputFile(flags.out, initData.bytes, { mode: 0o644 })
    return { exit: 0, data: initDataJson(initData), text: `Wrote ${flags.out}\n${formatInitData(initData)}` }
  },
})

async function policyFor(flags: Flags): Promise<NonNullable<CreateInitDataOptions['policy']>> {
  const { policyUri, policyFile } = flags
  if ((policyUri === undefined) === (policyFile === undefined)) {
    throw new CosignetError(
      'USAGE',
      'Give either --policy-uri or --policy-file: a guest without a policy accepts every image.',
    )
  }
  if (policyUri !== undefined) return { uri: policyUri }
  const text = await readText(policyFile ?? '', 'policy file')
  parsePolicy(Buffer.from(text), `The policy ${quote(policyFile ?? '')}`)
  return { inline: text }
}

async function readText(path: string, what: string): Promise<string> {
  const text = decodeUtf8(await readFileBounded(path, LIMITS.policyBytes, what))
  if (text === undefined)
    throw new CosignetError('INVALID_CONFIG', `The ${what} ${quote(path)} is not UTF-8 text.`)
  return text
}
