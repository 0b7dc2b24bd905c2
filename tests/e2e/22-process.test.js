// One FastCGI process and two people in turn: ten thousand requests leave
// nothing of the one in the answers for the other, and no memory behind.

import test from 'node:test';
import assert from 'node:assert/strict';
import { box } from './lib/box.js';
import { sanitized } from './lib/harness.js';

const ROUNDS = Number(process.env.PARLEY_ROUNDS ?? 10000);

// Asks `count` times, a few at once, kept in order by number.
async function each(count, width, ask) {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count)
      await ask(next++);
  }));
}

test('two people alternate in one process: nothing leaks, memory stays flat', async (t) => {
  const b = await box({ programs: ['api', 'poll'] });
  t.after(() => b.stop());
  const kim = await b.customer('Kim'), lan = await b.customer('Lan');
  const an = await b.user('An'), binh = await b.user('Binh');
  for (const [c, text] of [[kim, 'word of kim'], [lan, 'word of lan']])
    for (let i = 0; i < 30; i++)
      await b.request('POST', '/api/widget/messages', { who: c, body: { content: text } });
  const { cursor } = (await b.request('GET', '/api/events/poll', { who: kim })).json;

  // What each may see, and what would be the other's.
  const turns = [
    async (i) => {
      const [me, other] = i & 1 ? [kim, lan] : [lan, kim];
      const r = await b.request('GET', '/api/widget/messages', { who: me });
      assert.equal(r.status, 200);
      assert.ok(r.text.includes(`word of ${me.name.toLowerCase()}`));
      assert.ok(!r.text.includes(`word of ${other.name.toLowerCase()}`));
      assert.ok(!r.text.includes(other.name));
    },
    async (i) => {
      const me = i & 1 ? an : binh;
      const r = await b.request('GET', '/api/me', { who: me });
      assert.equal(r.json.id, me.id);
      assert.equal(r.json.email, me.email);
    },
    async (i) => {
      const [me, other] = i & 1 ? [kim, lan] : [lan, kim];
      const r = await b.request('GET', `/api/conversations/${other.conversation}`, { who: me });
      assert.equal(r.status, 404);
      assert.ok(!r.text.includes(other.name));
    },
    async (i) => { // nobody at all, right after somebody
      const r = await b.request('GET', i & 1 ? '/api/me' : '/api/unread');
      assert.equal(r.status, 401);
    },
    async (i) => { // a body that is refused leaves none behind
      const r = await b.request('POST', '/api/widget/messages', { who: i & 1 ? kim : lan,
        body: i & 2 ? '{"content":' : { content: 5 },
        headers: { 'content-type': 'application/json' } });
      assert.ok([400, 422].includes(r.status));
    },
    async (i) => {
      const [me, other] = i & 1 ? [kim, lan] : [lan, kim];
      const r = await b.request('GET', `/api/events/poll?since=${i % 32 ? cursor : 0}`, { who: me });
      assert.equal(r.status, 200);
      assert.ok(!r.text.includes(`word of ${other.name.toLowerCase()}`));
    },
    async (i) => {
      const me = i & 1 ? kim : lan;
      const r = await b.request('POST', `/api/conversations/${me.conversation}/messages`,
        { who: me, body: { content: `word of ${me.name.toLowerCase()}`,
          client_id: `c${i % 400}` } });
      assert.ok([200, 201].includes(r.status), r.text);
      assert.equal(r.json.sender.id, me.id);
    },
  ];

  const turn = (i) => turns[i % turns.length](Math.floor(i / turns.length));
  await each(Math.min(4000, ROUNDS), 4, turn); // caches fill
  const before = { api: b.memory('api'), poll: b.memory('poll') };
  await each(ROUNDS, 4, turn);
  for (const name of ['api', 'poll']) {
    const after = b.memory(name);
    t.diagnostic(`${name}: ${before[name]} KiB, then ${after} KiB`);
    if (sanitized)
      continue;
    assert.ok(after - before[name] < 512, `${name} grew by ${after - before[name]} KiB`);
    assert.ok(after < 12 * 1024, `${name} has ${after} KiB`);
  }
});
