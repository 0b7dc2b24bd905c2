// A shop's own program as a platform: signed events in, in the documented
// order of checks; answers out, signed, under one key each, exactly once.
import { test, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { PATIENT, Shop, sample, pause, until } from './lib/shop.js';
import { startCustom, signed } from '../standin/custom.js';

const SECRET = 'custom-sample-secret';
let crm, shop, channel;

beforeEach(async () => {
  crm = await startCustom({ secret: SECRET });
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, backoff_percent: 5 });
  channel = await connect(crm.url);
});
afterEach(async () => {
  const faults = crm?.faults;
  await shop?.close();
  await crm?.close();
  assert.deepEqual(faults, []);
});

const connect = (url, secret = SECRET) => shop.connect('custom',
  { secret, out_url: `${url}/hook?from=parley` });

// Posts an event: an object or exact bytes.
function post(event, { secret = SECRET, at = Date.now() / 1000 | 0, to = channel,
  type = 'application/json', headers = {}, method = 'POST' } = {}) {
  const body = Buffer.isBuffer(event) ? event
    : Buffer.from(JSON.stringify(event));
  return shop.call('webhook.fcgi', method, `/webhooks/custom/${to}`, { body,
    headers: { 'Content-Type': type, 'X-Parley-Timestamp': String(at),
      'X-Parley-Signature': signed(secret, at, body), ...headers } });
}

let n = 0;
const message = (conversation, text, more = {}) => ({ event_id: `e${++n}`,
  type: 'message', conversation_id: conversation,
  user: { id: `u-${conversation}`, name: 'Trần Thị B' },
  message: { id: `m${n}`, kind: 'text', text, ...more }, sent_at: Date.now() });
const receipt = (conversation, status, ids) => ({ event_id: `e${++n}`,
  type: 'status', conversation_id: conversation, status, message_ids: ids });

async function says(conversation, text, options) {
  const event = message(conversation, text);
  const got = await post(event, options);
  assert.equal(got.status, 200, got.text);
  await until(() => shop.one(`SELECT id FROM messages
    WHERE external_id = '${event.message.id}'`));
}

const error = (id) => shop.one(`SELECT error FROM messages WHERE id = ${id}`);
const texts = () => crm.sent.map((m) => m.text);

test('what to enter over there is printed, a secret made up if need be', async () => {
  const add = (...set) => shop.parley('channel', 'add', '--platform', 'custom',
    '--name', 'App', ...set);
  const said = await add('--set', 'out_url=https://app.example/x');
  const id = said.match(/^channel (\d+)$/m)[1];
  const [, url] = said.match(/^webhook (\S+)$/m);
  assert.ok(url.endsWith(`/webhooks/custom/${id}`));
  assert.ok(said.includes(`post events to  ${url}\n`), said);
  const [, secret] = said.match(/secret {10}([\w-]{43})$/m);
  assert.equal((await post(message('c', 'hi'), { secret, to: id })).status, 200);

  // What was given is not shown again, and may be another for each.
  const other = await add('--set', 'secret=given-by-hand');
  assert.match(other, /\(your custom_secret\)/);
  assert.doesNotMatch(other, /given-by-hand/);
  await assert.rejects(add('--set', 'out_url=http://app.example/x'),
    /custom_out_url must be an https address/);
  await assert.rejects(add('--set', 'secret='), /custom_secret is required/);
});

test('checks come in their order, and name what is wrong', async () => {
  const good = await sample('custom-text.json');
  const bad = { 'X-Parley-Signature': 'v1=' + '0'.repeat(64) };
  const huge = Buffer.alloc(4 * 1024 * 1024 + 1, 32);
  const count = () => shop.one(`SELECT (SELECT count(*) FROM messages)
    + (SELECT count(*) FROM webhook_inbox)`);
  const is = async (status, ...args) => {
    const got = await post(...args);
    assert.equal(got.status, status, got.text);
    return got;
  };
  // Each with the faults of those that come later.
  const got = await is(405, huge, { method: 'GET', type: 'text/plain' });
  assert.equal(got.headers.allow, 'POST');
  await is(415, huge, { type: 'text/plain', headers: bad });
  await is(415, good, { type: 'application/jsonp' });
  await is(413, huge, { headers: bad });
  await is(401, Buffer.from('{'), { headers: bad });
  await is(401, good, { headers: { 'X-Parley-Timestamp': '1795000300' } });
  await is(401, good, { at: (Date.now() / 1000 | 0) - 302 });
  await is(401, good, { at: (Date.now() / 1000 | 0) + 400 });
  await is(401, good, { secret: 'another' });
  await is(400, Buffer.from('{'));
  await is(400, Buffer.from('{"event_id":"\xff"}', 'latin1'));
  const lacks = JSON.parse(good);
  lacks.message.kind = 'fax';
  const refused = await is(422, lacks);
  assert.equal(refused.json.code, 'invalid');
  assert.equal(refused.json.field, 'message.kind');
  assert.ok(refused.json.error);
  assert.equal(await count(), 0);

  await is(200, good, { type: 'Application/JSON; charset=utf-8' });
  await is(200, { event_id: 'e', type: 'weather', conversation_id: 'c' });
  await is(200, receipt('nowhere', 'read', ['nothing']));
  await until(async () => (await shop.messages()).length === 1);
});

test('the samples come in, once, however often they are posted', async () => {
  const names = ['text', 'image', 'status'];
  for (const name of names) {
    const got = await post(await sample(`custom-${name}.json`));
    assert.equal(got.status, 200);
    assert.deepEqual(got.json, { ok: true, duplicate: false });
  }
  for (const name of names)
    assert.deepEqual((await post(await sample(`custom-${name}.json`))).json,
      { ok: true, duplicate: true });
  // Another event with the message's id, and many at once.
  const again = JSON.parse(await sample('custom-text.json'));
  again.message.text = 'changed';
  const all = await Promise.all(Array.from({ length: 8 }, (_, i) =>
    post({ ...again, event_id: `p${i % 4}` })));
  assert.deepEqual([...new Set(all.map((a) => a.status))], [200]);
  const rows = await until(async () => {
    const now = await shop.messages();
    return now.length >= 2 && now;
  });
  await pause(200);
  assert.equal((await shop.messages()).length, 2);
  assert.deepEqual(rows.map((r) => [r.conversation, r.kind, r.content]),
    [['crm-77', 'text', 'Tôi cần hỗ trợ gấp 🙏'],
      ['crm-77', 'image', 'ảnh lỗi']]);
});

test('an answer goes out once, signed, and is received and read', async () => {
  shop.worker();
  await says('crm-1', 'Xin chào');
  const [{ id: reply_to, external_id }] = await shop.messages();
  const id = await shop.agentSays('crm-1', 'Dạ "có" ạ 🚠\n\u2028',
    { reply_to: String(reply_to) });
  await shop.reaches(id, 'sent');
  assert.equal(crm.sent.length, 1);
  const [out] = crm.sent;
  assert.equal(out.to, 'crm-1');
  assert.deepEqual(out.message, { kind: 'text', text: 'Dạ "có" ạ 🚠\n\u2028',
    reply_to: external_id });
  await post(receipt('crm-1', 'delivered', [out.id]));
  await shop.reaches(id, 'delivered');
  await post(receipt('crm-1', 'read', [out.id, 'another']));
  await shop.reaches(id, 'read');

  // Who gives no id is told our number, and says it in its receipts.
  crm.script('message', { noId: true });
  const second = await shop.agentSays('crm-1', 'two');
  await shop.reaches(second, 'sent');
  await post(receipt('crm-1', 'read', [crm.sent[1].number]));
  await shop.reaches(second, 'read');
  assert.equal((await shop.messages()).length, 3);
});

test('lost and broken answers are tried again under the same key', async () => {
  await shop.set({ platform_total_ms: 5000 });
  shop.worker();
  await says('crm-2', 'hi');
  for (const how of [{ drop: true }, { truncate: true }, { hang: true },
    { drop: true, accepted: false }, { status: 500 }, { status: 503 },
    { status: 408 }, { status: 425 }, { error: 502 }]) {
    const text = `lost ${JSON.stringify(how)}`;
    const before = crm.calls.length;
    crm.script('message', how);
    const id = await shop.agentSays('crm-2', text);
    await shop.reaches(id, 'sent');
    const tries = crm.calls.slice(before);
    assert.equal(tries.length, 2, text);
    assert.equal(tries[0].headers['idempotency-key'],
      tries[1].headers['idempotency-key']);
    assert.equal(texts().filter((t) => t === text).length, 1, text);
  }
  assert.equal(new Set(crm.sent.map((m) => m.key)).size, crm.sent.length);
});

test('a worker killed before the answer leaves it to the next, once', async () => {
  await says('crm-5', 'hi');
  const id = await shop.agentSays('crm-5', 'once only', { quick_replies: [
    { title: 'Có', payload: 'YES' }, { title: 'Không', payload: 'NO' }] });
  crm.script('message', { hold: true });
  await shop.set({ delivery_lease_ms: 3000 });
  const first = shop.worker();
  await crm.until((c) => c.sent.length === 1);
  first.kill('SIGKILL');
  await first.ended;
  crm.release();
  await shop.set(PATIENT);
  shop.worker();
  await shop.reaches(id, 'sent');
  // It came twice, under one key; the program took it once.
  assert.equal(crm.calls.length, 2);
  assert.deepEqual(texts(), ['once only']);
  assert.deepEqual(crm.sent[0].message.quick_replies, [
    { title: 'Có', payload: 'YES' }, { title: 'Không', payload: 'NO' }]);
  assert.equal(await shop.one(
    `SELECT external_id FROM messages WHERE id = ${id}`), crm.sent[0].id);
});

test('refused: for good with its words, for now with its pause', async () => {
  shop.worker();
  await says('crm-3', 'hi');
  for (const status of [400, 404, 409, 410, 422]) {
    crm.script('message', { error: status, text: `because ${status}` });
    const id = await shop.agentSays('crm-3', `no ${status}`);
    await shop.reaches(id, 'failed');
    assert.equal(await error(id), `refused: because ${status}`);
  }
  assert.equal(crm.sent.length, 0);

  crm.script('message', { status: 429, headers: { 'Retry-After': '90' } });
  const before = Date.now();
  const id = await shop.agentSays('crm-3', 'too fast');
  const due = await until(() => shop.one(`SELECT due_at FROM deliveries
    WHERE message_id = ${id} AND state = 'queued' AND tries = 1`));
  assert.ok(due >= before + 90_000, `due in ${due - before} ms`);
});

test('what got no answer once is not said to have failed', async () => {
  await shop.close();
  shop = await Shop.open({ worker_poll_ms: 50, backoff_percent: 0 });
  channel = await connect(crm.url);
  shop.worker();
  await says('crm-5', 'hi');
  crm.script('message', ...Array(6).fill({ drop: true }));
  const taken = await shop.agentSays('crm-5', 'taken');
  await shop.reaches(taken, 'unknown');
  assert.deepEqual(texts(), ['taken']);
  // Nor if the last try was refused.
  crm.script('message', { drop: true },
    ...Array(5).fill({ error: 408, text: 'too slow' }));
  const once = await shop.agentSays('crm-5', 'taken once');
  await shop.reaches(once, 'unknown');
  assert.deepEqual(texts(), ['taken', 'taken once']);
  // One that says no each time has not taken it.
  crm.script('message', ...Array(6).fill({ error: 408, text: 'too slow' }));
  const refused = await shop.agentSays('crm-5', 'refused');
  await shop.reaches(refused, 'failed');
  assert.equal(await error(refused), 'too slow');
});

test('401 stops the account until an admin has mended it', async () => {
  shop.worker();
  await says('crm-4', 'hi');
  crm.script('message', { error: 401, text: 'unknown sender' });
  const id = await shop.agentSays('crm-4', 'waits');
  await until(() => shop.one(
    `SELECT state = 'reauth' FROM channels WHERE id = ${channel}`));
  assert.match(await shop.one(
    `SELECT state_text FROM channels WHERE id = ${channel}`), /unknown sender/);
  assert.equal(await shop.status(id), 'queued');
  // What comes in is taken all the while.
  await says('crm-4', 'still there?');
  await shop.parley('channel', 'set', '--id', channel, '--set',
    `secret=${SECRET}`);
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['waits']);
});

test('where it must not go, nothing goes until the settings allow it', async () => {
  await says('crm-5', 'hi');
  const id = await shop.agentSays('crm-5', 'waits');
  const conf = await readFile(shop.conf, 'utf8');
  await writeFile(shop.conf, conf.replace('fetch_networks = 127.0.0.1', 'fetch_networks = 10.9.9.9'));
  await shop.worker('--once').ended;
  assert.deepEqual([crm.calls.length, await shop.status(id)], [0, 'queued']);
  assert.match(await shop.one(`SELECT state_text FROM channels WHERE id = ${channel}`),
    /address not allowed/);
  await writeFile(shop.conf, conf);
  await shop.parley('channel', 'set', '--id', channel);
  shop.worker();
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['waits']);
});

test('two accounts at once, each with its own secret and address', async () => {
  const other = await startCustom({ secret: 'the other one' });
  try {
    const second = await connect(other.url, 'the other one');
    shop.worker();
    // The same ids there are others.
    const event = message('same', 'to the first');
    assert.equal((await post(event)).status, 200);
    event.message.text = 'to the second';
    assert.equal((await post(event, { to: second })).status, 401);
    assert.equal((await post(event,
      { to: second, secret: 'the other one' })).status, 200);
    const rows = await until(async () => {
      const now = await shop.sql(`SELECT c.id, c.channel_id
        FROM conversations c JOIN messages m ON m.conversation_id = c.id
        WHERE c.external_id = 'same' ORDER BY c.channel_id`);
      return now.length === 2 && now;
    });
    const find = shop.conversation;
    const ids = [];
    for (const [i, row] of rows.entries()) {
      shop.conversation = () => row.id;
      for (const k of [1, 2, 3])
        ids.push(await shop.agentSays('same', `${i} ${k}`));
    }
    shop.conversation = find;
    for (const id of ids)
      await shop.reaches(id, 'sent');
    assert.deepEqual(texts(), ['0 1', '0 2', '0 3']);
    assert.deepEqual(other.sent.map((m) => m.text), ['1 1', '1 2', '1 3']);
    assert.deepEqual(other.faults, []);
  } finally {
    await other.close();
  }
});
