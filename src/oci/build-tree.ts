import { CosignetError, quote } from '../core/index.ts'

/** A name in the file system of an image. */
export type TreeNode =
  | { readonly kind: 'folder'; readonly children: Map<string, TreeNode>; readonly layer: number }
  | { readonly kind: 'link'; readonly target: string; readonly layer: number }
  | {
      readonly kind: 'file'
      readonly layer: number
      /** What it holds, where that was kept. */
      readonly text?: string
    }

/** Names from the root down, without `.`, `..` and empty ones. */
export type TreePath = readonly string[]

type Folder = TreeNode & { readonly kind: 'folder' }

/** As Linux has it. */
const LINKS_MAX = 255

/**
 * What names an image has, of what kind, and where its symbolic links lead: enough to know where a copied file comes
 * to stand. Nothing of it is ever looked up in a real file system.
 */
export class FileTree {
  readonly root: Folder = { kind: 'folder', children: new Map(), layer: 0 }

  /**
   * Follows symbolic links, the last name included, and never above the root. Names that are not there stay as they
   * are.
   * @throws INVALID_IMAGE for links that lead in a circle
   */
  resolve(path: string): TreePath {
    const rest = path.split('/').toReversed()
    const resolved: string[] = []
    for (let links = 0; rest.length > 0; ) {
      const name = rest.pop() ?? ''
      if (name === '..') resolved.pop()
      if (name === '' || name === '.' || name === '..') continue
      const node = this.get([...resolved, name])
      if (node?.kind !== 'link') {
        resolved.push(name)
        continue
      }
      links += 1
      if (links > LINKS_MAX) {
        throw new CosignetError('INVALID_IMAGE', `${quote(path)} in the image has too many symbolic links.`)
      }
      if (node.target.startsWith('/')) resolved.length = 0
      rest.push(...node.target.split('/').toReversed())
    }
    return resolved
  }

  /** The node at a path whose folders are no links. */
  get(path: TreePath): TreeNode | undefined {
    let node: TreeNode | undefined = this.root
    for (const name of path) node = node?.kind === 'folder' ? node.children.get(name) : undefined
    return node
  }

  /** Puts a node in place of what is there; folders above it are made where they are missing. */
  put(path: TreePath, node: TreeNode): void {
    const name = path.at(-1)
    if (name === undefined) return
    let folder: Folder = this.root
    for (const parent of path.slice(0, -1)) {
      const child = folder.children.get(parent)
      const next: Folder =
        child?.kind === 'folder' ? child : { kind: 'folder', children: new Map(), layer: node.layer }
      if (next !== child) folder.children.set(parent, next)
      folder = next
    }
    folder.children.set(name, node)
  }

  /** Removes a name and all below it; nothing happens where it is not there. */
  remove(path: TreePath): void {
    const parent = this.get(path.slice(0, -1))
    if (parent?.kind === 'folder') parent.children.delete(path.at(-1) ?? '')
  }
}
