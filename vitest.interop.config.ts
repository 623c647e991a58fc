import { defineConfig } from 'vitest/config'

// Each test starts several real programs, and a scrypt of cosign's takes a whole core for a while.
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
})
