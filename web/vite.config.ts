import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { licenses } from './licenses';

const server = process.env.WIRELAKE_URL ?? 'http://127.0.0.1:8005';

export default defineConfig({
  plugins: [react(), licenses()],
  build: {
    target: 'es2022',
    // Fonts stay files of their own: they are cached for good and not needed to draw the first frame.
    assetsInlineLimit: 2048,
    cssTarget: ['chrome123', 'firefox128', 'safari17.5'],
  },
  server: { proxy: { '/api': server } },
  preview: { proxy: { '/api': server } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
