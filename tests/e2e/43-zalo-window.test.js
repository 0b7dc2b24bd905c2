// Before an agent answers on Zalo they see whether they still can, and at what
// price: in REST, on the plain page, and live.  Time is moved by turning back
// the clock of the conversation.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { enter } from './lib/pages.js';
import { startZalo } from '../standin/zalo.js';

const HOUR = 3600_000, APP = '7', OA = '8', SECRET = 'signs';
let zalo, p, browser, hook, channel, agent;

before(async () => {
  zalo = await startZalo();
  p = await start({ conf: { worker_poll_ms: 50, webhook_wait_ms_max: 10000,
    page_refresh_s: 600 } });
  agent = await p.agent();
  const said = await p.cli('channel', 'add', '--platform', 'zalo', '--name',
    'OA', ...Object.entries({ app_id: APP, oa_id: OA, oa_secret: SECRET,
      access_token: 'zalo-sample-access', api_base: zalo.url,
      oauth_base: zalo.url }).flatMap(([k, v]) => ['--set', `${k}=${v}`]));
  hook = said.match(/^webhook (\S+)$/m)[1];
  // What to enter over there is said.
  assert.ok(said.includes(`address  ${hook}\n`), said);
  channel = said.match(/^channel (\d+)/m)[1];
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await p?.stop();
  await zalo?.close();
});

let n = 0;
async function customerSays(user, text) {
  const timestamp = String(Date.now());
  const body = JSON.stringify({ app_id: APP, sender: { id: user },
    recipient: { id: OA }, event_name: 'user_send_text', timestamp,
    message: { msg_id: `w${++n}`, text } });
  const mac = createHash('sha256').update(APP + body + timestamp + SECRET)
    .digest('hex');
  const got = await fetch(hook, { method: 'POST', body,
    headers: { 'X-ZEvent-Signature': `mac=${mac}` } });
  assert.equal(got.status, 200);
  await until(async () => await sql(`SELECT count(*) FROM messages
    WHERE external_id = 'w${n}'`) === '1');
}

const sql = async (text) => (await promisify(execFile)('sqlite3', ['-cmd',
  '.timeout 20000', join(p.var, 'parley.db'), text])).stdout.trim();
const age = (user, hours, sent = 0) => sql(`UPDATE conversations SET
  last_inbound_at = ${Date.now() - Math.round(hours * HOUR)},
  sent_since = ${sent} WHERE external_id = '${user}'`);
const conversation = (user) =>
  sql(`SELECT id FROM conversations WHERE external_id = '${user}'`);
const shown = async (id) =>
  (await agent.get(`/api/conversations/${id}`)).json.reply_window;
const allowPaid = (on) => p.cli('channel', 'set', '--id', channel,
  '--set', `allow_paid=${on ? 1 : 0}`);

// A browser where that agent is logged in.
async function inbox(page) {
  await enter(page, p, 'agent', '/inbox');
  await page.waitForSelector('#rows');
  return page;
}

test('REST tells agents, in the list and alone, and nobody else', async () => {
  await customerSays('81', 'xin chào');
  const id = await conversation('81');
  await age('81', 10, 3);
  const w = await shown(id);
  assert.equal(w.state, 'open');
  assert.equal(w.free_left, 5);
  assert.ok(Math.abs(w.free_until - Date.now() - 38 * HOUR) < 20_000);
  assert.equal(w.until - w.free_until, 5 * 24 * HOUR);
  const list = (await agent.get('/api/conversations')).json.items;
  assert.deepEqual(list.find((c) => c.id === id).reply_window, w);
  for (const c of list) {
    assert.equal(c.platform === 'zalo', c.reply_window !== null, c.platform);
    assert.equal(c.config, undefined);
  }

  await age('81', 10, 8);
  assert.deepEqual([(await shown(id)).state, (await shown(id)).free_left],
    ['paid', 0]);
  await age('81', 49);
  assert.equal((await shown(id)).state, 'closed');
  await allowPaid(true);
  assert.equal((await shown(id)).state, 'paid');
  await age('81', 7 * 24 + 1);
  assert.equal((await shown(id)).state, 'closed');
  await allowPaid(false);

  // What is said beforehand is what happens.
  const sent = await agent.send(id, 'too late', { client_id: 'late' });
  assert.equal(sent.status, 201);
  await until(async () => await sql(`SELECT error FROM messages
    WHERE content = 'too late'`) === 'window_closed');

  // Not in the log, where it would be stale, nor in a customer's form.
  assert.equal(await sql(`SELECT count(*) FROM events
    WHERE data LIKE '%reply_window%' OR public LIKE '%reply_window%'`), '0');
  const own = await (await p.customer('Hoa')).get('/api/conversations');
  assert.equal(own.json.items.length, 1);
  assert.ok(!('reply_window' in own.json.items[0]));
});

test('a plain page says it above the composer, in three languages', async () => {
  await customerSays('82', 'hi');
  const id = await conversation('82');
  const words = {
    en: { soon: /^Answers are free until \d\d:\d\d/, paid: /may charge.*allows/,
      not_allowed: /only paid answers.*will fail/, closed: /will fail/ },
    vi: { soon: /^Trả lời miễn phí đến \d\d:\d\d/, paid: /tính phí.*cho phép/,
      not_allowed: /không cho phép.*không thành công/,
      closed: /không thành công/ },
    th: { soon: /^ตอบได้ฟรีถึง \d\d:\d\d/, paid: /ค่าบริการ.*อนุญาต/,
      not_allowed: /ไม่อนุญาต.*ไม่สำเร็จ/, closed: /ไม่สำเร็จ/ },
  };
  // The language is the browser's as long as the agent has chosen none.
  for (const locale of Object.keys(words)) {
    await sql(`UPDATE users SET locale = '${locale}'`);
    const page = await inbox(await plain(browser, { locale }));
    const look = async (hours, sent) => {
      await age('82', hours, sent);
      await page.goto(`${p.url}/inbox/${id}`);
      assert.equal(await page.locator('#content').count(), 1);
      assert.equal(await page.locator('#send').isEnabled(), true);
      const line = page.locator('#composer #window');
      return await line.isVisible() ? (await line.textContent()).trim() : '';
    };
    assert.equal(await look(1, 0), '');
    assert.equal(await look(45.9, 7), '');
    assert.match(await look(46.1, 0), words[locale].soon);
    assert.match(await look(10, 8), words[locale].paid);
    assert.match(await look(60, 0), words[locale].not_allowed);
    assert.match(await look(200, 0), words[locale].closed);
    await allowPaid(true);
    assert.match(await look(60, 0), words[locale].paid);
    assert.doesNotMatch(await look(60, 0), words[locale].closed);
    await allowPaid(false);
    await page.context().close();
  }
});

test('a live page follows what arrives, and what is sent', async () => {
  await customerSays('83', 'hi');
  const id = await conversation('83');
  await sql("UPDATE users SET locale = 'en'");
  await age('83', 200);
  const page = await inbox(await browser.newPage({ locale: 'en-GB' }));
  const errors = [];
  page.on('pageerror', (e) => errors.push(e.message));
  await page.goto(`${p.url}/inbox/${id}`);
  await page.waitForSelector('body[data-state=connected]');
  const line = page.locator('#window');
  assert.match(await line.textContent(), /will fail/);
  await customerSays('83', 'I am back');
  await line.waitFor({ state: 'hidden' });
  await age('83', 1, 7);
  await page.fill('#content', 'the eighth');
  await page.press('#content', 'Enter');
  await line.waitFor({ state: 'visible' });
  assert.match(await line.textContent(), /may charge/);
  assert.equal(await line.getAttribute('data-state'), 'paid');
  assert.deepEqual(errors, []);
});
