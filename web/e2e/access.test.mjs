// What axe-core finds of WCAG 2.2 A and AA, on every state of the page, in both themes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { desktop, input, link, open, pageTest, phone, rows } from './browser.mjs';

// What one row holds, all hold: a short page is looked at in a tenth of the time.
const FEW = '&length=4';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function check(page) {
  // A colour on its way to another is nobody's choice. What turns for ever is not waited for.
  await page.evaluate(() =>
    Promise.allSettled(
      document
        .getAnimations()
        .filter((a) => a.effect?.getTiming().iterations !== Infinity)
        .map((a) => a.finished),
    ),
  );
  await page.evaluate(axe); // not a script tag: the page's policy would refuse it, as it should
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }),
  );
  const found = violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`);
  assert.deepEqual(found, []);
}

for (const colorScheme of ['light', 'dark']) {
  pageTest(
    `no barrier in the table and an open session, ${colorScheme}`,
    async (page) => {
      await open(page, link('protocols == http', FEW));
      await rows(page).first().click();
      await page.locator('.packet').first().waitFor();
      await check(page);
    },
    { device: { ...desktop, colorScheme } },
  );
  pageTest(
    `no barrier in completion and menus, ${colorScheme}`,
    async (page) => {
      await open(page, link('protocols == http', FEW));
      await input(page).fill('protocols == http && ip');
      await page.locator('.completions').waitFor();
      await check(page);
      await page.keyboard.press('Escape');
      await rows(page).first().locator('.cell-ip .value').first().click();
      await page.getByRole('menu').waitFor();
      await check(page);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Columns' }).click();
      await page.getByRole('dialog', { name: 'Columns' }).waitFor();
      await check(page);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Help' }).click();
      await page.getByRole('dialog', { name: 'Help' }).waitFor();
      await check(page);
    },
    { device: { ...desktop, colorScheme } },
  );
  pageTest(
    `no barrier beside an error and on an empty page, ${colorScheme}`,
    async (page) => {
      await open(page, link('ip.srcc == 1'));
      await page.getByRole('alert').waitFor();
      await check(page);
      await open(page, '/sessions?startTime=100&stopTime=200');
      await check(page);
    },
    { device: { ...desktop, colorScheme }, expected: /400/ },
  );
  pageTest(
    `no barrier on a phone, ${colorScheme}`,
    async (page) => {
      await open(page, link('protocols == http', FEW));
      await page.locator('.card-head').first().tap();
      await page.locator('.packet').first().waitFor();
      await check(page);
    },
    { device: { ...phone, colorScheme } },
  );
}
