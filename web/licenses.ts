import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

/** What of others goes into dist, and with it into the binary. React brings its scheduler along. */
const SHIPPED = ['react', 'react-dom', 'scheduler', '@fontsource-variable/inter', '@fontsource-variable/jetbrains-mono'];

/** Writes licenses.txt, with the licence of every package that is shipped; a package without one fails the build. */
export function licenses(): Plugin {
  return {
    name: 'licenses',
    apply: 'build',
    generateBundle() {
      const source = SHIPPED.map((name) => {
        const folder = new URL(`node_modules/${name}/`, import.meta.url);
        const { version } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as { version: string };
        return `${name} ${version}\n\n${readFileSync(new URL('LICENSE', folder), 'utf8').trim()}\n`;
      }).join(`\n${'-'.repeat(80)}\n\n`);
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source });
    },
  };
}
