// Who is there on a host without pushd: whoever polls or loads pages, until
// silent for presence_quiet_s; as plain CGI, with a worker and without.  And
// with pushd, when that ends without a word.

import test from 'node:test';
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { box } from './lib/box.js';
import { pause, start, until } from './lib/harness.js';

// A mark is renewed when it is 40 % old: a machine may stall for the rest.
const QUIET_S = 10;
const WITHIN = QUIET_S * 1000 + 30_000; // a busy machine's

// Polls on from where it was: the new events of a type.
function follower(get) {
  let cursor;
  return async (type) => {
    const r = await get(`/api/events/poll${cursor ? `?after=${cursor}` : ''}`);
    assert.equal(r.status, 200, r.text);
    cursor = r.json.cursor;
    return r.json.events.filter((e) => e.type === type).map((e) => e.data);
  };
}

test('a web server with plain CGI: an agent who polls is there', async (t) => {
  const p = await start({ mode: 'cgi', conf: { presence_quiet_s: QUIET_S } });
  t.after(() => p.stop());
  const agent = await p.agent(), admin = await p.bearer(
    p.logins.find((x) => x.role === 'admin').email);
  const visitor = await p.visitor({ name: 'Kim' });
  const { id } = (await agent.get('/api/me')).json;
  const status = async () =>
    (await admin.get(`/api/presence?users=${id}`)).json.items[0].status;
  const path = new URL(visitor.resume_url, p.url).pathname;
  const jar = new Map();
  const page = async (to = path) => {
    const r = await p.request('GET', to, { headers: { 'accept-language': 'en',
      cookie: [...jar.values()].join('; ') } });
    for (const c of r.headers['set-cookie'] ?? [])
      jar.set(c.split('=')[0], c.split(';')[0]);
    if (r.status === 303)
      return page(r.headers.location);
    assert.equal(r.status, 200, r.text);
    return r.text;
  };
  const told = follower((url) => visitor.get(url));

  // Requests alone, and other people's, do not make it so.
  assert.equal(await status(), 'offline');
  assert.match(await page(), /We usually answer/);
  assert.deepEqual(await told('presence_update'), []);

  await t.test('online at the first poll, and told', async () => {
    assert.equal((await agent.get('/api/events/poll')).status, 200);
    assert.equal(await status(), 'online');
    assert.match(await page(), /We are here/);
    assert.deepEqual(await told('presence_update'), [{ here: true }]);
  });

  await t.test('for as long as it polls, without more events', async () => {
    const end = Date.now() + 1.5 * QUIET_S * 1000;
    while (Date.now() < end) {
      assert.equal((await agent.get('/api/events/poll')).status, 200);
      assert.equal(await status(), 'online');
      await pause(200);
    }
    assert.deepEqual(await told('presence_update'), []);
  });

  await t.test('busy by choice', async () => {
    assert.equal((await agent.patch('/api/me', { status: 'busy' })).status, 200);
    assert.equal((await agent.get('/api/events/poll')).status, 200);
    assert.equal(await status(), 'busy');
  });

  await t.test('offline when it stops: the worker tells who polls', async () => {
    const events = [];
    await until(async () => {
      events.push(...await told('presence_update'));
      return events.length > 0;
    }, WITHIN, 'the end of presence');
    assert.deepEqual(events, [{ here: false }]);
    assert.equal(await status(), 'offline');
    assert.match(await page(), /We usually answer/);
  });

  await t.test('a page loaded counts like a poll, with the choice kept', async () => {
    assert.equal((await agent.get('/inbox')).status, 200);
    assert.equal(await status(), 'busy');
  });
});

test('no worker, nobody polls: what is read is never stale', async (t) => {
  const b = await box({ programs: [], env: { PARLEY_LIMITS: 'off',
    PARLEY_PUSH_DAEMON: 'off', PARLEY_PRESENCE_QUIET_S: String(QUIET_S) } });
  t.after(() => b.stop());
  const ask = (method, url, who, o = {}) => b.request(method, url, { who, as: 'cgi', ...o });
  const an = await b.user('An'), binh = await b.user('Binh');
  const made = await ask('POST', '/api/widget/session', undefined, { body: { name: 'Kim' } });
  const kim = { token: made.json.token };
  const customer = async () =>
    (await ask('GET', `/api/customers/${made.json.customer.id}`, binh)).json.status;
  const status = async () =>
    (await ask('GET', `/api/presence?users=${an.id}`, binh)).json.items[0].status;
  const told = follower((url) => ask('GET', url, binh));

  await told(''); // Bình is there from now on
  for (const who of [an, kim])
    assert.equal((await ask('GET', '/api/events/poll', who)).status, 200);
  assert.equal(await status(), 'online');
  assert.equal(await customer(), 'online');
  assert.deepEqual((await told('customer_status')).map((d) => d.status), ['online']);

  await t.test('reading it finds out', async () => {
    await pause(QUIET_S * 1000 * 1.1 + 100);
    assert.equal(await status(), 'offline');
    assert.equal(await customer(), 'offline');
    const all = await told('presence_update');
    assert.ok(all.some((d) => d.user_id === an.id && d.status === 'offline'), all);
  });

  await t.test('so does the worker that cron starts', async () => {
    assert.equal((await ask('GET', '/api/events/poll', an)).status, 200);
    await pause(QUIET_S * 1000 + 100);
    await b.p.cli('work', '--once');
    const all = await told('presence_update');
    assert.deepEqual(all.filter((d) => d.user_id === an.id).map((d) => d.status),
      ['online', 'offline']);
  });

  await t.test('a session that has ended marks nobody', async () => {
    const login = await ask('POST', '/api/auth/login', undefined,
      { body: { email: an.email, password: an.password } });
    const who = { token: login.json.token };
    const r = await ask('POST', '/api/auth/logout', who, { body: {} });
    assert.equal(r.status, 200, r.text);
    await ask('GET', `/api/events/poll?after=${login.headers['x-event-cursor'] ?? 1}`, who);
    assert.equal(await status(), 'offline');
  });

  await t.test('a poll between two marks needs no database', async () => {
    assert.equal((await ask('GET', '/api/events/poll', an)).status, 200);
    assert.equal(await status(), 'online');
    const { cursor } = (await ask('GET', '/api/events/poll', an)).json;
    const db = join(b.p.var, 'parley.db');
    renameSync(db, `${db}.away`);
    try {
      const r = await ask('GET', `/api/events/poll?after=${cursor}`, an);
      assert.equal(r.status, 200, r.text);
      // Nor is one refused whose mark is due.
      await pause(QUIET_S * 400 + 100);
      const due = await ask('GET', `/api/events/poll?after=${cursor}`, an);
      assert.equal(due.status, 200, due.text);
    } finally {
      renameSync(`${db}.away`, db);
    }
  });
});

test('with pushd it is pushd\'s business', async (t) => {
  const b = await box({ env: { PARLEY_LIMITS: 'off', PARLEY_PRESENCE_QUIET_S: '2' } });
  t.after(() => b.stop());
  const an = await b.user('An');
  const status = async () => (await b.request('GET', `/api/presence?users=${an.id}`,
    { who: an })).json.items[0].status;
  assert.equal((await b.request('GET', '/api/events/poll', { who: an })).status, 200);
  assert.equal(await status(), 'offline');
  const { ref } = (await b.ask('POST', '/internal/identify',
    { items: [{ authorization: `Bearer ${an.token}` }] })).json.items[0];
  await b.ask('POST', '/internal/presence', { items: [{ ref, status: 'online' }] });
  await pause(2500);
  await b.p.cli('work', '--once', { env: { PARLEY_PRESENCE_QUIET_S: '2' } });
  assert.equal(await status(), 'online');
});

test('who was there when pushd was killed, and is not back, is gone', async (t) => {
  const p = await start({ conf: { presence_grace_ms: 400 } });
  t.after(() => p.stop());
  const agents = p.logins.filter((l) => l.role === 'agent');
  const mai = await p.bearer(agents[0].email), som = await p.bearer(agents[1].email);
  const lan = await p.visitor({ name: 'Lan' });
  const { id } = (await som.get('/api/me')).json;
  const status = async (who) =>
    (await mai.get(`/api/presence?users=${who}`)).json.items[0].status;
  const customer = async () =>
    (await mai.get(`/api/customers/${lan.customer_id}`)).json.status;
  const watch = await mai.sse();
  for (const who of [som, lan])
    await who.sse();
  await until(async () => await status(id) === 'online' && await customer() === 'online');
  const was = p.pid('pushd');
  p.kill('pushd');
  await until(() => p.pid('pushd') !== was && p.pid('pushd') > 0);
  // One comes back, two do not.
  const back = await until(async () => {
    const c = await mai.sse({ cursor: watch.cursor }).catch(() => null);
    return c?.until('connected').then(() => c, () => null);
  });
  const gone = (type, key, who) => back.until((e) => e.type === type &&
    e.data[key] === who && e.data.status === 'offline');
  await gone('presence_update', 'user_id', id);
  await gone('customer_status', 'customer_id', lan.customer_id);
  assert.equal(await status(id), 'offline');
  assert.equal(await customer(), 'offline');
  const me = (await mai.get('/api/me')).json.id;
  await until(async () => await status(me) === 'online', undefined, 'who is back');
  back.close();
});
