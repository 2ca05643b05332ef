// What every browser test needs: one Chromium, a fresh page a test, and the API beside it to compare with.
//
// WIRELAKE_URL   base URL of a running wirelake whose archive holds the sample capture (required)
// CHROMIUM       the browser's path (default /usr/bin/chromium)
// SCREENSHOTS    a folder: a picture of the page is left there when a test fails

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const base = process.env.WIRELAKE_URL?.replace(/\/$/, '');
if (!base) throw new Error('set WIRELAKE_URL to the base URL of a running wirelake');

export const ALL_TIME = 'date=-1';
export const desktop = { viewport: { width: 1440, height: 900 } };
export const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
});
after(() => browser?.close());

/**
 * Runs a test with a page of its own. An exception in the page, an error in its console (save those of `expected`, for what a
 * test provokes) or a request to another host fails the test, whatever it looked at.
 */
export function pageTest(name, run, { device = desktop, expected = /^$/ } = {}) {
  // Bounds of what hangs; two cores shared by many tests are slow.
  test(name, { timeout: 300_000 }, async () => {
    const context = await browser.newContext({ ...device, baseURL: base, acceptDownloads: true });
    const page = await context.newPage();
    page.setDefaultTimeout(90_000);
    const problems = [];
    page.on('pageerror', (err) => problems.push(`exception: ${err.message}`));
    page.on('console', (m) => {
      if (m.type() === 'error' && !expected.test(m.text())) problems.push(`console: ${m.text()}`);
    });
    page.on('request', (r) => {
      if (!r.url().startsWith(base) && !/^(data|blob|about):/.test(r.url())) problems.push(`request to another host: ${r.url()}`);
    });
    try {
      await run(page);
      assert.deepEqual(problems, []);
    } catch (err) {
      await picture(page, name);
      throw err;
    } finally {
      await context.close();
    }
  });
}

async function picture(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name.replace(/\W+/g, '-')}.png`) }).catch(() => undefined);
}

/** The answer of an API path, as the GUI would get it. */
export async function api(pathAndQuery) {
  const response = await fetch(base + pathAndQuery, { headers: { Accept: 'application/json' } });
  assert.ok(response.ok, `${pathAndQuery} answers ${response.status}`);
  return response.json();
}

const FIELDS = 'firstPacket,lastPacket,source.ip,source.port,destination.ip,destination.port,network.packets,network.bytes,protocol,http.uri';

/** The sessions that the GUI shows for an expression over all time. */
export const sessions = (expression) =>
  api(`/api/sessions?${ALL_TIME}&expression=${encodeURIComponent(expression)}&length=50&order=firstPacket:desc&fields=${FIELDS}`);

export const link = (expression, more = '') => `/sessions?${ALL_TIME}&expression=${encodeURIComponent(expression)}${more}`;

export const rows = (page) => page.locator('tr.session');
export const input = (page) => page.getByRole('combobox', { name: 'Search expression' });
export const found = (page) => page.locator('.pager-range').innerText();

/** Waits until the answer to what was asked last is shown. */
export async function settled(page) {
  await page.locator('.results:not(.stale):not(.waiting), .empty').first().waitFor();
  await page.locator('.progress.running').waitFor({ state: 'detached' });
}

export async function open(page, url) {
  await page.goto(url);
  await settled(page);
}

/** Presses a download link and gives the file's bytes. */
export async function download(page, press) {
  const [file] = await Promise.all([page.waitForEvent('download'), press()]);
  const chunks = [];
  for await (const chunk of await file.createReadStream()) chunks.push(chunk);
  return { name: file.suggestedFilename(), bytes: Buffer.concat(chunks) };
}
