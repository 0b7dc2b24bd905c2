// A Telegram bot as a channel: updates in, answers out, what is lost stays
// unknown, and the token, which is part of every address, stays at home.
import { test, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { PATIENT, Shop, sample, pause, until } from './lib/shop.js';
import { startTelegram, TOKEN } from '../standin/telegram.js';

const SECRET = 'tg-sample_secret', WORD = TOKEN.split(':')[1];
let tg, shop, channel;

beforeEach(async () => {
  tg = await startTelegram();
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, echo_wait_s: 1,
    backoff_percent: 5, log_level: 'debug' });
  channel = await connect(tg.url);
});
afterEach(async () => {
  const faults = tg?.faults;
  await shop?.close();
  await tg?.close();
  assert.deepEqual(faults, []);
});

const connect = (url, token = TOKEN, secret = SECRET) => shop.connect(
  'telegram', { bot_token: token, secret, api_base: url });

function post(update, { secret = SECRET, to = channel, method = 'POST' } = {}) {
  const body = Buffer.isBuffer(update) ? update
    : Buffer.from(JSON.stringify(update));
  return shop.call('webhook.fcgi', method, `/webhooks/telegram/${to}`, { body,
    headers: secret === null ? {}
      : { 'X-Telegram-Bot-Api-Secret-Token': secret } });
}

let n = 0;
const from = (id) => ({ id, is_bot: false, first_name: `Khách ${id}` });
const message = (chat, content, user = chat) => ({ update_id: ++n, message: {
  message_id: n, date: Date.now() / 1000 | 0, from: from(user),
  chat: { id: chat, type: chat < 0 ? 'supergroup' : 'private' }, ...content } });

async function says(chat, content, user) {
  const update = message(chat,
    typeof content === 'string' ? { text: content } : content, user);
  assert.equal((await post(update)).status, 200);
  const id = `${chat}:${update.message.message_id}`;
  await until(() => shop.one(`SELECT id FROM messages
    WHERE external_id = '${id}'`));
  return id;
}

const error = (id) => shop.one(`SELECT error FROM messages WHERE id = ${id}`);
const texts = () => tg.sent.map((m) => m.text);

test('what setWebhook must be told is printed', async () => {
  const add = (...set) => shop.parley('channel', 'add', '--platform',
    'telegram', '--name', 'Bot', ...set.flatMap((s) => ['--set', s]));
  const said = await add('bot_token=700000002:AAother');
  const [, url] = said.match(/^webhook (\S+)$/m);
  assert.ok(said.includes(` url              ${url}\n`), said);
  assert.match(said, / secret_token {5}[\w-]{43}\n/);
  assert.match(said, / allowed_updates {2}\["message",/);
  assert.doesNotMatch(said, /AAother/);
  // A bot is one account, whatever its token is now.
  await assert.rejects(add('bot_token=700000002:AAnewer'),
    /connected already/);
  await assert.rejects(add('bot_token=AAother'), (e) =>
    /tg_bot_token is no token/.test(e.stderr) && !/AAother/.test(e.stderr));
  await assert.rejects(add('bot_token=700000003:AA', 'secret=not this'),
    /tg_secret takes/);
  const id = said.match(/^channel (\d+)$/m)[1];
  await shop.parley('channel', 'set', '--id', id, '--set',
    'bot_token=700000002:AAnewer');
  await assert.rejects(shop.parley('channel', 'set', '--id', id, '--set',
    'bot_token=700000003:AA'), /another account/);
});

test('the sample comes in, named, once; nothing without the secret', async () => {
  const body = await sample('telegram-text.json');
  for (const secret of [null, '', 'another', SECRET + ' '])
    assert.equal((await post(body, { secret })).status, 401);
  assert.equal((await post(body, { method: 'GET' })).status, 405);
  assert.equal((await post(Buffer.from('{'))).status, 400);
  assert.equal(await shop.one('SELECT count(*) FROM webhook_inbox'), 0);

  tg.chats[500000001] = { first_name: 'Hạnh' };
  shop.worker();
  const all = await Promise.all(Array.from({ length: 6 }, (_, i) =>
    post({ ...JSON.parse(body), update_id: 810000001 + i % 3 })));
  assert.deepEqual([...new Set(all.map((a) => a.status))], [200]);
  await until(() => shop.one("SELECT name = 'Hạnh' FROM customers"));
  const rows = await shop.messages();
  assert.deepEqual(rows.map((r) => [r.conversation, r.content, r.external_id]),
    [['500000001', 'Shop mở cửa mấy giờ? ⏰', '500000001:15']]);
  // The bot's number is as good a name of the channel as ours.
  assert.equal((await post(body, { to: '700000001' })).status, 200);
});

test('kinds, edits, pressed buttons, groups and who is gone', async () => {
  await says(5, { photo: [{ file_id: 'small', width: 90, height: 90 },
    { file_id: 'large', width: 900, height: 900 }], caption: 'ảnh lỗi' });
  await says(5, { contact: { first_name: 'An', phone_number: '+84 9' } });
  const asked = await says(5, 'first');
  const rows = await shop.messages();
  assert.deepEqual(rows.map((r) => [r.kind, r.content]), [
    ['image', 'ảnh lỗi'], ['unsupported', 'An\n+84 9'], ['text', 'first']]);
  assert.equal(JSON.parse(rows[0].payload).media_ref, 'tg:large');

  const edit = (text, edit_date) => post({ update_id: ++n, edited_message: {
    message_id: Number(asked.split(':')[1]), date: 1, edit_date, from: from(5),
    chat: { id: 5, type: 'private' }, text } });
  await edit('second', 1795000002);
  await edit('too old', 1795000001);
  await until(() => shop.one(`SELECT content = 'second' FROM messages
    WHERE external_id = '${asked}'`));
  await pause(200);
  assert.equal(await shop.one(`SELECT content FROM messages
    WHERE external_id = '${asked}'`), 'second');

  await post({ update_id: ++n, callback_query: { id: '4382', from: from(5),
    data: 'BUY', message: { message_id: 1, chat: { id: 5 },
      reply_markup: { inline_keyboard: [[{ text: 'Mua',
        callback_data: 'BUY' }]] } } } });
  const press = await until(async () => (await shop.messages(
    "m.external_id = 'cb:4382'"))[0]);
  assert.equal(press.kind, 'postback');
  assert.equal(press.content, 'Mua');
  assert.equal(JSON.parse(press.payload).payload, 'BUY');

  await says(-1001234567890, 'one of us', 6);
  await says(-1001234567890, 'another of us', 7);
  assert.equal((await shop.messages(
    "c.external_id = '-1001234567890'")).length, 2);

  const member = (status) => post({ update_id: ++n, my_chat_member: {
    chat: { id: 5, type: 'private' }, from: from(5), date: 1795000900,
    new_chat_member: { status } } });
  const gone = () => shop.one(`SELECT unfollowed_at IS NOT NULL
    FROM customer_identities WHERE external_id = '5'`);
  await member('kicked');
  await until(gone);
});

test('answers go out once, quoting; groups, too', async () => {
  shop.worker();
  const asked = await says(5, 'Mấy giờ mở cửa?');
  const [{ id: reply_to }] = await shop.messages();
  const id = await shop.agentSays('5', 'Dạ 8 giờ ạ ⏰',
    { reply_to: String(reply_to) });
  await shop.reaches(id, 'sent');
  assert.deepEqual(tg.sent.map((m) => [m.to, m.text, m.method]),
    [['5', 'Dạ 8 giờ ạ ⏰', 'sendMessage']]);
  assert.equal(tg.sent[0].message.reply_parameters.message_id,
    Number(asked.split(':')[1]));
  assert.equal(await shop.one(
    `SELECT external_id FROM messages WHERE id = ${id}`), tg.sent[0].id);

  await says(-1001234567890, 'in a group', 6);
  const group = await shop.agentSays('-1001234567890', 'hello all');
  await shop.reaches(group, 'sent');
  assert.equal(tg.sent[1].to, '-1001234567890');

  // Answers to tap are buttons under the text.
  const asks = await shop.agentSays('5', 'Đặt bàn?', { quick_replies: [
    { title: 'Có', payload: 'YES' }] });
  await shop.reaches(asks, 'sent');
  const { inline_keyboard } = tg.sent[2].message.reply_markup;
  assert.deepEqual(inline_keyboard,
    [[{ text: 'Có', callback_data: 'YES' }]]);

  // Parts of a long text, in order.
  const words = Array.from({ length: 1000 }, (_, i) => `từ${i}🚠`).join(' ');
  const long = await shop.agentSays('5', words);
  await shop.reaches(long, 'sent');
  assert.ok(tg.sent.length >= 5);
  assert.equal(texts().slice(3).join(' '), words);
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, 4);
});

test('what is lost is unknown and not repeated; refusals say why', async () => {
  await shop.set({ platform_total_ms: 1500 });
  const worker = shop.worker();
  await says(5, 'hi');
  const sends = () => tg.calls.filter((c) => c.name === 'sendMessage').length;
  // Each to a chat of its own, so that none waits for another.
  const ways = [{ drop: true }, { truncate: true }, { hang: true },
    { status: 502 }, { error: 500, text: 'Internal Server Error' },
    { status: 200, body: '{"ok":' }];
  const ids = [];
  for (const i of ways.keys())
    await says(50 + i, 'hi');
  tg.script('sendMessage', ...ways);
  for (const i of ways.keys())
    ids.push(await shop.agentSays(`${50 + i}`, `lost ${i}`));
  for (const id of ids)
    await shop.reaches(id, 'unknown');
  assert.equal(sends(), ways.length);
  worker.kill('SIGTERM');
  assert.equal(await worker.ended, 0);
  await shop.set(PATIENT);
  shop.worker();
  for (const [code, text] of [[400, 'Bad Request: chat not found'],
    [403, 'Forbidden: bot was blocked by the user']]) {
    tg.script('sendMessage', { error: code, text });
    const id = await shop.agentSays('5', `no ${code}`);
    await shop.reaches(id, 'failed');
    assert.equal(await error(id), `refused: ${text}`);
  }
  tg.script('sendMessage', { error: 429, text: 'Too Many Requests',
    retry_after: 90 });
  const at = Date.now();
  const slow = await shop.agentSays('5', 'too fast');
  const due = await until(() => shop.one(`SELECT due_at FROM deliveries
    WHERE message_id = ${slow} AND state = 'queued' AND tries = 1`));
  assert.ok(due >= at + 90_000, `due in ${due - at} ms`);
});

test('a revoked token stops the account, and is nowhere to be read', async () => {
  const said = [];
  const work = () => {
    const child = spawn(join(resolve(process.env.PARLEY_BUILD ?? 'build'),
      'parley'), ['work', '--conf', shop.conf],
    { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (d) => said.push(d));
    shop.workers.push(child);
    return new Promise((go) => child.once('exit', go));
  };
  work();
  await says(5, 'hi');
  tg.script('sendMessage',
    { error: 400, text: `no such address /bot${TOKEN}/sendMessage` });
  const bad = await shop.agentSays('5', 'one');
  await shop.reaches(bad, 'failed');
  tg.script('sendMessage', { drop: true });
  const lost = await shop.agentSays('5', 'two');
  await shop.reaches(lost, 'unknown');
  tg.token = '700000001:revoked';
  const id = await shop.agentSays('5', 'three');
  await until(() => shop.one(
    `SELECT state = 'reauth' FROM channels WHERE id = ${channel}`));
  assert.match(await shop.one(
    `SELECT state_text FROM channels WHERE id = ${channel}`), /Unauthorized/);
  await tg.close();

  // Not in a log, a status, an event or the list of channels.
  said.push(Buffer.from(await shop.parley('channel', 'list')));
  for (const sql of ['SELECT error FROM messages', 'SELECT * FROM deliveries',
    'SELECT data FROM events', 'SELECT state_text, config FROM channels',
    'SELECT * FROM audit_log'])
    said.push(Buffer.from(JSON.stringify(await shop.sql(sql))));
  const all = Buffer.concat(said).toString();
  assert.match(all, /delivery failed/);
  assert.ok(!all.includes(WORD), 'the token was told');

  // A new token of the bot lets go what waited.
  tg = await startTelegram({ token: '700000001:AAfresh',
    port: Number(new URL(tg.url).port) });
  await shop.parley('channel', 'set', '--id', channel, '--set',
    'bot_token=700000001:AAfresh');
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['three']);
});

test('two bots at once, the same chat in both', async () => {
  const other = await startTelegram({ token: '700000002:AAother' });
  try {
    const second = await connect(other.url, '700000002:AAother', 'another');
    shop.worker();
    const update = message(5, { text: 'hi' });
    assert.equal((await post(update)).status, 200);
    assert.equal((await post(update, { to: second })).status, 401);
    assert.equal((await post(update,
      { to: second, secret: 'another' })).status, 200);
    const rows = await until(async () => {
      const now = await shop.sql(`SELECT id FROM conversations
        WHERE external_id = '5' ORDER BY channel_id`);
      return now.length === 2 && now;
    });
    const ids = [];
    for (const [i, row] of rows.entries()) {
      shop.conversation = () => row.id;
      for (const k of [1, 2, 3])
        ids.push(await shop.agentSays('5', `${i} ${k}`));
    }
    for (const id of ids)
      await shop.reaches(id, 'sent');
    assert.deepEqual(texts(), ['0 1', '0 2', '0 3']);
    assert.deepEqual(other.sent.map((m) => m.text), ['1 1', '1 2', '1 3']);
    assert.deepEqual(other.faults, []);
  } finally {
    await other.close();
  }
});
