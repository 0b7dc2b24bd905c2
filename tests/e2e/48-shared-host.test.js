// A shared host: no daemon, no cron.  What a customer writes is seen, and the
// answer goes out, by the requests alone: they start the worker for a moment.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { start, until } from './lib/harness.js';
import { startZalo } from '../standin/zalo.js';

const APP = '1845200000000000123', OA = '2520000000000000017';
const SECRET = 'zalo-sample-oa-secret';

// Workers of that workspace that run.
function workers(conf) {
  let n = 0;
  for (const pid of readdirSync('/proc').filter((f) => /^\d+$/.test(f)))
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      n += words[1] === 'work' && words.includes(conf);
    } catch {
      // it has ended
    }
  return n;
}

for (const [web, mode] of [['lighttpd', 'cgi'], ['apache', 'cgi'], ['lighttpd', 'fcgi']])
  test(`no daemon, no cron: in and out by requests alone, ${web}, ${mode}`, async (t) => {
    const zalo = await startZalo({ profiles: { 61: { display_name: 'Lan' } } });
    t.after(() => zalo.close());
    const p = await start({ web, mode, conf: { worker_daemon: 'off',
      worker_every_s: 1, backoff_percent: 1, webhook_wait_ms_max: 10000,
      ...(mode === 'cgi' && { push_daemon: 'off' }) } });
    t.after(() => p.stop());
    const begun = Date.now();
    assert.equal(p.pid('worker'), 0);
    const said = await p.cli('channel', 'add', '--platform', 'zalo', '--name',
      'OA', ...Object.entries({ app_id: APP, oa_id: OA, oa_secret: SECRET,
        app_secret: 'zalo-sample-app-secret', access_token: 'zalo-sample-access',
        refresh_token: 'zalo-sample-refresh-1', api_base: zalo.url,
        oauth_base: zalo.url }).flatMap(([k, v]) => ['--set', `${k}=${v}`]));
    const hook = said.match(/^webhook (\S+)$/m)[1];
    const says = async (id, text) => {
      const event = { app_id: APP, sender: { id: '61' }, recipient: { id: OA },
        event_name: 'user_send_text', timestamp: String(Date.now()),
        message: { msg_id: id, text } };
      const body = JSON.stringify(event);
      const mac = createHash('sha256').update(APP + body + event.timestamp + SECRET)
        .digest('hex');
      const got = await p.request('POST', new URL(hook).pathname, { body,
        headers: { 'X-ZEvent-Signature': `mac=${mac}`,
          'Content-Type': 'application/json' } });
      assert.equal(got.status, 200);
    };
    const agent = await p.agent();
    await says('z1', 'xin chào');
    const c = await until(async () => (await agent.get('/api/conversations'))
      .json.items.find((x) => x.last_message?.content === 'xin chào'),
    undefined, 'the message is seen');
    // Her name is looked up; by whom?  Only requests are made here.
    await until(async () => (await agent.get(`/api/conversations/${c.id}`))
      .json.customer.name === 'Lan', undefined, 'the customer has a name');
    for (let i = 1; i <= 3; i++) {
      const sent = await agent.send(c.id, `answer ${i}`, { client_id: `a${i}` });
      assert.equal(sent.status, 201);
    }
    const list = async () => (await agent.get(
      `/api/conversations/${c.id}/messages`)).json.items;
    await until(async () => (await list()).filter((m) => m.status === 'sent')
      .length >= 3, undefined, 'the answers are sent');
    assert.deepEqual(zalo.sent.map((m) => m.text),
      ['answer 1', 'answer 2', 'answer 3']);
    // Never two, and gone when there is nothing more to do.
    assert.ok(workers(p.conf) <= 1);
    const starts = p.log('worker').match(/worker start once=1/g).length;
    assert.ok(starts <= 2 + (Date.now() - begun) / 1000, `${starts} starts`);
    await until(() => workers(p.conf) === 0, undefined, 'the worker has ended');
    assert.match(p.log('worker'), /worker start once=1/);
    // It is started anew, and a try that failed is made again.
    await says('z2', 'alo?');
    await agent.send(c.id, 'answer 4', { client_id: 'a4' });
    await until(async () => {
      await list();
      return zalo.sent.length === 4;
    }, undefined, 'the fourth answer is sent');
    assert.deepEqual(zalo.faults, []);
  });
