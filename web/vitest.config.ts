import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [react()],
  test: { isolate: false, include: ['src/**/*.test.{ts,tsx}'] },
})
