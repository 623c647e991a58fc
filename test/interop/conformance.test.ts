/**
 * The conformance suite of the distribution specification against the embedded registry, with all that the suite can
 * ask, in the released version and in the one that is being written. The reports stay in dist/conformance.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueCertificates } from '../../src/net/index.ts'
import { cosignetProgram } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { peer } from './peers.ts'
import { Sandbox } from './sandbox.ts'

const REPORTS = fileURLToPath(new URL('../../dist/conformance', import.meta.url))

/** What a test of the suite belongs to, by its name; the first that matches. */
const WORKFLOWS = [
  ['content discovery', /\/(tag list|tag-list|referrers)$/],
  ['content management', /delete|cancel/],
  ['pull', /\/(ping|.*(get|head).*|range [^/]*|pull\/[^/]*|by-(digest|tag))$/],
  ['push', /./],
] as const

interface Counts {
  passed: number
  failed: number
  skipped: number
}

let sandbox: Sandbox
const password = randomBytes(12).toString('hex')

beforeAll(async () => {
  sandbox = await Sandbox.create()
  await sandbox.write('users', `ann:${hashSync(password, 5)}\n`)
  const { ca, cert, key } = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
  sandbox.trust(ca)
  await sandbox.write('tls.crt', cert)
  await sandbox.write('tls.key', key)
})
afterAll(() => sandbox.dispose())

const TLS = ['--tls-cert', 'tls.crt', '--tls-key', 'tls.key']
const REGISTRIES = [
  ['memory', []],
  ['memory-users', ['--htpasswd', 'users']],
  ['folder', ['--storage', 'folder']],
  ['folder-users-tls', ['--storage', 'folder-tls', '--htpasswd', 'users', ...TLS]],
] as const

describeWithPeers('conformance', ['oci-conformance'], () => {
  it.each(REGISTRIES)('of a registry: %s', async (name, flags) => {
    const args = ['registry', 'serve', '--listen', '127.0.0.1:0', ...flags]
    const host = await sandbox.serve(cosignetProgram, args, /Registry (\S+) at/)
    for (const version of ['1.1', 'dev']) {
      const reports = `${REPORTS}/${name}-${version}`
      await rm(reports, { recursive: true, force: true })
      await mkdir(reports, { recursive: true })
      const { status, stdout } = await sandbox.run(peer('oci-conformance'), [], {
        env: {
          OCI_REGISTRY: host,
          OCI_TLS: name.endsWith('tls') ? 'enabled' : 'disabled',
          OCI_VERSION: version,
          // Optional in 1.1, and not asked there unless it is wanted.
          OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
          OCI_RESULTS_DIR: reports,
          ...(name.includes('users') ? { OCI_USERNAME: 'ann', OCI_PASSWORD: password } : {}),
        },
      })
      const counts = countByWorkflow(await readFile(`${reports}/junit.xml`, 'utf8'))
      process.stdout.write(`${summary(`${name}, version ${version}`, counts)}\n`)
      const failures = /^Test results\n([\s\S]*?)^Configuration:/m.exec(stdout)?.[1] ?? stdout
      expect({ status, failed: failedIn(counts) }, failures).toEqual({ status: 0, failed: 0 })
      for (const [workflow, { passed, skipped }] of counts) {
        expect({ workflow, ran: passed > 0, skipped }).toEqual({ workflow, ran: true, skipped: 0 })
      }
    }
  })
})

function countByWorkflow(junit: string): Map<string, Counts> {
  const counts = new Map<string, Counts>(
    WORKFLOWS.map(([workflow]) => [workflow, { passed: 0, failed: 0, skipped: 0 }]),
  )
  for (const [, name = '', status = ''] of junit.matchAll(
    /<testcase name="([^"]*)"[^>]*? status="([^"]*)"/g,
  )) {
    const workflow = WORKFLOWS.find(([, pattern]) => pattern.test(name))?.[0] ?? ''
    const count = counts.get(workflow)
    if (count === undefined) continue
    if (status === 'passed') count.passed += 1
    else if (status === 'skipped') count.skipped += 1
    else count.failed += 1
  }
  return counts
}

function failedIn(counts: Map<string, Counts>): number {
  return [...counts.values()].reduce((sum, { failed }) => sum + failed, 0)
}

function summary(title: string, counts: Map<string, Counts>): string {
  const rows = [...counts].map(
    ([workflow, { passed, failed, skipped }]) =>
      `  ${workflow.padEnd(20)}${passed} passed, ${failed} failed, ${skipped} skipped`,
  )
  return [title, ...rows].join('\n')
}
