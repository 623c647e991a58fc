#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Compiled code is kept beside the program and not in the shared temporary folder, where another user could plant it.
enableCompileCache(join(import.meta.dirname, '.cache'))

const { runCommandLine } = await import('./run.ts')
process.exitCode = await runCommandLine(process.argv.slice(2))
