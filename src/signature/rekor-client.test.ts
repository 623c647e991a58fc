import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeKey, pemOf } from '../../test/fixtures/judged-image.ts'
import { type RekorAnswer, type RekorServer, startRekorServer } from '../../test/fixtures/rekor-server.ts'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { preAuthEncoding } from './dsse.ts'
import { openRekor, parseRekorKeys, publicRekorKeys, type TransparencyLog } from './index.ts'

const signer = makeKey()
const payload = encodeUtf8('what is signed')
const payloadType = 'application/vnd.in-toto+json'

/** A new signature each time: ECDSA is not deterministic. */
function newPayload() {
  return { payload, signature: signer.sign(payload), key: signer.publicKey }
}

function newEnvelope() {
  return { ...newPayload(), payloadType, signature: signer.sign(preAuthEncoding(payloadType, payload)) }
}

function bodyOf(entry: { readonly body: Uint8Array }) {
  return JSON.parse(Buffer.from(entry.body).toString())
}

describe('openRekor', () => {
  const http = new HttpClient()
  let change: ((answer: RekorAnswer) => void) | undefined
  let rekor: RekorServer
  let log: TransparencyLog

  beforeAll(async () => {
    rekor = await startRekorServer({ change: (answer) => change?.(answer) })
    const rekorKeys = parseRekorKeys(encodeUtf8(rekor.publicKeyPem), 'The key')
    log = openRekor({ http, url: rekor.url, rekorKeys })
  })
  afterEach(() => {
    change = undefined
  })
  afterAll(async () => {
    http.close()
    await rekor.close()
  })

  it('enters a signature by the hash of its payload', async () => {
    const signed = newPayload()
    const entry = await log.logSignature(signed)
    expect(bodyOf(entry)).toEqual({
      apiVersion: '0.0.1',
      kind: 'hashedrekord',
      spec: {
        data: { hash: { algorithm: 'sha256', value: createHash('sha256').update(payload).digest('hex') } },
        signature: {
          content: Buffer.from(signed.signature).toString('base64'),
          publicKey: { content: Buffer.from(pemOf(signer)).toString('base64') },
        },
      },
    })
    expect(entry.integratedTime).toBeGreaterThan(0)
    expect(entry.logId).toBe([...log.rekorKeys.keys()][0])
  })

  it('enters an envelope, whose signature the log verifies', async () => {
    const signed = newEnvelope()
    const entry = await log.logEnvelope(signed)
    expect(bodyOf(entry)).toMatchObject({
      kind: 'dsse',
      spec: { signatures: [{ signature: Buffer.from(signed.signature).toString('base64') }] },
    })
    expect(entry).toHaveProperty('proof.treeSize', 1)
  })

  it('is told why the log refuses', async () => {
    const signed = { ...newEnvelope(), signature: encodeUtf8('no signature') }
    await expect(log.logEnvelope(signed)).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
      message: `The log "${log.url}" did not take the entry (status 400): "{\\"code\\":400,\\"message\\":\\"error processing entry: verifying signature\\"}".`,
    })
  })

  it('takes the entry that is there already, by its place', async () => {
    const signed = newEnvelope()
    const entry = await log.logEnvelope(signed)
    const before = rekor.requests.length
    expect(await log.logEnvelope(signed)).toEqual(entry)
    expect(rekor.requests.slice(before)).toEqual([
      'POST /api/v1/log/entries',
      expect.stringMatching(/^GET \/api\/v1\/log\/entries\/[0-9a-f]{64}$/),
    ])
  })

  it('asks nobody else for it, wherever the log sends it', async () => {
    const signed = newEnvelope()
    await log.logEnvelope(signed)
    const id = 'ab'.repeat(32)
    change = (answer) => {
      if (answer.status === 409) answer.headers['location'] = `http://192.0.2.1/x/${id}`
    }
    await expect(log.logEnvelope(signed)).rejects.toMatchObject({ code: 'BAD_RESPONSE' })
    expect(rekor.requests.at(-1)).toBe(`GET /api/v1/log/entries/${id}`)
  })

  it.each(['', '/api/v1/log/entries/', '/api/v1/log/entries/../../x', `/${'ab'.repeat(33)}`])(
    'refuses to be sent to %j',
    async (location) => {
      change = (answer) => {
        Object.assign(answer, { status: 409, headers: location === '' ? {} : { location } })
      }
      await expect(log.logEnvelope(newEnvelope())).rejects.toMatchObject({
        code: 'BAD_RESPONSE',
        message: `The log "${log.url}" has this entry already and does not say where.`,
      })
    },
  )

  it.each([
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
    [404, 'BAD_RESPONSE'],
    [200, 'BAD_RESPONSE'],
    [429, 'UNAVAILABLE'],
    [500, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
  ] as const)('takes status %i for %s', async (status, code) => {
    change = (answer) => Object.assign(answer, { status, body: 'words\nof the log' })
    await expect(log.logSignature(newPayload())).rejects.toMatchObject({
      code,
      message: `The log "${log.url}" did not take the entry (status ${status}): "words\\nof the log".`,
    })
  })

  it('is refused where nobody listens', async () => {
    const nowhere = openRekor({ http, url: new URL('http://127.0.0.1:9/'), rekorKeys: log.rekorKeys })
    await expect(nowhere.logSignature(newPayload())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('gives up when it is told to', async () => {
    await expect(log.logSignature(newPayload(), AbortSignal.abort())).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  const SWAPPED: readonly (readonly [string, string, (entry: EntryJson) => object])[] = [
    ['another time', 'has a promise that the log', (entry) => ({ integratedTime: entry.integratedTime + 1 })],
    ['another index', 'has a promise that the log', (entry) => ({ logIndex: entry.logIndex + 1 })],
    ['another log', 'whose key is not known', () => ({ logID: 'ab'.repeat(32) })],
    ['no promise', 'without a promise', (entry) => vouched(entry, { signedEntryTimestamp: undefined })],
    ['an empty promise', 'without a promise', (entry) => vouched(entry, { signedEntryTimestamp: '' })],
    ['no proof', 'without a proof', (entry) => vouched(entry, { inclusionProof: undefined })],
    [
      'a hash that is none',
      'is not an entry',
      (entry) => vouched(entry, { inclusionProof: { rootHash: 'x' } }),
    ],
    ['nothing that vouches for it', 'without a promise', () => ({ verification: {} })],
    ['a body that is none', 'is not base64', () => ({ body: '?' })],
    ['an empty body', 'is not good', () => ({ body: '' })],
    ['a negative index', 'is not a whole number', () => ({ logIndex: -1 })],
  ]

  it.each(SWAPPED)('stores no entry with %s', async (_, message, swap) => {
    change = (answer) => {
      const document: Record<string, EntryJson> = JSON.parse(answer.body)
      const swapped = Object.entries(document).map(([id, entry]) => [id, { ...entry, ...swap(entry) }])
      answer.body = JSON.stringify(Object.fromEntries(swapped))
    }
    await expect(log.logEnvelope(newEnvelope())).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
      message: expect.stringContaining(message),
    })
  })

  it('stores no entry of another signature, which the log did promise', async () => {
    let old: string | undefined
    change = (answer) => {
      old = answer.body
    }
    await log.logEnvelope(newEnvelope())
    const other = old ?? ''
    change = (answer) => {
      answer.body = other
    }
    await expect(log.logEnvelope(newEnvelope())).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
      message: `The log "${log.url}" gave an entry that is not good: The log entry is of another signature.`,
    })
  })

  it('stores no entry of a log whose key is another', async () => {
    const wrong = openRekor({ http, url: rekor.url, rekorKeys: publicRekorKeys() })
    await expect(wrong.logSignature(newPayload())).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
      message: expect.stringContaining('whose key is not known'),
    })
  })

  it.each([
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['no entry', '{}'],
    ['two entries', '{"a":{},"b":{}}'],
    ['text', '{"a":"b"}'],
    ['a web page', '<html></html>'],
  ])('refuses an answer of %s', async (_, body) => {
    change = (answer) => Object.assign(answer, { body })
    await expect(log.logSignature(newPayload())).rejects.toMatchObject({ code: 'BAD_RESPONSE' })
  })

  it('reads no answer without end', async () => {
    change = (answer) => Object.assign(answer, { body: ' '.repeat(LIMITS.jsonBytes + 1) })
    await expect(log.logSignature(newPayload())).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })
})

interface EntryJson {
  readonly integratedTime: number
  readonly logIndex: number
  readonly verification: object
}

function vouched({ verification }: EntryJson, change: object): object {
  return { verification: { ...verification, ...change } }
}
