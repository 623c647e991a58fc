// Builds dist/cli: the command line as one small entry, and each command as a file of its own with all that it needs
// and nothing else. They share no chunk: what one command alone needs of a room (its server, say) must not be read by
// all others that enter the room by the same door. Large packages that many commands need seldom are files of their own.
// CommonJS, because Node loads it some 10 ms faster than ES modules.
import { chmod, readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type BuildOptions, build, type Plugin } from 'esbuild'

const root = join(import.meta.dirname, '..')
const source = join(root, 'src', 'cli')
const target = join(root, 'dist', 'cli')
const outdir = `${target}.new`

const common: BuildOptions = {
  bundle: true,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  define: { 'import.meta.dirname': '__dirname', 'import.meta.url': '__filename' },
  // Turns import() into require(), so that the loader of ES modules is never started.
  supported: { 'dynamic-import': false },
  platform: 'node',
  target: 'node24',
  // Names stay, for the stack traces of --debug.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'linked',
  // Prefer the ES module of a package that has both.
  mainFields: ['module', 'main'],
  logLevel: 'warning',
}

/** Leaves a command to its own bundle. */
const commandsApart: Plugin = {
  name: 'commands-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/commands\/[a-z-]+\.ts$/ }, ({ path }) => {
      return { path: `./${basename(path, '.ts')}.cjs`, external: true }
    })
  },
}

/** What a command reads only when it comes to use it. */
const PACKAGES = ['openpgp', 'yaml']

/** Leaves a package to its own bundle. */
const packagesApart: Plugin = {
  name: 'packages-apart',
  setup({ onResolve }) {
    onResolve({ filter: new RegExp(`^(?:${PACKAGES.join('|')})$`) }, ({ path, kind }) =>
      kind === 'entry-point' ? undefined : { path: `./${path}.cjs`, external: true },
    )
  },
}

await rm(outdir, { recursive: true, force: true })
const commands = (await readdir(join(source, 'commands'))).filter((file) => !file.endsWith('.test.ts'))
await Promise.all([
  build({ ...common, entryPoints: [join(source, 'main.ts')], outdir, plugins: [commandsApart] }),
  build({
    ...common,
    entryPoints: commands.map((file) => join(source, 'commands', file)),
    outdir,
    plugins: [packagesApart],
  }),
  build({ ...common, entryPoints: PACKAGES, absWorkingDir: root, outdir }),
])
await chmod(join(outdir, 'main.cjs'), 0o755)

// Exchanged at the end, so that a command that runs meanwhile finds its files.
await rm(`${target}.old`, { recursive: true, force: true })
await rename(target, `${target}.old`).catch(() => undefined)
await rename(outdir, target)
await rm(`${target}.old`, { recursive: true, force: true })
