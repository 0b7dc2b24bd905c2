// push.js in a real browser: WebSocket, tabs that share one stream and one
// outbox, a reload, the network going and coming.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { LogServer } from './lib/log-server.js';
import { launch } from './lib/chromium.js';

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

// Quick but for what would take a stall of the machine for a dead server, or a
// dead tab: a test of that says so.
const QUICK = { backoff: 20, backoff_max: 200, jitter: 10, open: 20000,
  steady: 1000, grace: 300, up: 300, up_max: 500, ws_ping: 300, ws_pong: 20000,
  poll: 50, tick: 50, request: 20000, leader: 5000 };

const until = async (what, why, ms = 30_000) => {
  for (const end = Date.now() + ms; Date.now() < end;) {
    const got = await what();
    if (got)
      return got;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`waited in vain: ${why}`);
};

async function setup(t) {
  const server = await new LogServer().listen();
  const context = await browser.newContext();
  server.token = 'secret';
  server.pages.set('/', '<!doctype html><title>t</title><body>');
  t.after(async () => {
    await context.close();
    await server.close();
    assert.deepEqual(server.errors, []);
  });
  return { server, context };
}

async function tab(server, context, options = {}) {
  const page = await context.newPage();
  page.on('pageerror', (e) => server.errors.push(String(e)));
  await page.goto(server.url + '/');
  await begin(page, options);
  return page;
}

const begin = (page, { times, ...options }) => page.evaluate(async ([options, times]) => {
  const { Push } = await import('/js/push.js');
  const push = window.push = new Push({ token: 'secret', storageKey: 't',
    times, ...options });
  window.got = [];
  window.boxes = [];
  window.states = [];
  push.on('n', (data) => window.got.push(data));
  push.on('outbox', (e) => window.boxes.push([e.body.content, e.state]));
  push.on('state', (s) => window.states.push(s));
  push.on('reset', () => {
    window.resets = (window.resets ?? 0) + 1;
    push.resume(window.head);
  });
  push.start();
}, [options, { ...QUICK, ...times }]);

const got = (page) => page.evaluate(() => window.got);
const connected = (page, by) => until(() => page.evaluate((by) =>
  window.push.state === 'connected' && (!by || window.push.transport === by),
by), `connected ${by ?? ''}`);
const numbers = (n) => Array.from({ length: n }, (_, i) => i);

test('where the browser gives no locks it follows and sends all the same',
  async (t) => {
    const { server, context } = await setup(t);
    /* as a browser that blocks a site's storage does */
    await context.addInitScript(() => {
      window.asked = 0;
      LockManager.prototype.request = () => {
        window.asked++;
        return Promise.reject(new DOMException('denied', 'SecurityError'));
      };
    });
    const page = await tab(server, context);
    await connected(page);
    await page.evaluate(() => window.push.send('12', { content: 'hi' }));
    server.publish('n', 1);
    await until(async () => (await got(page)).length === 1, 'the event');
    await until(() => server.messages.length === 1, 'the message');
    assert.ok(await page.evaluate(() => window.asked) < 10);
  });

test('WebSocket first; cut and doubled, each event once', async (t) => {
  const { server, context } = await setup(t);
  server.faults.double = true;
  const page = await tab(server, context);
  await connected(page, 'websocket');
  for (let i = 0; i < 200; i++) {
    server.publish('n', i);
    if (i % 19 === 0)
      server.cut();
    await new Promise((done) => setTimeout(done, 2));
  }
  await until(async () => (await got(page)).length >= 200, 'all');
  assert.deepEqual(await got(page), numbers(200));
});

test('down from WebSocket to SSE to polling, and up again', async (t) => {
  const { server, context } = await setup(t);
  server.faults.ws = 404;
  const page = await tab(server, context);
  await connected(page, 'sse');
  server.publish('n', 0);
  const first = server.asked.findIndex((a) => a.startsWith('GET /api/events/stream'));
  assert.equal(server.asked.slice(0, first).filter((a) => a.startsWith('WS')).length, 5);
  server.faults.sse = 503;
  server.cut();
  await connected(page, 'poll');
  server.publish('n', 1);
  await until(async () => (await got(page)).length === 2, 'by poll');
  server.faults.ws = null;
  await connected(page, 'websocket');
  server.publish('n', 2);
  await until(async () => (await got(page)).length === 3, 'by WebSocket');
  assert.deepEqual(await got(page), numbers(3));
});

test('a WebSocket that does not answer pings is left', async (t) => {
  const { server, context } = await setup(t);
  const page = await tab(server, context, { times: { ws_pong: 300, open: 500 } });
  await connected(page, 'websocket');
  server.faults.ws = 'silent';
  server.publish('n', 0);
  await until(async () => (await got(page)).length === 1, 'otherwise');
});

test('tabs share one stream; the next takes it over', async (t) => {
  const { server, context } = await setup(t);
  const a = await tab(server, context);
  await connected(a);
  server.publish('n', 0);
  const b = await tab(server, context);
  const c = await tab(server, context);
  await connected(b, 'websocket');
  await connected(c, 'websocket');
  await until(() => server.streams.size === 1, 'one stream');
  server.publish('n', 1);
  for (const [page, want] of [[a, [0, 1]], [b, [1]], [c, [1]]]) {
    await until(async () => (await got(page)).length === want.length, 'all');
    assert.deepEqual(await got(page), want);
  }
  await a.close();
  for (let i = 2; i < 60; i++) {
    server.publish('n', i);
    await new Promise((done) => setTimeout(done, 4));
  }
  for (const page of [b, c]) {
    await until(async () => (await got(page)).length >= 59, 'all');
    assert.deepEqual(await got(page), numbers(60).slice(1));
  }
  await until(() => server.streams.size === 1, 'one stream');
});

test('a tab that loaded before what the stream has passed catches up',
  async (t) => {
    const { server, context } = await setup(t);
    const a = await tab(server, context);
    await connected(a);
    const cursor = server.head;
    for (let i = 0; i < 10; i++)
      server.publish('n', i);
    await until(async () => (await got(a)).length === 10, 'a');
    const b = await tab(server, context, { cursor: String(cursor) });
    server.publish('n', 10);
    await until(async () => (await got(b)).length >= 11, 'b');
    assert.deepEqual(await got(b), numbers(11));
    await until(() => server.streams.size === 1, 'one stream');
  });

test('a leader that says nothing any more is replaced', async (t) => {
  const { server, context } = await setup(t);
  const times = { leader: 400 };
  const a = await tab(server, context, { times });
  await connected(a);
  const b = await tab(server, context, { times });
  await connected(b);
  // frozen: it holds the lock and the socket, and nothing runs
  const cdp = await context.newCDPSession(a);
  await cdp.send('Debugger.enable');
  await cdp.send('Debugger.pause');
  a.evaluate(() => 1).catch(() => {});
  server.publish('n', 0);
  await until(async () => (await got(b)).length === 1, 'b took it');
  await cdp.send('Debugger.resume').catch(() => {});
  await cdp.send('Debugger.disable').catch(() => {});
  await until(async () => (await got(a)).length === 1, 'a follows');
  server.publish('n', 1);
  await until(async () => (await got(a)).length === 2, 'a still follows');
  assert.deepEqual(await got(a), [0, 1]);
  assert.deepEqual(await got(b), [0, 1]);
});

test('reset reaches every tab; each loads and goes on', async (t) => {
  const { server, context } = await setup(t);
  const a = await tab(server, context);
  const b = await tab(server, context);
  await connected(a);
  await connected(b);
  server.publish('n', 0);
  await until(async () => (await got(b)).length === 1, 'b');
  await server.close();
  server.log = [];
  server.floor = server.head + 10;
  server.head = server.floor + 10;
  for (const page of [a, b])
    await page.evaluate((head) => (window.head = head), String(server.head));
  await server.listen(server.port);
  for (const page of [a, b])
    await until(() => page.evaluate(() => window.resets === 1), 'reset');
  await connected(a);
  server.publish('n', 1);
  for (const page of [a, b])
    await until(async () => (await got(page)).length === 2, 'live again');
});

test('an unsent message survives a reload, and two tabs send it once',
  async (t) => {
    const { server, context } = await setup(t);
    const a = await tab(server, context);
    await connected(a);
    server.faults.post = new Array(1000).fill('lost');
    await a.evaluate(() => {
      for (let i = 0; i < 5; i++)
        window.push.send('12', { content: `m${i}` });
    });
    await until(() => server.count('POST') > 2, 'tries');
    const b = await tab(server, context);
    await a.reload();
    await begin(a, {});
    assert.equal(await a.evaluate(() => window.push.pending('12').length), 5);
    server.faults.post = ['stored', null, 'stored'];
    await until(() => a.evaluate(() => window.push.pending().length === 0),
      'sent');
    assert.deepEqual(server.messages.map((m) => m.content),
      ['m0', 'm1', 'm2', 'm3', 'm4']);
    const sent = async (page) => (await page.evaluate(() => window.boxes))
      .filter(([, s]) => s === 'sent').length;
    await until(async () => await sent(a) === 5 && await sent(b) === 5,
      'both tabs know');
    assert.equal(server.messages.length, 5);
  });

test('offline is said at once, and over when the network is back',
  async (t) => {
    const { server, context } = await setup(t);
    const page = await tab(server, context);
    await connected(page);
    await context.setOffline(true);
    await until(() => page.evaluate(() => window.push.state === 'offline'),
      'offline');
    server.publish('n', 0);
    await page.evaluate(() => window.push.send('12', { content: 'later' }));
    await new Promise((done) => setTimeout(done, 300));
    assert.deepEqual(await got(page), []);
    await context.setOffline(false);
    await connected(page);
    await until(async () => (await got(page)).length === 1, 'what was missed');
    await until(() => server.messages.length === 1, 'what was written');
  });

test('with the session cookie: same-origin, and the CSRF token on writes',
  async (t) => {
    const { server, context } = await setup(t);
    server.token = null;
    server.pages.set('/', '<!doctype html><meta name=csrf content=c5rf><body>');
    const page = await context.newPage();
    const seen = [];
    page.on('request', (r) => seen.push(r));
    await page.goto(server.url + '/');
    await begin(page, { token: null });
    await connected(page);
    await page.evaluate(() => window.push.send('12', { content: 'hi' }));
    await until(() => server.messages.length === 1, 'stored');
    const post = seen.find((r) => r.method() === 'POST');
    assert.equal(post.headers()['x-csrf-token'], 'c5rf');
    assert.equal(post.headers().authorization, undefined);
  });

test('a page from the browser\'s cache of pages goes on where it was',
  async (t) => {
    const { server, context } = await setup(t);
    const page = await tab(server, context);
    await connected(page);
    await page.evaluate(() => {
      window.dispatchEvent(new PageTransitionEvent('pagehide',
        { persisted: true }));
    });
    await until(() => server.streams.size === 0, 'closed');
    server.publish('n', 0);
    await page.evaluate(() => {
      window.dispatchEvent(new PageTransitionEvent('pageshow',
        { persisted: true }));
    });
    await until(async () => (await got(page)).length === 1, 'missed');
  });
