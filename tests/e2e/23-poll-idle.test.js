// A poll with nothing new asks no database: it is answered while there is none.
// What ends a session, or brings an event, still shows at once.

import test from 'node:test';
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { box } from './lib/box.js';
import { pause } from './lib/harness.js';

test('an idle poll needs no database', async (t) => {
  const b = await box();
  t.after(() => b.stop());
  const db = join(b.p.var, 'parley.db');
  // A token tells its second: one of the map's first second might be older
  // than the end of a session there, and asks.
  await pause(1100);
  const an = await b.user('An'), kim = await b.customer('Kim');
  await b.request('POST', '/api/widget/messages', { who: kim, body: { content: 'hi' } });
  const login = await b.request('POST', '/api/auth/login',
    { body: { email: an.email, password: an.password } });
  const cookie = login.cookies.map((c) => c.split(';')[0]).join('; ');
  const askers = { jwt: { who: an }, customer: { who: kim }, cookie: { headers: { cookie } } };
  const poll = (q, o, as) => b.request('GET', `/api/events/poll${q}`, { ...o, as });
  const cursor = {};
  for (const [name, o] of Object.entries(askers))
    cursor[name] = (await poll('', o)).json.cursor;

  await t.test('with the database taken away', async () => {
    renameSync(db, `${db}.away`);
    try {
      for (const [name, o] of Object.entries(askers)) {
        const r = await poll(`?after=${cursor[name]}`, o, 'cgi');
        assert.equal(r.status, 200, `${name}: ${r.text}`);
        assert.deepEqual(r.json.events, []);
        assert.equal(r.json.cursor, cursor[name]);
        const same = await poll(`?after=${cursor[name]}`,
          { ...o, headers: { ...o.headers, 'if-none-match': r.headers.etag } }, 'cgi');
        assert.equal(same.status, 304);
        // Whatever is not idle says that it cannot know.
        assert.equal((await poll('?since=0', o, 'cgi')).status, 503);
      }
      // A clock ahead of the log, as the dashboard's.
      const ahead = await poll(`?since=${Date.now() + 5000}`, askers.jwt, 'cgi');
      assert.equal(ahead.status, 200, ahead.text);
      assert.ok(ahead.json.timestamp <= Date.now());
      // A forged token needs no database to be refused.
      assert.equal((await poll(`?after=${cursor.jwt}`,
        { who: { token: `${an.token}x` } }, 'cgi')).status, 401);
    } finally {
      renameSync(`${db}.away`, db);
    }
  });

  await t.test('what others are told moves the cursor of whoever is not concerned', async () => {
    const lan = await b.customer('Lan');
    await b.request('POST', '/api/widget/messages', { who: lan, body: { content: 'mine' } });
    const r = await poll(`?after=${cursor.customer}`, askers.customer);
    assert.deepEqual(r.json.events, []);
    assert.ok(Number(r.json.cursor) > Number(cursor.customer));
    assert.ok((await poll(`?after=${cursor.jwt}`, askers.jwt)).json.events.length > 0);
  });

  await t.test('an event ends the idleness', async () => {
    const m = await b.request('POST', `/api/conversations/${kim.conversation}/messages`,
      { who: an, body: { content: 'answer' } });
    assert.equal(m.status, 201, m.text);
    const r = await poll(`?after=${cursor.customer}`, askers.customer);
    assert.deepEqual(r.json.events.filter((e) => e.type === 'new_message').map((e) => e.id),
      [m.json.id]);
  });

  await t.test('so does the end of the session', async () => {
    const now = (await poll('', askers.cookie)).json.cursor;
    const out = await b.request('POST', '/api/auth/logout', { body: {},
      headers: { cookie, origin: b.p.url, 'x-csrf-token': login.json.csrf_token } });
    assert.equal(out.status, 200, out.text);
    for (const q of [`?after=${now}`, '', '?since=0', `?since=${Date.now() + 5000}`])
      for (const o of [askers.cookie, { who: { token: login.json.token } }])
        assert.equal((await poll(q, o)).status, 401, q);
    assert.equal((await poll(`?after=${now}`, askers.jwt)).status, 200);
  });

  await t.test('and the map itself is not believed when it is gone', async () => {
    const { cursor: now } = (await poll('', askers.customer)).json;
    renameSync(join(b.p.var, 'heads.map'), join(b.p.var, 'heads.gone'));
    const m = await b.request('POST', '/api/widget/messages',
      { who: kim, body: { content: 'again' } });
    assert.equal(m.status, 201, m.text);
    const r = await poll(`?after=${now}`, askers.customer);
    assert.ok(r.json.events.some((e) => e.id === m.json.id), r.text);
  });
});
