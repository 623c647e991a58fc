import type { JsonValue } from '../core/index.ts'
import { type InitData, initDataDigest, teeBindings } from '../guest/index.ts'
import { asJson } from './cli.ts'

/** Init data as data for output: algorithm, digest, files, and what each TEE will report. */
export function initDataJson(initData: InitData): JsonValue {
  return asJson({
    version: initData.version,
    algorithm: initData.algorithm,
    digest: digestHex(initData),
    files: [...initData.data.keys()],
    tees: teeBindings(initData).map(({ tee, field, value, note }) => ({
      tee,
      field,
      value: value ?? null,
      ...(note === undefined ? {} : { note }),
    })),
  })
}

/** Init data for people: digest and what each TEE will report. */
export function formatInitData(initData: InitData): string {
  const bindings = teeBindings(initData)
  const width = Math.max(...bindings.map(({ tee, field }) => `${tee} ${field}`.length))
  return [
    `Init data ${initData.version}, ${[...initData.data.keys()].join(', ')}`,
    `${initData.algorithm} digest: ${digestHex(initData)}`,
    ...bindings.map(({ tee, field, value, note }) => {
      return `  ${`${tee} ${field}`.padEnd(width)}  ${value ?? 'cannot bind it'}${note === undefined ? '' : `  (${note})`}`
    }),
  ].join('\n')
}

function digestHex(initData: InitData): string {
  return Buffer.from(initDataDigest(initData)).toString('hex')
}
