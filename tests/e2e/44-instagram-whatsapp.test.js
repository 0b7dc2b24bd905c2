// Instagram and WhatsApp, where they are not like Messenger: what comes in,
// goes out, is lost, refused and read.  Each test ends by asking the strict
// stand-ins whether anything was not as the documents say.
import { test, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { PATIENT, Shop, sample, until } from './lib/shop.js';
import { MetaSide } from './lib/meta.js';
import { startInstagram } from '../standin/facebook.js';
import { startWhatsapp } from '../standin/whatsapp.js';

const IGU = '6841100000000001', WAU = '84900000002';
let ig, wa, shop, insta, whats;

beforeEach(async () => {
  ig = await startInstagram();
  wa = await startWhatsapp();
  shop = await Shop.open({ ...PATIENT, worker_poll_ms: 50, echo_wait_s: 1,
    backoff_percent: 1 });
  insta = await MetaSide.connect(shop, 'instagram', 'ig', ig,
    { account_id: ig.pageId, app_secret: 'ig-secret', token: ig.token });
  whats = await MetaSide.connect(shop, 'whatsapp', 'wa', wa,
    { phone_number_id: wa.numberId, app_secret: 'wa-secret',
      token: wa.token });
});
afterEach(async () => {
  const faults = [...ig?.faults ?? [], ...wa?.faults ?? []];
  await shop?.close();
  await ig?.close();
  await wa?.close();
  assert.deepEqual(faults, []);
});

const sends = (api) => api.calls.filter((c) => c.name === 'message').length;
const error = (id) => shop.one(`SELECT error FROM messages WHERE id = ${id}`);
const says = (text) => wa.from(WAU, { type: 'text', text: { body: text } });

async function whatsapp(value) {
  assert.equal((await whats.post(wa.body(value))).status, 200);
}

test('the samples are stored, once, and by nobody else', async () => {
  for (const [side, name, other] of [[insta, 'instagram-text.json', whats],
    [whats, 'whatsapp-text.json', insta]]) {
    const body = await sample(name);
    const answers = await Promise.all(Array.from({ length: 4 },
      () => side.post(body)));
    assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 200]);
    assert.equal((await side.post(body, { signature: null })).status, 401);
    // Well signed, but of another platform.
    assert.equal((await other.post(body)).status, 200);
  }
  const rows = await shop.messages();
  assert.deepEqual(rows.map((r) => [r.external_id, r.content, r.conversation]),
    [['aWdfZG1fMDAwMQ', 'Mẫu này còn không ạ ✨', IGU],
      ['wamid.SAMPLE0001', 'Xin chào 👋', WAU]]);
  const verify = async (side, token) => shop.call('webhook.fcgi', 'GET',
    `${side.path}?hub.mode=subscribe&hub.challenge=42&hub.verify_token=${token}`);
  for (const [side, key] of [[insta, 'ig'], [whats, 'wa']]) {
    // Made up when the channel was added.
    const token = JSON.parse(await shop.one(`SELECT secrets FROM channels
      WHERE id = ${side.channel}`))[`${key}_verify_token`];
    assert.equal((await verify(side, token)).text, '42');
    assert.equal((await verify(side, 'x')).status, 403);
  }
});

test('Instagram: answers go out once, in parts, and are read', async () => {
  ig.profiles[IGU] = { name: 'Lan', username: 'lan.shop' };
  shop.worker();
  await insta.says(IGU, 'hi');
  const id = await shop.agentSays(IGU, 'Dạ còn ạ ✨');
  await shop.reaches(id, 'sent');
  await insta.events(ig.echo(ig.sent[0]));
  await insta.events(ig.from(IGU, { read: { mid: ig.sent[0].id } }));
  await shop.reaches(id, 'read');
  await until(() => shop.one("SELECT 1 FROM customers WHERE name = 'Lan'"));

  const thai = 'สวัสดีค่ะ '.repeat(60).trim();
  await shop.reaches(await shop.agentSays(IGU, thai), 'sent');
  assert.ok(ig.sent.length > 2);
  assert.equal(ig.sent.slice(1).map((m) => m.text).join(' '), thai);

  // A lost answer is found by its text: the echo names nothing.
  ig.script('message', { drop: true });
  const lost = await shop.agentSays(IGU, 'lost and found');
  await shop.reaches(lost, 'unknown');
  await insta.events(ig.echo(ig.sent.at(-1)));
  await shop.reaches(lost, 'sent');
  ig.script('message', { error: 10, subcode: 2534022, code: 403,
    message: 'outside' });
  const late = await shop.agentSays(IGU, 'late');
  await shop.reaches(late, 'failed');
  assert.equal(await error(late), 'window_closed: outside');
  assert.equal((await shop.messages("m.type = 'outgoing'")).length, 4);
});

test('WhatsApp: answers go out once, quote, and are delivered and read', async () => {
  shop.worker();
  const first = says('còn không ạ');
  await whatsapp(first);
  const [row] = await shop.messages();
  const id = await shop.agentSays(WAU, 'Dạ còn', { reply_to: String(row.id) });
  await shop.reaches(id, 'sent');
  assert.equal(wa.sent[0].message.context.message_id, first.messages[0].id);
  // Never in order, and never back.
  await whatsapp(wa.status(wa.sent[0], 'read'));
  await shop.reaches(id, 'read');
  await whatsapp(wa.status(wa.sent[0], 'sent'));
  await whatsapp(wa.status(wa.sent[0], 'delivered'));
  await whatsapp(wa.status(wa.sent[0], 'failed', { errors: [{ code: 131047 }] }));
  assert.equal(await shop.status(id), 'read');

  // A refused quote: once more without it.
  wa.script('message', { error: 131009 });
  const bare = await shop.agentSays(WAU, 'bare', { reply_to: String(row.id) });
  await shop.reaches(bare, 'sent');
  assert.equal(wa.sent[1].message.context, undefined);
  assert.equal(sends(wa), 3);
});

test('WhatsApp: a receipt before the answer, and answers that are lost', async () => {
  shop.worker();
  await whatsapp(says('hi'));
  wa.script('message', { hold: true });
  const id = await shop.agentSays(WAU, 'quick reader');
  await wa.until((w) => w.sent.length === 1);
  await whatsapp(wa.status(wa.sent[0], 'read'));
  wa.release();
  await shop.reaches(id, 'read');
  for (const how of [{ drop: true }, { truncate: true }, { status: 500 }]) {
    wa.script('message', how);
    const calls = sends(wa);
    const lost = await shop.agentSays(WAU, `lost ${Object.keys(how)}`);
    await shop.reaches(lost, 'unknown');
    assert.equal(sends(wa), calls + 1);
  }
});

test('WhatsApp: refused for now, for good, and for its token', async () => {
  shop.worker();
  await whatsapp(says('hi'));
  wa.script('message', { error: 131016, code: 500 }, { error: 131000 },
    { error: 131000 });
  const id = await shop.agentSays(WAU, 'no');
  await shop.reaches(id, 'failed');
  wa.script('message', { error: 131047, message: 'Re-engagement' });
  const late = await shop.agentSays(WAU, 'late');
  await shop.reaches(late, 'failed');
  assert.equal(await error(late), 'window_closed: Re-engagement');
  assert.equal(wa.sent.length, 0);

  const before = Date.now();
  wa.script('message', { error: 130429, headers: { 'Retry-After': '70' } });
  const slow = await shop.agentSays(WAU, 'slow down');
  assert.ok(await until(() => shop.one(`SELECT hold_until FROM channels
    WHERE id = ${whats.channel} AND hold_until > 0`)) >= before + 70_000);
  assert.equal(await shop.status(slow), 'queued');
  // The other account does not wait.
  await insta.says(IGU, 'hi');
  await shop.reaches(await shop.agentSays(IGU, 'at once'), 'sent');
});

test('WhatsApp: a refused token stops the account until it has a new one', async () => {
  shop.worker();
  await whatsapp(says('hi'));
  wa.token = 'another';
  const id = await shop.agentSays(WAU, 'waits');
  await until(async () => await shop.one(`SELECT state FROM channels
    WHERE id = ${whats.channel}`) === 'reauth');
  assert.equal(await shop.status(id), 'queued');
  await shop.parley('channel', 'set', '--id', whats.channel,
    '--set', 'token=another');
  await shop.reaches(id, 'sent');
  assert.deepEqual(wa.sent.map((m) => m.text), ['waits']);
});
