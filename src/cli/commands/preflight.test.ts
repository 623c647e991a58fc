import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020, type AnySchema } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { GuestBench } from '../../../test/fixtures/guest-bench.ts'
import { createInitData, encodeAnnotation, INITDATA_ANNOTATION } from '../../guest/index.ts'
import { command } from './preflight.ts'

const printed = vi.hoisted(() => ({ stdout: '' }))
vi.mock('../standard-streams.ts', () => ({
  isInteractive: () => false,
  errorTerminal: () => undefined,
  writeErr: () => undefined,
  writeOut: (text: string) => {
    printed.stdout += text
  },
}))

let bench: GuestBench
let folder: string

beforeAll(async () => {
  bench = await GuestBench.start()
  folder = await mkdtemp(join(tmpdir(), 'cosignet-preflight-'))
})
afterAll(async () => {
  await Promise.all([bench.close(), rm(folder, { recursive: true })])
})

async function validator(): Promise<(document: unknown) => string> {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true })
  const read = async (name: string): Promise<AnySchema> => {
    const file = new URL(`../../../schemas/${name}-v1.schema.json`, import.meta.url)
    return JSON.parse(await readFile(file, 'utf8')) as AnySchema
  }
  ajv.addSchema(await read('verdict'))
  const validate = ajv.compile(await read('preflight'))
  return (document) => (validate(document) ? '' : ajv.errorsText(validate.errors))
}

/** What the command prints on standard output, as JSON, and its exit status. */
async function preflight(manifest: object): Promise<{ status: number; document: Record<string, unknown> }> {
  const path = join(folder, 'pods.json')
  await writeFile(path, JSON.stringify(manifest))
  printed.stdout = ''
  const args = [path, '-o', 'json', '--resources', folder]
  const { signal } = new AbortController()
  const status = await command({ name: 'cosignet preflight', args, signal })
  return { status, document: JSON.parse(printed.stdout) as Record<string, unknown> }
}

describe('cosignet preflight -o json', () => {
  it('prints what its schema says, allowed and denied, with and without init data', async () => {
    const signed = await bench.putSigned('team/signed')
    await bench.putImage('team/unsigned', {}, 'v1')
    const images = [signed, `${bench.host}/team/unsigned:v1`]
    const key = { type: 'sigstoreSigned', keyData: bench.keyPem }
    const policy = { inline: JSON.stringify({ default: [key], transports: {} }) }
    const { bytes } = createInitData({
      kbsUrl: 'http://kbs.test',
      policy,
      registryCa: [bench.ca],
      algorithm: 'sha512',
    })
    const annotations = { [INITDATA_ANNOTATION]: encodeAnnotation(bytes) }
    const containers = images.map((image, i) => ({ name: `c${i}`, image }))
    const pod = { kind: 'Pod', metadata: { name: 'a', annotations }, spec: { containers } }
    const bare = { kind: 'Pod', metadata: { name: 'b' }, spec: { containers } }
    const problems = await validator()

    const both = await preflight({ kind: 'List', items: [pod, bare] })
    expect(both.status).toBe(1)
    expect(problems(both.document)).toBe('')
    expect(both.document).toMatchObject({
      outcome: 'denied',
      pods: [
        {
          initData: { algorithm: 'sha512' },
          containers: [
            { verdict: { outcome: 'allowed' } },
            { verdict: { outcome: 'denied', cause: { code: 'unsigned' } } },
          ],
        },
        { outcome: 'denied' },
      ],
    })
    expect((both.document['pods'] as object[])[1]).not.toHaveProperty('initData')

    const allowed = await preflight({ ...pod, spec: { containers: containers.slice(0, 1) } })
    expect(allowed.status).toBe(0)
    expect(problems(allowed.document)).toBe('')
    expect(problems({ ...allowed.document, outcome: 'maybe' })).not.toBe('')
    expect(problems({ ...allowed.document, pods: [] })).not.toBe('')
    expect(problems({ ...allowed.document, extra: 1 })).not.toBe('')
    expect(problems({ ...allowed.document, pods: [{ ...pod, apiVersion: 'v1' }] })).not.toBe('')
  })
})
