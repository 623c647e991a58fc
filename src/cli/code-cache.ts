import { mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { Script } from 'node:vm'

/** Keeps what was compiled, for the next start. Does nothing where it was kept, or the folder is not ours to write. */
export type KeepCode = () => void

type CompiledModule = (
  exports: unknown,
  require: NodeJS.Require,
  module: NodeJS.Module,
  filename: string,
  dirname: string,
) => void

/**
 * Has the bundles of the commands (`.cjs` files in `folder`) loaded with the code that V8 compiled for them before, with
 * each function that an earlier run came to use. Node's own compile cache knows only what is compiled when a file is
 * loaded; the rest, compiled anew at each start, took a fifth of a short command.
 *
 * Code is kept under the digest of its source, in `<folder>/.cache`: beside the program, and not in a shared temporary
 * folder where another user could plant it. V8 refuses what another version or processor made, and runs what was damaged:
 * so a digest stands before the code.
 */
export function readCodeBesideBundles(folder: string): KeepCode {
  const { extensions } = createRequire(join(folder, 'main.cjs'))
  const scripts = new Map<string, Script>()
  extensions['.cjs'] = (module, filename) => {
    if (dirname(filename) !== folder) return extensions['.js']?.(module, filename)
    const source = readFileSync(filename)
    const kept = join(folder, '.cache', `${basename(filename, '.cjs')}-${digestOf(source).toString('hex')}`)
    const cachedData = readCode(kept)
    const script = new Script(Module.wrap(source.toString('utf8')), {
      filename,
      ...(cachedData === undefined ? {} : { cachedData }),
    })
    if (cachedData === undefined || script.cachedDataRejected === true) scripts.set(kept, script)
    const run = script.runInThisContext() as CompiledModule
    run(module.exports, module.require.bind(module) as NodeJS.Require, module, filename, folder)
  }
  return () => {
    for (const [path, script] of scripts) writeCode(path, script.createCachedData())
  }
}

const DIGEST_BYTES = 32

/** Node's crypto is loaded here, since a list of commands needs none of it. */
function digestOf(bytes: Uint8Array): Buffer {
  return process.getBuiltinModule('node:crypto').hash('sha256', bytes, 'buffer')
}

/** Undefined if there is none, or not what was written. */
function readCode(path: string): Buffer | undefined {
  try {
    const bytes = readFileSync(path)
    const code = bytes.subarray(DIGEST_BYTES)
    return digestOf(code).equals(bytes.subarray(0, DIGEST_BYTES)) ? code : undefined
  } catch {
    return undefined
  }
}

function writeCode(path: string, code: Buffer): void {
  const temporary = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(temporary, Buffer.concat([digestOf(code), code]), { mode: 0o600, flag: 'wx' })
    renameSync(temporary, path)
  } catch {
    removeIfThere(temporary)
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It was never made.
  }
}
