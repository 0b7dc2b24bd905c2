// Files of platforms' customers are fetched once, looked at, stored, shown;
// and nobody makes us ask for what is none of their business.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sanitized } from './lib/harness.js';
import { Shop, until } from './lib/shop.js';
import { startZalo } from '../standin/zalo.js';
import { png, jpeg, mp4 } from './lib/files.js';

// A stranger's web server: what it was asked for, and odd answers.
const asked = [];
const picture = jpeg({ width: 6, height: 4, secret: 'GPSSECRET' });
let flaky = 2;
const host = http.createServer((rq, rs) => {
  asked.push({ url: rq.url, headers: rq.headers });
  const go = (to, status = 302) => rs.writeHead(status, { Location: to }).end();
  const path = rq.url.split('?')[0];
  if (path === '/a.jpg')
    rs.writeHead(200, { 'Content-Type': 'text/html' }).end(picture);
  else if (path === '/flaky.png')
    rs.writeHead(flaky-- > 0 ? 503 : 200).end(png({ width: 2, height: 2 }));
  else if (path === '/page')
    rs.writeHead(200, { 'Content-Type': 'image/jpeg' }).end('<html><script>');
  else if (path === '/large') // says so
    rs.writeHead(200, { 'Content-Length': 5000000 }).end(mp4(5000000));
  else if (path === '/endless') { // does not
    const more = () => rs.destroyed || (rs.write(Buffer.alloc(65536)), setImmediate(more));
    rs.writeHead(200);
    rs.write(mp4(1000));
    rs.on('error', () => {});
    more();
  } else if (path === '/stall') {
    rs.writeHead(200, { 'Content-Length': 1000 });
    rs.write('GIF89a');
  } else if (path === '/cut') {
    rs.writeHead(200, { 'Content-Length': 1000 });
    rs.write('GIF89a', () => rs.destroy());
  } else if (/^\/hop\d$/.test(path))
    go(path === '/hop1' ? '/a.jpg' : `/hop${path[4] - 1}`);
  else if (path === '/private')
    go('http://10.0.0.1/a.jpg');
  else if (path === '/metadata')
    go('http://169.254.169.254/latest/meta-data/', 307);
  else if (path === '/file')
    go('file:///etc/passwd');
  else if (path === '/userinfo')
    go(`http://a:b@127.0.0.1:${host.address().port}/a.jpg`);
  else
    rs.writeHead(404).end();
});
await new Promise((ok) => host.listen(0, '127.0.0.1', ok));
const base = `http://127.0.0.1:${host.address().port}`;

const zalo = await startZalo();
const shop = await Shop.open({ fetch_http: 'on', fetch_networks: '127.0.0.1',
  file_bytes_max: 1000000, fetch_tries_max: 3,
  backoff_percent: 0, fetches_max: 8 });
await shop.zalo(zalo.url);
const worker = shop.worker();
test.after(async () => {
  worker.kill('SIGKILL');
  await shop.close();
  await zalo.close();
  host.closeAllConnections();
  host.close();
});

let number = 0;
async function sends(url, type = 'image', more = {}) {
  const id = `m${++number}`;
  const got = await shop.hook({ app_id: shop.account.app_id, sender: { id: '4830000000000000091' },
    recipient: { id: shop.account.oa_id }, event_name: `user_send_${type}`,
    message: { msg_id: id, attachments: [{ type, payload: { url, ...more } }] },
    timestamp: String(Date.now()) });
  assert.equal(got.status, 200);
  return id;
}
const file = async (id) => JSON.parse(await shop.one(
  `SELECT attachments FROM messages WHERE external_id = '${id}'`))[0];
const settled = (id) => until(async () => {
  const a = await file(id);
  return a.state !== 'fetching' && a;
}, undefined, `${id} settled`);
const stored = () => readdirSync(join(shop.dir, 'media'));

test('a picture is fetched once, cleaned, and shown from here', async () => {
  const before = await shop.one('SELECT coalesce(max(id), 0) FROM events');
  const id = await sends(`${base}/a.jpg?x=1`);
  const a = await settled(id);
  assert.equal(a.mime, 'image/jpeg');
  assert.deepEqual([a.width, a.height], [6, 4]);
  assert.match(a.url, /^\/media\/\d+\/image\.jpg$/);
  assert.equal(asked.length, 1);
  assert.equal(asked[0].url, '/a.jpg?x=1');
  for (const h of ['authorization', 'cookie', 'access_token', 'referer'])
    assert.equal(asked[0].headers[h], undefined);
  assert.equal(await shop.one(`SELECT count(*) FROM events WHERE id > ${before}
    AND type = 'message_updated' AND instr(data, 'media') > 0`), 1);
  assert.equal(await shop.one('SELECT count(*) FROM media_fetches'), 0);

  await shop.parley('user', 'add', '--email', 'bo@shop.example', '--name', 'Bo', '--role', 'agent');
  const bo = (await shop.parley('token', '--user', 'bo@shop.example')).trim();
  const got = await shop.call('media.fcgi', 'GET', a.url, { headers: { Authorization: `Bearer ${bo}` } });
  assert.equal(got.status, 200);
  assert.equal(got.body.length, a.size);
  assert.ok(!got.body.includes('GPSSECRET'));
  assert.equal(stored().length, 1);
});

test('what fails for now is tried again, what fails for good is said so', async () => {
  const good = await sends(`${base}/flaky.png`), gone = await sends(`${base}/nothing.png`),
    page = await sends(`${base}/page`), cut = await sends(`${base}/cut`);
  assert.equal((await settled(good)).mime, 'image/png');
  for (const id of [gone, page, cut]) {
    const a = await settled(id);
    assert.equal(a.state, 'failed');
    assert.equal(a.id, null);
  }
  const times = (path) => asked.filter((x) => x.url === path).length;
  assert.deepEqual(['/flaky.png', '/nothing.png', '/page', '/cut'].map(times), [3, 1, 1, 3]);
});

test('size is bounded', async () => {
  const ids = [await sends(`${base}/large`, 'video'), await sends(`${base}/endless`, 'video')];
  for (const id of ids)
    assert.equal((await settled(id)).state, 'failed', id);
});

test('silence is bounded', async () => {
  const own = await Shop.open({ fetch_http: 'on', fetch_networks: '127.0.0.1',
    fetch_stall_s: 1, fetch_tries_max: 1 });
  try {
    await own.zalo(zalo.url);
    await own.hook({ app_id: own.account.app_id, sender: { id: '4830000000000000091' },
      recipient: { id: own.account.oa_id }, event_name: 'user_send_image',
      message: { msg_id: 'm', attachments: [{ type: 'image',
        payload: { url: `${base}/stall` } }] }, timestamp: String(Date.now()) });
    await own.worker('--once').ended;
    const [a] = JSON.parse(await own.one('SELECT attachments FROM messages'));
    assert.equal(a.state, 'failed');
  } finally {
    await own.close();
  }
});

test('redirects are followed three times, each looked at', async () => {
  const n = asked.length;
  assert.equal((await settled(await sends(`${base}/hop3`))).mime, 'image/jpeg');
  assert.equal(asked.length - n, 4);
  for (const path of ['/hop4', '/private', '/metadata', '/file', '/userinfo'])
    assert.equal((await settled(await sends(base + path))).state, 'failed', path);
});

test('no address of this house is asked', async () => {
  const port = host.address().port, n = asked.length;
  for (const url of [`http://localhost.:${port}/a.jpg`, `http://127.1:${port}/a.jpg`,
    `http://2130706433:${port}/a.jpg`, `http://0x7f.0.0.1:${port}/a.jpg`,
    `http://127.0.0.2:${port}/a.jpg`, `http://[::1]:${port}/a.jpg`,
    `http://[::ffff:127.0.0.2]:${port}/a.jpg`, `http://[::ffff:7f00:2]:${port}/`,
    `http://0.0.0.0:${port}/a.jpg`, 'http://10.0.0.1/', 'http://192.168.0.1/',
    'http://172.16.0.1/', 'http://169.254.169.254/', 'http://100.64.0.1/',
    'http://[fe80::1]/', 'http://[fd00::1]/', 'http://[64:ff9b::7f00:1]/',
    'http://224.0.0.1/', 'http://u:p@127.0.0.1/', 'https://example.com:22/',
    'ftp://127.0.0.1/a.jpg', 'file:///etc/passwd', '//127.0.0.1/', 'x'])
    assert.equal((await settled(await sends(url))).state, 'failed', url);
  assert.equal(asked.length, n);
});

test('a name that leads into this house is not followed there', async () => {
  // "localhost" is looked up, and leads to where only some may go.
  const own = await Shop.open({ fetch_http: 'on', fetch_networks: '10.9.9.9',
    fetch_tries_max: 1, fetch_ports: `${host.address().port}` });
  const n = asked.length;
  try {
    await own.zalo(zalo.url);
    await own.hook({ app_id: own.account.app_id, sender: { id: '4830000000000000091' },
      recipient: { id: own.account.oa_id }, event_name: 'user_send_image',
      message: { msg_id: 'm', attachments: [{ type: 'image',
        payload: { url: `http://localhost:${host.address().port}/a.jpg` } }] },
      timestamp: String(Date.now()) });
    await own.worker('--once').ended;
    const [a] = JSON.parse(await own.one('SELECT attachments FROM messages'));
    assert.equal(a.state, 'failed');
    assert.equal(asked.length, n);
  } finally {
    await own.close();
  }
});

test('a deleted message is not fetched for', async () => {
  await sends(`${base}/a.jpg`);
  const total = () => shop.one('SELECT files FROM media_total');
  await until(async () => (await shop.one('SELECT count(*) FROM media_fetches')) === 0);
  assert.equal(await total(), await shop.one('SELECT count(*) FROM attachments'));
  assert.equal(stored().length, await total());
});

test('one customer\'s slow host holds up nobody else\'s files', async (t) => {
  const held = [];
  const slow = http.createServer((rq, rs) => held.push(rs));
  await new Promise((ok) => slow.listen(0, '127.0.0.1', ok));
  const own = await Shop.open({ fetch_http: 'on', fetch_networks: '127.0.0.1',
    fetches_max: 2, fetch_stall_s: 300, fetch_total_ms: 300000 });
  t.after(async () => {
    await own.close();
    slow.closeAllConnections();
    slow.close();
  });
  await own.zalo(zalo.url);
  const send = (user, id, url) => own.hook({ app_id: own.account.app_id, sender: { id: user },
    recipient: { id: own.account.oa_id }, event_name: 'user_send_image',
    message: { msg_id: id, attachments: [{ type: 'image', payload: { url } }] },
    timestamp: String(Date.now()) });
  for (let i = 0; i < 5; i++)
    await send('4830000000000000091', `s${i}`, `http://127.0.0.1:${slow.address().port}/${i}`);
  own.worker();
  await until(() => held.length === 1, 20000, 'the slow one is asked');
  await send('4830000000000000092', 'g', `${base}/a.jpg`);
  await until(() => own.one(`SELECT 1 FROM attachments a JOIN messages m
    ON m.id = a.message_id WHERE m.external_id = 'g'`), 20000, 'the other is there');
  assert.equal(held.length, 1);
  // The rest comes when it answers.
  for (let i = 0; i < 5; i++) {
    await until(() => held.length > i, 20000, `file ${i}`);
    held[i].end(picture);
  }
  await until(async () => await own.one('SELECT count(*) FROM attachments') === 6,
    20000, 'all of them');
});

test('a large file passes through the worker, not into its memory', async () => {
  const film = mp4(20 << 20);
  const server = http.createServer((rq, rs) => rs.end(film));
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  const own = await Shop.open({ fetch_http: 'on', fetch_networks: '127.0.0.1' });
  try {
    await own.zalo(zalo.url);
    await own.hook({ app_id: own.account.app_id, sender: { id: '4830000000000000091' },
      recipient: { id: own.account.oa_id }, event_name: 'user_send_video',
      message: { msg_id: 'm', attachments: [{ type: 'video',
        payload: { url: `http://127.0.0.1:${server.address().port}/film.mp4` } }] },
      timestamp: String(Date.now()) });
    const w = own.worker();
    let most = 0;
    await until(async () => {
      most = Math.max(most, Number(/RssAnon:\s+(\d+)/.exec(
        readFileSync(`/proc/${w.pid}/status`, 'utf8'))?.[1] ?? 0));
      return (await own.one('SELECT size FROM attachments')) === film.length;
    });
    assert.ok(sanitized || most < 12288, `${most} KiB`);
  } finally {
    await own.close();
    server.close();
  }
});
