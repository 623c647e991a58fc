import { CosignetError, LIMITS, quote, readFileBounded } from '../core/index.ts'
import { shownUrl } from '../net/index.ts'
import {
  openRekor,
  parseRekorKeys,
  publicRekorKeys,
  type RekorEntry,
  type RekorKeys,
  type TransparencyLog,
} from '../signature/index.ts'
import type { Cli } from './cli.ts'
import { openHttp } from './http-access.ts'

/** How a command reaches a transparency log. */
export interface LogFlags {
  readonly rekorUrl: string
  readonly rekorPublicKey?: string | undefined
  readonly registryCa?: string | undefined
}

/** The log whose key everybody knows. */
const PUBLIC_LOG = 'rekor.sigstore.dev'

/** A log, and the connections to it, which who opened it closes. */
export interface OpenedLog {
  readonly log: TransparencyLog
  close(): void
}

/**
 * Opens a transparency log and tells of every entry that it takes.
 * @throws USAGE if the address is none, or nothing says which key the log has; INVALID_KEY, FILE, TOO_LARGE
 */
export async function openLog(cli: Cli, flags: LogFlags): Promise<OpenedLog> {
  const url = parseUrl(flags.rekorUrl)
  const rekorKeys = await readRekorKeys(cli, flags, url)
  const http = await openHttp(cli, { ca: flags.registryCa })
  const log = openRekor({ http, url, rekorKeys })
  const tell = async (entry: Promise<RekorEntry>): Promise<RekorEntry> => {
    const { logIndex } = await entry
    cli.say(`Uploaded to ${log.url}, index ${logIndex}.`)
    return await entry
  }
  return {
    log: {
      ...log,
      logSignature: (signed, signal) => tell(log.logSignature(signed, signal)),
      logEnvelope: (signed, signal) => tell(log.logEnvelope(signed, signal)),
    },
    close: () => http.close(),
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const web = url?.protocol === 'https:' || url?.protocol === 'http:'
  const plain = url !== undefined && `${url.username}${url.password}${url.search}${url.hash}` === ''
  if (web && plain) return url
  throw new CosignetError('USAGE', `${quote(shownUrl(text))} is not the address of a transparency log.`, {
    hint: `Give one such as https://${PUBLIC_LOG}, without a user and without a query.`,
  })
}

async function readRekorKeys(cli: Cli, { rekorPublicKey }: LogFlags, url: URL): Promise<RekorKeys> {
  const path = rekorPublicKey ?? (cli.environment['SIGSTORE_REKOR_PUBLIC_KEY'] || undefined)
  if (path !== undefined) {
    const bytes = await readFileBounded(path, LIMITS.keyBytes, 'public key')
    return parseRekorKeys(bytes, `The key of the log ${quote(path)}`)
  }
  if (url.host === PUBLIC_LOG) return publicRekorKeys()
  throw new CosignetError('USAGE', `The public key of the log ${quote(url.href)} is not known.`, {
    hint: 'Give it with --rekor-public-key: what a log says is worth nothing without.',
  })
}
