import assert from 'node:assert/strict';
import { api, download, input, link, open, pageTest, phone, rows, sessions, settled } from './browser.mjs';

const HTTP = 'protocols == http && http.uri == EXISTS!';

const packetsOf = (s) => api(`/api/session/${s.node}/${s.id}/packets?base=hex&format=json&packets=200`);
const firstPayload = (p) => Buffer.from(p.data, 'base64').subarray(p.payloadOffset, p.payloadOffset + p.payloadLength);
const hexOf = (bytes) => [...bytes.subarray(0, 16)].map((b) => b.toString(16).padStart(2, '0')).join(' ');

async function openFirst(page, expression) {
  const { data } = await sessions(expression);
  assert.ok(data.length > 0, `no session matches ${expression}`);
  await open(page, link(expression));
  const row = page.locator(`tr[data-session="${data[0].id}"]`);
  await row.getByRole('button', { name: 'Open the session' }).click();
  await page.locator('.packet').first().waitFor();
  return data[0];
}

pageTest('the table shows who talked, and of what', async (page) => {
  const { data } = await sessions(HTTP);
  await open(page, link(HTTP));
  const text = await page.locator(`tr[data-session="${data[0].id}"]`).innerText();
  for (const part of [data[0].source.ip, data[0].destination.ip, data[0].network.bytes.toLocaleString('en-US'), 'http', data[0].http.uri[0]]) {
    assert.ok(text.includes(part), `${part} is not in the row ${JSON.stringify(text)}`);
  }
});

pageTest('columns sort', async (page) => {
  await open(page, link(''));
  await page.getByRole('columnheader', { name: 'Bytes' }).getByRole('button').click();
  await settled(page);
  assert.match(page.url(), /order=network\.bytes%3Adesc/);
  const bytes = await page.locator('.cell-bytes').evaluateAll((cells) => cells.map((c) => Number(c.innerText.replace(/\D/g, ''))));
  assert.deepEqual(bytes, bytes.toSorted((a, b) => b - a));
  await page.getByRole('columnheader', { name: 'Bytes' }).getByRole('button').click();
  await settled(page);
  assert.match(page.url(), /order=network\.bytes%3Aasc/);
});

pageTest('any field can be a column', async (page) => {
  await open(page, link(HTTP));
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('searchbox', { name: 'Find a field' }).fill('communityId');
  await page.getByRole('dialog', { name: 'Columns' }).getByRole('button', { name: /communityId/ }).click();
  await page.keyboard.press('Escape');
  await settled(page);
  assert.match(page.url(), /network\.community_id/);
  assert.match(await rows(page).first().innerText(), /1:[\w+/]{27}=/);
});

pageTest('pages follow each other', async (page) => {
  const { recordsFiltered } = await sessions('');
  await open(page, link('', '&length=10'));
  const ids = () => rows(page).evaluateAll((all) => all.map((r) => r.dataset.session));
  const first = await ids();
  assert.equal(first.length, Math.min(10, recordsFiltered));
  await page.getByRole('button', { name: 'Next page' }).click();
  await settled(page);
  const second = await ids();
  assert.equal(second.some((id) => first.includes(id)), false);
  assert.match(page.url(), /start=10/);
});

pageTest('a session opens in place, with all of its fields', async (page) => {
  const s = await openFirst(page, HTTP);
  const doc = await api(`/api/session/${s.node}/${s.id}`);
  const detail = page.getByRole('region', { name: `Session ${s.id}` });
  const text = await detail.innerText();
  for (const part of [doc.http.uri[0], doc.network.community_id, doc.http.useragent?.[0] ?? '', String(doc.source.port)]) {
    assert.ok(text.includes(part), `${part} is not among the fields`);
  }
});

pageTest('the value of a field narrows the search', async (page) => {
  const s = await openFirst(page, HTTP);
  await page.locator('.field-groups').getByRole('button', { name: s.destination.ip, exact: true }).first().click();
  await page.getByRole('menuitem', { name: /^And &&/ }).click();
  await settled(page);
  assert.equal(await input(page).inputValue(), `${HTTP} && ip.dst == ${s.destination.ip}`);
  const want = await sessions(`${HTTP} && ip.dst == ${s.destination.ip}`);
  assert.match(await page.locator('.pager-range').innerText(), new RegExp(`of ${want.recordsFiltered}$`));
});

pageTest("a packet's bytes are those of the capture", async (page) => {
  const s = await openFirst(page, HTTP);
  const { packets } = await packetsOf(s);
  const first = packets.find((p) => p.payloadLength > 0);
  const block = page.locator(`.packet[data-packet="${first.n}"]`);
  const bytes = firstPayload(first);
  // Not innerText: what is below the fold is not laid out.
  const line = (await block.locator('.hex-bytes').textContent()).split('\n')[0].replace(/\s+/g, ' ').trim();
  assert.equal(line, hexOf(bytes));
  assert.equal(await page.locator('.packet.src').count(), packets.filter((p) => p.src).length);
  assert.equal(await page.locator('.packet.dst').count(), packets.filter((p) => !p.src).length);

  await page.getByRole('button', { name: 'ASCII' }).click();
  const said = await block.locator('.payload').textContent();
  assert.ok(said.startsWith(bytes.toString('latin1').split('\r\n')[0]), said);

  await page.getByRole('button', { name: 'Hex' }).click();
  await page.getByRole('checkbox', { name: 'Headers' }).check();
  const frame = (await block.locator('.hex-bytes').textContent()).split('\n')[0].replace(/\s+/g, ' ').trim();
  assert.equal(frame, hexOf(Buffer.from(first.data, 'base64')));

  await page.getByRole('group', { name: 'Directions' }).getByRole('button', { name: /^Destination/ }).click();
  assert.equal(await page.locator('.packet.dst').count(), 0);
});

pageTest('packets without a payload show their headers', async (page) => {
  const s = await openFirst(page, 'protocols == arp');
  const { packets } = await packetsOf(s);
  const line = (await page.locator('.packet .hex-bytes').first().textContent()).split('\n')[0].replace(/\s+/g, ' ').trim();
  assert.equal(line, hexOf(Buffer.from(packets[0].data, 'base64')));
});

pageTest('a session has a link of its own', async (page) => {
  const s = await openFirst(page, 'protocols == tls');
  const href = await page.getByRole('link', { name: 'Copy link' }).getAttribute('href');
  await open(page, href);
  await page.getByRole('region', { name: `Session ${s.id}` }).waitFor();
  assert.equal(await rows(page).count(), 1);
});

pageTest('sessions are exported as PCAP, PCAPNG and CSV', async (page) => {
  const expression = 'protocols == dns';
  const want = await sessions(expression);
  await open(page, link(expression));
  const take = (name) =>
    download(page, async () => {
      await page.getByRole('button', { name: 'Export' }).click();
      await page.getByRole('menuitem', { name }).click();
    });
  const pcap = await take(/as PCAP \.pcap$/);
  assert.match(pcap.name, /\.pcap$/);
  assert.ok([0xa1b2c3d4, 0xa1b23c4d].includes(pcap.bytes.readUInt32LE(0)), 'no pcap magic');
  let records = 0;
  for (let at = 24; at < pcap.bytes.length; records++) at += 16 + pcap.bytes.readUInt32LE(at + 8);
  const packets = await api(`/api/sessions?date=-1&expression=${encodeURIComponent(expression)}&length=10000&fields=network.packets`);
  assert.equal(records, packets.data.reduce((sum, d) => sum + d.network.packets, 0));

  const pcapng = await take(/as PCAPNG/);
  assert.equal(pcapng.bytes.readUInt32LE(0), 0x0a0d0d0a);

  const csv = await take(/as CSV/);
  assert.equal(csv.bytes.toString().trim().split(/\r?\n/).length, want.recordsFiltered + 1);
});

pageTest(
  'an export that fails says why',
  async (page) => {
    await open(page, link('protocols == dns'));
    // The archive is fine: the refusal is put into its place on the way.
    const answer = { status: 503, contentType: 'application/json', body: '{"error":"the object store cannot be reached"}' };
    await page.route('**/api/sessions.pcap?*', (route) => route.fulfill(answer));
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: /as PCAP \.pcap$/ }).click();
    await page.getByText('the object store cannot be reached').waitFor();
    assert.match(page.url(), /\/sessions\?/);
  },
  { expected: /503/ },
);

pageTest('one session is exported as PCAP', async (page) => {
  const s = await openFirst(page, HTTP);
  const { bytes } = await download(page, () => page.locator('.flow-actions').getByRole('link', { name: 'PCAP' }).click());
  let records = 0;
  for (let at = 24; at < bytes.length; records++) at += 16 + bytes.readUInt32LE(at + 8);
  assert.equal(records, (await packetsOf(s)).total);
});

pageTest('everything can be done by keyboard', async (page) => {
  await open(page, link(HTTP));
  await rows(page).first().focus();
  await page.keyboard.press('ArrowDown');
  assert.equal(await rows(page).nth(1).evaluate((r) => r === document.activeElement), true);
  await page.keyboard.press('Enter');
  await page.locator('.session-detail').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('.session-detail').waitFor({ state: 'detached' });
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Help' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog', { name: 'Help' }).waitFor({ state: 'detached' });
  await page.keyboard.press('t');
  assert.equal(await page.getByRole('combobox', { name: 'Time range' }).evaluate((e) => e === document.activeElement), true);
  await page.keyboard.press('Escape');
  await rows(page).first().focus();
  await page.keyboard.press('q');
  assert.equal(await input(page).evaluate((e) => e === document.activeElement), true);
});

pageTest('the theme that was chosen stays', async (page) => {
  await open(page, link(''));
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await ground();
  await page.getByRole('button', { name: /^Theme: system/ }).click();
  await page.getByRole('button', { name: /^Theme: light/ }).click();
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  await settled(page);
  assert.equal(await ground(), dark);
});

pageTest('every control has a name', async (page) => {
  await openFirst(page, HTTP);
  const nameless = await page.locator('button, a, input, select, textarea').evaluateAll((all) =>
    all
      .filter((e) => e.getAttribute('aria-hidden') !== 'true')
      .filter((e) => !(e.getAttribute('aria-label') || e.innerText?.trim() || e.closest('label')?.innerText.trim()))
      .map((e) => e.outerHTML.slice(0, 120)),
  );
  assert.deepEqual(nameless, []);
});

pageTest(
  'a phone shows cards, and never scrolls sideways',
  async (page) => {
    const { data } = await sessions(HTTP);
    await open(page, link(HTTP));
    const card = page.locator(`.card[data-session="${data[0].id}"]`);
    await card.locator('.card-head').tap();
    await card.locator('.packet').first().waitFor();
    const [scroll, view] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.equal(scroll, view);
    await page.getByRole('button', { name: 'Show a table' }).tap();
    await rows(page).first().waitFor();
  },
  { device: phone },
);

pageTest(
  'a session that is not there says so',
  async (page) => {
    await open(page, link('id == "991231-aaaaaaaaaaaaaaaaaaaaaaaaaa"'));
    await page.getByRole('heading', { name: 'No sessions match' }).waitFor();
  },
);
