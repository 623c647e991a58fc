#!/usr/bin/env node
import { readCodeBesideBundles } from './code-cache.ts'
import { runCommandLine } from './run.ts'

const keepCode = readCodeBesideBundles(import.meta.dirname)
const args = process.argv.slice(2)

void runCommandLine(args).then((status) => {
  process.exitCode = status
  // Who asks for help uses little of what a command is made of.
  if (status < 2 && !args.includes('--help')) keepCode()
})
