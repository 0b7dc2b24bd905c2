// TikTok: messages in, answers out.  There is no key against doubles, so what
// is lost stays unknown until TikTok's echo settles it.  The platform is the
// strict stand-in: each test ends by asking it whether anything was not as
// documented.
import { test, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { PATIENT, Shop, pause, sample, sampleJson, until } from './lib/shop.js';
import { startTiktok } from '../standin/tiktok.js';

const BUSINESS = '-000sAmPlEbUsInEsSoPeNiD_0001';
let tiktok, shop, channel, account;

beforeEach(async () => {
  tiktok = await startTiktok();
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, echo_wait_s: 1,
    backoff_percent: 2 });
  const { accounts } = await sampleJson('signatures.json');
  const { channel: platform, ...own } = accounts.tiktok;
  account = { ...own, api_base: tiktok.url };
  channel = await shop.connect(platform, account);
});
afterEach(async () => {
  const faults = tiktok?.faults;
  await shop?.close();
  await tiktok?.close();
  assert.deepEqual(faults, []);
});

function sign(body, { at = Math.floor(Date.now() / 1000),
  secret = account.app_secret } = {}) {
  const mac = createHmac('sha256', secret).update(`${at}.`).update(body);
  return `t=${at},s=${mac.digest('hex')}`;
}

function hook(what, { id = channel, signature, ...options } = {}) {
  const body = Buffer.isBuffer(what) ? what : Buffer.from(JSON.stringify(what));
  const sig = signature === undefined ? sign(body, options) : signature;
  return shop.call('webhook.fcgi', 'POST', `/webhooks/tiktok/${id}`, { body,
    headers: sig === null ? {} : { 'Tiktok-Signature': sig } });
}

// Conversations are called as their customer, with what must be encoded.
const thread = (who) => `${who}+/==`;
let n = 0;
async function event(name, content, { business = BUSINESS, ...options } = {}) {
  const got = await hook({ client_key: account.app_id, event: name,
    create_time: Math.floor(Date.now() / 1000), user_openid: business,
    content: JSON.stringify({ timestamp: Date.now(), ...content }) }, options);
  assert.equal(got.status, 200);
}
const says = (who, text, options = {}) => event('im_receive_msg',
  { conversation_id: thread(who), message_id: `in${++n}==`,
    from_user: { id: who }, to_user: { id: options.business ?? BUSINESS },
    from: `@${who}`, type: 'text', text: { body: text } }, options);
const echo = (who, id, text, source = 'API') => event('im_send_msg',
  { conversation_id: thread(who), message_id: id, from_user: { id: BUSINESS },
    to_user: { id: who }, to: `@${who}`, message_tag: { source },
    type: 'text', text: { body: text } });
const answers = (who, text, more) => shop.agentSays(thread(who), text, more);
const sends = () => tiktok.calls.filter((c) => c.name === 'message').length;
const error = (id) => shop.one(`SELECT error FROM messages WHERE id = ${id}`);

test('the samples are stored as expected, and once', async () => {
  const expected = await sampleJson('expected.json');
  const { files } = await sampleJson('signatures.json');
  const names = Object.keys(expected).filter((f) => f.startsWith('tiktok-'));
  assert.equal(names.length, 12);
  // The samples' own proofs are of another day.
  const old = await sample('tiktok-text.json');
  assert.equal((await hook(old, { signature:
    files['tiktok-text.json']['Tiktok-Signature'] })).status, 401);
  for (const name of names) {
    const before = new Set((await shop.messages()).map((r) => r.id));
    assert.equal((await hook(await sample(name))).status, 200, name);
    const rows = (await shop.messages()).filter((r) => !before.has(r.id));
    assert.deepEqual(rows.map((r) => ({ id: r.external_id, kind: r.kind,
      text: r.content, conversation: r.conversation, type: r.type })),
    expected[name].stored.map((m) => ({ id: m.message_id, kind: m.kind,
      text: m.text ?? '', conversation: m.conversation,
      type: m.direction === 'in' ? 'incoming' : 'outgoing' })), name);
  }
  const [tapped] = await shop.messages("m.external_id = 'ttS_msg_0006=='");
  assert.equal(JSON.parse(tapped.payload).payload, 'opt_doi_size');
});

test('forged and stale ones leave nothing, the same one many times is there once', async () => {
  const body = await sample('tiktok-image.json');
  const now = Math.floor(Date.now() / 1000);
  const refused = async (status, what, options) =>
    assert.equal((await hook(what, options)).status, status);
  await refused(401, body, { signature: null });
  await refused(401, body, { signature: sign(body).replace('s=', 'x=') });
  await refused(401, body, { secret: 'another' });
  await refused(401, body, { at: now - 330 });
  await refused(401, body, { at: now + 330 });
  await refused(401, body.subarray(1), { signature: sign(body) });
  await refused(400, Buffer.from('{'));
  const got = await shop.call('webhook.fcgi', 'GET',
    `/webhooks/tiktok/${channel}?challenge=aB-_9`);
  assert.deepEqual([got.status, got.text], [200, 'aB-_9']);
  // Another account of the same app is none of ours; nor is what is no JSON.
  await event('im_receive_msg', {}, { business: 'other' });
  await refused(200, { event: 'im_receive_msg', user_openid: BUSINESS,
    content: '{' });
  assert.equal((await shop.messages()).length, 0);

  const all = await Promise.all(Array.from({ length: 8 }, () => hook(body)));
  assert.deepEqual(all.map((r) => r.status), Array(8).fill(200));
  assert.equal((await shop.messages()).length, 1);
});

test('an answer goes out once, is echoed and read', async () => {
  tiktok.participants[thread('c1')] = [{ role: 'PERSONAL_ACCOUNT', id: 'c1',
    display_name: 'Hoa 🌸', profile_image: 'https://p16.example/a.webp' }];
  shop.worker();
  await says('c1', 'Còn hàng không?');
  const id = await answers('c1', 'Dạ còn ạ 🎉');
  await shop.reaches(id, 'sent');
  assert.deepEqual(tiktok.sent.map((m) => [m.to, m.text]),
    [[thread('c1'), 'Dạ còn ạ 🎉']]);
  await echo('c1', tiktok.sent[0].id, 'Dạ còn ạ 🎉');
  assert.equal((await shop.messages()).length, 2);
  await event('im_mark_read_msg', { conversation_id: thread('c1'),
    from_user: { id: 'c1' }, read: { last_read_timestamp: Date.now() + 60000 } });
  await shop.reaches(id, 'read');
  // A colleague writes on the phone.
  await echo('c1', 'ttC1==', 'từ điện thoại', 'APP');
  const [row] = await shop.messages("m.external_id = 'ttC1=='");
  assert.equal(row.type, 'outgoing');
  await until(() => shop.one(`SELECT id FROM customers WHERE name LIKE 'Hoa%'
    OR name = '@c1'`));
  await pause(200);
  assert.equal(tiktok.sent.length, 1);
});

test('lost answers: unknown, not repeated, settled by an echo', async () => {
  const ways = [{ drop: true }, { truncate: true }, { hang: true },
    { status: 500 }, { status: 200, body: '{}' }, { error: 50000 }];
  const lost = {};
  tiktok.script('message', ...ways);
  for (let i = 0; i < ways.length; i++) {
    await says(`l${i}`, 'hi');
    lost[`lost ${i}`] = await answers(`l${i}`, `lost ${i}`);
  }
  await shop.set({ platform_total_ms: 1500 });
  const worker = shop.worker();
  for (const id of Object.values(lost)) {
    await shop.reaches(id, 'unknown');
    assert.match(await error(id), /no answer/);
  }
  assert.equal(sends(), ways.length);
  assert.equal(tiktok.sent.length, 3);
  for (const { id, to, text } of tiktok.sent) {
    await echo(to.slice(0, 2), id, text);
    await shop.reaches(lost[text], 'sent');
  }
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, ways.length);

  // The echo comes before the answer, with or without one.
  worker.kill('SIGTERM');
  assert.equal(await worker.ended, 0);
  await shop.set(PATIENT);
  shop.worker();
  await says('c2', 'hi');
  for (const cut of [false, true]) {
    tiktok.script('message', { hold: true });
    const text = `overtaken ${cut}`;
    const id = await answers('c2', text);
    await tiktok.until((t) => t.sent.some((m) => m.text === text));
    await echo('c2', tiktok.sent.at(-1).id, text);
    if (cut)
      tiktok.server.closeAllConnections();
    else
      tiktok.release();
    await shop.reaches(id, 'sent');
    await until(async () => (await shop.messages(
      `m.content = '${text}'`)).length === 1);
  }
});

test('what was taken without an id gets it from the echo', async () => {
  shop.worker();
  await says('c2', 'hi');
  for (const first of [false, true]) {
    tiktok.script('message', { noId: true, hold: first });
    const text = `nameless ${first}`;
    const id = await answers('c2', text, { quick_replies: [{ title: 'M' }] });
    await tiktok.until((t) => t.sent.some((m) => m.text === `${text}\n- M`));
    const tell = () => echo('c2', tiktok.sent.at(-1).id, `${text}\n- M`);
    if (first)
      await tell();
    tiktok.release();
    await shop.reaches(id, 'sent');
    if (!first)
      await tell();
    await until(async () => await shop.one(`SELECT external_id FROM messages
      WHERE id = ${id}`) === tiktok.sent.at(-1).id);
  }
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, 2);
});

test('rates, refusals and what a setting makes of them', async () => {
  shop.worker();
  await says('c3', 'hi');
  for (const [code, want] of [[40064, 'blocked_by_dm_rules: no'],
    [40002, 'refused: no'], [40908, 'refused: no']]) {
    tiktok.script('message', { error: code, message: 'no' });
    const id = await answers('c3', `code ${code}`);
    await shop.reaches(id, 'failed');
    assert.equal(await error(id), want);
  }
  // Refused for now: again, once.
  tiktok.script('message', { error: 51065 });
  await shop.reaches(await answers('c3', 'second time'), 'sent');
  await shop.parley('channel', 'set', '--id', channel,
    '--set', 'error_class=40064=retryable');
  tiktok.script('message', { error: 40064 });
  await shop.reaches(await answers('c3', 'by the setting'), 'sent');
  await assert.rejects(shop.parley('channel', 'set', '--id', channel,
    '--set', 'error_class=40064=later'));
  assert.deepEqual(tiktok.sent.map((m) => m.text),
    ['second time', 'by the setting']);

  tiktok.script('message', { error: 40100, headers: { 'Retry-After': '90' } });
  const before = Date.now();
  const id = await answers('c3', 'too fast');
  const due = await until(() => shop.one(`SELECT due_at FROM deliveries
    WHERE message_id = ${id} AND state = 'queued' AND tries = 1`));
  assert.ok(due >= before + 90_000, `due in ${due - before} ms`);
  assert.ok(await shop.one(`SELECT hold_until FROM channels
    WHERE id = ${channel}`) >= before + 90_000);
});

test('ten answers within two days; what is past that, TikTok decides', async () => {
  shop.worker();
  await says('c4', 'hi');
  const c = await shop.conversation(thread('c4'));
  const window = async () => (await shop.call('api.fcgi', 'GET',
    `/api/conversations/${c}`, { headers: {
      Authorization: `Bearer ${shop.agent}` } })).json.reply_window;
  let id;
  for (let i = 1; i <= 10; i++)
    id = await answers('c4', `answer ${i}`);
  await shop.reaches(id, 'sent');
  assert.equal(tiktok.sent.length, 10);
  assert.deepEqual(await window().then((w) => [w.state, w.free_left]),
    ['closed', 0]);
  tiktok.script('message', { error: 40064, message: 'You are too fast' });
  id = await answers('c4', 'the eleventh');
  await shop.reaches(id, 'failed');
  assert.equal(await error(id), 'blocked_by_dm_rules: You are too fast');

  await says('c4', 'still there?');
  assert.deepEqual(await window().then((w) => [w.state, w.free_left]),
    ['open', 10]);
  await shop.reaches(await answers('c4', 'yes'), 'sent');
});

test('a refused token is renewed once, by two workers, half an hour early', async () => {
  tiktok.accessToken = 'another';
  const ids = [];
  for (const who of ['c5', 'c6', 'c7', 'c8']) {
    await says(who, 'hi');
    ids.push(await answers(who, `to ${who}`));
  }
  tiktok.script('token', { after: 300 });
  tiktok.lifeS = 1799;
  shop.worker();
  shop.worker();
  for (const id of ids)
    await shop.reaches(id, 'sent');
  const kept = async () => JSON.parse(await shop.one(
    `SELECT secrets FROM channels WHERE id = ${channel}`));
  assert.equal((await kept()).tiktok_refresh_token, tiktok.refreshToken);
  assert.equal((await kept()).tiktok_access_token, tiktok.accessToken);

  // With less than half an hour left it is renewed before it is refused.
  const refused = sends() - tiktok.sent.length, before = tiktok.refreshes;
  tiktok.lifeS = 86400;
  await shop.reaches(await answers('c5', 'in time'), 'sent');
  assert.equal(tiktok.refreshes, before + 1);
  assert.equal(sends() - tiktok.sent.length, refused);
  await shop.reaches(await answers('c5', 'and on'), 'sent');
  assert.equal(tiktok.refreshes, before + 1);

  // No way to a new one: agents are told, what waits goes out when mended.
  tiktok.accessToken = tiktok.refreshToken = 'elsewhere';
  const id = await answers('c6', 'later');
  await until(() => shop.one(`SELECT 1 FROM channels WHERE id = ${channel}
    AND state = 'reauth'`));
  tiktok.accessToken = 'mended';
  await shop.parley('channel', 'set', '--id', channel,
    '--set', 'access_token=mended', '--set', 'refresh_token=new');
  await shop.reaches(id, 'sent');
  assert.equal(tiktok.sent.filter((m) => m.text === 'later').length, 1);
});

test('two accounts at once keep to their own', async () => {
  const second = await startTiktok({ businessId: 'other', accessToken: 'act.2' });
  try {
    const id = await shop.connect('tiktok', { ...account, business_id: 'other',
      api_base: second.url, access_token: 'act.2' }, 'Other');
    shop.worker();
    await says('c9', 'to the first');
    await says('d9', 'to the second', { business: 'other', id });
    const ids = [];
    for (let i = 0; i < 6; i++)
      ids.push(await answers(i % 2 ? 'd9' : 'c9', `answer ${i}`));
    for (const one of ids)
      await shop.reaches(one, 'sent');
    assert.deepEqual(tiktok.sent.map((m) => m.text),
      ['answer 0', 'answer 2', 'answer 4']);
    assert.deepEqual(second.sent.map((m) => m.text),
      ['answer 1', 'answer 3', 'answer 5']);
    assert.deepEqual(second.faults, []);
  } finally {
    await second.close();
  }
});
