// Answers to Zalo: sent once, whatever is killed, lost, repeated or refused.
// The platform is the strict stand-in, so each test ends by asking it whether
// anything was not as the documents say.
import { test, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PATIENT, Shop, pause, until } from './lib/shop.js';
import { startZalo } from '../standin/zalo.js';

const HOUR = 3600_000;
let zalo, shop;

beforeEach(async () => {
  zalo = await startZalo();
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, echo_wait_s: 1,
    backoff_percent: 5 });
  await shop.zalo(zalo.url);
});
afterEach(async () => {
  const faults = zalo?.faults;
  await shop?.close();
  await zalo?.close();
  assert.deepEqual(faults, []);
});

const sends = () => zalo.calls.filter((c) => c.name === 'message').length;
const texts = () => zalo.sent.map((m) => m.text);
const error = (id) => shop.one(`SELECT error FROM messages WHERE id = ${id}`);
const statuses = async (id) => (await shop.sql(`SELECT data FROM events
  WHERE type = 'message_status' ORDER BY id`)).map((e) => JSON.parse(e.data))
  .filter((e) => String(e.message_id) === String(id)).map((e) => e.status);

test('an answer goes out, is echoed, received and read', async () => {
  shop.worker();
  await shop.customerSays('11', 'Cho mình hỏi giá vé ạ');
  const id = await shop.agentSays('11', 'Dạ 350.000đ ạ 🚠');
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['Dạ 350.000đ ạ 🚠']);
  assert.equal(zalo.sent[0].to, '11');
  const external = zalo.sent[0].id;
  assert.equal(await shop.one(
    `SELECT external_id FROM messages WHERE id = ${id}`), external);

  await shop.echo('11', external, 'Dạ 350.000đ ạ 🚠');
  assert.equal((await shop.messages()).length, 2);
  await shop.receipt('11', 'user_received_message', [external]);
  await shop.reaches(id, 'delivered');
  await shop.receipt('11', 'user_seen_message', [external, 'unknown']);
  await shop.reaches(id, 'read');
  // A status never goes back.
  await shop.receipt('11', 'user_received_message', [external, 'x']);
  assert.equal(await shop.status(id), 'read');
  const seen = await statuses(id);
  assert.deepEqual(seen.slice(-3), ['sent', 'delivered', 'read']);

  // A colleague writes in Zalo's own console: that is a message too.
  await shop.echo('11', 'zC1', 'from the console', '7001');
  const [row] = await shop.messages("m.external_id = 'zC1'");
  assert.equal(row.type, 'outgoing');
  await pause(300);
  assert.equal(zalo.sent.length, 1);
});

test('what failed is sent again when an agent says so', async () => {
  shop.worker();
  await shop.customerSays('10', 'hi');
  zalo.script('message', { error: -201, message: 'no' });
  const id = await shop.agentSays('10', 'again?');
  await shop.reaches(id, 'failed');
  const resend = () => shop.call('api.fcgi', 'POST', `/api/messages/${id}/resend`,
    { body: {}, headers: { Authorization: `Bearer ${shop.agent}` } });
  const got = await resend();
  assert.equal(got.status, 200, got.text);
  assert.equal(got.json.status, 'queued');
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['again?']);
  assert.equal((await resend()).status, 409);
});

test('answers to tap are lines where the platform has none', async () => {
  shop.worker();
  await shop.customerSays('10', 'hi');
  const id = await shop.agentSays('10', 'Size nào ạ?',
    { quick_replies: [{ title: 'M' }, { title: 'L', payload: 'large' }] });
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['Size nào ạ?\n- M\n- L']);

  // Its echo is told by what was sent, not by what was written.
  zalo.script('message', { drop: true });
  const lost = await shop.agentSays('10', 'Màu nào ạ?',
    { quick_replies: [{ title: 'Đỏ' }] });
  await shop.reaches(lost, 'unknown');
  await shop.echo('10', zalo.sent[1].id, 'Màu nào ạ?\n- Đỏ');
  await shop.reaches(lost, 'sent');

  // With its lines a text is as long as any other.
  const words = 'x'.repeat(1999);
  const long = await shop.agentSays('10', words,
    { quick_replies: [{ title: 'M' }, { title: 'L' }] });
  await shop.reaches(long, 'sent');
  assert.deepEqual(texts().slice(2), [words, '- M\n- L']);
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, 3);
});

test('what was taken without an id gets it from the echo', async () => {
  shop.worker();
  await shop.customerSays('10', 'hi');
  zalo.script('message', { noId: true });
  const id = await shop.agentSays('10', 'nameless');
  await shop.reaches(id, 'sent');
  await shop.echo('10', zalo.sent[0].id, 'nameless');
  await shop.receipt('10', 'user_seen_message', [zalo.sent[0].id]);
  await shop.reaches(id, 'read');
  // The echo comes before that answer.
  zalo.script('message', { noId: true, hold: true });
  const next = await shop.agentSays('10', 'nameless too');
  await zalo.until((z) => z.sent.length === 2);
  await shop.echo('10', zalo.sent[1].id, 'nameless too');
  zalo.release();
  await shop.reaches(next, 'sent');
  await until(async () => await shop.one(
    `SELECT external_id FROM messages WHERE id = ${next}`) === zalo.sent[1].id);
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, 2);
});

test('who wrote gets a name and a picture from the profile', async () => {
  zalo.profiles['12'] = { display_name: 'Nguyễn Văn A',
    avatars: { 240: 'https://s240.example/a.jpg' }, phone: '0900' };
  shop.worker();
  await shop.customerSays('12', 'hi');
  await until(() => shop.one("SELECT name FROM customers WHERE name <> ''"));
  const [row] = await shop.sql('SELECT name, avatar_url, phone FROM customers');
  assert.deepEqual(row, { name: 'Nguyễn Văn A',
    avatar_url: 'https://s240.example/a.jpg', phone: null });
  // One that may not be asked about is not asked about again and again.
  await shop.customerSays('13', 'hi');
  await zalo.until((z) => z.calls.some((c) => c.body.user_id === '13'));
  await pause(2500);
  assert.equal(zalo.calls.filter((c) => c.body.user_id === '13').length, 1);
});

test('a worker killed between the answer and its commit never sends twice', async () => {
  await shop.customerSays('14', 'hi');
  const id = await shop.agentSays('14', 'once only');
  zalo.script('message', { hold: true });
  await shop.set({ delivery_lease_ms: 3000 });
  const first = shop.worker();
  await zalo.until((z) => z.sent.length === 1);
  first.kill('SIGKILL');
  await first.ended;
  zalo.release();

  await shop.set(PATIENT);
  shop.worker();
  await shop.reaches(id, 'unknown');
  await pause(500);
  assert.deepEqual(texts(), ['once only']);
  // The echo says what became of it.
  await shop.echo('14', zalo.sent[0].id, 'once only');
  await shop.reaches(id, 'sent');
  assert.equal((await shop.messages()).length, 2);
  const next = await shop.agentSays('14', 'and on');
  await shop.reaches(next, 'sent');
});

test('a worker killed before the request left sends it after all', async () => {
  await shop.customerSays('15', 'hi');
  const id = await shop.agentSays('15', 'later');
  // Accepts connections from the kernel's queue, but is stopped: TLS or not,
  // nothing of ours was written when the connection does not stand.
  await zalo.close();
  await shop.set({ delivery_lease_ms: 3000 });
  const first = shop.worker();
  await until(async () => await shop.one(
    `SELECT tries FROM deliveries WHERE message_id = ${id}`) > 0);
  first.kill('SIGKILL');
  await first.ended;
  zalo = await startZalo({ port: Number(new URL(zalo.url).port) });
  await shop.set(PATIENT);
  shop.worker();
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['later']);
});

test('lost answers: unknown, not repeated, settled by an echo', async () => {
  await shop.set({ platform_total_ms: 1500 });
  shop.worker();
  await shop.customerSays('16', 'hi');
  for (const how of [{ drop: true }, { truncate: true }, { hang: true },
    { status: 502 }]) {
    zalo.script('message', how);
    const text = `lost ${Object.keys(how)}`;
    const calls = sends();
    const id = await shop.agentSays('16', text);
    await shop.reaches(id, 'unknown');
    assert.equal(sends(), calls + 1, text);
    assert.match(await error(id), /no answer/);
    if (how.status === undefined) {
      await shop.echo('16', zalo.sent.at(-1).id, text);
      await shop.reaches(id, 'sent');
    }
  }
});

test('while the echo may still come it is only `sending`', async () => {
  await shop.close();
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, echo_wait_s: 60 });
  await shop.zalo(zalo.url);
  shop.worker();
  await shop.customerSays('16', 'hi');
  zalo.script('message', { drop: true });
  const id = await shop.agentSays('16', 'quick echo');
  await zalo.until((z) => z.sent.some((m) => m.text === 'quick echo'));
  await pause(200);
  assert.equal(await shop.status(id), 'sending');
  await shop.echo('16', zalo.sent.at(-1).id, 'quick echo');
  await shop.reaches(id, 'sent');
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, 1);
});

test('an echo that overtakes the answer leaves one message', async () => {
  shop.worker();
  await shop.customerSays('17', 'hi');
  zalo.script('message', { hold: true });
  const id = await shop.agentSays('17', 'overtaken');
  await zalo.until((z) => z.sent.length === 1);
  await shop.echo('17', zalo.sent[0].id, 'overtaken');
  await shop.receipt('17', 'user_received_message', [zalo.sent[0].id]);
  zalo.release();
  await until(async () => ['sent', 'delivered'].includes(await shop.status(id)));
  await until(async () => (await shop.messages("m.type = 'outgoing'")).length === 1);
  assert.equal(await shop.one(
    `SELECT external_id FROM messages WHERE id = ${id}`), zalo.sent[0].id);

  // Echo first, then the answer is lost.
  zalo.script('message', { hold: true });
  const second = await shop.agentSays('17', 'overtaken and lost');
  await zalo.until((z) => z.sent.length === 2);
  await shop.echo('17', zalo.sent[1].id, 'overtaken and lost');
  zalo.server.closeAllConnections();
  await shop.reaches(second, 'sent');
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, 2);
});

test('a receipt before the answer is not lost', async () => {
  shop.worker();
  await shop.customerSays('18', 'hi');
  zalo.script('message', { hold: true });
  const id = await shop.agentSays('18', 'quick reader');
  await zalo.until((z) => z.sent.length === 1);
  await shop.receipt('18', 'user_seen_message', [zalo.sent[0].id]);
  zalo.release();
  await shop.reaches(id, 'read');
});

test('one conversation keeps its order, others do not wait', async () => {
  shop.worker();
  await shop.customerSays('19', 'hi');
  await shop.customerSays('20', 'hi');
  zalo.script('message', { hold: true });
  const ids = [];
  for (const text of ['one', 'two', 'three'])
    ids.push(await shop.agentSays('19', text));
  await zalo.until((z) => z.sent.length === 1);
  const other = await shop.agentSays('20', 'elsewhere');
  await shop.reaches(other, 'sent');
  assert.deepEqual(texts(), ['one', 'elsewhere']);
  zalo.release();
  await shop.reaches(ids[2], 'sent');
  assert.deepEqual(texts(), ['one', 'elsewhere', 'two', 'three']);
});

test('what was refused for now is tried again, five times more at most', async () => {
  await shop.close();
  shop = await Shop.open({ worker_poll_ms: 50, backoff_percent: 1 });
  await shop.zalo(zalo.url);
  shop.worker();
  await shop.customerSays('21', 'hi');
  zalo.script('message', { error: -100 }, { error: -100 });
  const id = await shop.agentSays('21', 'third time');
  await shop.reaches(id, 'sent');
  assert.equal(sends(), 3);

  zalo.script('message', ...Array(9).fill({ error: -100, message: 'gone' }));
  const never = await shop.agentSays('21', 'never');
  await shop.reaches(never, 'failed');
  assert.equal(sends(), 3 + 1 + 5);
  assert.match(await error(never), /gone/);
});

test('a rate limit holds the whole account for a minute', async () => {
  shop.worker();
  await shop.customerSays('22', 'hi');
  await shop.customerSays('23', 'hi');
  zalo.script('message', { error: -32, headers: { 'Retry-After': '90' } });
  const before = Date.now();
  const id = await shop.agentSays('22', 'too fast');
  await until(() => shop.one(`SELECT due_at FROM deliveries
    WHERE message_id = ${id} AND state = 'queued' AND tries = 1`));
  const due = await shop.one(
    `SELECT due_at FROM deliveries WHERE message_id = ${id}`);
  assert.ok(due >= before + 90_000, `due in ${due - before} ms`);
  await shop.agentSays('23', 'waits too');
  await pause(600);
  assert.equal(sends(), 1);
});

test('what is refused for good says why', async () => {
  shop.worker();
  await shop.customerSays('24', 'hi');
  for (const [code, reason] of [[-230, 'window_closed'], [-211, 'quota'],
    [-201, 'refused'], [-7777, 'refused']]) {
    zalo.script('message', { error: code, message: `because ${code}` });
    const id = await shop.agentSays('24', `no ${code}`);
    await shop.reaches(id, 'failed');
    assert.equal(await error(id), `${reason}: because ${code}`);
  }
  assert.equal(zalo.sent.length, 0);
});

test('a refused quote is sent once more without it', async () => {
  shop.worker();
  const quoted = await shop.customerSays('25', 'this one');
  const [{ id: reply_to }] = await shop.messages("m.content = 'this one'");
  const id = await shop.agentSays('25', 'with quote', { reply_to: String(reply_to) });
  await shop.reaches(id, 'sent');
  assert.equal(zalo.sent[0].message.quote_message_id, quoted);
  zalo.script('message', { error: -201 });
  const again = await shop.agentSays('25', 'refused quote', { reply_to: String(reply_to) });
  await shop.reaches(again, 'sent');
  assert.equal(zalo.sent[1].message.quote_message_id, undefined);
  assert.equal(sends(), 3);
});

test('long texts go in parts, in order, and the message has one status', async () => {
  shop.worker();
  await shop.customerSays('26', 'hi');
  const words = Array.from({ length: 900 }, (_, i) => `từ${i}🚠`).join(' ');
  const id = await shop.agentSays('26', words);
  await shop.reaches(id, 'sent');
  assert.ok(zalo.sent.length >= 4);
  assert.equal(texts().join(' '), words);
  await shop.receipt('26', 'user_received_message', zalo.sent.map((m) => m.id));
  await shop.reaches(id, 'delivered');
});

test('windows: free, warned, refused before anything is sent', async () => {
  shop.worker();
  await shop.customerSays('27', 'hi');
  const age = (h) => execSql(`UPDATE conversations SET last_inbound_at =
    ${Date.now() - h * HOUR} WHERE external_id = '27'`);
  await age(49);
  const refused = await shop.agentSays('27', 'after two days');
  await shop.reaches(refused, 'failed');
  assert.match(await error(refused), /^window_closed/);
  assert.equal(zalo.sent.length, 0);
  await shop.close();

  shop = await Shop.open({ worker_poll_ms: 50 });
  await shop.zalo(zalo.url, { zalo_allow_paid: 1 });
  shop.worker();
  await shop.customerSays('27', 'hi');
  await age(49);
  const paid = await shop.agentSays('27', 'paid');
  await shop.reaches(paid, 'sent');
  assert.equal(await error(paid), 'window_paid');
  await age(7 * 24 + 1);
  const late = await shop.agentSays('27', 'after a week');
  await shop.reaches(late, 'failed');
  assert.match(await error(late), /^window_closed/);
  assert.deepEqual(texts(), ['paid']);
});

// Written by the tests only to turn back the clock of a conversation.
async function execSql(sql) {
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  await promisify(execFile)('sqlite3',
    ['-cmd', '.timeout 20000', shop.db, sql]);
}

test('an old token is renewed once, also by two workers at once', async () => {
  zalo.accessToken = 'another';
  const ids = [];
  for (const user of ['31', '32', '33', '34', '35', '36']) {
    await shop.customerSays(user, 'hi');
    ids.push(await shop.agentSays(user, `to ${user}`));
  }
  zalo.script('token', { after: 300 });
  shop.worker();
  shop.worker();
  for (const id of ids)
    await shop.reaches(id, 'sent');
  assert.equal(zalo.refreshes, 1);
  assert.equal(zalo.calls.filter((c) => c.name === 'token').length, 1);
  assert.deepEqual(texts().sort(), ['31', '32', '33', '34', '35', '36']
    .map((u) => `to ${u}`));
  const kept = JSON.parse(await shop.one(
    `SELECT secrets FROM channels WHERE id = ${shop.channel}`));
  assert.equal(kept.zalo_access_token, zalo.accessToken);
  assert.equal(kept.zalo_refresh_token, zalo.refreshToken);
  assert.equal(kept.previous_zalo_refresh_token, 'zalo-sample-refresh-1');
});

test('killed between the new token and its commit: found again', async () => {
  // Twice an exchange is a token's lease.
  await shop.set({ platform_total_ms: 4000, delivery_lease_ms: 9000 });
  const first = shop.worker();
  await shop.customerSays('30', 'hi');
  await shop.reaches(await shop.agentSays('30', 'before'), 'sent');
  await until(() => shop.one(`SELECT profiled_at FROM customers
    WHERE profiled_at IS NOT NULL`));
  zalo.script('token', { hold: true });
  await shop.parley('channel', 'set', '--id', shop.channel,
    '--set', `token_expires_at=${Date.now()}`);
  const id = await shop.agentSays('30', 'once renewed');
  await zalo.until((z) => z.calls.some((c) => c.name === 'token'));
  // The database cannot be written: somebody else holds its lock.
  const lock = spawn('flock', [join(shop.dir, 'write.lock'), 'sh', '-c',
    'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  await once(lock.stdout, 'data');
  zalo.release();
  const file = join(shop.dir, `.token-${shop.channel}`);
  await until(() => existsSync(file));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  first.kill('SIGKILL');
  await first.ended;
  lock.stdin.end();
  assert.equal(zalo.refreshes, 1);
  assert.notEqual(JSON.parse(await shop.one('SELECT secrets FROM channels'
    + ` WHERE id = ${shop.channel}`)).zalo_access_token, zalo.accessToken);

  await shop.set(PATIENT);
  shop.worker();
  await shop.reaches(id, 'sent');
  assert.equal(zalo.refreshes, 1);
  assert.deepEqual(texts(), ['before', 'once renewed']);
  const kept = JSON.parse(await shop.one(
    `SELECT secrets FROM channels WHERE id = ${shop.channel}`));
  assert.equal(kept.zalo_access_token, zalo.accessToken);
  assert.equal(kept.zalo_refresh_token, zalo.refreshToken);
  assert.equal(existsSync(file), false);
});

test('where no new token is to be had the queue stops and says so, once', async () => {
  zalo.accessToken = 'another';
  zalo.refreshToken = 'used up';
  shop.worker();
  await shop.customerSays('37', 'hi');
  await shop.customerSays('38', 'hi');
  const id = await shop.agentSays('37', 'waits');
  const other = await shop.agentSays('38', 'waits as well');
  await until(async () => await shop.one(
    `SELECT state FROM channels WHERE id = ${shop.channel}`) === 'reauth');
  await pause(500);
  const calls = zalo.calls.length;
  await pause(1500);
  assert.equal(zalo.calls.length, calls);
  assert.equal(await shop.status(id), 'queued');
  assert.equal(await shop.status(other), 'queued');
  const notes = await shop.sql(
    "SELECT data FROM events WHERE type = 'system_notification'");
  assert.equal(notes.length, 1);
  assert.equal(JSON.parse(notes[0].data).level, 'error');
  // Nothing of the tokens is in the log of events.
  assert.equal(await shop.one(
    "SELECT count(*) FROM events WHERE data LIKE '%zalo-sample-refresh%'"), 0);

  // With a new pair what waited goes out.
  await shop.parley('channel', 'set', '--id', shop.channel,
    '--set', 'access_token=another', '--set', 'refresh_token=fresh');
  await shop.reaches(id, 'sent');
  await shop.reaches(other, 'sent');
  await assert.rejects(shop.parley('channel', 'set', '--id', shop.channel,
    '--set', 'oa_id=1'), /another account/);
});

test('an account the platform refuses stops at once', async () => {
  shop.worker();
  await shop.customerSays('39', 'hi');
  zalo.script('message', { error: -224, message: 'package expired' });
  const id = await shop.agentSays('39', 'waits');
  await until(async () => await shop.one(
    `SELECT state FROM channels WHERE id = ${shop.channel}`) === 'reauth');
  assert.equal(zalo.refreshes, 0);
  await until(async () => await shop.status(id) === 'queued');
  assert.equal(await shop.one(
    `SELECT state_text FROM channels WHERE id = ${shop.channel}`),
  'package expired');
});

test('from cron: sends what is due and ends; a second one ends at once', async () => {
  await shop.customerSays('40', 'hi');
  const id = await shop.agentSays('40', 'by cron');
  zalo.script('message', { hold: true });
  const first = shop.worker('--once');
  await zalo.until((z) => z.sent.length === 1);
  assert.equal(await shop.worker('--once').ended, 0);
  assert.equal(first.exitCode, null, 'the first is still at it');
  zalo.release();
  assert.equal(await first.ended, 0);
  assert.equal(await shop.status(id), 'sent');
  assert.equal(zalo.sent.length, 1);
});

test('told to stop, the worker finishes what it began', async () => {
  await shop.customerSays('42', 'hi');
  const id = await shop.agentSays('42', 'in the middle');
  zalo.script('message', { after: 500 });
  const w = shop.worker();
  await zalo.until((z) => z.calls.some((c) => c.name === 'message'));
  w.kill('SIGTERM');
  assert.equal(await w.ended, 0);
  assert.equal(await shop.status(id), 'sent');
});

test('workers killed again and again: nothing twice, nothing out of order', async () => {
  const users = ['51', '52', '53', '54'], ids = new Map();
  for (const user of users)
    await shop.customerSays(user, 'hi');
  for (let n = 0; n < 15; n++)
    for (const user of users) {
      const text = `${user} ${n}`;
      ids.set(await shop.agentSays(user, text), text);
    }
  zalo.script('message', ...Array.from({ length: 400 }, (_, i) =>
    i % 3 === 0 ? { after: 60 } : i % 7 === 0 ? { drop: true } : {}));
  await shop.set({ platform_total_ms: 1500, delivery_lease_ms: 3000 });
  const end = Date.now() + 12000;
  while (Date.now() < end) {
    const both = [shop.worker(), shop.worker()];
    await pause(150 + Math.random() * 500);
    for (const w of both)
      w.kill('SIGKILL');
  }
  shop.worker();
  await until(async () => await shop.one(`SELECT count(*) FROM messages
    WHERE status IN ('queued','sending')`) === 0, 120_000);
  assert.equal(new Set(texts()).size, texts().length, 'sent twice');
  for (const user of users) {
    const order = texts().filter((t) => t.startsWith(`${user} `))
      .map((t) => Number(t.split(' ')[1]));
    assert.deepEqual(order, [...order].sort((a, b) => a - b));
  }
  // What is called sent was taken; what was taken is sent or unknown.
  for (const [id, text] of ids) {
    const status = await shop.status(id);
    assert.ok(['sent', 'unknown'].includes(status), `${text}: ${status}`);
    if (status === 'sent')
      assert.ok(texts().includes(text));
  }
  assert.equal((await shop.sql('PRAGMA integrity_check'))[0].integrity_check, 'ok');
});
