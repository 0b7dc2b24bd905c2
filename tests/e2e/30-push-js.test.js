// push.js: an event log followed through cut streams, silence, refusals and
// restarts, and an outbox whose messages are stored once.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Push, sse } from '../../www/js/push.js';
import { LogServer } from './lib/log-server.js';

// Quick but for what would take a stall of the machine for a dead server: a test
// of that says so.
const QUICK = { backoff: 20, backoff_max: 100, jitter: 10, open: 20000,
  sse_quiet: 20000, steady: 1000, grace: 100, up: 200, up_max: 400, poll: 50,
  request: 20000, tick: 50 };

const until = async (what, why, ms = 30_000) => {
  for (const end = Date.now() + ms; Date.now() < end;) {
    const got = what();
    if (got)
      return got;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw new Error(`waited in vain: ${why}`);
};

let names = 0;

async function follow(t, options = {}) {
  const server = await new LogServer().listen();
  server.token = 'secret';
  let push;
  t.after(async () => {
    push?.stop();
    await server.close();
    assert.deepEqual(server.errors, []);
  });
  push = new Push({ base: server.url, token: 'secret', times: QUICK,
    transports: ['sse', 'poll'], storageKey: `t${++names}`, ...options });
  const got = [], states = [];
  push.on('n', (data) => got.push(data));
  push.on('state', (s, by) => states.push(by ? `${s} ${by}` : s));
  return { server, push, got, states };
}

test('the SSE parser reads the same events however the text is cut', () => {
  const text = ': hi\nretry: 3000\n\nid: 7\ndata: {"a":1}\n\n' +
    'event: x\r\nid: 8\r\ndata:one\r\ndata: two\r\ndata\r\n\r\n' +
    'data: torn by\rid: 9\rretry: 1x\rnothing: here\r\r' +
    'id: 1\n\nevent: lost\n\ndata:  two spaces\n\n' +
    'data: Xin chào ครับ 👋\n\ndata: never ends\n';
  const want = [
    { type: undefined, data: '{"a":1}', id: '7' },
    { type: 'x', data: 'one\ntwo\n', id: '8' },
    { type: undefined, data: 'torn by', id: '9' },
    { type: undefined, data: ' two spaces', id: undefined },
    { type: undefined, data: 'Xin chào ครับ 👋', id: undefined },
  ];
  const read = (...parts) => {
    const out = [], retries = [];
    const feed = sse((e) => out.push(e), (ms) => retries.push(ms));
    const utf8 = new TextDecoder();
    parts.forEach((p) => feed(utf8.decode(p, { stream: true })));
    assert.deepEqual(retries, [3000]);
    return out;
  };
  const bytes = Buffer.from(text);
  assert.deepEqual(read(bytes), want);
  for (let i = 0; i <= bytes.length; i++)
    assert.deepEqual(read(bytes.subarray(0, i), bytes.subarray(i)), want,
      `cut at ${i}`);
  assert.deepEqual(read(...Array.from(bytes, (b) => Buffer.from([b]))), want);
});

test('no cursor: from now on; with one: what was missed first', async (t) => {
  const { server, push, got } = await follow(t);
  const old = server.publish('n', 'old');
  push.start();
  await until(() => push.state === 'connected', 'connected');
  assert.equal(push.cursor, Number(old.id));
  server.publish('n', 'new');
  await until(() => got.length === 1, 'one event');
  push.stop();
  server.publish('n', 'missed');
  push.start();
  await until(() => got.length === 2, 'the missed one');
  assert.deepEqual(got, ['new', 'missed']);
  await until(() => push.transport === 'sse', 'the stream');
});

test('no cursor, and polled before the stream is up: nothing in between is lost',
  async (t) => {
    const { server, push, got } = await follow(t, { times: { ...QUICK, grace: 20,
      poll: 10000 } });
    server.publish('n', 'old');
    /* The stream is asked for without a cursor and answers late. */
    const { sse } = server;
    let late;
    server.sse = (...a) => (late = () => sse.apply(server, a));
    push.start();
    await until(() => push.transport === 'poll' && late, 'polling');
    server.publish('n', 'between');
    delete server.sse;
    late();
    await until(() => push.transport === 'sse', 'the stream');
    server.publish('n', 'new');
    await until(() => got.includes('new'), 'the new one');
    assert.deepEqual(got, ['between', 'new']);
  });

test('streams cut anywhere, events doubled: each is seen once, in order',
  async (t) => {
    const { server, push, got } = await follow(t);
    server.faults.double = true;
    push.start();
    await until(() => push.state === 'connected', 'connected');
    for (let i = 0; i < 400; i++) {
      server.publish('n', i);
      if (i % 23 === 0)
        server.cut();
      if (i % 7 === 0)
        await new Promise((done) => setTimeout(done, 3));
    }
    await until(() => got.length >= 400, 'all of them');
    assert.deepEqual(got, Array.from({ length: 400 }, (_, i) => i));
  });

test('the cursor moves after the handlers ran, though one throws', async (t) => {
  const { server, push } = await follow(t);
  const at = [];
  t.mock.method(console, 'error', () => {});
  push.on('n', () => {
    throw new Error('a bug of the page');
  });
  push.on('n', (data, e) => at.push([push.cursor < Number(e.id), e.id]));
  push.start();
  await until(() => push.state === 'connected', 'connected');
  const e = server.publish('n', 1);
  await until(() => push.cursor === Number(e.id), 'cursor');
  assert.deepEqual(at, [[true, e.id]]);
});

test('a signal without id moves no cursor; a tick moves it unseen', async (t) => {
  const { server, push } = await follow(t);
  const all = [];
  push.on('*', (data, e) => all.push(e.type));
  push.start();
  await until(() => push.state === 'connected', 'connected');
  const before = push.cursor;
  server.ephemeral('typing_indicator', { typing: true });
  await until(() => all.length === 1, 'the signal');
  assert.equal(push.cursor, before);
  const tick = server.publish('tick', {});
  await until(() => push.cursor === Number(tick.id), 'the tick');
  assert.deepEqual(all, ['typing_indicator']);
});

test('502 from the front end: polls meanwhile, steps down, comes back up',
  async (t) => {
    const { server, push, got, states } = await follow(t);
    server.faults.sse = 502;
    push.start();
    await until(() => push.transport === 'poll', 'poll');
    for (let i = 0; i < 10; i++)
      server.publish('n', i); // more than a page of the poll
    await until(() => got.length === 10, 'by polling');
    await until(() => server.count('GET /api/events/stream') >= 5,
      'five tries');
    server.faults.sse = null;
    server.publish('n', 10);
    await until(() => push.transport === 'sse', 'up again');
    server.publish('n', 11);
    await until(() => got.length === 12, 'by stream');
    assert.deepEqual(got, Array.from({ length: 12 }, (_, i) => i));
    assert.deepEqual(states, ['connected poll', 'connected sse']);
  });

test('the empty stream that stands in for a dead pushd is a failure',
  async (t) => {
    const { server, push } = await follow(t);
    server.faults.sse = 'down';
    push.start();
    await until(() => push.transport === 'poll', 'poll');
  });

test('a stream that falls silent is left, and nothing is lost', async (t) => {
  const { server, push, got } = await follow(t,
    { times: { ...QUICK, sse_quiet: 300 } });
  push.start();
  await until(() => push.transport === 'sse', 'connected');
  const [s] = server.streams;
  s.send = () => {}; // a proxy that holds everything back
  server.publish('n', 1);
  await until(() => got.length === 1, 'after the watchdog');
  await until(() => server.count('GET /api/events/stream') >= 2, 'anew');
  await until(() => push.transport === 'sse', 'up again');
  server.publish('n', 2);
  await until(() => got.length === 2, 'by the new one');
  assert.deepEqual(got, [1, 2]);
});

test('a stream that never greets is left for polling', async (t) => {
  const { server, push, got } = await follow(t, { times: { ...QUICK, open: 300 } });
  server.faults.sse = 'silent';
  push.start();
  await until(() => push.transport === 'poll', 'poll');
  server.publish('n', 1);
  await until(() => got.length === 1, 'the event');
});

test('moving up and down under load misses and doubles nothing', async (t) => {
  const { server, push, got } = await follow(t, { times: { ...QUICK, up: 30,
    up_max: 30, backoff: 5, backoff_max: 10, jitter: 5 } });
  push.start();
  await until(() => push.state === 'connected', 'connected');
  for (let i = 0; i < 1000; i++) {
    server.publish('n', i);
    if (i % 50 === 0) {
      server.faults.sse = i % 100 === 0 ? 503 : null;
      server.cut();
    }
    if (i % 5 === 0)
      await new Promise((done) => setTimeout(done, 4));
  }
  server.faults.sse = null;
  await until(() => got.length >= 1000, 'all');
  assert.deepEqual(got, Array.from({ length: 1000 }, (_, i) => i));
  assert.ok(server.count('GET /api/events/poll') > 5);
});

test('retry: is honoured', async (t) => {
  const { server, push, got } = await follow(t, { transports: ['sse'] });
  server.retry = 700;
  push.start();
  await until(() => push.state === 'connected', 'connected');
  await until(() => server.streams.size === 1, 'stream');
  const cut = Date.now();
  server.cut();
  server.publish('n', 1);
  await until(() => got.length === 1, 'again');
  assert.ok(Date.now() - cut >= 690, `${Date.now() - cut} ms`);
});

test('next_poll_ms and ETag are honoured', async (t) => {
  const { server, push } = await follow(t, { transports: ['poll'] });
  server.poll_ms = 500;
  const at = [], { poll } = server;
  server.poll = (...a) => {
    at.push(performance.now());
    return poll.apply(server, a);
  };
  push.start();
  await until(() => at.length >= 2, 'the next');
  assert.ok(at[1] - at[0] >= 490, `${at[1] - at[0]} ms`);
  assert.match(server.asked.at(-1), /after=\d+$/);
});

test('reset: the cursor goes, the page loads, and goes on from there',
  async (t) => {
    for (const transports of [['sse'], ['poll']]) {
      const { server, push, got, states } = await follow(t, { cursor: '5',
        transports });
      const resets = [];
      server.floor = 1000;
      server.publish('n', 'part of the load');
      push.on('reset', (data) => {
        resets.push(data);
        assert.equal(push.cursor, null);
        setTimeout(() => push.resume(String(server.head)), 50);
      });
      push.start();
      await until(() => push.state === 'connected' && resets.length,
        'resumed');
      server.publish('n', 'live');
      await until(() => got.length === 1, 'live');
      assert.deepEqual(got, ['live']);
      assert.deepEqual(resets, [{ epoch: 'e', oldest: '1000',
        latest: resets[0].latest }]);
      assert.ok(states.at(-1).startsWith('connected'));
    }
  });

test('a credential refused: an error that ends it, until started anew',
  async (t) => {
    const { server, push, got } = await follow(t, { token: 'stale' });
    let refused = 0;
    push.on('refused', () => refused++);
    push.start();
    await until(() => refused === 1, 'refused');
    assert.equal(push.state, 'error');
    const asked = server.asked.length;
    await new Promise((done) => setTimeout(done, 300));
    assert.equal(server.asked.length, asked);
    push.token = 'secret';
    push.stop();
    push.start();
    await until(() => push.state === 'connected', 'connected');
    server.publish('n', 1);
    await until(() => got.length === 1, 'event');
  });

test('server gone and back: reconnecting, error, connected', async (t) => {
  const { server, push, got, states } = await follow(t);
  push.start();
  await until(() => push.transport === 'sse', 'connected');
  states.splice(0, states.length - 1); // it may have polled before
  await server.close();
  await until(() => push.state === 'error', 'error');
  await server.listen(server.port);
  server.publish('n', 'while away');
  await until(() => got.length === 1, 'back');
  assert.deepEqual(states.slice(0, 3).map((s) => s.split(' ')[0]),
    ['connected', 'reconnecting', 'error']);
});

// ---- the outbox ----

test('a message is repeated until an answer names it, and stored once',
  async (t) => {
    const { server, push } = await follow(t);
    server.faults.post = ['lost', 'stored', 'empty', 'torn', 'foreign', 502, 503,
      408, 425, 429];
    const states = [];
    push.on('outbox', (e) => states.push(e.state));
    push.start();
    const { client_id } = push.send('12', { content: 'Xin chào' });
    assert.deepEqual(push.pending('12').map((e) => e.client_id), [client_id]);
    await until(() => states.at(-1) === 'sent', 'sent');
    assert.deepEqual(server.messages.map((m) => m.client_id), [client_id]);
    assert.equal(server.faults.post.length, 0);
    assert.deepEqual(push.pending(), []);
    assert.equal(states.filter((s) => s === 'sent').length, 1);
  });

test('messages of a conversation go in order, whatever fails', async (t) => {
  const { server, push } = await follow(t);
  push.start();
  for (let i = 0; i < 40; i++) {
    server.faults.post.push(...['lost', 'stored', null, 500].slice(i % 4));
    push.send('12', { content: `a${i}` });
    push.send('13', { content: `b${i}` });
  }
  await until(() => push.pending().length === 0, 'all sent');
  for (const [c, p] of [['12', 'a'], ['13', 'b']])
    assert.deepEqual(server.messages.filter((m) => m.conversation_id === c)
      .map((m) => m.content), Array.from({ length: 40 }, (_, i) => p + i));
});

test('a clock set back does not hold what waits to be sent', async (t) => {
  const { server, push } = await follow(t, { times: { ...QUICK, backoff: 1000,
    backoff_max: 1000 } });
  const now = Date.now;
  t.after(() => (Date.now = now));
  server.faults.post = ['lost'];
  Date.now = () => now() + 86400000;
  push.start();
  push.send('12', { content: 'late' });
  await until(() => server.faults.post.length === 0, 'the first try');
  await until(() => push.pending()[0].tries === 1, 'its failure');
  Date.now = now;
  await until(() => push.pending().length === 0, 'sent');
});

test('refused: said with its reason, others pass, retry sends it', async (t) => {
  const { server, push } = await follow(t);
  const boxes = [];
  push.on('outbox', (e) => boxes.push(e));
  server.faults.post = [422];
  push.start();
  const { client_id } = push.send('12', { content: 'one' });
  push.send('12', { content: 'two' });
  await until(() => push.pending().length === 1, 'two is sent');
  const failed = boxes.find((e) => e.state === 'failed');
  assert.equal(failed.client_id, client_id);
  assert.equal(failed.error.status, 422);
  assert.equal(failed.error.code, 'nope');
  assert.equal(failed.error.message, 'No.');
  push.retry(client_id);
  await until(() => push.pending().length === 0, 'one is sent');
  assert.deepEqual(server.messages.map((m) => m.content), ['two', 'one']);
  server.faults.post = [403];
  const other = push.send('12', { content: 'three' });
  await until(() => push.pending()[0]?.error, 'failed');
  push.discard(other.client_id);
  assert.deepEqual(push.pending(), []);
  assert.equal(boxes.at(-1).state, 'gone');
});

test('typing is said at most every 2 s, and its end once', async (t) => {
  const { server, push } = await follow(t);
  push.start();
  for (let i = 0; i < 10; i++)
    push.typing('12', true);
  push.typing('12', false);
  push.typing('12', false);
  await until(() => server.typing.length === 2, 'typing');
  await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(server.typing.sort(), [false, true]);
});
