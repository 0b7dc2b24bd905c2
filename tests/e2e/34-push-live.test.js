// push.js with the built programs: every transport sees the same log, each
// event once and in order, while what serves it is killed.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { start, until, pause } from './lib/harness.js';
import { launch } from './lib/chromium.js';

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const ALL = { ws: ['websocket'], sse: ['sse'], poll: ['poll'],
  all: ['websocket', 'sse', 'poll'] };

// A page whose followers, one a list of transports, note what they see.
async function followers(t, p, token, ways = ALL) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(p.url + '/demo.html');
  await page.evaluate(async ([token, ways]) => {
    const { Push } = await import('/js/push.js');
    window.seen = {};
    window.pushes = {};
    for (const [name, transports] of Object.entries(ways)) {
      const push = new Push({ token, transports, tabs: false,
        storageKey: name });
      window.seen[name] = [];
      window.pushes[name] = push;
      push.on('new_message', (m, e) =>
        window.seen[name].push([e.id, m.content]));
      push.on('reset', () => window.seen[name].push(['reset']));
      push.start();
    }
  }, [token, ways]);
  await until(() => page.evaluate(() => Object.values(window.pushes)
    .every((x) => x.state === 'connected' && x.cursor !== null)), undefined,
  'connected');
  return page;
}

const seen = (page) => page.evaluate(() => window.seen);

for (const web of ['apache', 'lighttpd']) {
  test(`${web}: WebSocket, SSE and polling show the same`, async (t) => {
    const p = await start({ web, env: { PARLEY_LIMITS: 'off' } });
    t.after(() => p.stop());
    const visitor = await p.visitor({ name: 'Minh' });
    const agent = await p.agent();
    const page = await followers(t, p, visitor.token);
    // The last one polls if its WebSocket is slow to come up.
    await until(async () => String(await page.evaluate(() =>
      Object.values(window.pushes).map((x) => x.transport))) ===
      'websocket,sse,poll,websocket', undefined, 'the transports');
    for (let i = 0; i < 50; i++)
      await (i % 2 ? agent : visitor).send(visitor.conversation_id, `${i}`);
    await until(async () => Object.values(await seen(page))
      .every((l) => l.length >= 50), 60_000, 'all 50');
    const { ws, ...others } = await seen(page);
    assert.deepEqual(ws.map(([, c]) => c), Array.from({ length: 50 },
      (_, i) => `${i}`));
    for (const [name, list] of Object.entries(others))
      assert.deepEqual(list, ws, name);
  });

  test(`${web}: everything killed in turn; nothing missed, nothing twice`,
    { timeout: 300_000 }, async (t) => {
      const p = await start({ web, env: { PARLEY_LIMITS: 'off' } });
      t.after(() => p.stop());
      const visitor = await p.visitor({ name: 'Minh' });
      const page = await followers(t, p, visitor.token);
      // The page writes as well, through the outbox of the last one.
      const victims = ['pushd', 'web', 'api-1', 'poll-1', 'push-api-1', 'pushd'];
      const n = 240;
      for (let i = 0; i < n; i++) {
        await page.evaluate(([c, i]) => window.pushes.all.send(c,
          { content: `${i}` }), [visitor.conversation_id, i]);
        if (i % 40 === 20)
          p.kill(victims[Math.floor(i / 40) % victims.length]);
        await pause(40);
      }
      await until(() => page.evaluate(() =>
        window.pushes.all.pending().length === 0), 90_000, 'all sent');
      await until(async () => Object.values(await seen(page))
        .every((l) => l.length >= n), 90_000, 'all seen');
      await pause(1000);
      const want = Array.from({ length: n }, (_, i) => `${i}`);
      for (const [name, list] of Object.entries(await seen(page))) {
        assert.deepEqual(list.map(([, c]) => c), want, name);
        assert.deepEqual(list.map(([id]) => Number(id)),
          list.map(([id]) => Number(id)).sort((a, b) => a - b), name);
      }
    });
}
