// Messenger: what customers write is stored as expected, answers go out once
// whatever is lost or refused, and echoes and receipts settle them.  The
// platform is the strict stand-in, so each test ends by asking it whether
// anything was not as the documents say.
import { test, before, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { PATIENT, Shop, pause, sample, sampleJson, until } from './lib/shop.js';
import { MetaSide } from './lib/meta.js';
import { startFacebook } from '../standin/facebook.js';

const HOUR = 3600_000;
const USER = '7310000000000011';
const exec = promisify(execFile);
const build = resolve(process.env.PARLEY_BUILD ?? 'build');
let fb, shop, page, account;

before(async () => {
  const { channel, ...own } =
    (await sampleJson('signatures.json')).accounts.facebook;
  account = own;
});
beforeEach(async () => {
  fb = await startFacebook();
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, echo_wait_s: 1,
    backoff_percent: 1 });
  page = await MetaSide.connect(shop, 'facebook', 'fb', fb, account);
});
afterEach(async () => {
  const faults = fb?.faults;
  await shop?.close();
  await fb?.close();
  assert.deepEqual(faults, []);
});

const sends = () => fb.calls.filter((c) => c.body.message).length;
const texts = () => fb.sent.map((m) => m.text);
const error = (id) => shop.one(`SELECT error FROM messages WHERE id = ${id}`);
const outgoing = () => shop.messages("m.type = 'outgoing'");

// Written by the tests only to turn back the clock of a conversation.
const turnBack = (user, ms) => exec('sqlite3', ['-cmd', '.timeout 20000',
  shop.db, `UPDATE conversations SET last_inbound_at = ${Date.now() - ms}
    WHERE external_id = '${user}'`]);

// A message row in the form of expected.json.
function told(row) {
  const payload = JSON.parse(row.payload ?? '{}');
  const media = JSON.parse(row.attachments ?? '[]')[0] ?? {};
  const out = { direction: row.type === 'incoming' ? 'in' : 'out',
    conversation: row.conversation, user: row.user,
    message_id: row.external_id, kind: row.kind,
    text: row.content === '' ? null : row.content };
  for (const [key, value] of Object.entries({ media_url: media.url,
    payload: payload.payload }))
    if (value !== undefined && value !== null)
      out[key] = value;
  return out;
}

test('every sample is stored as expected', async () => {
  const expected = await sampleJson('expected.json');
  const { files } = await sampleJson('signatures.json');
  for (const [name, want] of Object.entries(expected)) {
    if (!name.startsWith('facebook-'))
      continue;
    const got = await page.post(await sample(name),
      { signature: files[name]['X-Hub-Signature-256'] });
    assert.equal(got.status, 200, name);
    for (const { reply_to, sent_at, ...message } of want.stored) {
      const rows = await shop.sql(`SELECT m.*, c.external_id AS conversation,
        (SELECT external_id FROM customer_identities i
         WHERE i.customer_id = c.customer_id) AS user
        FROM messages m JOIN conversations c ON c.id = m.conversation_id
        WHERE m.external_id = '${message.message_id}'`);
      // The edit is of the first one.
      assert.deepEqual(rows.map(told), [message], name);
    }
  }
  assert.equal(await shop.one(`SELECT content FROM messages
    WHERE external_id = 'm_fbS0000000001'`),
  'Chào shop, áo này còn size L không ạ? 😊');
  assert.equal((await shop.messages()).length, 18);
});

test('the handshake needs our word for it', async () => {
  const ask = (query) => shop.call('webhook.fcgi', 'GET',
    `${page.path}?${query}`);
  const good = await ask('hub.mode=subscribe&hub.challenge=1158-201'
    + '&hub.verify_token=fb-sample-verify-token');
  assert.equal(good.status, 200);
  assert.equal(good.text, '1158-201');
  assert.match(good.headers['content-type'], /^text\/plain/);
  for (const query of ['', 'hub.mode=subscribe&hub.challenge=1',
    'hub.mode=subscribe&hub.challenge=1&hub.verify_token=x',
    'hub.mode=x&hub.challenge=1&hub.verify_token=fb-sample-verify-token'])
    assert.equal((await ask(query)).status, 403, query);
});

test('what is not proven leaves nothing; what is repeated is there once', async () => {
  const body = await sample('facebook-text-escaped.json');
  const refused = async (status, bytes, options) => assert.equal(
    (await page.post(bytes, options)).status, status);
  await refused(401, body, { signature: null });
  await refused(401, body, { signature: 'sha256=' + '0'.repeat(64) });
  await refused(401, Buffer.from(JSON.stringify(JSON.parse(body))),
    { signature: (await sampleJson('signatures.json'))
      .files['facebook-text-escaped.json']['X-Hub-Signature-256'] });
  await refused(400, Buffer.from('{"object":'));
  await refused(404, body, { path: '/webhooks/facebook/999' });
  assert.equal((await shop.messages()).length, 0);

  const answers = await Promise.all(Array.from({ length: 8 },
    () => page.post(body)));
  assert.deepEqual(answers.map((a) => a.status), Array(8).fill(200));
  // The same message in another body, and twice in one.
  const again = fb.from(USER, { message: { mid: 'm_fbS0000000002', text: 'x' } });
  await page.events(again, again);
  assert.equal((await shop.messages()).length, 1);
  assert.equal(await shop.one(
    "SELECT count(*) FROM events WHERE type = 'new_message'"), 1);
});

test('an agent who types and reads is seen to', async () => {
  const acts = () => fb.calls.flatMap((c) => c.body.sender_action ?? []);
  shop.worker();
  const mid = await page.says(USER, 'hello?');
  await until(() => shop.one(`SELECT id FROM messages WHERE external_id = '${mid}'`));
  await shop.agentSays(USER, 'one moment');
  const as = (path, body) => shop.call('api.fcgi', 'POST', path, { body,
    headers: { Authorization: `Bearer ${shop.agent}` } });
  const c = await shop.conversation(USER);
  assert.equal((await as(`/api/conversations/${c}/typing`, { typing: true })).status, 200);
  await until(() => acts().includes('typing_on'));
  await until(() => acts().includes('typing_off')); // nobody renewed it
  await page.says(USER, 'and?');
  const newest = await until(() => shop.one(
    "SELECT max(id) FROM messages WHERE content = 'and?'"));
  assert.equal((await as(`/api/conversations/${c}/read`,
    { message_id: String(newest) })).status, 200);
  await until(() => acts().includes('mark_seen'));
  assert.equal(acts().filter((a) => a === 'mark_seen').length, 1);
});

test('an answer goes out once, is echoed, delivered and read', async () => {
  fb.profiles[USER] = { first_name: 'An', last_name: 'Nguyễn',
    profile_pic: 'https://p.example/a.jpg' };
  shop.worker();
  await page.says(USER, 'Còn size M không ạ?');
  const id = await shop.agentSays(USER, 'Dạ còn ạ 👕');
  await shop.reaches(id, 'sent');
  assert.deepEqual(texts(), ['Dạ còn ạ 👕']);
  assert.equal(fb.sent[0].to, USER);
  assert.equal(fb.sent[0].message.metadata, `parley:${await shop.one(
    `SELECT id FROM deliveries WHERE message_id = ${id}`)}`);
  await page.events(fb.echo(fb.sent[0]));
  assert.equal((await shop.messages()).length, 2);

  await page.events(fb.from(USER, { delivery: { mids: [fb.sent[0].id],
    watermark: Date.now() } }));
  await shop.reaches(id, 'delivered');
  await page.events(fb.from(USER, { read: { watermark: Date.now() } }));
  await shop.reaches(id, 'read');
  await page.events(fb.from(USER, { delivery: { watermark: Date.now() } }));
  assert.equal(await shop.status(id), 'read');

  // Somebody answers in Meta's inbox, another application owns the thread.
  await page.events({ sender: { id: fb.pageId }, recipient: { id: USER },
    timestamp: Date.now(), message: { mid: 'm_inbox', is_echo: true,
      app_id: 263902037430900, text: 'from the inbox' } });
  const [row] = await shop.messages("m.external_id = 'm_inbox'");
  assert.equal(row.type, 'outgoing');
  assert.equal(row.sender_kind, 'agent');
  await until(() => shop.one("SELECT 1 FROM customers WHERE name = 'An Nguyễn'"));
  assert.equal(await shop.one('SELECT avatar_url FROM customers'),
    'https://p.example/a.jpg');
  assert.equal(sends(), 1);
});

test('lost answers: unknown, not repeated, settled by an echo that names them', async () => {
  await shop.set({ platform_total_ms: 1500 });
  shop.worker();
  await page.says(USER, 'hi');
  for (const how of [{ drop: true }, { truncate: true }, { hang: true },
    { status: 502 }]) {
    fb.script('message', how);
    const calls = sends();
    const id = await shop.agentSays(USER, `lost ${Object.keys(how)}`);
    await shop.reaches(id, 'unknown');
    assert.equal(sends(), calls + 1);
    assert.match(await error(id), /no answer/);
    if (how.status !== undefined)
      continue;
    // What Facebook made of the text does not matter.
    const echo = fb.echo(fb.sent.at(-1));
    echo.message.text += ' ';
    await page.events(echo);
    await shop.reaches(id, 'sent');
    assert.equal(await shop.one(`SELECT external_id FROM messages
      WHERE id = ${id}`), fb.sent.at(-1).id);
  }
  assert.equal((await outgoing()).length, 4);
});

test('an echo that overtakes the answer leaves one message', async () => {
  shop.worker();
  await page.says(USER, 'hi');
  fb.script('message', { hold: true });
  const id = await shop.agentSays(USER, 'overtaken');
  await fb.until((f) => f.sent.length === 1);
  // The customer has read it before we know that it was taken.
  await page.events(fb.from(USER, { read: { watermark: Date.now() } }));
  await page.events(fb.echo(fb.sent[0]));
  fb.release();
  await shop.reaches(id, 'read');
  assert.equal(await shop.one(
    `SELECT external_id FROM messages WHERE id = ${id}`), fb.sent[0].id);
  const next = await shop.agentSays(USER, 'and on');
  await shop.reaches(next, 'sent');
  assert.equal((await outgoing()).length, 2);
  assert.equal(sends(), 2);
});

test('what is refused: for now, for good, and with an error in a 200', async () => {
  shop.worker();
  await page.says(USER, 'hi');
  fb.script('message', { error: 2, code: 500 }, { error: 1200 }, { error: 1 });
  await shop.reaches(await shop.agentSays(USER, 'at last'), 'sent');
  assert.equal(sends(), 4);
  // An unknown error is tried again, but not the second one.
  fb.script('message', { error: 1, code: 200 }, { error: 2 },
    { error: 1, message: 'still unknown' });
  const again = await shop.agentSays(USER, 'once more');
  await shop.reaches(again, 'failed');
  assert.equal(await error(again), 'refused: still unknown');
  assert.equal(sends(), 7);
  for (const [step, said] of [
    [{ error: 10, subcode: 2018278, message: 'outside of allowed window' },
      'window_closed: outside of allowed window'],
    [{ error: 551, message: 'not available', code: 200 },
      'refused: not available'],
    [{ error: 100, subcode: 2018001, message: 'No matching user found' },
      'refused: No matching user found'],
    [{ status: 404 }, 'refused: http 404']]) {
    fb.script('message', step);
    const id = await shop.agentSays(USER, 'no');
    await shop.reaches(id, 'failed');
    assert.equal(await error(id), said);
  }
  assert.deepEqual(texts(), ['at last']);
});

test('a rate limit holds the account, a minute or as long as it says', async () => {
  shop.worker();
  await page.says(USER, 'hi');
  const due = (id) => until(() => shop.one(`SELECT due_at FROM deliveries
    WHERE message_id = ${id} AND state = 'queued' AND tries = 1`));
  const hold = () => shop.one('SELECT hold_until FROM channels WHERE id = '
    + page.channel);
  const before = Date.now();
  fb.script('message', { status: 429 });
  const id = await shop.agentSays(USER, 'too fast');
  assert.ok(await due(id) >= before + 60_000);
  assert.ok(await hold() >= before + 60_000);
  await page.says('7310000000000022', 'hi');
  const other = await shop.agentSays('7310000000000022', 'waits, too');
  await pause(500);
  assert.equal(await shop.status(other), 'queued');
  assert.equal(sends(), 1);
});

test('Retry-After is heeded', async () => {
  shop.worker();
  await page.says(USER, 'hi');
  const before = Date.now();
  fb.script('message', { error: 613, headers: { 'Retry-After': '90' } });
  const id = await shop.agentSays(USER, 'too fast');
  assert.ok(await until(() => shop.one(`SELECT due_at FROM deliveries
    WHERE message_id = ${id} AND state = 'queued' AND tries = 1`))
    >= before + 90_000);
});

test('a refused token stops the account, and is in no log', async () => {
  await page.says(USER, 'hi');
  const id = await shop.agentSays(USER, 'waits');
  const secret = fb.token;
  fb.token = 'another-token';
  const work = spawn(join(build, 'parley'), ['work', '--once', '--conf',
    shop.conf], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  work.stdout.on('data', (d) => { log += d; });
  work.stderr.on('data', (d) => { log += d; });
  await new Promise((go) => work.once('close', go));
  assert.equal(await shop.one(
    `SELECT state FROM channels WHERE id = ${page.channel}`), 'reauth');
  assert.equal(await shop.status(id), 'queued');
  assert.match(log, /channel refused/);
  assert.equal(await shop.one(
    `SELECT state_text FROM channels WHERE id = ${page.channel}`),
  'Malformed access token ***');
  assert.doesNotMatch(log, new RegExp(`${secret}|access_token`));
  const everything = await exec('sqlite3', ['-readonly', shop.db, '.dump']);
  assert.equal(everything.stdout.split(secret).length, 2); // among secrets
  assert.doesNotMatch(await shop.parley('check').catch((e) => e.stdout),
    new RegExp(secret));

  await shop.parley('channel', 'set', '--id', page.channel,
    '--set', 'page_token=another-token');
  shop.worker();
  await shop.reaches(id, 'sent');
});

test('a token is in no log when the API cannot be reached', async () => {
  await page.says(USER, 'hi');
  await shop.agentSays(USER, 'nowhere');
  const secret = fb.token;
  await fb.close();
  const work = spawn(join(build, 'parley'), ['work', '--once', '--conf',
    shop.conf], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  work.stdout.on('data', (d) => { log += d; });
  work.stderr.on('data', (d) => { log += d; });
  await new Promise((go) => work.once('close', go));
  assert.match(log, /delivery/);
  assert.doesNotMatch(log, new RegExp(`${secret}|access_token`));
  fb = await startFacebook();
});

test('windows: asked after a day, as a person for a week, then not', async () => {
  shop.worker();
  await page.says(USER, 'hi');
  await turnBack(USER, 25 * HOUR);
  fb.script('message', { error: 10, subcode: 2018278, message: 'outside' });
  const asked = await shop.agentSays(USER, 'after a day');
  await shop.reaches(asked, 'failed');
  assert.equal(await error(asked), 'window_closed: outside');
  assert.equal(sends(), 1);
  await shop.parley('channel', 'set', '--id', page.channel,
    '--set', 'human_agent=1');
  const person = await shop.agentSays(USER, 'as a person');
  await shop.reaches(person, 'sent');
  assert.equal(fb.sent[0].tag, 'HUMAN_AGENT');
  await turnBack(USER, 7 * 24 * HOUR + 60_000);
  const late = await shop.agentSays(USER, 'after a week');
  await shop.reaches(late, 'failed');
  assert.equal(await error(late), 'window_closed');
  assert.equal(sends(), 2);
});

test('two pages of one application keep to themselves', async () => {
  const second = await startFacebook({ pageId: '104857600000002',
    token: 'second-token' });
  try {
    const other = await MetaSide.connect(shop, 'facebook', 'fb', second,
      { ...account, page_id: second.pageId, page_token: second.token });
    shop.worker();
    await Promise.all([page.says('11', 'to the first'),
      other.says('22', 'to the second')]);
    // The application has one address: each takes its own out of what comes,
    // and what neither has, or what another secret signed, nobody.
    const body = second.body(second.from('22',
      { message: { mid: 'm_x', text: 'by the other address' } }));
    assert.equal((await page.post(body)).status, 200);
    assert.equal((await page.post(body)).status, 200);
    const both = JSON.parse(fb.body(fb.from('11',
      { message: { mid: 'm_b1', text: 'one of two' } })));
    both.entry.push(...JSON.parse(second.body(second.from('22',
      { message: { mid: 'm_b2', text: 'two of two' } }))).entry,
    { ...both.entry[0], id: '99' });
    assert.equal((await other.post(Buffer.from(
      JSON.stringify(both)))).status, 200);
    await shop.parley('channel', 'set', '--id', other.channel,
      '--set', 'app_secret=another');
    assert.equal((await page.post(second.body(second.from('22',
      { message: { mid: 'm_z', text: 'proves nothing' } })))).status, 200);
    await shop.parley('channel', 'set', '--id', other.channel,
      '--set', `app_secret=${account.app_secret}`);
    assert.deepEqual((await shop.sql(`SELECT channel_id || ' ' || content AS t
      FROM messages ORDER BY id`)).map((m) => m.t),
    [...await shop.sql(`SELECT channel_id || ' ' || content AS t
      FROM messages WHERE content LIKE 'to the %' ORDER BY id`)]
      .map((m) => m.t).concat([
        `${other.channel} by the other address`,
        `${other.channel} two of two`, `${page.channel} one of two`]));
    const ids = [];
    for (let i = 0; i < 4; i++) {
      ids.push(await shop.agentSays('11', `first ${i}`));
      ids.push(await shop.agentSays('22', `second ${i}`));
    }
    for (const id of ids)
      await shop.reaches(id, 'sent');
    assert.deepEqual(texts(), [0, 1, 2, 3].map((i) => `first ${i}`));
    assert.deepEqual(second.sent.map((m) => m.text),
      [0, 1, 2, 3].map((i) => `second ${i}`));
    // Another account's echo may say any number: it settles nothing here.
    fb.script('message', { drop: true });
    const lost = await shop.agentSays('11', 'lost');
    await fb.until((f) => f.sent.length === 5);
    const echo = second.echo({ ...fb.sent[4], to: '22', id: 'm_y' });
    await other.events(echo);
    await shop.reaches(lost, 'unknown');
    assert.deepEqual(second.faults, []);
  } finally {
    await second.close();
  }
});
