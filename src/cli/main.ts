#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { runCommandLine } from './run.ts'

// Compiled code is kept beside the program and not in the shared temporary folder, where another user could plant it.
enableCompileCache(join(import.meta.dirname, '.cache'))

void runCommandLine(process.argv.slice(2)).then((status) => {
  process.exitCode = status
})
