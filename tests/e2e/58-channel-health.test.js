// How channels are: what is kept of what goes wrong, what agents are told of
// and once, the test of an account by the command and by the API, and the API
// by which an admin connects one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Shop } from './lib/shop.js';
import { startZalo } from '../standin/zalo.js';
import { startFacebook, startInstagram } from '../standin/facebook.js';
import { startWhatsapp } from '../standin/whatsapp.js';
import { startLine } from '../standin/line.js';
import { startTelegram, TOKEN } from '../standin/telegram.js';
import { startTiktok } from '../standin/tiktok.js';
import { startCustom } from '../standin/custom.js';

const DAY = 86400000;
const HALF = { app_secret: 'S', verify_token: 'V' };
let shop, zalo, admin;
const standins = [];

const started = async (what) => {
  standins.push(await what);
  return standins.at(-1);
};

const api = (method, path, body) => shop.call('api.fcgi', method, path,
  { body, headers: { Authorization: `Bearer ${admin}` } });
const health = async (id) => (await api('GET', `/api/channels/${id}`)).json.health;

// `parley channel check`: what it prints and how it ends.
async function check(...args) {
  try {
    return { text: await shop.parley('channel', 'check', ...args), code: 0 };
  } catch (e) {
    return { text: e.stdout + e.stderr, code: e.code };
  }
}

const told = async () => (await shop.sql(`SELECT data FROM events
  WHERE type = 'system_notification' ORDER BY id`)).map((r) => JSON.parse(r.data));

before(async () => {
  shop = await Shop.open();
  zalo = await started(startZalo({ profiles: {} }));
  await shop.zalo(zalo.url);
  await shop.parley('user', 'add', '--email', 'an@shop.example', '--name', 'An',
    '--role', 'admin');
  admin = shop.agent =
    (await shop.parley('token', '--user', 'an@shop.example')).trim();
});
after(async () => {
  await shop?.close();
  await Promise.all(standins.map((s) => s.close()));
});

test('webhooks that are refused are counted, once a minute', async () => {
  const said = await health(shop.channel);
  assert.deepEqual([said.refused, said.last_inbound_at, said.problems],
    [null, null, []]);
  const forged = { app_id: shop.account.app_id, event_name: 'x', timestamp: '1' };
  for (let i = 0; i < 5; i++)
    assert.equal((await shop.hook(forged, { signature: 'mac=00' })).status, 401);
  const { refused, problems } = await health(shop.channel);
  assert.equal(refused.count, 1);
  assert.equal(refused.why, 'bad_signature');
  assert.ok(Math.abs(Date.now() - refused.at) < 60000);
  assert.deepEqual(problems, ['refused']);
  assert.match(await shop.parley('channel', 'list'), /\trefused$/m);
  // A good one shows that the secret is right.
  await shop.customerSays('77', 'hello');
  const now = await health(shop.channel);
  assert.ok(now.last_inbound_at >= refused.at);
  assert.deepEqual(now.problems, []);
});

test('what the platform says against a message is kept, and what nobody confirmed',
  async () => {
    zalo.script('message', { error: -213, message: 'user has not interacted' });
    const one = await shop.agentSays('77', 'one');
    await shop.worker('--once').ended;
    assert.equal(await shop.status(one), 'failed');
    let h = await health(shop.channel);
    assert.match(h.last_error.text, /user has not interacted/);
    assert.deepEqual(h.problems, ['errors']);
    const two = await shop.agentSays('77', 'two');
    await shop.worker('--once').ended;
    assert.equal(await shop.status(two), 'sent');
    h = await health(shop.channel);
    assert.ok(h.last_sent_at >= h.last_error.at);
    assert.deepEqual(h.problems, []);
    assert.equal(h.waiting, 0);
  });

test('the command tests an account, and says what to do', async () => {
  let got = await check(shop.channel);
  assert.match(got.text, /test +good, it is Shop over there/);
  assert.equal(got.code, 0);
  assert.equal(zalo.calls.at(-1).name, 'account');

  // A token that ended is renewed first, as for a message.
  zalo.accessToken = 'another';
  got = await check(shop.channel);
  assert.equal(zalo.refreshes, 1);
  assert.match(got.text, /test +good/);

  zalo.script('account', { error: -205, message: 'OA is deleted' });
  got = await check(shop.channel);
  assert.equal(got.code, 1);
  assert.match(got.text, /test +failed: OA is deleted\n +to do +zalo_access_token/);

  zalo.script('account', { status: 502 });
  got = await check();
  assert.match(got.text, /test +failed: http 502\n +to do .*Try again/);
  zalo.script('account', { drop: true });
  got = await check();
  assert.match(got.text, /to do +Nobody answered/);

  assert.equal((await check('999')).code, 1);
  assert.equal((await check('x')).code, 2);
  assert.deepEqual(zalo.faults, []);
  assert.equal(zalo.sent.length, 1); // nobody was written to
});

test('each platform is asked in its own way', async () => {
  const fb = await started(startFacebook());
  const ig = await started(startInstagram());
  const wa = await started(startWhatsapp());
  const line = await started(startLine());
  const tg = await started(startTelegram());
  const tt = await started(startTiktok());
  const own = await started(startCustom());
  const all = {
    facebook: { ...HALF, page_id: fb.pageId, page_token: fb.token, api_base: fb.url },
    instagram: { ...HALF, account_id: ig.pageId, token: ig.token, api_base: ig.url },
    whatsapp: { ...HALF, phone_number_id: wa.numberId, token: wa.token,
      api_base: wa.url },
    line: { channel_secret: 'S', channel_token: 'line-sample-channel-token',
      bot_user_id: line.botId, api_base: line.url },
    telegram: { bot_token: TOKEN, api_base: tg.url },
    tiktok: { app_id: tt.appId, app_secret: tt.appSecret,
      business_id: tt.businessId, access_token: tt.accessToken, api_base: tt.url },
    custom: { secret: own.secret, out_url: `${own.url}/in` },
  };
  const ids = [];
  for (const [platform, settings] of Object.entries(all))
    ids.push(await shop.connect(platform, settings, platform));
  // The API's button: asked here, done by the worker.
  for (const id of ids) {
    const r = await api('POST', `/api/channels/${id}/test`);
    assert.equal(r.status, 202, r.text);
    assert.equal(r.json.health.test.state, 'wanted');
  }
  await shop.worker('--once').ended;
  for (const id of ids) {
    const { json } = await api('GET', `/api/channels/${id}`);
    const { test: t } = json.health;
    assert.deepEqual([json.platform, t.state, t.ok, t.code],
      [json.platform, 'done', true, 'ok'], JSON.stringify(json));
    if (!['tiktok', 'custom'].includes(json.platform))
      assert.equal(t.account, 'Shop over there');
    assert.equal(t.advice, null);
  }
  for (const s of [fb, ig, wa, line, tg, tt, own])
    assert.deepEqual(s.faults, []);

  // A token of another account, and one that is refused.
  fb.pageId = '999';
  line.tokens.clear();
  const [fbId, , , lineId] = ids;
  for (const id of [fbId, lineId])
    await api('POST', `/api/channels/${id}/test`);
  await shop.worker('--once').ended;
  assert.equal((await health(fbId)).test.code, 'other_account');
  const t = (await health(lineId)).test;
  assert.equal(t.code, 'token');
  assert.equal(t.text, 'Authentication failed');
  assert.match(t.advice, /line_channel_token is refused/);
  // What is no account of a platform has nothing to ask.
  const web = (await api('GET', '/api/channels')).json.items
    .find((c) => c.platform === 'web');
  assert.equal(web.webhook, null);
  assert.equal((await api('POST', `/api/channels/${web.id}/test`)).status, 409);
});

test('agents are told once that a token ends', async () => {
  const before = (await told()).length;
  const { json } = await api('POST', '/api/channels', { platform: 'instagram',
    name: 'Insta two', settings: { account_id: '5', app_secret: 'S', token: 'T',
      token_expires_at: String(Date.now() + 2 * DAY) } });
  assert.deepEqual(json.health.problems, ['token_ends']);
  for (let i = 0; i < 2; i++)
    await shop.worker('--once').ended;
  let now = (await told()).slice(before);
  assert.equal(now.length, 1, JSON.stringify(now));
  assert.equal(now[0].level, 'warning');
  assert.equal(now[0].channel_id, json.id);
  assert.match(now[0].message, /^Insta two: the access token ends on \d{4}-/);

  // A new token has its own end; an ended one is another cause.
  let r = await api('PATCH', `/api/channels/${json.id}`, { settings: { token: 'T2' } });
  assert.equal(r.json.health.token_expires_at, null);
  assert.deepEqual(r.json.health.problems, []);
  r = await api('PATCH', `/api/channels/${json.id}`,
    { settings: { token_expires_at: String(Date.now() - 1000) } });
  assert.deepEqual(r.json.health.problems, ['token_expired']);
  for (let i = 0; i < 2; i++)
    await shop.worker('--once').ended;
  now = (await told()).slice(before);
  assert.deepEqual(now.map((n) => n.level), ['warning', 'error']);
});

test('an admin connects, changes, stops and disconnects an account', async () => {
  let r = await api('POST', '/api/channels', { platform: 'facebook', name: 'Page',
    settings: { FB_PAGE_ID: '12', fb_app_secret: 'hush-1' } });
  assert.equal(r.status, 201, r.text);
  const { id } = r.json;
  assert.equal(r.json.account, '12');
  assert.deepEqual(r.json.config, { fb_page_id: '12' });
  assert.deepEqual(r.json.secrets, { fb_app_secret: 'set', fb_verify_token: 'set' });
  assert.match(r.json.webhook, new RegExp(`/webhooks/facebook/${id}$`));
  assert.match(r.json.paste, new RegExp(`callback URL +\\S+/webhooks/facebook/${id}\n`));
  // The word that was made up is told this once.
  const word = r.json.paste.match(/verify token +(\S+)\n/)[1];
  const shaken = await shop.call('webhook.fcgi', 'GET', `/webhooks/facebook/${id}` +
    `?hub.mode=subscribe&hub.challenge=42&hub.verify_token=${word}`);
  assert.equal(shaken.text, '42');
  const list = await api('GET', '/api/channels');
  assert.ok(!list.text.includes(word) && !list.text.includes('hush-1'));

  for (const [body, field] of [
    [{ platform: 'fax', name: 'x' }, 'platform'],
    [{ platform: 'line' }, 'name'],
    [{ platform: 'line', name: 'x', settings: { nonsense: '1' } }, 'nonsense'],
    [{ platform: 'line', name: 'x', settings: { line_text_max: 7 } }, 'line_text_max'],
    [{ platform: 'line', name: 'x', settings: {} }, 'settings'],
    [{ platform: 'web', name: 'x', settings: { a: 'b' } }, 'settings'],
  ]) {
    r = await api('POST', '/api/channels', body);
    assert.deepEqual([r.status, r.json.code, r.json.field], [422, 'invalid', field], r.text);
  }
  assert.equal((await api('POST', '/api/channels', { platform: 'facebook',
    name: 'Again', settings: { page_id: '12', app_secret: 'S' } })).status, 409);

  r = await api('PATCH', `/api/channels/${id}`, { name: 'New', state: 'off',
    settings: { fb_api_version: 'v26.0' } });
  assert.equal(r.status, 200, r.text);
  assert.deepEqual([r.json.name, r.json.state, r.json.config.fb_api_version],
    ['New', 'off', 'v26.0']);
  assert.deepEqual(r.json.health.problems, ['off']);
  r = await api('PATCH', `/api/channels/${id}`, { state: 'ok',
    settings: { fb_api_version: null } });
  assert.deepEqual([r.json.state, r.json.config], ['ok', { fb_page_id: '12' }]);
  r = await api('PATCH', `/api/channels/${id}`, { settings: { page_id: '13' } });
  assert.deepEqual([r.status, r.json.field], [422, 'settings']);
  assert.match(r.json.error, /another account/);
  assert.equal((await api('PATCH', `/api/channels/${id}`, { state: 'reauth' })).status, 422);

  assert.equal((await api('DELETE', `/api/channels/${id}`)).status, 200);
  assert.equal((await api('GET', `/api/channels/${id}`)).status, 404);
  const log = await shop.sql(`SELECT who, action FROM audit_log
    WHERE object = 'channel:${id}' ORDER BY id`);
  assert.deepEqual(log.map((l) => l.action), ['channel_added', 'channel_changed',
    'channel_changed', 'channel_deleted']);
  assert.ok(log.every((l) => /^agent:\d+$/.test(l.who)));
});
