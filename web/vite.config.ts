import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// PRATIQUE_URL is the server that `npm run dev` asks.
const server = process.env.PRATIQUE_URL ?? 'http://localhost:8624'

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: '../internal/webui/dist/app',
    emptyOutDir: true,
    target: 'es2023',
    // Data in an address would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    manifest: '.vite/manifest.json',
  },
  server: { proxy: { '/api': server } },
})
