// Files in the pages: attached and shown, with a script and without.
import test from 'node:test';
import assert from 'node:assert/strict';
import { start } from './lib/harness.js';
import { png } from './lib/files.js';

const p = await start({ env: { PARLEY_LIMITS: 'off' } });
test.after(() => p.stop());
const picture = png({ width: 5, height: 3 });

// A form of the page, posted as a browser without a script would.
async function post(page, url, cookie, parts) {
  const fields = Object.fromEntries([...page.matchAll(
    /<input type="hidden" name="(\w+)" value="([^"]*)"/g)].map((m) => [m[1], m[2]]));
  const form = new FormData();
  for (const name of ['csrf', 'key', 'seen'])
    form.append(name, parts[name] ?? fields[name] ?? '');
  form.append('content', parts.content ?? '');
  if (parts.file)
    form.append('file', new Blob([parts.file]), parts.name ?? 'a.png');
  return fetch(p.url + url, { method: 'POST', body: form, redirect: 'manual',
    headers: { Cookie: cookie, Origin: p.url } });
}

// The composer's part of a page: its key is the one that counts.
const composer = (page) => page.slice(page.indexOf('id="composer"'));

test('an agent attaches a file without a script', async () => {
  const a = await p.agent();
  const { json } = await a.get('/api/conversations');
  const id = json.items.find((x) => x.platform === 'web')?.id ?? json.items[0].id;
  const url = `/inbox/${id}`;
  const page = async () => (await fetch(p.url + url, { headers: { Cookie: a.cookie } })).text();
  let html = composer(await page());
  assert.match(html, /formaction="\/inbox\/\d+\/files" formenctype="multipart\/form-data"/);
  const sent = await post(html, `${url}/files`, a.cookie,
    { content: 'see here', file: picture, name: 'hình <b>.png' });
  assert.equal(sent.status, 303);
  assert.equal(new URL(sent.headers.get('location'), p.url).pathname, url);
  // The same key once more: the same message.
  assert.equal((await post(html, `${url}/files`, a.cookie,
    { content: 'see here', file: picture })).status, 303);
  html = await page();
  const shown = [...html.matchAll(/<img src="(\/media\/\d+\/[^"]+)" alt="([^"]+)"[^>]*width="5" height="3"/g)];
  assert.equal(shown.length, 1);
  assert.equal(shown[0][2], 'hình b.png');
  assert.equal((await fetch(p.url + shown[0][1], { headers: { Cookie: a.cookie } })).status, 200);
  // A file alone; none at all; one that is not taken; no token.
  html = composer(html);
  assert.equal((await post(html, `${url}/files`, a.cookie, { file: 'words\n', name: 'a.txt' })).status, 303);
  html = composer(await page());
  assert.match(await page(), /<a href="\/media\/\d+\/a\.txt"/);
  assert.equal((await post(html, `${url}/files`, a.cookie, {})).status, 422);
  assert.equal((await post(html, `${url}/files`, a.cookie, { file: '<svg/>' })).status, 415);
  assert.equal((await post(html, `${url}/files`, a.cookie, { file: picture, csrf: 'x' })).status, 403);
  assert.equal((await post(html, '/inbox/999/files', a.cookie, { file: picture })).status, 404);
});

test('a visitor attaches a file without a script, and sees it', async () => {
  const jar = new Map();
  const cookie = () => [...jar].map(([k, v]) => `${k}=${v}`).join('; ');
  const go = async (url, init = {}) => {
    const r = await fetch(p.url + url, { redirect: 'manual', ...init,
      headers: { ...init.headers, Cookie: cookie(), Origin: p.url } });
    // Debian's node has no getSetCookie.
    for (const c of r.headers.get('set-cookie')?.split(/, (?=[^;,]+=)/) ?? [])
      jar.set(...c.split(';')[0].split(/=(.*)/s, 2));
    return r;
  };
  const begin = await (await go('/chat')).text();
  const field = (name) => new RegExp(`name="${name}" value="([^"]*)"`).exec(begin)[1];
  const started = await go('/chat/new', { method: 'POST', body: new URLSearchParams({
    csrf: field('csrf'), key: field('key'), content: 'hello', consent: '1', name: '' }) });
  assert.equal(started.status, 303);
  const url = started.headers.get('location');
  const html = composer(await (await go(url)).text());
  const sent = await post(html, `${url}/files`, cookie(), { file: picture });
  assert.equal(sent.status, 303);
  const page = await (await go(url)).text();
  const [, src] = /<img src="(\/media\/[^"]+)"/.exec(page);
  const got = await go(src);
  assert.equal(got.status, 200);
  assert.equal(Buffer.from(await got.arrayBuffer()).length, picture.length);
  assert.equal((await fetch(p.url + src)).status, 404);
  // Without the page's token nothing is taken.
  assert.equal((await post(html, `${url}/files`, cookie(), { file: picture, csrf: 'x', key: 'other' })).status, 403);
});
