// The page of the sensors, and what a session tells of packets that are missing. The archive holds the status of four sensors:
// "busy" loses packets while the tests run, "quiet" is well, "gone" was heard of long ago, and "lossy" captured a session
// while it dropped 12 packets and cut 1,000 bytes. One more status cannot be read.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { api, desktop, input, open, pageTest, phone, sessions, settled } from './browser.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const card = (page, name) => page.getByRole('region', { name, exact: true });

async function openSensors(page) {
  await page.goto('/sensors');
  await card(page, 'busy').waitFor();
}

pageTest('the sensors tell their state, worst first', async (page) => {
  await openSensors(page);
  const states = await page.locator('.sensor-head').evaluateAll((heads) => heads.map((h) => `${h.querySelector('h2').innerText} ${h.querySelector('.state').innerText}`));
  assert.deepEqual(states, ['busy losing', 'gone stale', 'quiet ok', 'lossy stopped']);
  const { sensors } = await api('/api/v1/sensors');
  const quiet = sensors.find((s) => s.sensor === 'quiet');
  const text = await card(page, 'quiet').innerText();
  for (const part of ['eth0', '1.5 Mbit/s', '1.2k/s', 'vxlan']) assert.ok(text.replaceAll('\u00a0', ' ').includes(part), `${part} is not in ${text}`);
  assert.equal(quiet.interfaces.length, 2);
  assert.match(await card(page, 'gone').innerText(), /last heard of \d+ (h|days) ago/);
  assert.match(await page.locator('.notices').innerText(), /state\/sensors\/damaged\.json/);
});

pageTest('losses are red, and go on while the page is open', async (page) => {
  await openSensors(page);
  const lost = card(page, 'busy').locator('.sensor-measure', { hasText: 'Lost' }).locator('dd');
  const count = async () => Number((await lost.innerText()).replace(/\D/g, ''));
  const first = await count();
  assert.ok(first > 0);
  const [red, plain] = await Promise.all([lost, card(page, 'quiet').locator('.sensor-measure', { hasText: 'Lost' }).locator('dd')].map((l) => l.evaluate((e) => getComputedStyle(e).color)));
  assert.notEqual(red, plain);
  await page.waitForFunction((n) => Number([...document.querySelectorAll('.sensor.losing .sensor-measure')].find((m) => m.innerText.startsWith('Lost')).querySelector('dd').innerText.replace(/\D/g, '')) > n, first);
  await card(page, 'busy').locator('.sparkline-lost').first().waitFor({ state: 'attached' });
  assert.match(await card(page, 'busy').getByRole('img').getAttribute('aria-label'), /packets? lost$/);
  assert.match(await page.title(), /1 sensor losing packets/);
});

pageTest('more of a sensor opens in place', async (page) => {
  await openSensors(page);
  await card(page, 'busy').getByText('More of busy').click();
  const text = await card(page, 'busy').innerText();
  for (const part of ['capture ring full', 'edge.example.org', 'wirelake test', 'Last error']) assert.ok(text.includes(part), `${part} is not in ${text}`);
});

pageTest('sessions and sensors lead to each other', async (page) => {
  await open(page, '/sessions?date=-1');
  await page.getByRole('link', { name: 'Sensors' }).click();
  await card(page, 'busy').waitFor();
  await page.getByRole('link', { name: 'Sessions', exact: true }).click();
  await input(page).waitFor();
  await settled(page);
  assert.match(page.url(), /\/sessions/);
});

pageTest(
  'the sensors fit a phone',
  async (page) => {
    await openSensors(page);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= phone.viewport.width);
    const box = await card(page, 'busy').boundingBox();
    assert.ok(box.width <= phone.viewport.width);
  },
  { device: phone },
);

for (const colorScheme of ['light', 'dark']) {
  pageTest(
    `no barrier on the page of the sensors, ${colorScheme}`,
    async (page) => {
      await openSensors(page);
      await card(page, 'busy').getByText('More of busy').click();
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
      assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`), []);
    },
    { device: { ...desktop, colorScheme } },
  );
}

pageTest('a session says what its sensor lost and cut', async (page) => {
  const { data } = await sessions('capture.loss > 0');
  assert.equal(data.length, 1);
  await open(page, '/sessions?date=-1&expression=' + encodeURIComponent('capture.loss == 12'));
  await page.getByRole('button', { name: 'Open the session' }).click();
  await page.getByText('The sensor lost 12 packets while this session ran').waitFor();
  await page.getByText('1,000 B) of this session were not kept').waitFor();
});
