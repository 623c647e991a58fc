import { posix } from 'node:path'
import { CosignetError, LIMITS, quote } from '../core/index.ts'
import { refuseArchive } from './build-archive.ts'
import { formatEnv, type HistoryEntry, type ImageConfig, parseEnv, type RunConfig } from './build-config.ts'
import type { BuildContext, ContextFile } from './build-context.ts'
import { type Additions, copyFiles, makeFolders } from './build-copy.ts'
import { packLayer } from './build-layer.ts'
import { parsePorts } from './build-ports.ts'
import type { FileTree } from './build-tree.ts'
import { findOwner, ROOT } from './build-users.ts'
import type { CopyStep, Dockerfile, Step } from './dockerfile.ts'
import { expandWord, expandWords, type WordRules } from './dockerfile-words.ts'
import type { LayerSpool, SpooledLayer } from './layer-spool.ts'
import type { Descriptor } from './manifest.ts'

/** Layers that were made, by a description of their entries. */
export type LayerCache = Map<string, SpooledLayer>

export interface StageParts {
  readonly dockerfile: Dockerfile
  readonly context: BuildContext
  readonly spool: LayerSpool
  readonly layers: LayerCache
  /** Seconds since 1970. */
  readonly epoch: number
  /** Reads what names the base has; asked for once, where files are added. */
  readonly readTree: () => Promise<FileTree>
  readonly signal: AbortSignal | undefined
}

type StepOf<Kind extends Step['kind']> = Extract<Step, { readonly kind: Kind }>

const SHELL = ['/bin/sh', '-c']

/** The image of one platform, as it grows instruction by instruction (BuildKit, dockerfile2llb/convert.go). */
export class Stage {
  /** When all of it was made: RFC 3339, UTC. */
  readonly created: string
  readonly added: Descriptor[] = []
  readonly #parts: StageParts
  #config: ImageConfig
  #variables: ReadonlyMap<string, string>
  /** Characters of the history that was added: all that instructions set is in it too. */
  #written = 0
  #tree: FileTree | undefined
  #hasOwnCmd = false

  constructor(base: ImageConfig, parts: StageParts) {
    this.#config = base
    this.#variables = parseEnv(base.run.Env)
    this.#parts = parts
    this.created = new Date(parts.epoch * 1000).toISOString().replace('.000Z', 'Z')
  }

  get config(): ImageConfig {
    return this.#config
  }

  /** @throws INVALID_IMAGE, UNSUPPORTED, NOT_FOUND, FILE, ABORTED, and what reading the base throws */
  async run(step: Step): Promise<void> {
    switch (step.kind) {
      case 'COPY':
      case 'ADD':
        return await this.#copy(step)
      case 'WORKDIR':
        return await this.#workdir(step)
      case 'ENV':
        return this.#env(step)
      case 'LABEL':
        return this.#label(step)
      case 'EXPOSE':
        return this.#expose(step)
      case 'USER':
        return this.#user(step)
      case 'CMD':
      case 'ENTRYPOINT':
        return this.#command(step)
    }
  }

  async #copy(step: CopyStep): Promise<void> {
    const { context } = this.#parts
    const sources = step.sources.map((source) => this.#expand(source))
    const destination = this.#expand(step.destination)
    const chown = this.#expand(step.chown ?? '')
    const chmod = this.#expand(step.chmod ?? '')
    const files: ContextFile[] = []
    for (const source of sources) files.push(...(await context.find(source)))
    if (step.kind === 'ADD') for (const file of files) await refuseArchive(file)
    const tree = await this.#openTree()
    const additions = await copyFiles(files, context, tree, {
      destination: absolutePath(this.#workingFolder(), destination),
      owner: chown === '' ? ROOT : findOwner(chown, tree),
      ...(chmod === '' ? {} : { mode: parseMode(chmod) }),
    })
    const flags = [
      ...(chown === '' ? [] : [`--chown=${chown}`]),
      ...(chmod === '' ? [] : [`--chmod=${chmod}`]),
    ]
    await this.#commit([step.kind, ...flags, ...sources, destination].join(' '), additions)
  }

  async #workdir({ value }: StepOf<'USER' | 'WORKDIR'>): Promise<void> {
    const path = absolutePath(this.#workingFolder(), this.#expand(value)).replace(/(?<=.)\/\.?$/, '')
    const { User: user = '' } = this.#config.run
    const tree = path === '/' ? undefined : await this.#openTree()
    const missing = tree !== undefined && tree.get(tree.resolve(path))?.kind !== 'folder'
    const owner = missing && user !== '' ? findOwner(user, tree) : ROOT
    const additions: Additions = missing ? makeFolders(path, tree, owner) : new Map()
    this.#set({ WorkingDir: path })
    await this.#commit(`WORKDIR ${path}`, additions)
  }

  #env({ pairs }: StepOf<'ENV' | 'LABEL'>): void {
    // All values are expanded with what was set before the instruction.
    const values = this.#expandPairs(pairs)
    this.#variables = new Map([...this.#variables, ...values])
    this.#set({ Env: formatEnv(this.#variables) })
    this.#note(`ENV ${values.map((pair) => pair.join('=')).join(' ')}`)
  }

  #label({ pairs }: StepOf<'ENV' | 'LABEL'>): void {
    const values = this.#expandPairs(pairs)
    this.#set({ Labels: { ...this.#config.run.Labels, ...Object.fromEntries(values) } })
    this.#note(`LABEL ${values.map((pair) => pair.join('=')).join(' ')}`)
  }

  #expose(step: StepOf<'EXPOSE'>): void {
    const words = step.ports.flatMap((word) => expandWords(word, this.#rules(word)))
    const ports = words.flatMap((word) => {
      return parsePorts(word) ?? fail(`${quote(word)} is not a port such as 80 or 53/udp`)
    })
    const exposed = Object.fromEntries(ports.map((port) => [port, {}]))
    this.#set({ ExposedPorts: { ...this.#config.run.ExposedPorts, ...exposed } })
    this.#note(`EXPOSE [${ports.join(' ')}]`)
  }

  #user({ value }: StepOf<'USER' | 'WORKDIR'>): void {
    const user = this.#expand(value)
    this.#set({ User: user })
    this.#note(`USER ${user}`)
  }

  #command({ kind, command }: StepOf<'CMD' | 'ENTRYPOINT'>): void {
    const { Entrypoint: entrypoint, Cmd: cmd, ...others } = this.#config.run
    const words = typeof command === 'string' ? [...(others.Shell ?? SHELL), command] : command
    if (kind === 'CMD') this.#hasOwnCmd = true
    // A command of the base was meant for its entry point.
    const kept = this.#hasOwnCmd ? cmd : undefined
    const run = kind === 'CMD' ? { entrypoint, cmd: words } : { entrypoint: words, cmd: kept }
    this.#config = {
      ...this.#config,
      run: {
        ...others,
        ...(run.entrypoint === undefined || run.entrypoint.length === 0
          ? {}
          : { Entrypoint: run.entrypoint }),
        ...(run.cmd === undefined ? {} : { Cmd: run.cmd }),
      },
    }
    this.#note(`${kind} [${words.map((word) => JSON.stringify(word)).join(' ')}]`)
  }

  /** Ends an instruction: with a layer, if it adds something. */
  async #commit(text: string, additions: Additions): Promise<void> {
    if (additions.size === 0) return this.#note(text)
    const { layer, diffId } = await this.#makeLayer(additions)
    this.added.push(layer)
    this.#config = { ...this.#config, diffIds: [...this.#config.diffIds, diffId] }
    this.#addHistory({ created: this.created, created_by: text, comment: 'cosignet' })
  }

  #note(text: string): void {
    this.#addHistory({ created: this.created, created_by: text, comment: 'cosignet', empty_layer: true })
  }

  #addHistory(entry: HistoryEntry): void {
    this.#written += entry.created_by?.length ?? 0
    if (this.#written > LIMITS.configBytes) {
      throw new CosignetError(
        'TOO_LARGE',
        `The instructions come to more than ${LIMITS.configBytes} characters.`,
      )
    }
    this.#config = { ...this.#config, history: [...this.#config.history, { ...entry }] }
  }

  async #makeLayer(additions: Additions): Promise<SpooledLayer> {
    const { layers, spool, epoch, signal } = this.#parts
    const entries = [...additions.values()].sort((a, b) => {
      return Buffer.compare(Buffer.from(a.name), Buffer.from(b.name))
    })
    const key = JSON.stringify(entries)
    const made = layers.get(key) ?? (await spool.add(packLayer(entries, epoch), signal))
    layers.set(key, made)
    return made
  }

  async #openTree(): Promise<FileTree> {
    this.#tree ??= await this.#parts.readTree()
    return this.#tree
  }

  #set(run: RunConfig): void {
    this.#config = { ...this.#config, run: { ...this.#config.run, ...run } }
  }

  #workingFolder(): string {
    return this.#config.run.WorkingDir ?? '/'
  }

  #expandPairs(pairs: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
    return pairs.map(([word, value]) => {
      const name = this.#expand(word)
      return name === '' ? fail(`${quote(word)} is an empty name`) : [name, this.#expand(value)]
    })
  }

  #expand(word: string): string {
    return expandWord(word, this.#rules(word))
  }

  #rules(word: string): WordRules {
    return {
      escapeToken: this.#parts.dockerfile.escapeToken,
      variable: (name) => this.#variables.get(name),
      fail: (reason) => fail(`${quote(word)} cannot be read: ${reason}`),
    }
  }
}

/** A path as WORKDIR and COPY take it: from the root, or from the working folder; what says that it is a folder is kept. */
function absolutePath(workdir: string, path: string): string {
  const absolute = posix.join('/', path.startsWith('/') ? '' : workdir, path)
  const isFolder = /(?:^|\/)\.?$/.test(path)
  return isFolder && !absolute.endsWith('/') ? `${absolute}/` : absolute
}

function parseMode(text: string): number {
  if (/^[0-7]{1,5}$/.test(text) && Number.parseInt(text, 8) <= 0o7777) return Number.parseInt(text, 8)
  throw new CosignetError('UNSUPPORTED', `--chmod=${text} is not understood.`, {
    hint: 'Give the permission bits as an octal number, for example --chmod=755.',
  })
}

function fail(reason: string): never {
  throw new CosignetError('INVALID_IMAGE', `${reason}.`)
}
