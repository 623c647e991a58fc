import {
  CosignetError,
  decodeUtf8,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../../core/index.ts'
import { directoryResources, type PreflightReport, preflight } from '../../guest/index.ts'
import { KbsClient } from '../../kbs/index.ts'
import { HttpClient } from '../../net/index.ts'
import { parseWorkloads, type Workload } from '../../workload/index.ts'
import { asJson, type Cli } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText, optionalText, parseText } from '../flags.ts'
import { initDataJson } from '../initdata-text.ts'
import { parseKbsUrl, stoppable } from '../kbs-access.ts'
import { formatSteps, formatVerdict } from '../verdict-text.ts'

interface Flags {
  readonly resources?: string | undefined
  readonly architecture: string
}

export const command = defineCommand<Flags, [string]>({
  brief: 'Tells what the guest will decide about each image of a Pod, and why.',
  details:
    'Reads the Pod as the guest would: annotation, init data, policy and keys from the KBS (attesting with sample\n' +
    'evidence), manifest, signatures, every layer. Trusts for registries and KBS what the guest trusts, and nothing of\n' +
    'this machine. Exit status 0 allowed, 1 denied, 3 if it could not be decided.',
  parameters: {
    flags: {
      resources: optionalText('Read kbs:///a/b/c from FOLDER/a/b/c and ask no KBS', 'FOLDER'),
      architecture: {
        kind: 'parsed',
        parse: parseText,
        default: 'amd64',
        brief: "The guest's processor, as images name it",
        placeholder: 'ARCH',
      },
    },
    positional: oneText('MANIFEST', 'Kubernetes manifest of a Pod or of what runs one, YAML or JSON'),
  },
  async run(cli, flags, path) {
    const text = decodeUtf8(await readFileBounded(path, LIMITS.workloadBytes, 'manifest'))
    if (text === undefined)
      throw new CosignetError('INVALID_YAML', `The manifest ${quote(path)} is not UTF-8 text.`)
    const pods: PreflightReport[] = []
    for (const workload of parseWorkloads(text, `The manifest ${quote(path)}`)) {
      pods.push(await judge(cli, flags, workload))
    }
    const denied = pods.some(({ outcome }) => outcome === 'denied')
    return {
      exit: denied ? 1 : 0,
      data: asJson({
        apiVersion: 'cosignet/v1',
        kind: 'PreflightList',
        outcome: denied ? 'denied' : 'allowed',
        pods: pods.map(({ initData, ...pod }) => {
          return { ...pod, ...(initData === undefined ? {} : { initData: initDataJson(initData) }) }
        }),
      }),
      text: pods.map(formatReport).join('\n\n'),
    }
  },
})

async function judge(cli: Cli, flags: Flags, workload: Workload): Promise<PreflightReport> {
  const opened: HttpClient[] = []
  const openHttp = (ca: readonly string[]): HttpClient => {
    const http = new HttpClient({
      ca,
      roots: 'mozilla',
      ...(cli.trace === undefined ? {} : { trace: cli.trace }),
    })
    opened.push(http)
    return http
  }
  try {
    return await preflight({
      workload,
      architecture: flags.architecture,
      openHttp,
      openKbs: (url, cert) => {
        const http = openHttp(cert === undefined ? [] : [cert])
        return new KbsClient({ url: parseKbsUrl(url), http: stoppable(http, cli.signal) })
      },
      signal: cli.signal,
      ...(flags.resources === undefined ? {} : { resources: directoryResources(flags.resources) }),
    })
  } catch (error) {
    throw isCosignetError(error, 'FORBIDDEN') ? withAdvice(error) : error
  } finally {
    for (const http of opened) http.close()
  }
}

/** A KBS that refuses sample evidence is right to do so, and leaves the question open. */
function withAdvice(error: CosignetError): CosignetError {
  return new CosignetError(error.code, `What the guest will decide is open: ${error.message}`, {
    cause: error,
    hint: 'Give the policy and the keys as files instead: --resources FOLDER, with default/security-policy/test in it.',
  })
}

function formatReport(report: PreflightReport): string {
  const { kind, name } = report.workload
  const containers = report.containers.map(({ name: container, kind: type, verdict }) => {
    return `\n${type} ${container}: ${formatVerdict(verdict)}`
  })
  return [
    `${report.outcome.toUpperCase()}  ${kind} ${name}`,
    ...report.trace.flatMap(formatSteps),
    ...containers,
  ].join('\n')
}
