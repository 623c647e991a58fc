// Builds dist/cli: the command line as one small entry and a chunk for each command, everything bundled, so that a
// command reads no more files than it needs.
import { chmod, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const outdir = join(root, 'dist', 'cli')

await rm(outdir, { recursive: true, force: true })
await build({
  entryPoints: [join(root, 'src', 'cli', 'main.ts')],
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minify: true,
  keepNames: true,
  legalComments: 'linked',
  chunkNames: '[name]-[hash]',
  // Prefer the ES module of a package that has both.
  mainFields: ['module', 'main'],
  logLevel: 'warning',
  // Packages that were written for CommonJS call require() for Node's own modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
})
await chmod(join(outdir, 'main.js'), 0o755)
