import { isAbsolute, join } from 'node:path'
import { CosignetError } from '../core/index.ts'
import type { FileOrData } from './file-or-data.ts'

/** The fields of one mapping, read by type; empty text and null are as good as nothing. */
export interface Fields {
  readonly what: string
  has(name: string): boolean
  text(name: string): string | undefined
  texts(name: string): readonly string[]
  flag(name: string): boolean
  inner(name: string): Fields | undefined
  list(name: string): readonly Fields[]
  fileOrData(name: string, folder: string): FileOrData | undefined
  invalid(reason: string): CosignetError
}

/**
 * Opens a mapping of a kubeconfig.
 * @param what names the file in messages; no value of it does, for any may be secret.
 * @throws INVALID_CONFIG if it is none; so do the readers for a field of another type
 */
export function asFields(value: unknown, what: string): Fields {
  const invalid = (reason: string): CosignetError =>
    new CosignetError('INVALID_CONFIG', `${what} is not valid: it ${reason}.`)
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid('has something else where a mapping belongs')
  }
  const map = value as Readonly<Record<string, unknown>>
  const get = <T>(name: string, is: (item: unknown) => item is T, kind: string): T | undefined => {
    const item = Object.hasOwn(map, name) ? map[name] : undefined
    if (item === undefined || item === null || item === '') return undefined
    if (!is(item)) throw invalid(`has no ${kind} as ${name}`)
    return item
  }
  const items = (name: string): readonly unknown[] => get(name, isList, 'list') ?? []
  const fields: Fields = {
    what,
    invalid,
    has: (name) => get(name, isThere, 'value') !== undefined,
    text: (name) => get(name, isText, 'text'),
    texts: (name) => {
      const texts = items(name)
      if (!texts.every(isText)) throw invalid(`has no list of texts as ${name}`)
      return texts
    },
    flag: (name) => get(name, isFlag, 'true or false') ?? false,
    inner: (name) => {
      const item = get(name, isThere, 'mapping')
      return item === undefined ? undefined : asFields(item, what)
    },
    list: (name) => items(name).map((item) => asFields(item, what)),
    fileOrData: (name, folder) => {
      const data = fields.text(`${name}-data`)
      if (data !== undefined) return { data: decode(data) ?? fail(invalid(`has no base64 as ${name}-data`)) }
      const path = fields.text(name)
      return path === undefined ? undefined : { path: within(folder, path) }
    },
  }
  return fields
}

const isThere = (item: unknown): item is unknown => item !== undefined
const isText = (item: unknown): item is string => typeof item === 'string'
const isFlag = (item: unknown): item is boolean => typeof item === 'boolean'
const isList = (item: unknown): item is readonly unknown[] => Array.isArray(item)

/** Decodes base64 that may be wrapped over lines. */
function decode(text: string): string | undefined {
  const base64 = text.replace(/\s+/g, '')
  const bytes = Buffer.from(base64, 'base64')
  return bytes.toString('base64') === base64 ? bytes.toString('utf8') : undefined
}

function fail(error: CosignetError): never {
  throw error
}

/** A path of a kubeconfig: relative to its folder. */
export function within(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path)
}
