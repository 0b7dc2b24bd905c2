// What an agent uploads reaches each platform in the way that this one wants:
// by an address that it fetches, or up from our disk.  The platforms are the
// strict stand-ins.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { Shop, until, sampleJson } from './lib/shop.js';
import { MetaSide } from './lib/meta.js';
import { png, jpeg, mp4, mp3, pdf } from './lib/files.js';
import { startCustom, signed } from '../standin/custom.js';
import { startFacebook, startInstagram } from '../standin/facebook.js';
import { startLine } from '../standin/line.js';
import { startTelegram, TOKEN } from '../standin/telegram.js';
import { startTiktok } from '../standin/tiktok.js';
import { startWhatsapp } from '../standin/whatsapp.js';

const BASE = 'https://chat.example';
const hmac = (secret, body, form) =>
  createHmac('sha256', secret).update(body).digest(form);

const FILES = { jpeg: ['hình đẹp.jpg', jpeg({ width: 40, height: 30 })],
  png: ['a.png', png({ width: 8, height: 8 })],
  gif: ['b.gif', Buffer.from('GIF89a\x10\0\x10\0\0\0\0;', 'latin1')],
  mp4: ['phim.mp4', mp4(300000)], mp3: ['c.mp3', mp3(3000)],
  pdf: ['d "e".pdf', pdf()], txt: ['f.txt', Buffer.from('chữ\n')] };

async function post(shop, url, headers, body) {
  const got = await shop.call('webhook.fcgi', 'POST', url, { body, headers });
  assert.equal(got.status, 200, got.text);
}

// Meta's three take addresses; each says what became of a kind of file.
const page = (m) => [m.attachment.type, m.attachment.payload.url];
const meta = (prefix, start, settings, more) => ({ start, seen: (sent) => page(sent.message),
  async connect(shop, api) {
    const side = await MetaSide.connect(shop, prefix.platform, prefix.key, api,
      { app_secret: 's3cret', ...settings(api) });
    await side.says('7310000000000011', 'hi');
    return '7310000000000011';
  }, ...more });

const PLATFORMS = {
  facebook: meta({ platform: 'facebook', key: 'fb' }, startFacebook, (api) => ({
    page_id: api.pageId, app_id: '1', page_token: api.token, verify_token: 'v' }), {
    kinds: { jpeg: 'image', png: 'image', gif: 'image', mp4: 'video', mp3: 'audio', pdf: 'file',
      txt: 'file' } }),
  instagram: meta({ platform: 'instagram', key: 'ig' }, startInstagram, (api) => ({
    account_id: api.pageId, token: api.token }), {
    kinds: { jpeg: 'image', gif: 'image', mp4: 'video', mp3: 'audio', pdf: 'file' } }),
  whatsapp: { start: startWhatsapp,
    kinds: { jpeg: 'image', png: 'image', gif: 'document', mp4: 'video', mp3: 'audio',
      pdf: 'document', txt: 'document' },
    seen: ({ message }) => [message.type, message[message.type].link],
    async connect(shop, api) {
      const side = await MetaSide.connect(shop, 'whatsapp', 'wa', api,
        { phone_number_id: api.numberId, app_secret: 's3cret', token: api.token });
      assert.equal((await side.post(api.body(api.from('84900000002',
        { type: 'text', text: { body: 'hi' } })))).status, 200);
      return '84900000002';
    } },
  line: { start: startLine,
    kinds: { jpeg: 'image', png: 'image', gif: 'text', mp4: 'text', mp3: 'text', pdf: 'text' },
    seen: ({ messages: [m] }) => [m.type, m.originalContentUrl ?? m.text],
    async connect(shop, api) {
      const { channel, ...own } = (await sampleJson('signatures.json')).accounts.line;
      const id = await shop.connect(channel, { ...own, api_base: api.url, data_base: api.url });
      const who = `U${'1'.padStart(32, '0')}`, body = Buffer.from(JSON.stringify({
        destination: 'Uc0ffee00c0ffee00c0ffee00c0ffee00', events: [{ type: 'message',
          mode: 'active', timestamp: Date.now(), webhookEventId: 'w1', replyToken: 'rt1',
          deliveryContext: { isRedelivery: false }, source: { type: 'user', userId: who },
          message: { type: 'text', id: '530001', text: 'hi', quoteToken: 'q1' } }] }));
      await post(shop, `/webhooks/line/${id}`,
        { 'x-line-signature': hmac(own.channel_secret, body, 'base64') }, body);
      return who;
    } },
  tiktok: { start: startTiktok,
    kinds: { jpeg: 'IMAGE', png: 'IMAGE', gif: 'TEXT', mp4: 'TEXT', pdf: 'TEXT' },
    seen: ({ message: m }, api) => [m.message_type,
      m.image ? api.uploads.get(m.image.media_id) : m.text.body],
    async connect(shop, api) {
      const { channel, ...own } = (await sampleJson('signatures.json')).accounts.tiktok;
      const id = await shop.connect(channel, { ...own, api_base: api.url });
      const at = Math.floor(Date.now() / 1000), business = api.businessId;
      const body = Buffer.from(JSON.stringify({ client_key: own.app_id,
        event: 'im_receive_msg', create_time: at, user_openid: business,
        content: JSON.stringify({ timestamp: Date.now(), conversation_id: 'c1',
          message_id: 'in1==', from_user: { id: 'u1' }, to_user: { id: business },
          from: '@u1', type: 'text', text: { body: 'hi' } }) }));
      await post(shop, `/webhooks/tiktok/${id}`, { 'Tiktok-Signature':
        `t=${at},s=${hmac(own.app_secret, `${at}.${body}`, 'hex')}` }, body);
      return 'c1';
    } },
  telegram: { start: startTelegram,
    kinds: { jpeg: 'sendPhoto', png: 'sendPhoto', gif: 'sendAnimation', mp4: 'sendVideo',
      mp3: 'sendAudio', pdf: 'sendDocument', txt: 'sendDocument' },
    seen: ({ method, message: m }) => [method,
      (m.photo ?? m.animation ?? m.video ?? m.audio ?? m.document).bytes],
    async connect(shop, api) {
      const id = await shop.connect('telegram', { bot_token: TOKEN, secret: 'tg', api_base: api.url });
      await post(shop, `/webhooks/telegram/${id}`, { 'X-Telegram-Bot-Api-Secret-Token': 'tg' },
        Buffer.from(JSON.stringify({ update_id: 1, message: { message_id: 1,
          date: Math.floor(Date.now() / 1000), from: { id: 7, is_bot: false, first_name: 'Lan' },
          chat: { id: 7, type: 'private' }, text: 'hi' } })));
      return '7';
    } },
  custom: { start: startCustom,
    kinds: { jpeg: 'image', mp4: 'video', mp3: 'audio', pdf: 'file', txt: 'file' },
    seen: ({ message: m }) => [m.kind, m.media[0].url],
    async connect(shop, api) {
      const id = await shop.connect('custom', { secret: api.secret, out_url: `${api.url}/` });
      const body = Buffer.from(JSON.stringify({ event_id: 'e1', type: 'message',
        conversation_id: 'c1', user: { id: 'u1' }, sent_at: Date.now(),
        message: { id: 'm1', kind: 'text', text: 'hi' } }));
      const at = String(Math.floor(Date.now() / 1000));
      await post(shop, `/webhooks/custom/${id}`, { 'Content-Type': 'application/json',
        'X-Parley-Timestamp': at, 'X-Parley-Signature': signed(api.secret, at, body) }, body);
      return 'c1';
    } },
};

async function begin(t, platform, settings) {
  const api = await platform.start({});
  const shop = await Shop.open({ worker_poll_ms: 50, backoff_percent: 1,
    ...settings });
  t.after(async () => {
    await shop.close();
    await api.close();
  });
  const who = await platform.connect(shop, api);
  shop.worker();
  await until(() => shop.conversation(who));
  await shop.reaches(await shop.agentSays(who, 'here they are'), 'sent');
  return { api, shop, who };
}

async function uploaded(shop, [name, bytes]) {
  const got = await shop.call('media.fcgi', 'POST',
    `/api/uploads?name=${encodeURIComponent(name)}`,
    { body: bytes, headers: { Authorization: `Bearer ${shop.agent}` } });
  assert.equal(got.status, 201, got.text);
  // What everybody gets: without metadata.
  const { body } = await shop.call('media.fcgi', 'GET', got.json.url,
    { headers: { Authorization: `Bearer ${shop.agent}` } });
  return { id: got.json.id, bytes: body };
}

for (const [name, platform] of Object.entries(PLATFORMS))
  test(`${name}: files go out as what they are`, async (t) => {
    const { api, shop, who } = await begin(t, platform, { base_url: BASE });
    for (const [kind, as] of Object.entries(platform.kinds)) {
      const file = await uploaded(shop, FILES[kind]);
      const id = await shop.agentSays(who, '', { attachments: [file.id] });
      await shop.reaches(id, 'sent');
      const [type, got] = platform.seen(api.sent.at(-1), api);
      assert.equal(type, as, kind);
      if (typeof got !== 'string') {
        assert.ok(got.equals(file.bytes), kind);
        continue;
      }
      // Fetched as a platform does: by the address and nothing else.
      assert.ok(got.startsWith(`${BASE}/media/`), got);
      const back = await shop.call('media.fcgi', 'GET', got.slice(BASE.length));
      assert.equal(back.status, 200, got);
      assert.ok(back.body.equals(file.bytes), kind);
    }
    // A text with two files: all of it, in that order.
    const before = api.sent.length;
    const two = [await uploaded(shop, FILES.jpeg), await uploaded(shop, FILES.pdf)];
    await shop.reaches(await shop.agentSays(who, 'both', { attachments: two.map((f) => f.id) }), 'sent');
    assert.equal(api.sent.length, before + 3);
    assert.equal(api.sent[before].text, 'both');
    assert.deepEqual(api.sent.slice(before + 1).map((s) => platform.seen(s, api)[0]),
      [platform.kinds.jpeg, platform.kinds.pdf]);
    assert.deepEqual(api.faults, []);
  });

// Where a platform fetches from us it must be able to.
for (const [name, base] of [['facebook', ''], ['whatsapp', 'http://127.0.0.1:8080'],
  ['custom', ''], ['line', '']])
  test(`${name}: without a public address the agent is told why`, async (t) => {
    const { api, shop, who } = await begin(t, PLATFORMS[name], base && { base_url: base });
    const file = await uploaded(shop, FILES.pdf);
    const id = await shop.agentSays(who, '', { attachments: [file.id] });
    await shop.reaches(id, 'failed');
    const c = await shop.conversation(who);
    const got = await shop.call('api.fcgi', 'GET', `/api/conversations/${c}/messages`,
      { headers: { Authorization: `Bearer ${shop.agent}` } });
    assert.equal(got.json.items.find((m) => m.id === String(id)).error, 'no_address');
    const page = await shop.call('pages.fcgi', 'GET', `/inbox/${c}`,
      { headers: { Authorization: `Bearer ${shop.agent}` } });
    assert.match(page.text, /Lỗi<.*<bdi>Nền tảng này nhận tệp qua địa chỉ/);
    assert.equal(api.sent.length, 1);
    assert.deepEqual(api.faults, []);
  });
