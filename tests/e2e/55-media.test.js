// Files of agents and of the web's customers: up, into a message, down again.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Shop } from './lib/shop.js';
import { png, jpeg, mp4, pdf } from './lib/files.js';

const shop = await Shop.open({ image_pixels_max: 1000000,
  customer_day_bytes_max: 300000, file_bytes_max: 200000, message_files_max: 2 });
test.after(() => shop.close());

await shop.parley('user', 'add', '--email', 'an@shop.example', '--name', 'An',
  '--role', 'admin');
await shop.parley('user', 'add', '--email', 'bo@shop.example', '--name', 'Bo',
  '--role', 'agent');
const an = { Authorization: `Bearer ${(await shop.parley('token', '--user',
  'an@shop.example')).trim()}` };
const bo = { Authorization: `Bearer ${(await shop.parley('token', '--user',
  'bo@shop.example')).trim()}` };

async function visitor(name) {
  const got = await shop.call('api.fcgi', 'POST', '/api/widget/session',
    { body: { name } });
  assert.equal(got.status, 201, got.text);
  return { ...got.json, id: got.json.conversation.id,
    auth: { Authorization: `Bearer ${got.json.token}` } };
}
const lan = await visitor('Lan'), minh = await visitor('Minh');

const upload = (who, body, { name = 'a', type = 'application/octet-stream' } = {}) =>
  shop.call('media.fcgi', 'POST', `/api/uploads?name=${encodeURIComponent(name)}`,
    { body, headers: { ...who, 'Content-Type': type } });
const say = (who, conversation, body) => shop.call('api.fcgi', 'POST',
  `/api/conversations/${conversation}/messages`, { body, headers: who });
const get = (who, url, headers = {}) => shop.call('media.fcgi', 'GET', url,
  { headers: { ...who, ...headers } });
const files = () => readdirSync(join(shop.dir, 'media'));

function form(parts, boundary = 'xYz') {
  const out = [];
  for (const p of parts)
    out.push(`--${boundary}\r\nContent-Disposition: form-data; name="${p.name}"`
      + (p.file === undefined ? '' : `; filename="${p.file}"`) + '\r\n'
      + (p.file === undefined ? '' : 'Content-Type: text/html\r\n') + '\r\n',
    p.data, '\r\n');
  return Buffer.concat([...out, `--${boundary}--\r\n`].map((x) => Buffer.from(x)));
}

test('a picture goes up, into a message, and comes down to who may see it', async () => {
  const picture = jpeg({ width: 40, height: 30, orientation: 6, secret: 'GPSSECRET' });
  const up = await upload(lan.auth, picture, { name: 'C:\\dir\\ảnh \u202ecủa tôi.JPG' });
  assert.equal(up.status, 201, up.text);
  const a = up.json;
  assert.equal(a.mime, 'image/jpeg');
  assert.equal(a.name, 'ảnh của tôi.JPG');
  assert.deepEqual([a.width, a.height], [30, 40]); // as it is shown
  assert.match(a.url, /^\/media\/\d+\/[\w%.-]+$/);
  assert.ok(a.size < picture.length);

  // Until it is in a message it is its owner's alone.
  assert.equal((await get(lan.auth, a.url)).status, 200);
  for (const who of [minh.auth, an, {}])
    assert.equal((await get(who, a.url)).status, 404);

  const sent = await say(lan.auth, lan.id, { attachments: [a.id], client_id: 'm1' });
  assert.equal(sent.status, 201, sent.text);
  assert.equal(sent.json.kind, 'image');
  assert.equal(sent.json.content, '');
  assert.deepEqual(sent.json.attachments, [a]);
  const again = await say(lan.auth, lan.id, { attachments: [a.id], client_id: 'm1' });
  assert.equal(again.status, 200);
  assert.equal(again.json.id, sent.json.id);

  for (const who of [lan.auth, an, bo]) {
    const got = await get(who, a.url);
    assert.equal(got.status, 200);
    assert.equal(got.headers['content-type'], 'image/jpeg');
    assert.equal(got.headers['x-content-type-options'], 'nosniff');
    assert.equal(got.headers['content-security-policy'], "sandbox; default-src 'none'");
    assert.equal(got.headers['cross-origin-resource-policy'], 'same-origin');
    assert.equal(got.headers['content-disposition'],
      "inline; filename*=UTF-8''%E1%BA%A3nh%20c%E1%BB%A7a%20t%C3%B4i.JPG");
    assert.equal(Number(got.headers['content-length']), a.size);
    assert.equal(got.body.length, a.size);
    assert.ok(!got.body.includes('GPSSECRET'));
    assert.ok(got.body.includes('Exif')); // its orientation alone
  }
  for (const who of [minh.auth, {}])
    assert.equal((await get(who, a.url)).status, 404);

  // A name that lies changes nothing; a number alone is not an address.
  assert.equal((await get(an, `/media/${a.id}/x.html`)).headers['content-type'], 'image/jpeg');
  assert.equal((await get(an, `/media/${a.id}`)).status, 404);
  assert.equal((await get(an, '/media/0/x')).status, 404);
  assert.equal((await get(an, '/media/999/x')).status, 404);

  // Deleted, it is nobody's, and the worker takes it away.
  assert.equal(files().length, 1);
  assert.equal((await shop.call('api.fcgi', 'DELETE', `/api/messages/${sent.json.id}`,
    { headers: lan.auth })).status, 200);
  for (const who of [lan.auth, an])
    assert.equal((await get(who, a.url)).status, 404);
  await shop.worker('--once').ended;
  assert.equal(files().length, 0);
  assert.equal(await shop.one('SELECT bytes FROM media_total'), 0);
});

test('files lie under random names, for us alone', async () => {
  await upload(an, pdf(), { name: 'x.pdf' });
  const [name, ...rest] = files();
  assert.match(name, /^[\w-]{43}$/);
  assert.equal(rest.length, 0);
  assert.equal(statSync(join(shop.dir, 'media', name)).mode & 0o777, 0o600);
});

test('parts of a file are had by range', async () => {
  const bytes = mp4(100000);
  const a = (await upload(an, bytes, { name: 'v.mp4' })).json;
  assert.equal(a.mime, 'video/mp4');
  const whole = await get(an, a.url);
  assert.ok(whole.body.equals(bytes));
  assert.equal(whole.headers['accept-ranges'], 'bytes');
  const tag = whole.headers.etag;
  for (const [asked, from, to] of [['bytes=0-0', 0, 0], ['bytes=99990-', 99990, 99999],
    ['bytes=-5', 99995, 99999], ['bytes=500-999999999999999999999', 500, 99999],
    ['bytes=70000-80000', 70000, 80000]]) {
    const got = await get(an, a.url, { Range: asked });
    assert.equal(got.status, 206, asked);
    assert.equal(got.headers['content-range'], `bytes ${from}-${to}/100000`);
    assert.ok(got.body.equals(bytes.subarray(from, to + 1)), asked);
  }
  for (const asked of ['bytes=100000-', 'bytes=-0', 'bytes=999999-9999999']) {
    const got = await get(an, a.url, { Range: asked });
    assert.equal(got.status, 416, asked);
    assert.equal(got.headers['content-range'], 'bytes */100000');
  }
  // What is no range of ours is passed over.
  for (const asked of ['bytes=5-2', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,5-6', 'bytes='])
    assert.equal((await get(an, a.url, { Range: asked })).status, 200, asked);
  assert.equal((await get(an, a.url, { Range: 'bytes=0-1', 'If-Range': '"other"' })).status, 200);
  assert.equal((await get(an, a.url, { Range: 'bytes=0-1', 'If-Range': tag })).status, 206);
  assert.equal((await get(an, a.url, { 'If-None-Match': tag })).status, 304);
  const head = await shop.call('media.fcgi', 'HEAD', a.url, { headers: an });
  assert.equal(head.headers['content-length'], '100000');
  assert.equal(head.body.length, 0);
});

test('what it is, its content says, and only some kinds are taken', async () => {
  const no = [
    ['<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', 'a.png'],
    ['<!doctype html><p>hi', 'a.jpg'], ['<html><body>', 'a.txt'],
    ['  \n<p>not much of a page', 'a.txt'],
    ['<?xml version="1.0"?><a/>', 'a.txt'], ['#!/bin/sh\nrm -rf /\n', 'a.txt'],
    ['<?php echo 1;', 'a.txt'], ['MZ\x90\0\x03\0\0\0', 'a.pdf'],
    ['\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0', 'a.zip'],
    ['\xff\xd8\xff\xe0 not a picture', 'a.jpg'],
    [png({ width: 1001, height: 1000 }), 'bomb.png'],
    [png({ width: 10, height: 10 }).subarray(0, 40), 'cut.png'],
    [Buffer.from([0, 1, 2, 3, 250, 251]), 'a.bin'],
  ];
  for (const [body, name] of no) {
    const got = await upload(an, Buffer.from(body, 'latin1'), { name, type: 'image/png' });
    assert.equal(got.status, 415, `${name} ${body}`);
    assert.equal(got.json.code, 'bad_media_type');
  }
  const yes = [[png({ width: 1000, height: 1000 }), 'image/png'],
    [Buffer.from('GIF89a\x10\0\x10\0\0\0\0;', 'latin1'), 'image/gif'],
    [Buffer.from('just words, được\n'), 'text/plain'], [pdf(), 'application/pdf'],
    [Buffer.from('UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==', 'base64'), 'application/zip'],
    [Buffer.concat([Buffer.from('ID3\x03\0\0\0\0\0\0\xff\xfb\x90\x64', 'latin1'),
      Buffer.alloc(500)]), 'audio/mpeg'],
    [Buffer.concat([Buffer.from('OggS\0\x02', 'latin1'), Buffer.alloc(20),
      Buffer.from('\x01\x13OpusHead\x01\x01', 'latin1'), Buffer.alloc(20)]), 'audio/ogg']];
  for (const [body, mime] of yes) {
    const got = await upload(an, body, { name: '../../.x.html' });
    assert.equal(got.status, 201, `${mime} ${got.text}`);
    assert.equal(got.json.mime, mime);
    assert.match(got.json.name, /^x\.html\.\w+$/);
    const back = await get(an, got.json.url);
    assert.match(back.headers['content-disposition'],
      /^(image|audio|video)/.test(mime) ? /^inline;/ : /^attachment;/);
  }
  assert.equal((await upload(an, Buffer.alloc(0))).status, 422);
});

test('a form brings a file, too', async () => {
  const type = 'multipart/form-data; boundary=xYz';
  const picture = png({ width: 4, height: 4 });
  const post = (parts) => upload(an, Buffer.isBuffer(parts) ? parts : form(parts), { type });
  const a = await post([{ name: 'x', data: '1' },
    { name: 'file', file: 'a "quoted%22 name.png', data: picture }]);
  assert.equal(a.status, 201, a.text);
  assert.equal((await post([{ name: 'file', file: 'two\\"three;.png', data: picture }])).json.name,
    'twothree;.png');
  assert.equal((await get(an, (await post([{ name: 'f', file: 'a', data: picture }])).json.url))
    .body.length, picture.length);
  // Lines that begin like the boundary are content.
  const odd = 'a\r\n--xY\r\r\n--xYa\r\n\r\n--x';
  const text = await post([{ name: 'f', file: 'a.txt', data: odd }]);
  assert.equal((await get(an, text.json.url)).text, odd);
  // None, two, one without an end, none at all.
  assert.equal((await post([{ name: 'file', data: 'x' }])).status, 422);
  assert.equal((await post([{ name: 'file', file: '', data: '' }])).status, 422);
  assert.equal((await post([{ name: 'f', file: 'a', data: picture },
    { name: 'g', file: 'b', data: picture }])).status, 422);
  assert.equal((await post(form([{ name: 'f', file: 'a', data: picture }]).subarray(0, -9))).status, 400);
  assert.equal((await post(Buffer.from('no form'))).status, 400);
  assert.equal((await upload(an, Buffer.from('x'), { type: 'multipart/form-data' })).status, 400);
});

test('what is too much is refused, and nothing of it stays', async () => {
  const before = files().length;
  assert.equal((await upload(an, mp4(200001))).status, 413);
  // Also where its length was not said.
  const url = '/api/uploads?name=x';
  const large = await shop.call('media.fcgi', 'POST', url, { body: form(
    [{ name: 'f', file: 'x', data: mp4(200001) }]),
  headers: { ...an, 'Content-Type': 'multipart/form-data; boundary=xYz' } });
  assert.equal(large.status, 413);
  assert.equal(files().length, before);
  // A customer's day.
  assert.equal((await upload(minh.auth, mp4(200000))).status, 201);
  const more = await upload(minh.auth, mp4(150000));
  assert.equal(more.status, 507);
  assert.equal(more.json.code, 'quota');
  assert.equal((await upload(minh.auth, mp4(100000))).status, 201);
  assert.equal((await upload(minh.auth, Buffer.from('x'))).status, 507);
  assert.equal((await upload({}, mp4(1000))).status, 401);
  assert.equal(files().length, before + 2);
});

test('a message takes its own sender\'s uploads, each once', async () => {
  const text = Buffer.from('some words\n');
  const mine = (await upload(an, text)).json.id, his = (await upload(bo, text)).json.id,
    two = (await upload(an, text)).json.id, three = (await upload(an, text)).json.id;
  const refused = async (who, attachments) => {
    const got = await say(who, lan.id, { content: 'x', attachments });
    assert.equal(got.status, 422, got.text);
    assert.equal(got.json.field, 'attachments');
  };
  await refused(an, [his]);
  await refused(an, [mine, his]);
  await refused(an, [mine, mine]);
  await refused(an, ['999999']);
  await refused(an, ['x']);
  await refused(an, [null]);
  await refused(an, mine);
  await refused(an, [mine, two, three]); // message_files_max
  await refused(lan.auth, [mine]);
  const sent = await say(an, lan.id, { content: 'two of them', attachments: [mine, Number(two)] });
  assert.equal(sent.status, 201, sent.text);
  assert.equal(sent.json.attachments.length, 2);
  assert.equal(sent.json.kind, 'file');
  await refused(an, [mine]);
  // An answer's file is its customer's to see; a note's is not.
  assert.equal((await get(lan.auth, sent.json.attachments[0].url)).status, 200);
  assert.equal((await get(minh.auth, sent.json.attachments[0].url)).status, 404);
  const note = await say(an, lan.id, { type: 'note', attachments: [three] });
  assert.equal(note.status, 201);
  assert.equal((await get(bo, note.json.attachments[0].url)).status, 200);
  assert.equal((await get(lan.auth, note.json.attachments[0].url)).status, 404);
});

test('the disk is left some room', async () => {
  const full = await Shop.open({ upload_free_percent_min: 90, upload_free_bytes_min: 1099511627776 });
  try {
    await full.parley('user', 'add', '--email', 'an@shop.example', '--name', 'An',
      '--role', 'agent');
    const token = (await full.parley('token', '--user', 'an@shop.example')).trim();
    const got = await full.call('media.fcgi', 'POST', '/api/uploads', { body: pdf(),
      headers: { Authorization: `Bearer ${token}` } });
    assert.equal(got.status, 507);
    assert.equal(got.json.code, 'no_space');
  } finally {
    await full.close();
  }
});
