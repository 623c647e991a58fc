import type { Stats } from 'node:fs'
import { lstat, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CosignetError,
  decodeUtf8,
  errnoOf,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../core/index.ts'
import { compileGlob, hasWildcard } from './build-glob.ts'
import { type IgnoreRules, type IgnoreState, parseIgnoreRules } from './build-ignore.ts'
import type { SourceFile } from './build-layer.ts'
import { describeErrors, readNames } from './folder-tar.ts'

/** A file, folder or link of the context. */
export interface ContextFile {
  /** Its own name, as it was asked for or found. */
  readonly name: string
  /** Names from the context down, no link among the folders. */
  readonly place: readonly string[]
  readonly path: string
  readonly stats: Stats
  /** The same, for when its content is read. */
  readonly source: SourceFile
}

/** As Linux has it. */
const LINKS_MAX = 40
const IGNORE_FILE = '.dockerignore'

/**
 * The files that a build may read: those in one folder, less what its `.dockerignore` leaves out. No path and no link
 * leads out of it.
 */
export class BuildContext {
  readonly #folder: string
  readonly #rules: IgnoreRules

  private constructor(folder: string, rules: IgnoreRules) {
    this.#folder = folder
    this.#rules = rules
  }

  /**
   * @param ignore text of the file that says what is left out. Default: `.dockerignore` in the folder, if there is one.
   * @throws FILE, INVALID_IMAGE, TOO_LARGE
   */
  static async open(folder: string, ignore?: string): Promise<BuildContext> {
    const real = await describeErrors(folder, () => realpath(folder))
    const rules = parseIgnoreRules(ignore ?? (await readIgnoreFile(real)), IGNORE_FILE)
    return new BuildContext(real, rules)
  }

  /**
   * Finds what a source of COPY names: one path, or a pattern and all that matches it, sorted. A link that is named
   * stands for what it leads to.
   * @throws NOT_FOUND for a path without a pattern; INVALID_IMAGE for a path or link that leads out; FILE
   */
  async find(source: string): Promise<readonly ContextFile[]> {
    const names = pathNames(source)
    const wild = names.findIndex(hasWildcard)
    if (wild === -1) return [await this.#findOne(names, source)]
    const patterns = names.slice(wild).map((name) => compileGlob(name, false))
    const base = await this.#follow(names.slice(0, wild), source)
    const found: ContextFile[] = []
    if (base !== undefined) await this.#match(base, patterns, found)
    return await Promise.all(
      found.map(async ({ name, place }) => ({ ...(await this.#findOne(place, source)), name })),
    )
  }

  /** What a folder holds, sorted; links are not followed. @throws FILE */
  async list(folder: Pick<ContextFile, 'place' | 'path'>): Promise<readonly ContextFile[]> {
    const files: ContextFile[] = []
    for (const name of await readNames(folder.path)) {
      const place = [...folder.place, name]
      const stats = await this.#look(place)
      if (stats !== undefined) files.push(this.#describe(name, place, stats))
    }
    return files
  }

  async #findOne(names: readonly string[], source: string): Promise<ContextFile> {
    const place = await this.#follow(names, source)
    const stats = place === undefined ? undefined : await this.#look(place)
    if (place === undefined || stats === undefined) {
      throw new CosignetError('NOT_FOUND', `${quote(source)} is not in the context, or is left out of it.`)
    }
    return this.#describe(names.at(-1) ?? '', place, stats)
  }

  async #match(
    folder: readonly string[],
    [pattern, ...deeper]: readonly ((name: string) => boolean)[],
    found: ContextFile[],
  ): Promise<void> {
    const stats = await this.#look(folder)
    if (pattern === undefined || stats?.isDirectory() !== true) return
    for (const file of await this.list({ place: folder, path: this.#pathOf(folder) })) {
      if (!pattern(file.name)) continue
      if (deeper.length === 0) found.push(file)
      else await this.#match(file.place, deeper, found)
    }
  }

  /** Follows links, the last name included; undefined where something on the way is not there. */
  async #follow(names: readonly string[], source: string): Promise<readonly string[] | undefined> {
    const rest = names.toReversed()
    const place: string[] = []
    for (let links = 0; rest.length > 0; ) {
      const name = rest.pop() ?? ''
      if (name === '' || name === '.') continue
      if (name === '..') {
        if (place.pop() === undefined) throw leadsOut(source)
        continue
      }
      place.push(name)
      const stats = await this.#look(place)
      if (stats === undefined) return undefined
      if (!stats.isSymbolicLink()) continue
      links += 1
      const path = this.#pathOf(place)
      const target = await describeErrors(path, () => readlink(path))
      if (links > LINKS_MAX) {
        throw new CosignetError('INVALID_IMAGE', `${quote(source)} has too many symbolic links.`)
      }
      if (target.startsWith('/')) throw leadsOut(source)
      place.pop()
      rest.push(...target.split('/').toReversed())
    }
    return place
  }

  /** What a place is; undefined where there is nothing, or it is left out. */
  async #look(place: readonly string[]): Promise<Stats | undefined> {
    const path = this.#pathOf(place)
    let stats: Stats
    try {
      stats = await lstat(path)
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined
      return await describeErrors(path, () => Promise.reject(error))
    }
    const { ignored, state } = this.#judge(place)
    if (!ignored) return stats
    // A folder that is left out is there for the sake of what is taken in again below it.
    const isKept = stats.isDirectory() && this.#rules.hasExceptions && (await this.#holdsSome(place, state))
    return isKept ? stats : undefined
  }

  async #holdsSome(folder: readonly string[], parent: IgnoreState): Promise<boolean> {
    for (const name of await readNames(this.#pathOf(folder))) {
      const place = [...folder, name]
      const { ignored, state } = this.#rules.judge(place.join('/'), parent)
      if (!ignored) return true
      const path = this.#pathOf(place)
      const stats = await describeErrors(path, () => lstat(path))
      if (stats.isDirectory() && (await this.#holdsSome(place, state))) return true
    }
    return false
  }

  #judge(place: readonly string[]): { ignored: boolean; state: IgnoreState } {
    let judged: { ignored: boolean; state: IgnoreState } = { ignored: false, state: [] }
    for (let i = 1; i <= place.length; i += 1) {
      judged = this.#rules.judge(place.slice(0, i).join('/'), judged.state)
    }
    return judged
  }

  #describe(name: string, place: readonly string[], stats: Stats): ContextFile {
    const path = this.#pathOf(place)
    return {
      name,
      place,
      path,
      stats,
      source: { path, size: stats.size, inode: stats.ino, device: stats.dev },
    }
  }

  #pathOf(place: readonly string[]): string {
    return join(this.#folder, ...place)
  }
}

/** Names of a path that starts at the context, whether it has a slash in front or not. @throws INVALID_IMAGE */
function pathNames(source: string): readonly string[] {
  if (source.includes('\0')) throw leadsOut(source)
  const names: string[] = []
  for (const name of source.split('/')) {
    if (name === '' || name === '.') continue
    if (name !== '..') names.push(name)
    else if (names.pop() === undefined) throw leadsOut(source)
  }
  return names
}

function leadsOut(source: string): CosignetError {
  return new CosignetError('INVALID_IMAGE', `${quote(source)} leads out of the context.`, {
    hint: 'Copy what is needed into the context, or build with a folder above it as the context.',
  })
}

async function readIgnoreFile(folder: string): Promise<string> {
  const path = join(folder, IGNORE_FILE)
  let bytes: Uint8Array
  try {
    const stats = await lstat(path)
    if (!stats.isFile()) {
      throw new CosignetError('INVALID_IMAGE', `${quote(path)} is not a file.`)
    }
    bytes = await readFileBounded(path, LIMITS.dockerfileBytes, 'ignore file')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return ''
    if (isCosignetError(error)) throw error
    return await describeErrors(path, () => Promise.reject(error))
  }
  const text = decodeUtf8(bytes)
  if (text === undefined) throw new CosignetError('INVALID_IMAGE', `${quote(path)} is not UTF-8 text.`)
  return text
}
