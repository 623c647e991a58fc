import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { makeFolder, syncDirectory } from '../core/index.ts'

const INSIDE = /^\.cosignet-[0-9a-f]{12}\.tmp$/

/** Whether a name in a folder is that of a copy which was killed before it could clean up. */
export function isStagingName(name: string): boolean {
  return INSIDE.test(name)
}

/**
 * A folder that is made under a temporary name and then takes the place of another one. It is made at the first use.
 * Failures are those of the file system, as they are.
 */
export class StagedFolder {
  readonly #target: string
  readonly #replaces: boolean
  readonly #id = randomBytes(6).toString('hex')
  /** Folders above the target that were not there. */
  #newFolders: readonly string[] = []
  #path: Promise<string> | undefined
  #done = false

  /**
   * @param target absolute, and no link itself.
   * @param replaces whether it is there.
   */
  constructor(target: string, replaces: boolean) {
    this.#target = target
    this.#replaces = replaces
  }

  /** Path of the folder while it is made. */
  async open(): Promise<string> {
    this.#path ??= this.#replaces ? this.#makeForReplacement() : this.#makeBeside()
    return await this.#path
  }

  /** Puts the folder, or what is in it, in the place of the target. */
  async commit(): Promise<void> {
    const path = await this.open()
    await syncDirectory(path)
    if (path !== this.#beside) await this.#replaceContents(path)
    else if (this.#replaces) await this.#replace(path)
    else await rename(path, this.#target)
    await syncDirectory(path === this.#beside ? dirname(this.#target) : this.#target)
    this.#done = true
  }

  /** Removes the folder. Does nothing after `commit`. */
  async abort(): Promise<void> {
    if (this.#done) return
    this.#done = true
    const path = await this.#path?.catch(() => undefined)
    if (path !== undefined) await rm(path, { recursive: true, force: true }).catch(() => undefined)
    for (const folder of this.#newFolders.toReversed()) await rmdir(folder).catch(() => undefined)
  }

  get #beside(): string {
    return join(dirname(this.#target), `.${basename(this.#target)}.${this.#id}.tmp`)
  }

  async #makeBeside(): Promise<string> {
    this.#newFolders = await makeFolder(dirname(this.#target))
    await mkdir(this.#beside)
    return this.#beside
  }

  /**
   * Where the target is a mount point, or what is around it cannot be written, the folder stays inside: only moving it
   * out tells.
   */
  async #makeForReplacement(): Promise<string> {
    const inside = join(this.#target, `.cosignet-${this.#id}.tmp`)
    await mkdir(inside)
    // The folder that somebody works in must not be moved from under him.
    if (`${resolve()}/`.startsWith(`${this.#target}/`)) return inside
    try {
      await rename(inside, this.#beside)
    } catch {
      return inside
    }
    const { mode } = await stat(this.#target)
    await chmod(this.#beside, mode & 0o7777)
    return this.#beside
  }

  async #replace(path: string): Promise<void> {
    const old = `${path}.old`
    await rename(this.#target, old)
    try {
      await rename(path, this.#target)
    } catch (error) {
      await rename(old, this.#target)
      throw error
    }
    await removeOld(old)
  }

  /** File by file: who reads meanwhile may meet a part of each image, and finds a wrong digest at worst. */
  async #replaceContents(path: string): Promise<void> {
    const old = `${path}.old`
    const before = (await readdir(this.#target)).filter((name) => name !== basename(path))
    const after = await readdir(path)
    const moved: (readonly [string, string])[] = []
    const move = async (from: string, to: string): Promise<void> => {
      await rename(from, to)
      moved.push([from, to])
    }
    await mkdir(old)
    try {
      for (const name of before) await move(join(this.#target, name), join(old, name))
      for (const name of after) await move(join(path, name), join(this.#target, name))
    } catch (error) {
      for (const [from, to] of moved.toReversed()) await rename(to, from)
      await rmdir(old)
      throw error
    }
    await removeOld(old)
    await rmdir(path)
  }
}

/** The new files are in place: that old ones of another owner cannot be removed does not undo it. */
async function removeOld(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined)
}
