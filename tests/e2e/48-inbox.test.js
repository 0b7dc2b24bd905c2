// Stored first, thought about after: what a webhook brought is never lost and
// never done twice, whoever dies, and can be run again after a fix.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { params } from './lib/fcgi.js';
import { build } from './lib/harness.js';
import { Shop } from './lib/shop.js';

let shop;
before(async () => {
  shop = await Shop.open();
  await shop.zalo('http://127.0.0.1:9');
});
after(() => shop?.close());

// A change behind the programs' backs.
const change = (text) => promisify(execFile)('sqlite3', ['-cmd',
  '.timeout 20000', shop.db, text]);
const lines = (text) => text.trim().split('\n').filter(Boolean)
  .map((l) => l.split('\t'));
const texts = async (where) => (await shop.messages(where)).map((m) => m.content);

test('one that cannot be stored fails alone, and is run again by word', async () => {
  await change(`CREATE TRIGGER boom BEFORE INSERT ON messages
    WHEN new.content LIKE 'bad%' BEGIN SELECT raise(ABORT, 'boom'); END`);
  await shop.customerSays('7', 'first');
  const bad = await shop.customerSays('7', 'bad news');
  await shop.customerSays('7', 'last');
  assert.deepEqual(await texts(), ['first', 'last']);
  const [[id, at, platform, channel, state, bytes, tries, why], ...more] =
    lines(await shop.parley('webhook', 'list', '--failed'));
  assert.equal(more.length, 0);
  assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000, at);
  assert.deepEqual([platform, channel, state, tries],
    ['zalo', shop.channel, 'failed', '1']);
  assert.match(why, /1 of 1 items not stored/);
  const body = await shop.parley('webhook', 'show', id);
  assert.equal(String(Buffer.byteLength(body)), bytes);
  assert.equal(JSON.parse(body).message.msg_id, bad);
  // Nothing has changed: it fails again.
  await assert.rejects(shop.parley('webhook', 'replay', id));
  assert.equal(lines(await shop.parley('webhook', 'list', '--failed')).length, 1);

  await change('DROP TRIGGER boom');
  assert.deepEqual(lines(await shop.parley('webhook', 'replay', '--failed')),
    [[id, 'done', '-']]);
  assert.deepEqual(await texts(), ['first', 'bad news', 'last']);
  // All of them again, and again: nothing comes twice.
  const all = lines(await shop.parley('webhook', 'list')).map(([n]) => n);
  assert.equal(all.length, 3);
  const events = await shop.one('SELECT count(*) FROM events');
  for (let i = 0; i < 2; i++)
    assert.equal(lines(await shop.parley('webhook', 'replay', ...all)).length, 3);
  assert.deepEqual(await texts(), ['first', 'bad news', 'last']);
  assert.equal(await shop.one('SELECT count(*) FROM events'), events);
  assert.equal(await shop.one(`SELECT count(*) FROM audit_log
    WHERE action = 'webhook_replayed'`), 8);
  await assert.rejects(shop.parley('webhook', 'replay', '999'),
    /no such webhook/);
  await assert.rejects(shop.parley('webhook', 'replay'), /needs numbers/);
});

test('what was deleted does not come back with a replay', async () => {
  await shop.customerSays('8', 'my secret');
  const [[id]] = lines(await shop.parley('webhook', 'list', '--limit', '1'));
  await shop.agentSays('8', 'I forget it');
  const m = await shop.one(`SELECT id FROM messages WHERE content = 'my secret'`);
  const got = await shop.call('api.fcgi', 'DELETE', `/api/messages/${m}`,
    { headers: { Authorization: `Bearer ${shop.agent}` } });
  assert.ok(got.status < 300, `${got.status} ${got.text}`);
  assert.equal(await shop.parley('webhook', 'show', id), '');
  await assert.rejects(shop.parley('webhook', 'replay', id), /body is gone/);
});

test('what its program left undone the next one does, in order, or the worker', async () => {
  await shop.customerSays('9', 'one');
  // As if those programs had died between answer and tail.
  const undo = async (text) => change(`DELETE FROM messages
    WHERE content = '${text}'; UPDATE webhook_inbox SET state = 'new'
    WHERE CAST(body AS TEXT) LIKE '%"${text}"%'`);
  await shop.customerSays('9', 'two');
  await undo('two');
  await shop.customerSays('9', 'three');
  assert.deepEqual(await texts("c.external_id = '9'"), ['one', 'two', 'three']);
  const got = await shop.sql(`SELECT content FROM messages WHERE content IN
    ('two', 'three') ORDER BY id`);
  assert.deepEqual(got.map((m) => m.content), ['two', 'three']);
  await undo('three');
  assert.equal(lines(await shop.parley('webhook', 'list', '--new')).length, 1);
  assert.equal(await shop.worker('--once').ended, 0);
  assert.deepEqual(await texts("c.external_id = '9'"), ['one', 'two', 'three']);
  assert.equal(lines(await shop.parley('webhook', 'list', '--new')).length, 0);
});

// Posts, and kills the program some time after it began; whether a whole
// answer came before that.
function killed(event, ms) {
  const body = Buffer.from(JSON.stringify(event));
  return new Promise((resolve) => {
    const c = spawn(join(build, 'webhook.fcgi'), [], { env: params('POST',
      `/webhooks/zalo/${shop.channel}`, { body, headers: {
        'X-ZEvent-Signature': shop.sign(body) },
      extra: { PARLEY_CONF: shop.conf } }), stdio: ['pipe', 'pipe', 'ignore'] });
    let out = '';
    c.stdout.on('data', (text) => { out += text; });
    c.stdin.on('error', () => {});
    c.stdin.end(body);
    const timer = setTimeout(() => c.kill('SIGKILL'), ms);
    c.on('close', () => {
      clearTimeout(timer);
      resolve(out.startsWith('Status: 200') && out.includes('\r\n\r\n'));
    });
  });
}

test('killed at any moment, several at once: each once, and in order', async () => {
  let acknowledged = 0, again = 0;
  for (let round = 0; round < 15; round++)
    await Promise.all(Array.from({ length: 4 }, async (_, i) => {
      const event = { app_id: shop.account.app_id, sender: { id: `k${i}` },
        recipient: { id: shop.account.oa_id }, event_name: 'user_send_text',
        message: { msg_id: `r${round}.${i}`, text: `r${round}.${i}` },
        timestamp: String(Date.now()) };
      // Acknowledged: the platform never sends it again.
      if (await killed(event, 1 + round + i)) {
        acknowledged++;
        return;
      }
      again++;
      assert.equal((await shop.hook(event)).status, 200);
    }));
  assert.equal(acknowledged + again, 60);
  assert.equal(await shop.worker('--once').ended, 0);
  assert.equal(await shop.one(`SELECT count(*) FROM webhook_inbox
    WHERE state NOT IN ('done', 'ignored')`), 0);
  const rows = await shop.sql(`SELECT content, c.external_id AS user
    FROM messages m JOIN conversations c ON c.id = m.conversation_id
    WHERE c.external_id LIKE 'k_' ORDER BY m.id`);
  for (let i = 0; i < 4; i++)
    assert.deepEqual(rows.filter((r) => r.user === `k${i}`).map((r) => r.content),
      Array.from({ length: 15 }, (_, n) => `r${n}.${i}`));
});
