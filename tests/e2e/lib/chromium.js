// Chromium by playwright-core, which `make test` puts into node_modules.
import { createRequire } from 'node:module';

function playwright() {
  const places = [process.env.PARLEY_NODE, process.env.PARLEY_BUILD,
    process.cwd(), new URL('../../..', import.meta.url).pathname];
  for (const place of places.filter(Boolean)) {
    try {
      return createRequire(`${place}/x.js`)('playwright-core');
    } catch { /* the next one */ }
  }
  throw new Error('playwright-core is not there: run make deps-test');
}

export function launch() {
  return playwright().chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
      '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}

// A closed shadow root is closed to tests as well: they open it beforehand.
export function openShadows(context) {
  return context.addInitScript(() => {
    const attach = Element.prototype.attachShadow;
    Element.prototype.attachShadow = function (init) {
      return attach.call(this, { ...init, mode: 'open' });
    };
  });
}
