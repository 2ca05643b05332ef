import assert from 'node:assert/strict';
import { api, ALL_TIME, found, input, link, open, pageTest, rows, sessions, settled } from './browser.mjs';

pageTest('the root leads to the sessions', async (page) => {
  await open(page, '/');
  assert.match(page.url(), /\/sessions\?date=1$/);
  await page.getByRole('combobox', { name: 'Time range' }).selectOption('All time');
  await settled(page);
  assert.match(page.url(), /date=-1/);
  const { recordsFiltered } = await api(`/api/sessions?${ALL_TIME}&length=1`);
  assert.ok(recordsFiltered > 0, 'the archive is empty: import the sample first');
  assert.match(await found(page), new RegExp(`of ${recordsFiltered.toLocaleString('en-US')}$`));
  assert.equal(await rows(page).count(), Math.min(50, recordsFiltered));
});

pageTest('an expression narrows the sessions', async (page) => {
  const want = await sessions('protocols == dns');
  await open(page, `/sessions?${ALL_TIME}`);
  await input(page).fill('protocols == dns');
  await input(page).press('Enter');
  await settled(page);
  assert.equal(new URL(page.url()).searchParams.get('expression'), 'protocols == dns');
  assert.match(await found(page), new RegExp(`of ${want.recordsFiltered.toLocaleString('en-US')}$`));
  const ids = await rows(page).evaluateAll((all) => all.map((r) => r.dataset.session));
  assert.deepEqual(ids.toSorted(), want.data.map((d) => d.id).toSorted());
  await page.goBack();
  await settled(page);
  assert.equal(await input(page).inputValue(), '');
  await page.goForward();
  await settled(page);
  assert.equal(await input(page).inputValue(), 'protocols == dns');
});

pageTest('field names, operators and values are completed', async (page) => {
  await open(page, `/sessions?${ALL_TIME}`);
  await page.keyboard.press('q');
  const options = page.locator('.completions').getByRole('option');
  await page.keyboard.type('http.ur');
  await options.first().waitFor();
  assert.match((await options.allInnerTexts()).join('\n'), /^http\.uri/m);
  await page.keyboard.press('Tab');
  assert.equal(await input(page).inputValue(), 'http.uri ');
  assert.deepEqual((await options.allInnerTexts()).map((t) => t.split('\n')[0]), ['==', '!=']);
  await page.keyboard.press('Tab');
  await page.keyboard.type('EX');
  await page.keyboard.press('Tab');
  assert.equal(await input(page).inputValue(), 'http.uri == EXISTS! ');
  await page.keyboard.press('Escape');
  await options.first().waitFor({ state: 'detached' });
  await page.keyboard.press('Enter');
  await settled(page);
  const want = await sessions('http.uri == EXISTS!');
  assert.match(await found(page), new RegExp(`of ${want.recordsFiltered}$`));
});

pageTest('a completion is found by what the field means', async (page) => {
  await open(page, `/sessions?${ALL_TIME}`);
  await input(page).fill('community');
  await page.getByRole('option').filter({ hasText: 'communityId' }).first().click();
  assert.equal(await input(page).inputValue(), 'communityId ');
});

pageTest(
  'an error stands under the expression, and points at the place',
  async (page) => {
    await open(page, `/sessions?${ALL_TIME}`);
    await input(page).fill('protocols == tcp && ip.srcc == 10.0.0.1');
    await input(page).press('Enter');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    assert.match(await alert.innerText(), /ip\.srcc/);
    assert.match(await alert.innerText(), /column 21/);
    assert.equal(await page.locator('.mirror .t-bad').innerText(), 'ip.srcc');
    // What is being mended is no longer what the error was about.
    await input(page).press('End');
    await input(page).press('Backspace');
    await alert.waitFor({ state: 'detached' });
    await input(page).press('1');
    await page.getByRole('button', { name: /^Use ip\.src/ }).click();
    await settled(page);
    assert.match(await input(page).inputValue(), /^protocols == tcp && ip\.src\w* == 10\.0\.0\.1$/);
  },
  { expected: /400/ },
);

pageTest('recent searches are remembered, and forgotten', async (page) => {
  await open(page, link('protocols == udp'));
  await input(page).fill('protocols == tcp');
  await input(page).press('Enter');
  await settled(page);
  await page.getByRole('button', { name: 'Clear the expression' }).click();
  await input(page).press('ArrowDown');
  const recent = page.getByRole('option', { name: 'protocols == tcp' });
  await recent.click();
  await settled(page);
  assert.match(page.url(), /protocols/);
  await input(page).fill('');
  await page.getByRole('button', { name: 'Forget them' }).click();
  await input(page).press('ArrowDown');
  assert.equal(await recent.count(), 0);
});

pageTest('a link of another product opens its search', async (page) => {
  const { data } = await sessions('protocols == http');
  const { source, destination, firstPacket, lastPacket } = data[0];
  const [start, stop] = [Math.floor(firstPacket / 1000) - 60, Math.ceil(lastPacket / 1000) + 60];
  const expression = `ip==${source.ip}&&ip==${destination.ip}`;
  const query = `expression=${encodeURIComponent(expression)}&stopTime=${stop}&startTime=${start}`;
  await open(page, `/sessions?graphType=lpHisto&seriesType=bars&${query}`);
  assert.equal(await input(page).inputValue(), expression);
  const want = await api(`/api/sessions?${query}&length=1`);
  assert.ok(want.recordsFiltered > 0);
  assert.match(await found(page), new RegExp(`of ${want.recordsFiltered}$`));
  assert.equal(await page.getByRole('textbox', { name: 'Start time' }).inputValue(), new Date(start * 1000).toISOString().slice(0, 19).replace('T', ' '));
});

pageTest('a link of a flow report opens the flow', async (page) => {
  const { data } = await sessions('protocols == dns');
  const { source, destination, firstPacket, lastPacket } = data[0];
  await open(page, `/link?src=${source.ip}&dst=${destination.ip}&dport=${destination.port}&start=${firstPacket}&end=${lastPacket}`);
  assert.match(page.url(), /\/sessions\?/);
  assert.notEqual(await input(page).inputValue(), '');
  assert.ok(await page.locator(`[data-session="${data[0].id}"]`).count(), 'the flow is not among the sessions');
});

pageTest('a drag over the timeline zooms, the steps move on', async (page) => {
  await open(page, `/sessions?${ALL_TIME}`);
  const box = await page.locator('svg.timeline').boundingBox();
  await page.mouse.move(box.x + box.width * 0.4, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await settled(page);
  const range = () => ['startTime', 'stopTime'].map((name) => Number(new URL(page.url()).searchParams.get(name)));
  const [start, stop] = range();
  assert.ok(stop > start && start > 0, page.url());
  await page.getByRole('button', { name: 'One step forward' }).click();
  await settled(page);
  assert.deepEqual(range(), [stop, 2 * stop - start]);
  await page.getByRole('textbox', { name: 'Start time' }).fill('2020/01/01 00:00:00');
  await page.getByRole('textbox', { name: 'Start time' }).press('Enter');
  await settled(page);
  assert.equal(range()[0], Date.UTC(2020, 0, 1) / 1000);
  await page.getByRole('radio', { name: /Bytes/ }).click();
  await page.getByRole('button', { name: 'Lines' }).click();
  assert.match(page.url(), /graphType=network\.bytesHisto.*seriesType=lines/);
  assert.equal(await page.locator('svg.timeline .line').count(), 2);
});

pageTest('a running search can be cancelled', async (page) => {
  await open(page, `/sessions?${ALL_TIME}`);
  // The answer is held back on its way, as a slow archive would.
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route('**/api/sessions?*', async (route) => {
    await held;
    await route.continue().catch(() => undefined); // gone: that is what was asked for
  });
  await input(page).fill('protocols == tcp');
  await input(page).press('Enter');
  const [failed] = await Promise.all([page.waitForEvent('requestfailed'), page.getByRole('button', { name: 'Cancel' }).click()]);
  assert.match(failed.url(), /api\/sessions/);
  await page.getByRole('button', { name: 'Search', exact: true }).waitFor();
  release();
});

pageTest('nothing found says what to do next', async (page) => {
  await open(page, '/sessions?startTime=100&stopTime=200');
  await page.getByRole('heading', { name: 'No sessions match' }).waitFor();
  await page.getByRole('button', { name: 'Search all time' }).click();
  await settled(page);
  assert.ok((await rows(page).count()) > 0);
});

pageTest("the server's warnings are shown", async (page) => {
  const { warnings } = await api(`/api/sessions?${ALL_TIME}&facets=1&interval=second&length=1`);
  assert.ok(warnings?.length > 0, 'seconds over all time are expected to be refused with a warning');
  await open(page, `/sessions?${ALL_TIME}&interval=second`);
  await page.locator('.notices').getByText(warnings[0]).first().waitFor();
});

pageTest('a part of a link that cannot be read is named', async (page) => {
  await open(page, '/sessions?startTime=noon&stopTime=1700000000');
  await page.locator('.notices').getByText('startTime: “noon” is not a time').first().waitFor();
});
