// The whole way, through each web server and each way of running: a customer
// writes on Zalo, an agent sees it, answers, and is told what became of it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { start, until } from './lib/harness.js';
import { startZalo } from '../standin/zalo.js';

const APP = '1845200000000000123', OA = '2520000000000000017';
const SECRET = 'zalo-sample-oa-secret';

// What Zalo does: a signed POST, as one body or in chunks.
function post(url, event, { chunks } = {}) {
  const body = Buffer.from(JSON.stringify(event));
  const mac = createHash('sha256').update(APP).update(body)
    .update(event.timestamp).update(SECRET).digest('hex');
  return new Promise((resolve, reject) => {
    const rq = http.request(url, { method: 'POST', headers: {
      'X-ZEvent-Signature': `mac=${mac}`, 'Content-Type': 'application/json',
      ...(chunks ? { 'Transfer-Encoding': 'chunked' }
        : { 'Content-Length': body.length }) } }, (rs) => {
      rs.resume();
      rs.on('end', () => resolve(rs.statusCode));
    });
    rq.on('error', reject);
    for (let at = 0; at < body.length; at += chunks ?? body.length)
      rq.write(body.subarray(at, at + (chunks ?? body.length)));
    rq.end();
  });
}

for (const web of ['apache', 'lighttpd'])
  for (const mode of ['fcgi', 'cgi'])
    test(`Zalo to the agent and back, ${web}, ${mode}`, async (t) => {
      const zalo = await startZalo({ profiles: { 61: { display_name: 'Lan' } } });
      t.after(() => zalo.close());
      const p = await start({ web, mode, conf: { worker_poll_ms: 50,
        webhook_wait_ms_max: 10000 } });
      t.after(() => p.stop());
      const said = await p.cli('channel', 'add', '--platform', 'zalo', '--name',
        'OA', ...Object.entries({ app_id: APP, oa_id: OA, oa_secret: SECRET,
          app_secret: 'zalo-sample-app-secret', access_token: 'zalo-sample-access',
          refresh_token: 'zalo-sample-refresh-1', api_base: zalo.url,
          oauth_base: zalo.url }).flatMap(([k, v]) => ['--set', `${k}=${v}`]));
      const hook = said.match(/^webhook (\S+)$/m)[1];
      assert.ok(hook.startsWith(p.url), hook);

      const agent = await p.agent();
      const stream = mode === 'fcgi' ? await agent.sse() : null;
      const event = { app_id: APP, sender: { id: '61' }, recipient: { id: OA },
        event_name: 'user_send_text', timestamp: String(Date.now()),
        message: { msg_id: 'z1', text: 'Cho mình hỏi giá vé ạ 🚠' } };
      assert.equal(await post(hook, event, { chunks: 7 }), 200);
      assert.equal(await post(hook, event), 200);
      event.message = { msg_id: 'z2', text: 'alo?' };
      assert.equal(await post(hook, event), 200);

      // The agent sees it, in the list and, where there is pushd, at once.
      const c = await until(async () => (await agent.get('/api/conversations'))
        .json.items.find((x) => x.platform === 'zalo' &&
          x.last_message.content === 'alo?'), undefined, 'what was said is seen');
      if (stream)
        await stream.until((e) => e.type === 'new_message' &&
          JSON.stringify(e.data).includes('giá vé ạ 🚠'));
      const sent = await agent.send(c.id, 'Dạ 350.000đ ạ', { client_id: 'a1' });
      assert.equal(sent.status, 201);
      const id = (sent.json.message ?? sent.json).id;
      await zalo.until((z) => z.sent.length === 1);
      assert.equal(zalo.sent[0].text, 'Dạ 350.000đ ạ');
      const list = async () => (await agent.get(
        `/api/conversations/${c.id}/messages`)).json.items;
      await until(async () => (await list()).find((m) => m.id === id)
        .status === 'sent', undefined, 'the message is sent');
      if (stream)
        await stream.until((e) => e.type === 'message_status' &&
          JSON.stringify(e.data).includes('"sent"'));

      // Received and seen; the customer has a name by now.
      event.event_name = 'user_seen_message';
      event.message = { msg_ids: [zalo.sent[0].id] };
      assert.equal(await post(hook, event), 200);
      await until(async () => (await list()).find((m) => m.id === id)
        .status === 'read', undefined, 'the message is read');
      assert.equal((await list()).length, 3);
      await until(async () => (await agent.get(`/api/conversations/${c.id}`))
        .json.customer.name === 'Lan', undefined, 'the customer has a name');
      // Nothing of ours without its proof.
      event.timestamp = '1';
      const forged = await p.request('POST', new URL(hook).pathname,
        { body: event, headers: { 'X-ZEvent-Signature': 'mac=00' } });
      assert.equal(forged.status, 401);
      assert.deepEqual(zalo.faults, []);
    });
