// Whoever takes or sends a file too slowly is cut off, and does not hold a
// process that others wait for.
import test from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { box } from './lib/box.js';
import { input, opening, params } from './lib/fcgi.js';
import { start, until } from './lib/harness.js';
import { mp4 } from './lib/files.js';

const conf = { progress_s_max: 1, stream_bytes_per_s_min: 1048576 };
const SIZE = 1000000;

// One process, so that whoever holds it holds all.
const b = await box({ conf, programs: ['api', 'media'] });
test.after(() => b.stop());
const an = await b.user('An');
const up = await b.request('POST', '/api/uploads?name=a.mp4',
  { who: an, body: mp4(SIZE), headers: { 'Content-Type': 'video/mp4' } });
assert.equal(up.status, 201, up.text);
// Others are served; on a machine that is busy elsewhere at the second try.
const served = (what) => until(async () => {
  try {
    return await what();
  } catch {
    return false;
  }
}, 60000, 'others are served');
const whole = () => served(async () =>
  (await b.request('GET', up.json.url, { who: an })).body.length === SIZE);
const stored = () => readdirSync(join(b.p.var, 'media')).length;

// A connection to the program with a request on it; `every` is done ten times
// a second until it is closed.
function slow(t, method, url, { length, every, headers = {} } = {}) {
  const env = params(method, url, { headers: { Authorization: `Bearer ${an.token}`, ...headers } });
  if (length !== undefined)
    env.CONTENT_LENGTH = length;
  const c = net.connect(b.socket('media'));
  c.on('error', () => {});
  c.pause();
  c.write(opening(env));
  const timer = setInterval(() => c.destroyed || every?.(c), 100);
  t.after(() => {
    clearInterval(timer);
    c.destroy();
  });
  return c;
}

test('a reader that stops', async (t) => {
  slow(t, 'GET', up.json.url).write(input(Buffer.alloc(0)));
  await whole();
});

test('a reader of a few bytes a second', async (t) => {
  const c = slow(t, 'GET', up.json.url, { every: () => c.read(1) });
  c.write(input(Buffer.alloc(0)));
  await whole();
});

const FILE = { 'Content-Type': 'video/mp4' };
const FORM = { 'Content-Type': 'multipart/form-data; boundary=xYz' };

for (const [what, url, headers, more] of [
  ['a sender that stops', '/api/uploads?name=b.mp4', FILE, ''],
  ['a sender of a few bytes a second', '/api/uploads?name=b.mp4', FILE, 'x'],
  ['a sender of a form of a few bytes a second', '/api/uploads', FORM, 'x'],
  ['a sender of what is refused, of a few bytes a second', '/api/uploads',
    { Authorization: 'Bearer x' }, 'x'],
  ['a sender to nowhere that stops', '/api/nothing', {}, '']])
  test(what, async (t) => {
    const c = slow(t, 'POST', url, { length: SIZE, headers,
      every: () => more && c.write(input(Buffer.from(more))) });
    c.write(input(mp4(1000)));
    await whole();
    assert.equal(stored(), 1);
  });

// As above, with a web server between, which must let go, too.
for (const web of ['apache', 'lighttpd'])
  test(`through ${web}`, async (t) => {
    const p = await start({ web, conf: { ...conf, media_pool: 1 } });
    const open = [];
    t.after(async () => {
      open.forEach((c) => c.destroy());
      await p.stop();
    });
    const a = await p.agent();
    const headers = { 'X-CSRF-Token': a.csrf, Cookie: a.cookie, Origin: p.url };
    const sent = () => fetch(`${p.url}/api/uploads?name=a.mp4`,
      { method: 'POST', headers, body: mp4(12 << 20) });
    let file;
    await served(async () => (file = await (await sent()).json()).url);
    const begin = (text) => {
      const c = net.connect(p.port, '127.0.0.1');
      c.on('error', () => {});
      c.pause();
      c.write(`${text}\r\nHost: 127.0.0.1:${p.port}\r\n${Object.entries(headers)
        .map(([k, v]) => `${k}: ${v}\r\n`).join('')}`);
      open.push(c);
      return c;
    };
    begin(`GET ${file.url} HTTP/1.1`).write('\r\n');
    begin('POST /api/uploads?name=b HTTP/1.1').write(`Content-Length: ${SIZE}\r\n\r\nsome`);
    await served(async () => (await (await fetch(p.url + file.url, { headers }))
      .arrayBuffer()).byteLength === 12 << 20);
    await served(async () => (await sent()).status === 201);
  });
