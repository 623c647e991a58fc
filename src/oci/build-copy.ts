import { readlink } from 'node:fs/promises'
import { CosignetError, quote } from '../core/index.ts'
import type { BuildContext, ContextFile } from './build-context.ts'
import { type LayerEntry, refuseWhiteout } from './build-layer.ts'
import type { FileTree, TreePath } from './build-tree.ts'
import type { Owner } from './build-users.ts'
import { describeErrors, refuseSpecial } from './folder-tar.ts'

/** What COPY adds to an image, by name. */
export type Additions = Map<string, LayerEntry>

export interface CopyOptions {
  /** From the root; with a slash behind it, or `/.`, it is a folder. */
  readonly destination: string
  readonly owner: Owner
  /** Permission bits of everything that is copied. Default: those that it has. */
  readonly mode?: number
}

const FOLDER_MODE = 0o755

/**
 * Works out what copying files into an image adds to it, by the rules of BuildKit (tonistiigi/fsutil, copy.go), and
 * enters it in the tree: links of the image are followed to the destination, folders on the way are made, what a
 * folder holds is copied and not the folder itself, and other names below it replace what is there.
 * @throws INVALID_IMAGE where a folder would replace a file or link, or a file a folder, and for special files; FILE
 */
export async function copyFiles(
  files: readonly ContextFile[],
  context: BuildContext,
  tree: FileTree,
  options: CopyOptions,
): Promise<Additions> {
  const additions: Additions = new Map()
  const copier = new Copier(context, tree, options, additions)
  for (const file of files) await copier.copy(file)
  return additions
}

/** Makes a folder and those above it, where they are missing; links are followed. @throws INVALID_IMAGE */
export function makeFolders(path: string, tree: FileTree, owner: Owner, mode = FOLDER_MODE): Additions {
  const additions: Additions = new Map()
  addFolders(tree.resolve(path), tree, { ...owner, mode }, additions)
  return additions
}

function addFolders(
  path: TreePath,
  tree: FileTree,
  attributes: Owner & { readonly mode: number },
  additions: Additions,
): void {
  for (let i = 1; i <= path.length; i += 1) {
    const folder = path.slice(0, i)
    const node = tree.get(folder)
    if (node?.kind === 'folder') continue
    if (node !== undefined) {
      throw new CosignetError(
        'INVALID_IMAGE',
        `${quote(`/${folder.join('/')}`)} in the image is not a folder.`,
      )
    }
    refuseWhiteout(folder.at(-1) ?? '', `/${folder.join('/')}`)
    tree.put(folder, { kind: 'folder', children: new Map(), layer: 0 })
    const name = folder.join('/')
    additions.set(name, { kind: 'folder', name, ...attributes })
  }
}

class Copier {
  readonly #context: BuildContext
  readonly #tree: FileTree
  readonly #options: CopyOptions
  readonly #additions: Additions

  constructor(context: BuildContext, tree: FileTree, options: CopyOptions, additions: Additions) {
    this.#context = context
    this.#tree = tree
    this.#options = options
    this.#additions = additions
  }

  async copy(file: ContextFile): Promise<void> {
    const { destination } = this.#options
    const isFolder = /\/\.?$/.test(destination)
    const parent = destination.slice(0, destination.lastIndexOf('/') + 1)
    this.#addFolders(this.#tree.resolve(isFolder ? destination : parent))
    const place = this.#tree.resolve(destination)
    if (file.stats.isDirectory()) {
      this.#addFolders(place)
      return await this.#copyContents(file, place)
    }
    const target = this.#tree.get(place)?.kind === 'folder' ? [...place, file.name] : place
    this.#addFolders(target.slice(0, -1))
    await this.#copyOne(file, target)
  }

  async #copyContents(folder: ContextFile, place: TreePath): Promise<void> {
    for (const child of await this.#context.list(folder)) {
      const target = [...place, child.name]
      if (!child.stats.isDirectory()) {
        await this.#copyOne(child, target)
        continue
      }
      const node = this.#tree.get(target)
      if (node !== undefined && node.kind !== 'folder') throw replaces(child, target, 'a folder', 'none')
      if (node === undefined) this.#tree.put(target, { kind: 'folder', children: new Map(), layer: 0 })
      this.#add({ kind: 'folder', ...this.#attributes(child, target) }, child)
      await this.#copyContents(child, target)
    }
  }

  async #copyOne(file: ContextFile, target: TreePath): Promise<void> {
    const { path, stats } = file
    refuseSpecial(stats, path)
    if (this.#tree.get(target)?.kind === 'folder') throw replaces(file, target, 'a file', 'a folder')
    const attributes = this.#attributes(file, target)
    if (stats.isSymbolicLink()) {
      const link = await describeErrors(path, () => readlink(path))
      this.#tree.put(target, { kind: 'link', target: link, layer: 0 })
      return this.#add({ kind: 'link', ...attributes, mode: 0o777, target: link }, file)
    }
    this.#tree.put(target, { kind: 'file', layer: 0 })
    this.#add({ kind: 'file', ...attributes, source: file.source }, file)
  }

  #attributes(
    { stats }: ContextFile,
    target: TreePath,
  ): Owner & { readonly name: string; readonly mode: number } {
    const { owner, mode } = this.#options
    return { name: target.join('/'), mode: mode ?? stats.mode & 0o7777, ...owner }
  }

  #add(entry: LayerEntry, { path }: ContextFile): void {
    refuseWhiteout(entry.name.slice(entry.name.lastIndexOf('/') + 1), path)
    this.#additions.set(entry.name, entry)
  }

  #addFolders(path: TreePath): void {
    addFolders(path, this.#tree, { ...this.#options.owner, mode: FOLDER_MODE }, this.#additions)
  }
}

function replaces(file: ContextFile, target: TreePath, kind: string, other: string): CosignetError {
  return new CosignetError(
    'INVALID_IMAGE',
    `${quote(file.place.join('/'))} is ${kind}, but ${quote(`/${target.join('/')}`)} in the image is ${other}.`,
  )
}
