// Outgoing webhooks: a program of an integrator's is told of events, signed, in
// order for each conversation, at least once, whatever it answers and whoever
// is killed; a receiver that only fails is switched off; every try can be
// looked at and done again.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Shop, until } from './lib/shop.js';
import { freePort, root } from './lib/harness.js';
import { startHook } from '../standin/hook.js';

const LOCAL = { fetch_http: 'on', fetch_networks: '127.0.0.1',
  worker_poll_ms: 20, backoff_percent: 1 };

// A shop with an admin, and what asks its API.
async function shopOf(t, settings = {}) {
  const shop = await Shop.open({ ...LOCAL, ...settings });
  t.after(() => shop.close());
  await shop.parley('user', 'add', '--email', 'an@shop.example', '--name', 'An',
    '--role', 'admin');
  shop.agent = (await shop.parley('token', '--user', 'an@shop.example')).trim();
  shop.ask = async (method, url, body, token = shop.agent) =>
    shop.call('api.fcgi', method, url, { body,
      headers: token ? { Authorization: `Bearer ${token}` } : {} });
  shop.write = (sql) => promisify(execFile)('sqlite3',
    ['-cmd', '.timeout 20000', shop.db, `PRAGMA foreign_keys = on; ${sql}`]);
  // Somebody with a conversation on the web: {say(text)}.
  shop.visitor = async (name) => {
    const r = await shop.ask('POST', '/api/widget/session', { name }, null);
    assert.equal(r.status, 201, r.text);
    const { token, conversation } = r.json;
    return { conversation: conversation.id, token, say: async (content) => {
      const m = await shop.ask('POST', `/api/conversations/${conversation.id}/messages`,
        { content }, token);
      assert.equal(m.status, 201, m.text);
      return m.json.id;
    } };
  };
  return shop;
}

// A receiver and a webhook that goes to it.
async function hookOf(t, shop, types = ['new_message'], more = {}) {
  const to = await startHook();
  t.after(() => to.close());
  const r = await shop.ask('POST', '/api/webhooks',
    { name: 'Ledger', url: `${to.url}/hook`, types, ...more });
  assert.equal(r.status, 201, r.text);
  to.id = r.json.id;
  to.secrets.push(r.json.secret);
  to.attempts = async () => (await shop.ask('GET',
    `/api/webhooks/${to.id}/attempts?limit=200`)).json.items;
  to.state = async () => (await shop.ask('GET', `/api/webhooks/${to.id}`)).json;
  to.failed = async (n) => until(async () =>
    (await to.attempts()).filter((a) => a.error).length >= n, undefined, `${n} failed tries`);
  return to;
}

const stop = async (worker, signal = 'SIGTERM') => {
  worker.kill(signal);
  await worker.ended;
};

test('what is set, and by whom', async (t) => {
  const shop = await shopOf(t, { hooks_max: 2, fetch_http: 'off' });
  const good = { name: 'Ledger', url: 'https://hooks.example.com/in', types: ['new_message'] };
  const post = (body) => shop.ask('POST', '/api/webhooks', body);
  for (const [field, value] of [['name', ''], ['name', undefined], ['url', 'ftp://example.com'],
    ['url', 'https://10.0.0.1/'], ['url', 'https://user:pass@example.com/'],
    ['url', 'https://[::ffff:192.168.1.1]/'], ['url', 'https://2130706434/'],
    ['url', undefined], ['types', []], ['types', ['typing_indicator']],
    ['types', 'new_message'], ['types', undefined]]) {
    const r = await post({ ...good, [field]: value });
    assert.equal(r.status, 422, `${field} ${value}: ${r.text}`);
    assert.equal(r.json.field, field);
  }
  // An address that is refused: why, and which setting would allow it.
  for (const [url, why] of [['http://hooks.example.com/', /https.*fetch_http/],
    ['https://10.0.0.1/', /not public.*fetch_networks/],
    ['https://198.51.101.7:8443/', /port.*fetch_ports/],
    ['https://user:pass@example.com/', /plainest form/]]) {
    const r = await post({ ...good, url });
    assert.deepEqual([r.status, r.json.code, r.json.field, r.json.success],
      [422, 'invalid', 'url', false]);
    assert.match(r.json.error, why);
  }
  const made = await post({ ...good, types: ['note', 'new_message', 'note'] });
  assert.equal(made.status, 201, made.text);
  assert.match(made.json.secret, /^[\w-]{43}$/);
  assert.deepEqual(made.json.types, ['new_message', 'note']);
  assert.equal(made.json.state, 'on');

  // The secret is shown once; a new one likewise.
  const at = `/api/webhooks/${made.json.id}`;
  assert.equal((await shop.ask('GET', at)).json.secret, 'set');
  assert.equal((await shop.ask('GET', '/api/webhooks')).json.items[0].secret, 'set');
  const fresh = (await shop.ask('POST', `${at}/secret`, {})).json.secret;
  assert.match(fresh, /^[\w-]{43}$/);
  assert.notEqual(fresh, made.json.secret);
  assert.equal((await shop.ask('GET', at)).json.secret, 'set');

  const off = await shop.ask('PATCH', at, { state: 'off', name: 'Books' });
  assert.equal(off.status, 200);
  assert.deepEqual([off.json.state, off.json.reason, off.json.name, off.json.url],
    ['off', 'admin', 'Books', good.url]);
  assert.equal((await shop.ask('PATCH', at, { url: 'https://127.0.0.2/' })).status, 422);
  assert.equal((await shop.ask('PATCH', at, { state: 'perhaps' })).json.field, 'state');
  assert.equal((await shop.ask('PATCH', at, { types: [] })).json.field, 'types');

  assert.equal((await post(good)).status, 201);
  assert.equal((await post(good)).status, 409);
  assert.equal((await shop.ask('DELETE', at)).status, 200);
  assert.equal((await shop.ask('GET', at)).status, 404);
  assert.deepEqual((await shop.sql(`SELECT action FROM audit_log WHERE object LIKE 'webhook:1'
    ORDER BY id`)).map((a) => a.action), ['webhook_added', 'webhook_secret', 'webhook_changed',
    'webhook_deleted']);
});

test('events come signed, of the chosen types, notes only where they are chosen', async (t) => {
  const shop = await shopOf(t);
  const lan = await shop.visitor('Lan');
  await lan.say('before anybody listened');
  const plain = await hookOf(t, shop, ['new_message', 'conversation_updated']);
  const notes = await hookOf(t, shop, ['note']);
  await lan.say('Xin chào 👋');
  const url = `/api/conversations/${lan.conversation}`;
  await shop.ask('POST', `${url}/messages`, { content: 'she pays late', type: 'note' });
  await shop.ask('POST', `${url}/messages`, { content: 'Good morning' });
  await shop.ask('PATCH', url, { subject: 'Shoes' });
  // Between agents: nobody else's.
  await shop.parley('user', 'add', '--email', 'bo@shop.example', '--name', 'Bo', '--role', 'agent');
  const bo = await shop.one("SELECT id FROM users WHERE email = 'bo@shop.example'");
  const direct = await shop.ask('POST', `/api/users/${bo}/messages`, { content: 'lunch?' });
  assert.equal(direct.status, 201, direct.text);
  await lan.say('bye');

  const worker = shop.worker();
  await plain.until(() => plain.texts().includes('bye') &&
    plain.events.some((e) => e.type === 'conversation_updated' && e.data.subject === 'Shoes'));
  await notes.until(() => notes.events.length > 0);
  await stop(worker);
  assert.deepEqual(plain.texts(), ['Xin chào 👋', 'Good morning', 'bye']);
  assert.deepEqual(notes.texts(), ['she pays late']);
  assert.ok(!JSON.stringify(plain.events).includes('she pays late'));
  assert.deepEqual(plain.faults, []);
  assert.deepEqual(notes.faults, []);
  const first = plain.events.find((e) => e.data.content === 'Xin chào 👋');
  assert.equal(first.id, first.data.id);
  assert.equal(await shop.one(`SELECT type FROM events WHERE id = ${first.id}`), 'new_message');
  const h = await plain.state();
  assert.equal(h.failures, 0);
  assert.equal(h.waiting, 0);
  assert.ok(h.ok_at > 0);
});

test('whatever it answers: again under the same id, in order, others go on', async (t) => {
  const shop = await shopOf(t, { hook_total_ms: 5000, backoff_percent: 0 });
  const [a, b] = [await shop.visitor('A'), await shop.visitor('B')];
  const to = await hookOf(t, shop);
  to.script(a.conversation, { status: 500, body: '<b>oh\u0000no</b>' }, { status: 429 },
    { status: 302, headers: { Location: 'https://elsewhere.example/' } }, { hang: true },
    { drop: true, accepted: false }, { truncate: true }, { status: 404 });
  for (let i = 1; i <= 3; i++) {
    await a.say(`a${i}`);
    await b.say(`b${i}`);
  }
  const worker = shop.worker();
  await to.until(() => to.texts().length === 6);
  await until(async () => (await to.state()).waiting === 0);
  await stop(worker);
  assert.deepEqual(to.faults, []);
  assert.deepEqual(to.texts(a.conversation), ['a1', 'a2', 'a3']);
  assert.deepEqual(to.texts(b.conversation), ['b1', 'b2', 'b3']);
  // B had all of it while A's first one failed.
  const order = to.calls.map((c) => c.body.data.content);
  assert.ok(order.indexOf('b3') < order.lastIndexOf('a1'));
  assert.ok(order.lastIndexOf('a1') < order.indexOf('a2'));
  const tries = (await to.attempts()).reverse().filter((x) => x.conversation_id === a.conversation);
  assert.deepEqual(tries.slice(0, 8).map((x) => [x.try, x.error ?? 'ok', x.status]),
    [[1, 'status', 500], [2, 'status', 429], [3, 'status', 302], [4, 'no_answer', null],
      [5, 'no_answer', null], [6, 'no_answer', null], [7, 'status', 404], [8, 'ok', 200]]);
  assert.equal(new Set(tries.slice(0, 8).map((x) => x.event_id)).size, 1);
  assert.equal(tries[0].answer, '<b>oh no</b>');
  assert.ok(tries[3].detail.length > 0);
  assert.equal(tries[0].state, 'sent');
});

test('Retry-After is waited for by the whole webhook', async (t) => {
  const shop = await shopOf(t);
  const [a, b] = [await shop.visitor('A'), await shop.visitor('B')];
  const to = await hookOf(t, shop);
  to.script(a.conversation, { status: 429, headers: { 'Retry-After': '2' } });
  await a.say('first');
  const worker = shop.worker();
  await to.failed(1);
  await b.say('second');
  await to.until(() => to.texts().length === 2);
  await stop(worker);
  const [refused, ...later] = to.calls;
  assert.equal(later.length, 2);
  for (const c of later)
    assert.ok(c.at - refused.at >= 1900, `${c.at - refused.at} ms`);
});

test('one receiver is asked at its pace, by all webhooks together, and counted', async (t) => {
  const shop = await shopOf(t, { hook_rate_max: 5 });
  const to = await hookOf(t, shop);
  const other = await shop.ask('POST', '/api/webhooks',
    { name: 'Books', url: `${to.url}/hook`, types: ['new_message'] });
  to.secrets.push(other.json.secret);
  const lan = await shop.visitor('Lan');
  for (let i = 0; i < 6; i++)
    await lan.say(`m${i}`);
  const figure = async (name) => Number((await shop.ask('GET', '/metrics')).text
    .split('\n').find((l) => l.startsWith(`${name} `)).split(' ')[1]);
  to.script(lan.conversation, { status: 500 });
  const before = Date.now();
  const worker = shop.worker();
  await to.until(() => to.calls.length >= 13, 30000);
  // A quarter of a second's worth at once, the rest one after the other.
  assert.ok(Date.now() - before >= (13 - 1.25) * 200);
  await until(async () => await figure('parley_webhook_events_waiting') === 0);
  await stop(worker);
  assert.equal(await figure('parley_webhook_requests_total{result="failed"}'), 1);
  assert.equal(await figure('parley_webhook_requests_total{result="ok"}'), 12);
  assert.deepEqual(to.faults, []);
});

test('killed between the answer and its note: the same id again', async (t) => {
  const shop = await shopOf(t);
  const a = await shop.visitor('A');
  const to = await hookOf(t, shop);
  to.script(a.conversation, { hold: true });
  const id = await a.say('once, or twice');
  await a.say('and then');
  const worker = shop.worker();
  await to.until(() => to.calls.length === 1);
  await stop(worker, 'SIGKILL');
  to.release();
  assert.equal(await shop.one("SELECT count(*) FROM webhook_sends WHERE state = 'sending'"), 1);
  await shop.write('UPDATE webhook_sends SET lease_until = 1 WHERE lease_until IS NOT NULL');
  await stop(shop.worker('--once'), 0);
  await until(async () => (await to.state()).waiting === 0);
  assert.deepEqual(to.texts(), ['once, or twice', 'and then']);
  assert.equal(to.times(id), 2);
  assert.deepEqual(to.faults, []);
  assert.deepEqual((await to.attempts()).reverse().map((x) => x.error), ['worker_lost', null, null]);
});

test('killed again and again: all of it, each in its order, the same under its id', async (t) => {
  const shop = await shopOf(t, { hook_at_once: 4, hook_total_ms: 2000 });
  const people = await Promise.all(['A', 'B', 'C'].map((name) => shop.visitor(name)));
  const to = await hookOf(t, shop, ['new_message', 'conversation_updated']);
  const ids = new Map(people.map((p) => [p.conversation, []]));
  for (let i = 0; i < 8; i++)
    for (const p of people)
      ids.get(p.conversation).push(await p.say(`${i}`));
  const kills = 6;
  for (let i = 1; i <= kills; i++) {
    const worker = shop.worker();
    await to.until(() => to.calls.length >= 3 * i);
    await stop(worker, 'SIGKILL');
    await shop.write('UPDATE webhook_sends SET lease_until = 1 WHERE lease_until IS NOT NULL');
  }
  const worker = shop.worker();
  await to.until(() => to.texts().length === 24, 20_000);
  await until(async () => (await to.state()).waiting === 0);
  await stop(worker);
  // The stand-in finds fault with another body under an id it has seen.
  assert.deepEqual(to.faults, []);
  for (const [conversation, said] of ids) {
    const first = to.events.filter((e) => e.type === 'new_message' &&
      e.data.conversation_id === conversation).map((e) => e.id);
    assert.deepEqual(first, said);
    assert.ok(said.every((id) => to.times(id) <= 1 + kills));
  }
  assert.equal((await to.state()).state, 'on');
});

test('only failures: off, with a notice; on again it goes on; a replay goes at once', async (t) => {
  const shop = await shopOf(t, { hook_failing_s: 1 });
  const a = await shop.visitor('A');
  const to = await hookOf(t, shop);
  to.script(a.conversation, ...Array(500).fill({ status: 500 }));
  await a.say('one');
  await a.say('two');
  const worker = shop.worker();
  const notice = await until(async () => (await shop.sql(
    "SELECT data FROM events WHERE type = 'system_notification'"))[0]);
  const h = await to.state();
  assert.deepEqual([h.state, h.reason], ['off', 'failing']);
  const said = JSON.parse(notice.data);
  assert.equal(said.level, 'error');
  assert.match(said.message, /^Ledger: /);
  assert.equal(said.webhook_id, to.id);

  // Off: nothing but tests and replays.
  to.scripts.clear();
  await a.say('three');
  const tried = (await to.attempts()).at(-1);
  const replay = await shop.ask('POST', `/api/webhooks/${to.id}/attempts/${tried.id}/replay`, {});
  assert.equal(replay.status, 202, replay.text);
  assert.equal(replay.json.event_id, tried.event_id);
  await to.until(() => to.texts().length === 1);
  const ping = await shop.ask('POST', `/api/webhooks/${to.id}/test`, {});
  assert.match(ping.json.event_id, /^test-\d+$/);
  await to.until(() => to.events.some((e) => e.type === 'webhook_test' &&
    e.id === ping.json.event_id));
  assert.deepEqual(to.texts(), ['one']);

  assert.equal((await shop.ask('PATCH', `/api/webhooks/${to.id}`, { state: 'on' })).status, 200);
  await to.until(() => to.texts().length === 3);
  await until(async () => (await to.state()).waiting === 0);
  assert.deepEqual(to.texts(), ['one', 'two', 'three']);

  // 410 is the receiver's own word.
  to.script(a.conversation, { status: 410 });
  await a.say('four');
  await until(async () => (await to.state()).reason === 'gone');
  await stop(worker);
  assert.deepEqual(to.faults, []);
});

test('one event that never goes is given up, later ones of it go', async (t) => {
  const shop = await shopOf(t, { hook_failing_s: 3, backoff_percent: 0 });
  const [a, b] = [await shop.visitor('A'), await shop.visitor('B')];
  const to = await hookOf(t, shop);
  to.script(a.conversation, ...Array(5000).fill({ status: 500 }));
  await a.say('poison');
  await a.say('after it');
  const worker = shop.worker();
  for (let i = 0; await shop.one(
    "SELECT count(*) FROM webhook_sends WHERE state = 'failed'") === 0; i++) {
    assert.ok(i < 1000);
    await b.say(`b${i}`); // all is well otherwise
    await to.until(() => to.texts(b.conversation).length === i + 1);
  }
  to.scripts.clear();
  await to.until(() => to.texts(a.conversation).length > 0);
  await stop(worker);
  assert.deepEqual(to.texts(a.conversation), ['after it']);
  assert.equal((await to.state()).state, 'on');
});

test('the log does not reach back: it says so; a deleted text is not sent', async (t) => {
  const shop = await shopOf(t);
  const a = await shop.visitor('A');
  const to = await hookOf(t, shop);
  await shop.ask('PATCH', `/api/webhooks/${to.id}`, { state: 'off' });
  await a.say('long ago');
  await shop.write('DELETE FROM events; UPDATE log_state SET floor = last');
  const id = await a.say('a slip of the tongue');
  await a.say('what was meant');
  await shop.ask('DELETE', `/api/messages/${id}`, undefined, a.token);
  await shop.ask('PATCH', `/api/webhooks/${to.id}`, { state: 'on' });
  await stop(shop.worker('--once'), 0);
  assert.deepEqual(to.texts(), [null, 'what was meant']);
  const log = (await to.attempts()).reverse();
  assert.deepEqual(log.map((x) => x.error), ['events_lost', null, null]);
  assert.equal(log[0].event_id, null);

  // What has left the log cannot be replayed.
  await shop.write('DELETE FROM events');
  const r = await shop.ask('POST', `/api/webhooks/${to.id}/attempts/${log[1].id}/replay`, {});
  assert.equal(r.status, 409);
});

test('where it must not go', async (t) => {
  const shop = await shopOf(t);
  const to = await hookOf(t, shop);
  // It was allowed when it was set up.
  await shop.write("UPDATE outgoing_webhooks SET url = replace(url, '127.0.0.1', '127.0.0.2')");
  await shop.ask('POST', `/api/webhooks/${to.id}/test`, {});
  await stop(shop.worker('--once'), 0);
  // A name that leads to where it must not.
  await shop.write("UPDATE outgoing_webhooks SET url = replace(url, '127.0.0.2', 'localhost')");
  await shop.write("UPDATE webhook_sends SET state = 'queued', ended_at = NULL");
  const conf = await readFile(shop.conf, 'utf8');
  await writeFile(shop.conf, conf.replace('fetch_networks = 127.0.0.1', 'fetch_networks = 10.9.9.9'));
  await stop(shop.worker('--once'), 0);
  assert.deepEqual((await to.attempts()).map((x) => x.error), ['address', 'address']);
  assert.equal(to.calls.length, 0);
});

test('no daemon, no cron: a request is enough', async (t) => {
  const shop = await shopOf(t, { worker_daemon: 'off', worker_every_s: 1 });
  const a = await shop.visitor('A');
  const to = await hookOf(t, shop);
  await a.say('who tells them?');
  await until(async () => { // each look is a request
    await to.state();
    return to.texts().length === 1;
  });
  // The worker goes when there is nothing more to do.
  await until(async () => (await readdir('/proc')).every((pid) => {
    try {
      return !/^\d+$/.test(pid) ||
        !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(shop.conf);
    } catch {
      return true; // it has ended
    }
  }));
  assert.deepEqual(to.faults, []);
});

test('the example of the manual checks signatures', async (t) => {
  const text = await readFile(join(root, 'docs/webhooks.md'), 'utf8');
  const dir = await mkdtemp(join(tmpdir(), 'parley-hook-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'receiver.mjs'), /```js\n([^]*?)```/.exec(text)[1]);
  const shop = await shopOf(t);
  const port = await freePort();
  const made = (await shop.ask('POST', '/api/webhooks', { name: 'Example',
    url: `http://127.0.0.1:${port}/`, types: ['new_message'] })).json;
  const child = spawn('node', [join(dir, 'receiver.mjs')], { stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PORT: String(port), PARLEY_SECRET: made.secret } });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (d) => { said += d; });
  const forged = await until(() => fetch(`http://127.0.0.1:${port}/`, { method: 'POST',
    body: '{}', headers: { 'X-Parley-Timestamp': String(Math.floor(Date.now() / 1000)),
      'X-Parley-Signature': `v1=${'0'.repeat(64)}` } }).catch(() => null));
  assert.equal(forged.status, 401);
  await shop.ask('POST', `/api/webhooks/${made.id}/test`, {});
  await stop(shop.worker('--once'), 0);
  await until(() => /^webhook_test test-\d+$/m.test(said));
  const [last] = (await shop.ask('GET', `/api/webhooks/${made.id}/attempts`)).json.items;
  assert.equal(last.status, 204);
});
