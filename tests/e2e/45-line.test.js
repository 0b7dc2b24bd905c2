// LINE: messages in, answers out.  Every push has a key, so what is tried again
// is there once, whatever was lost, cut or killed.  The platform is the strict
// stand-in: each test ends by asking it whether anything was not as documented.
import { test, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { PATIENT, Shop, sample, sampleJson, until } from './lib/shop.js';
import { startLine } from '../standin/line.js';
import { mp4, png } from './lib/files.js';

const BOT = 'Uc0ffee00c0ffee00c0ffee00c0ffee00';
const GROUP = 'C99998888777766665555444433332222';
const user = (n) => `U${String(n).padStart(32, '0')}`;
let line, shop, channel, account;

beforeEach(async () => {
  line = await startLine();
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, echo_wait_s: 1,
    backoff_percent: 2 });
  const { accounts } = await sampleJson('signatures.json');
  const { channel: platform, ...own } = accounts.line;
  account = { ...own, api_base: line.url, data_base: line.url };
  channel = await shop.connect(platform, account);
});
afterEach(async () => {
  const faults = line?.faults;
  await shop?.close();
  await line?.close();
  assert.deepEqual(faults, []);
});

const sign = (body, secret = account.channel_secret) =>
  createHmac('sha256', secret).update(body).digest('base64');

function hook(what, { id = channel, signature, secret, method = 'POST' } = {}) {
  const body = Buffer.isBuffer(what) ? what : Buffer.from(JSON.stringify(what));
  const sig = signature === undefined ? sign(body, secret) : signature;
  return shop.call('webhook.fcgi', method, `/webhooks/line/${id}`, { body,
    headers: sig === null ? {} : { 'x-line-signature': sig } });
}

let n = 0;
async function says(who, text, { bot = BOT, source, ...options } = {}) {
  const id = `53000${++n}`;
  const got = await hook({ destination: bot, events: [{ type: 'message',
    mode: 'active', timestamp: Date.now(), webhookEventId: `w${n}`,
    deliveryContext: { isRedelivery: false }, replyToken: `rt${n}`,
    source: source ?? { type: 'user', userId: who },
    message: { type: 'text', id, text, quoteToken: `q${n}` } }] }, options);
  assert.equal(got.status, 200);
  return id;
}

const pushes = () => line.calls.filter((c) => c.name === 'push');
const keys = () => pushes().map((c) => c.headers['x-line-retry-key']);
const error = (id) => shop.one(`SELECT error FROM messages WHERE id = ${id}`);

test('the samples are stored as expected, and once', async () => {
  const expected = await sampleJson('expected.json');
  const { files } = await sampleJson('signatures.json');
  const names = Object.keys(expected).filter((f) => f.startsWith('line-'));
  assert.equal(names.length, 17);
  const rows = () => shop.sql(`SELECT m.external_id AS message_id, kind,
    content AS text, c.external_id AS conversation
    FROM messages m JOIN conversations c ON c.id = m.conversation_id`);
  for (const name of names) {
    const before = await rows();
    const got = await hook(await sample(name),
      { signature: files[name]['x-line-signature'] });
    assert.equal(got.status, 200, name);
    const known = new Set(before.map((r) => r.message_id));
    assert.deepEqual((await rows()).filter((r) => !known.has(r.message_id)),
      expected[name].stored.filter((m) => !known.has(m.message_id))
        .map(({ message_id, kind, text, conversation }) =>
          ({ message_id, kind, text: text ?? '', conversation })), name);
  }
  // Taken back: the row stays, blank; and what was redelivered stays so.
  const [row] = await shop.messages("m.external_id = '530000000000000001'");
  assert.equal(row.content, '');
  assert.ok(row.deleted_at);
  const marks = await shop.sql(`SELECT followed_at, unfollowed_at
    FROM customer_identities WHERE unfollowed_at IS NOT NULL`);
  assert.equal(marks.length, 1);
});

test('forged ones leave nothing, the same one many times is there once', async () => {
  const body = await sample('line-batch.json');
  const refused = async (status, what, options) =>
    assert.equal((await hook(what, options)).status, status);
  await refused(401, body, { signature: null });
  await refused(401, body, { signature: '' });
  await refused(401, body, { secret: 'another' });
  await refused(401, body, { signature: sign(body).slice(0, -1) });
  await refused(401, body.subarray(1), { signature: sign(body) });
  await refused(400, Buffer.from('{'));
  await refused(405, body, { method: 'GET' });
  await refused(404, body, { id: 999 });
  assert.equal((await shop.messages()).length, 0);

  const all = await Promise.all(Array.from({ length: 8 }, () => hook(body)));
  assert.deepEqual(all.map((r) => r.status), Array(8).fill(200));
  assert.equal((await shop.messages()).length, 3);
});

test('answers go out once each, in order, to persons and groups', async () => {
  line.profiles[user(1)] = { userId: user(1), displayName: 'มะลิ 🌼',
    pictureUrl: 'https://obs.example/p' };
  shop.worker();
  await says(user(1), 'สวัสดี');
  await says(user(2), 'all of us', { source: { type: 'group', groupId: GROUP,
    userId: user(2) } });
  const ids = [];
  for (const text of ['หนึ่ง 1️⃣', 'สอง'])
    ids.push(await shop.agentSays(user(1), text));
  ids.push(await shop.agentSays(GROUP, 'everybody'));
  for (const id of ids)
    await shop.reaches(id, 'sent');
  assert.deepEqual(line.sent.filter((m) => m.to === user(1))
    .map((m) => m.text), ['หนึ่ง 1️⃣', 'สอง']);
  assert.deepEqual(line.sent.filter((m) => m.to === GROUP)
    .map((m) => m.text), ['everybody']);
  assert.equal(new Set(keys()).size, 3);
  assert.equal(await shop.one(`SELECT external_id FROM messages
    WHERE id = ${ids[0]}`), line.sent.find((m) => m.text === 'หนึ่ง 1️⃣').id);
  // The one is known by the profile, the other by the group.
  await until(() => shop.one("SELECT id FROM customers WHERE name = 'มะลิ 🌼'"));
  await line.until((l) => l.calls.some((c) => c.name === 'profile' &&
    c.body.path === `/v2/bot/group/${GROUP}/member/${user(2)}`));
});

test('lost answers are asked for again by the same key', async () => {
  await shop.set({ platform_total_ms: 5000 });
  shop.worker();
  await says(user(3), 'hi');
  for (const how of [{ drop: true }, { truncate: true }, { hang: true },
    { drop: true, accepted: false }, { error: 500 }, { status: 502 },
    { status: 200, body: '{"message":"an error"}' }]) {
    const text = JSON.stringify(how), before = pushes().length;
    line.script('push', how);
    const id = await shop.agentSays(user(3), text);
    await shop.reaches(id, 'sent');
    const mine = keys().slice(before);
    assert.equal(mine.length, 2, text);
    assert.equal(mine[0], mine[1], text);
    assert.equal(line.sent.filter((m) => m.text === text).length, 1, text);
    assert.equal(await shop.one(`SELECT external_id FROM messages
      WHERE id = ${id}`), line.sent.at(-1).id);
  }
});

test('a worker killed after LINE took it leaves one message, and sent', async () => {
  await says(user(4), 'hi');
  const id = await shop.agentSays(user(4), 'once only');
  line.script('push', { hold: true });
  await shop.set({ delivery_lease_ms: 3000 });
  const first = shop.worker();
  await line.until((l) => l.sent.length === 1);
  first.kill('SIGKILL');
  await first.ended;
  line.release();
  await shop.set(PATIENT);
  shop.worker();
  await shop.reaches(id, 'sent');
  assert.equal(line.sent.length, 1);
  assert.equal(new Set(keys()).size, 1);
});

test('a rate limit holds the account, quota and refusals are for good', async () => {
  shop.worker();
  await says(user(5), 'hi');
  for (const [status, message, want] of [[400, 'bad', 'refused: bad'],
    [403, 'not yours', 'refused: not yours'],
    [429, 'You have reached your monthly limit.',
      'quota: You have reached your monthly limit.']]) {
    line.script('push', { error: status, message });
    const id = await shop.agentSays(user(5), message);
    await shop.reaches(id, 'failed');
    assert.equal(await error(id), want);
  }
  for (const [headers, wait] of [[undefined, 10], [{ 'Retry-After': '90' }, 90]]) {
    line.script('push', { error: 429, message: 'slow down', headers });
    const before = Date.now();
    const id = await shop.agentSays(user(5), `wait ${wait}`);
    const due = await until(() => shop.one(`SELECT due_at FROM deliveries
      WHERE message_id = ${id} AND state = 'queued' AND tries = 1`));
    assert.ok(due >= before + 1000 * wait, `due in ${due - before} ms`);
    assert.ok(await shop.one(`SELECT hold_until FROM channels
      WHERE id = ${channel}`) >= before + 1000 * wait);
    // As if that time were over, and nobody wanted the answer any more.
    await write('UPDATE channels SET hold_until = 0');
    await write(`DELETE FROM deliveries WHERE message_id = ${id}`);
  }
  assert.equal(line.sent.length, 0);
});

// Written by the tests only, to let time pass.
async function write(sql) {
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  await promisify(execFile)('sqlite3',
    ['-cmd', '.timeout 20000', shop.db, sql]);
}

test('tokens are made from the channel id, before they end and when refused', async () => {
  await shop.parley('channel', 'set', '--id', channel,
    '--set', 'channel_token=');
  await says(user(6), 'hi');
  const ids = [await shop.agentSays(user(6), 'first')];
  shop.worker();
  shop.worker();
  await shop.reaches(ids[0], 'sent');
  assert.equal(line.refreshes, 1);
  const kept = async () => JSON.parse(await shop.one(
    `SELECT secrets FROM channels WHERE id = ${channel}`)).line_channel_token;
  assert.equal(await kept(), 'line-token-1');

  // LINE forgets it: one refusal, one new token, nothing lost or doubled.
  line.tokens.clear();
  ids.push(await shop.agentSays(user(6), 'second'));
  await shop.reaches(ids[1], 'sent');
  assert.equal(await kept(), 'line-token-2');
  assert.equal(line.refreshes, 2);

  // One with less than a minute left is not used.
  line.lifeS = 30;
  line.tokens.clear();
  ids.push(await shop.agentSays(user(6), 'third'));
  await shop.reaches(ids[2], 'sent');
  const used = pushes().length;
  ids.push(await shop.agentSays(user(6), 'fourth'));
  await shop.reaches(ids[3], 'sent');
  assert.equal(pushes().length, used + 1);
  assert.equal(line.refreshes, 4);
  assert.deepEqual(line.sent.map((m) => m.text),
    ['first', 'second', 'third', 'fourth']);
});

test('a fresh token lets one answer go free; lost there it stays unknown', async () => {
  await shop.parley('channel', 'set', '--id', channel, '--set', 'use_reply=1');
  shop.worker();
  await says(user(9), 'hi');
  const first = await shop.agentSays(user(9), 'free');
  await shop.reaches(first, 'sent');
  const second = await shop.agentSays(user(9), 'not free');
  await shop.reaches(second, 'sent');
  assert.deepEqual(line.sent.map((m) => [m.to, m.text]),
    [[`rt${n}`, 'free'], [user(9), 'not free']]);

  // Used up elsewhere: by push instead, once.
  await says(user(9), 'again');
  line.used.add(`rt${n}`);
  await shop.reaches(await shop.agentSays(user(9), 'after all'), 'sent');
  assert.equal(line.sent.at(-1).to, user(9));
  assert.equal(pushes().length, 2);

  for (const how of [{ drop: true }, { error: 500 }]) {
    await says(user(9), 'and again');
    line.script('reply', how);
    const id = await shop.agentSays(user(9), JSON.stringify(how));
    await shop.reaches(id, 'unknown');
  }
  assert.equal(pushes().length, 2);
  assert.equal(line.calls.filter((c) => c.name === 'reply').length, 4);
});

test('a quote goes by the token of what it quotes, and without when refused', async () => {
  shop.worker();
  await says(user(10), 'this one');
  const [{ id }] = await shop.messages("m.content = 'this one'");
  const quoted = { reply_to: String(id) };
  await shop.reaches(await shop.agentSays(user(10), 'with', quoted), 'sent');
  assert.equal(line.sent[0].messages[0].quoteToken, `q${n}`);
  line.script('push', { error: 400, message: 'quoteToken' });
  await shop.reaches(await shop.agentSays(user(10), 'without', quoted), 'sent');
  assert.equal(line.sent[1].messages[0].quoteToken, undefined);
  assert.equal(pushes().length, 3);
});

test('two accounts at once keep to their own', async () => {
  const other = `U${'b'.repeat(32)}`;
  line.tokens.add('other-token');
  const second = await shop.connect('line', { ...account, bot_user_id: other,
    channel_secret: 'other-secret', channel_token: 'other-token' }, 'Other');
  shop.worker();
  await says(user(7), 'to the first');
  await says(user(8), 'to the second', { bot: other, id: second,
    secret: 'other-secret' });
  // A body for the other bot proves nothing at this address.
  assert.equal((await hook({ destination: other, events: [] },
    { secret: 'other-secret' })).status, 401);
  const ids = [];
  for (let i = 0; i < 6; i++)
    ids.push(await shop.agentSays(user(7 + i % 2), `answer ${i}`));
  for (const id of ids)
    await shop.reaches(id, 'sent');
  for (const c of pushes())
    assert.equal(c.headers.authorization, c.body.to === user(7)
      ? 'Bearer line-sample-channel-token' : 'Bearer other-token');
  assert.equal(line.sent.length, 6);
});

test('files are asked for by their messages, films once they are ready', async () => {
  const send = async (type, id) => {
    const got = await hook({ destination: BOT, events: [{ type: 'message',
      mode: 'active', timestamp: Date.now(), webhookEventId: `f${id}`,
      deliveryContext: { isRedelivery: false }, replyToken: `rt${id}`,
      source: { type: 'user', userId: user(1) },
      message: { type, id, contentProvider: { type: 'line' } } }] });
    assert.equal(got.status, 200);
  };
  const file = async (id) => JSON.parse(await shop.one(
    `SELECT attachments FROM messages WHERE external_id = '${id}'`))[0];
  line.files['5300011'] = png({ width: 3, height: 2 });
  line.files['5300012'] = mp4(50000);
  await send('image', '5300011');
  await send('video', '5300012');
  await send('image', '5300013'); // gone already
  shop.worker();
  for (const id of ['5300011', '5300012', '5300013'])
    await until(async () => (await file(id)).state !== 'fetching', undefined, id);
  assert.equal((await file('5300011')).mime, 'image/png');
  assert.equal((await file('5300012')).size, 50000);
  assert.equal((await file('5300013')).state, 'failed');
  const asked = line.calls.filter((c) => c.name === 'content');
  assert.ok(asked.every((c) => /^Bearer ./.test(c.headers.authorization)));
});
