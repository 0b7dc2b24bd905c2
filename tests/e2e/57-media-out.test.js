// Files of agents go out to platforms: by upload from the disk, or by an
// address that nobody guesses. And through both web servers.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Shop, until } from './lib/shop.js';
import { start } from './lib/harness.js';
import { startCustom, signed } from '../standin/custom.js';
import { startZalo } from '../standin/zalo.js';
import { png, mp4, jpeg } from './lib/files.js';

test('an agent\'s files reach the platform', async (t) => {
  const zalo = await startZalo();
  const shop = await Shop.open({ base_url: 'https://chat.example' });
  t.after(async () => {
    await shop.close();
    await zalo.close();
  });
  await shop.zalo(zalo.url);
  await shop.customerSays('4830000000000000091', 'hello');
  await shop.agentSays('4830000000000000091', 'here they are'); // logs her in
  const upload = async (body, name) => {
    const got = await shop.call('media.fcgi', 'POST',
      `/api/uploads?name=${encodeURIComponent(name)}`,
      { body, headers: { Authorization: `Bearer ${shop.agent}` } });
    assert.equal(got.status, 201, got.text);
    return got.json;
  };
  const small = await upload(png({ width: 8, height: 8, secret: 'SECRET' }), 'a.png');
  const film = await upload(mp4(3000), 'phim hay.mp4');
  const id = await shop.agentSays('4830000000000000091', 'both', { attachments: [small.id, film.id] });
  const worker = shop.worker();
  await shop.reaches(id, 'sent');
  assert.deepEqual(zalo.faults, []);

  const uploads = zalo.calls.filter((x) => x.name === 'upload_image');
  assert.equal(uploads.length, 1);
  assert.ok(uploads[0].body.length > small.size);
  assert.ok(!Buffer.from(uploads[0].body).includes('SECRET'));
  // What is too large or of no kind for an upload goes as an address.
  const text = JSON.stringify(zalo.sent.at(-1));
  const link = /https:\/\/chat\.example(\/media\/[^"\\ ]+)/.exec(text);
  assert.ok(link, text);
  const got = await shop.call('media.fcgi', 'GET', link[1]);
  assert.equal(got.status, 200);
  assert.ok(got.body.equals(mp4(3000)));
  const [, , number, name] = link[1].split('/');
  const [n, end, proof] = number.split('.');
  for (const bad of [n, `${n}.${end}`, `${n}.${Number(end) + 1}.${proof}`,
    `${Number(n) - 1}.${end}.${proof}`, `${n}.${end}.${proof.slice(1)}`, `${n}.${end}.`])
    assert.equal((await shop.call('media.fcgi', 'GET', `/media/${bad}/${name}`)).status, 404, bad);
  // Its message deleted, the address is of no use any more.
  await shop.call('api.fcgi', 'DELETE', `/api/messages/${id}`,
    { headers: { Authorization: `Bearer ${shop.agent}` } });
  assert.equal((await shop.call('media.fcgi', 'GET', link[1])).status, 404);
  worker.kill('SIGTERM');
  assert.equal(await worker.ended, 0);
});

test('under one key a file has one address at each try', async (t) => {
  const crm = await startCustom();
  const shop = await Shop.open({ base_url: 'https://chat.example' });
  t.after(async () => {
    await shop.close();
    await crm.close();
  });
  const channel = await shop.connect('custom', { secret: crm.secret, out_url: `${crm.url}/` });
  const event = Buffer.from(JSON.stringify({ event_id: 'e1', type: 'message',
    conversation_id: 'c1', user: { id: 'u1' }, sent_at: Date.now(),
    message: { id: 'm1', kind: 'text', text: 'hi' } }));
  const at = String(Math.floor(Date.now() / 1000));
  assert.equal((await shop.call('webhook.fcgi', 'POST', `/webhooks/custom/${channel}`,
    { body: event, headers: { 'Content-Type': 'application/json',
      'X-Parley-Timestamp': at, 'X-Parley-Signature': signed(crm.secret, at, event) } })).status,
  200);
  crm.script('message', {}, { drop: true }, { error: 503 });
  shop.worker();
  await until(() => shop.conversation('c1'));
  await shop.reaches(await shop.agentSays('c1', 'this one'), 'sent');
  const up = await shop.call('media.fcgi', 'POST', '/api/uploads?name=a.png',
    { body: png({ width: 8, height: 8 }), headers: { Authorization: `Bearer ${shop.agent}` } });
  // A second at least is between the tries.
  const id = await shop.agentSays('c1', '', { attachments: [up.json.id] });
  await shop.reaches(id, 'sent');
  const tries = crm.calls.filter((c) => c.body.message.media);
  assert.equal(tries.length, 3);
  assert.equal(crm.sent.length, 2);
  assert.deepEqual(crm.faults, []);
});

for (const [web, mode] of [['apache', 'fcgi'], ['lighttpd', 'fcgi'], ['apache', 'cgi'],
  ['lighttpd', 'cgi']])
  test(`up and down through ${web}, ${mode}`, async (t) => {
    const p = await start({ web, mode });
    t.after(() => p.stop());
    const a = await p.agent();
    const bytes = jpeg({ width: 2, height: 2, pad: 3000000 });
    const up = await fetch(`${p.url}/api/uploads?name=x.jpg`, { method: 'POST', body: bytes,
      headers: { 'X-CSRF-Token': a.csrf, Cookie: a.cookie, Origin: p.url } });
    assert.equal(up.status, 201, await up.clone().text());
    const file = await up.json();
    const down = await fetch(p.url + file.url, { headers: { Cookie: a.cookie } });
    assert.equal(down.status, 200);
    assert.equal((await down.arrayBuffer()).byteLength, file.size);
    assert.equal(down.headers.get('content-security-policy'), "sandbox; default-src 'none'");
    const part = await fetch(p.url + file.url, { headers: { Cookie: a.cookie, Range: 'bytes=-7' } });
    assert.equal(part.status, 206);
    assert.equal((await part.arrayBuffer()).byteLength, 7);
    assert.equal((await fetch(p.url + file.url)).status, 404);
    // Without the token of the page nothing is stored.
    const forged = await fetch(`${p.url}/api/uploads`, { method: 'POST', body: bytes,
      headers: { Cookie: a.cookie } });
    assert.equal(forged.status, 403);
    // A body that says it is too large.
    const large = await fetch(`${p.url}/api/uploads`, { method: 'POST', body: Buffer.alloc(28 << 20),
      headers: { 'X-CSRF-Token': a.csrf, Cookie: a.cookie, Origin: p.url } });
    assert.equal(large.status, 413);
  });
