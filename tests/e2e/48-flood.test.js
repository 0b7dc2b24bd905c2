// A flood of webhooks: each is answered in time or told to come again, nothing
// that was acknowledged is lost, and agents go on working.
//
// PARLEY_FLOOD=10000 is the whole one, in ten seconds.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import http from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pause, start, until } from './lib/harness.js';

const N = Number(process.env.PARLEY_FLOOD ?? 2000);
const PER_S = 1000, AT_ONCE = 100;
const APP = '1845200000000000123', OA = '2520000000000000017';
const SECRET = 'zalo-sample-oa-secret';

// In time: on a machine that does something else, too, with much patience; how
// long it took is told, and measured where nothing else runs.
const ANSWER_MS = Number(process.env.PARLEY_FLOOD_MS ?? 20_000);

for (const rate of [200, 100000])
  test(`${N} webhooks, ${PER_S} a second, webhook_rate_max = ${rate}`, async (t) => {
    const p = await start({ web: 'lighttpd', conf: { webhook_rate_max: rate } });
    t.after(() => p.stop());
    const said = await p.cli('channel', 'add', '--platform', 'zalo', '--name',
      'OA', ...Object.entries({ app_id: APP, oa_id: OA, oa_secret: SECRET,
        api_base: 'http://127.0.0.1:9', oauth_base: 'http://127.0.0.1:9' })
        .flatMap(([k, v]) => ['--set', `${k}=${v}`]));
    const path = new URL(said.match(/^webhook (\S+)$/m)[1]).pathname;
    const sql = async (text) => (await promisify(execFile)('sqlite3', ['-readonly',
      '-cmd', '.timeout 20000', join(p.var, 'parley.db'), text])).stdout.trim();
    const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
    t.after(() => agent.destroy());

    const kept = [], slow = [], odd = [];
    let later = 0, worst = 0;
    async function post(i) {
      const event = { app_id: APP, sender: { id: `u${i % 50}` },
        recipient: { id: OA }, event_name: 'user_send_text',
        timestamp: String(Date.now()),
        message: { msg_id: `f${i}`, text: `text ${i}` } };
      const body = JSON.stringify(event);
      const mac = createHash('sha256').update(APP + body + event.timestamp + SECRET)
        .digest('hex');
      const at = Date.now();
      const got = await p.request('POST', path, { body, agent, headers: {
        'X-ZEvent-Signature': `mac=${mac}`, 'Content-Type': 'application/json' } });
      const ms = Date.now() - at;
      worst = Math.max(worst, ms);
      if (ms > ANSWER_MS)
        slow.push(ms);
      if (got.status === 200)
        kept.push(`f${i}`);
      else if (got.status === 503 && /^[1-9]\d*$/.test(got.headers['retry-after'] ?? ''))
        later++;
      else
        odd.push(`${got.status} ${got.text}`);
    }

    // An agent looks at the inbox all the while.
    const who = await p.agent();
    const looks = [];
    let flooding = true;
    const looking = (async () => {
      while (flooding) {
        const at = Date.now();
        const got = await who.get('/api/conversations');
        assert.equal(got.status, 200);
        looks.push(Date.now() - at);
        await pause(100);
      }
    })();

    const begun = Date.now();
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < N) {
        const i = next++;
        const wait = begun + i * 1000 / PER_S - Date.now();
        if (wait > 0)
          await pause(wait);
        await post(i);
      }
    }));
    const took = Date.now() - begun;
    flooding = false;
    await looking;
    looks.sort((a, b) => a - b);
    t.diagnostic(`${kept.length} stored, ${later} told to come again, in ${took} ms; ` +
      `slowest answer ${worst} ms, slowest list ${looks.at(-1)} ms, median ` +
      `${looks[looks.length >> 1]} ms of ${looks.length}`);

    assert.deepEqual(odd, []);
    assert.deepEqual(slow, []);
    assert.equal(kept.length + later, N);
    assert.ok(kept.length > 0);
    if (rate < PER_S && took < N)
      assert.ok(later > 0, 'a flood is told to come again');
    assert.ok(looks.at(-1) < ANSWER_MS, `the list took ${looks.at(-1)} ms`);
    // All of it is kept, and soon all of it is seen, in its order.
    await until(async () => await sql(`SELECT count(*) FROM webhook_inbox
      WHERE state = 'new'`) === '0', 120_000, 'all is read');
    const rows = (await sql(`SELECT m.external_id FROM messages m
      JOIN webhook_inbox w ON w.id = m.inbox_id ORDER BY w.id`)).split('\n');
    assert.deepEqual(rows.slice().sort(), kept.slice().sort());
    const byId = (await sql(`SELECT external_id FROM messages
      WHERE inbox_id IS NOT NULL ORDER BY id`)).split('\n');
    assert.deepEqual(byId, rows);
    assert.equal(await sql(`SELECT count(*) FROM webhook_inbox
      WHERE state <> 'done'`), '0');
  });
