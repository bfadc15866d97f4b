import { defineConfig } from 'vitest/config'

// One browser and one file after the other: the machine may have few processors.
export default defineConfig({
  test: { include: ['e2e/**/*.e2e.ts'], environment: 'node', globalSetup: 'e2e/setup.ts', testTimeout: 60_000, hookTimeout: 120_000, fileParallelism: false },
})
