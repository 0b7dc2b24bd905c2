// A full disk, a limit of the host on a file, a table of kinds that is not
// there: uploads are refused in plain words, customers' files wait, nothing is
// left half done, and afterwards it goes on.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join, resolve } from 'node:path';
import { Shop, until } from './lib/shop.js';
import { startZalo } from '../standin/zalo.js';
import { jpeg, mp4 } from './lib/files.js';

const run = promisify(execFile);
const build = resolve(process.env.PARLEY_BUILD ?? 'build');
const ALL = { upload_free_percent_min: 0, upload_free_bytes_min: 0 };

async function agent(shop) {
  await shop.parley('user', 'add', '--email', 'an@shop.example', '--name', 'An', '--role', 'agent');
  const token = (await shop.parley('token', '--user', 'an@shop.example')).trim();
  return { Authorization: `Bearer ${token}` };
}

// A disk of one MiB in the place of the media folder: false where only an
// administrator may make one.
function small(t, dir) {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'none', dir],
      { stdio: 'ignore' });
  } catch {
    return false;
  }
  t.after(() => execFileSync('umount', ['-l', dir]));
  return true;
}

test('an upload, while the disk is full and afterwards', async (t) => {
  const shop = await Shop.open(ALL), dir = join(shop.dir, 'media');
  const own = small(t, dir);
  t.after(() => shop.close());
  if (!own)
    return t.skip('no disk of one\'s own to be had');
  const an = await agent(shop);
  const upload = (body) => shop.call('media.fcgi', 'POST', '/api/uploads?name=a',
    { body, headers: an });
  const refused = async (body) => {
    const got = await upload(body);
    assert.equal(got.status, 507, got.text);
    assert.equal(got.json.code, 'no_space');
    assert.equal(readdirSync(dir).filter((f) => f !== 'filling').length, 0);
    assert.equal(await shop.one('SELECT count(*) FROM attachments'), 0);
  };
  await refused(mp4(2 << 20));
  // Its copy without metadata has no room any more.
  await refused(jpeg({ width: 4, height: 4, pad: 700000 }));
  writeFileSync(join(dir, 'filling'), Buffer.alloc(1 << 20));
  await refused(mp4(10000));
  rmSync(join(dir, 'filling'));
  const good = await upload(mp4(500000));
  assert.equal(good.status, 201, good.text);
  const back = await shop.call('media.fcgi', 'GET', good.json.url, { headers: an });
  assert.ok(back.body.equals(mp4(500000)));
});

test('a customer\'s file waits until there is room', async (t) => {
  let asked = 0;
  const film = mp4(600000);
  const host = http.createServer((rq, rs) => {
    asked++;
    rs.end(film);
  });
  await new Promise((ok) => host.listen(0, '127.0.0.1', ok));
  const zalo = await startZalo();
  const shop = await Shop.open({ ...ALL, fetch_http: 'on', fetch_networks: '127.0.0.1',
    fetch_tries_max: 2, backoff_percent: 0, worker_poll_ms: 20 });
  const dir = join(shop.dir, 'media'), own = small(t, dir);
  t.after(async () => {
    await shop.close();
    await zalo.close();
    host.closeAllConnections();
    host.close();
  });
  if (!own)
    return t.skip('no disk of one\'s own to be had');
  writeFileSync(join(dir, 'filling'), Buffer.alloc(600000));
  await shop.zalo(zalo.url);
  await shop.hook({ app_id: shop.account.app_id, sender: { id: '4830000000000000091' },
    recipient: { id: shop.account.oa_id }, event_name: 'user_send_video',
    message: { msg_id: 'm', attachments: [{ type: 'video',
      payload: { url: `http://127.0.0.1:${host.address().port}/film.mp4` } }] },
    timestamp: String(Date.now()) });
  shop.worker();
  // More tries than a platform at fault would have.
  await until(() => asked >= 5, 20000, 'tries');
  const file = async () => JSON.parse(await shop.one('SELECT attachments FROM messages'))[0];
  assert.equal((await file()).state, 'fetching');
  rmSync(join(dir, 'filling'));
  const done = await until(async () => {
    const a = await file();
    return a.state !== 'fetching' && a;
  }, 20000, 'it comes');
  assert.equal(done.size, film.length);
  assert.equal(readdirSync(dir).length, 1);
});

test('a limit of the host on the size of files', async (t) => {
  const shop = await Shop.open(ALL);
  t.after(() => shop.close());
  const an = await agent(shop);
  // 2 MiB, which the database is far from.
  const upload = (bytes) => new Promise((ok, no) => {
    const child = execFile('sh', ['-c', 'ulimit -f 4096; exec "$0"', join(build, 'media.fcgi')],
      { encoding: 'buffer', env: { PARLEY_CONF: shop.conf, GATEWAY_INTERFACE: 'CGI/1.1',
        REQUEST_METHOD: 'POST', REQUEST_URI: '/api/uploads', SCRIPT_NAME: '/api/uploads',
        QUERY_STRING: '', SERVER_PROTOCOL: 'HTTP/1.1', REMOTE_ADDR: '127.0.0.1',
        HTTP_AUTHORIZATION: an.Authorization, CONTENT_TYPE: 'video/mp4',
        CONTENT_LENGTH: bytes.length } },
      (e, out) => e ? no(e) : ok(out.toString()));
    child.stdin.on('error', () => {});
    child.stdin.end(bytes);
  });
  const got = await upload(mp4(3 << 20));
  assert.match(got, /^Status: 413 /);
  assert.match(got, /"too_large"/);
  assert.equal(readdirSync(join(shop.dir, 'media')).length, 0);
  assert.match(await upload(mp4(1 << 20)), /^Status: 201 /);
});

test('without the table of kinds nothing is taken, and check says so', async (t) => {
  const shop = await Shop.open({ ...ALL, magic_file: 'kinds.mgc' });
  t.after(() => shop.close());
  const an = await agent(shop);
  const upload = () => shop.call('media.fcgi', 'POST', '/api/uploads', { body: mp4(1000),
    headers: an });
  const check = async () => {
    try {
      return (await run(join(build, 'parley'), ['check', '--conf', shop.conf])).stdout;
    } catch (e) {
      return e.stdout + e.stderr;
    }
  };
  assert.equal((await upload()).status, 503);
  assert.match(await check(), /^ERROR +magic_file: .*kinds\.mgc/m);
  writeFileSync(join(shop.dir, 'kinds.mgc'), 'no such table');
  assert.equal((await upload()).status, 503);
  assert.match(await check(), /^ERROR +magic_file: /m);
  // One's own, as a shared host without libmagic has it.
  execFileSync('cp', ['-L', '/usr/share/misc/magic.mgc', join(shop.dir, 'kinds.mgc')]);
  assert.equal((await upload()).status, 201);
  assert.match(await check(), /^ok +magic_file: .*kinds\.mgc/m);
  assert.equal(readdirSync(join(shop.dir, 'media')).length, 1);
});
