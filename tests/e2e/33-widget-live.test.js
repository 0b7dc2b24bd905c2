// The widget and the built programs: a visitor in the demo shop, an agent at
// the REST interface, through both web servers, with pushd and without.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { start, until, pause } from './lib/harness.js';
import { launch, openShadows } from './lib/chromium.js';

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const launcher = (page) => page.locator('parley-chat .launch');
const shown = (page) => page.getByRole('log').locator('p').allTextContents();
const write = async (page, text) => {
  await page.getByRole('textbox', { name: 'Viết tin nhắn…' }).fill(text);
  await page.keyboard.press('Enter');
};

async function visit(t, p, url = p.url + '/demo.html') {
  const context = await browser.newContext({ locale: 'vi-VN' });
  const page = await context.newPage();
  const errors = [];
  await openShadows(context);
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('console', (m) => /Content Security|CORS/.test(m.text()) &&
    errors.push(m.text()));
  t.after(async () => {
    await context.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(url);
  await launcher(page).click();
  return page;
}

// The agent's view: the conversation whose last message is `text`.
const found = (agent, text) => until(async () => {
  // The web server may be away just now.
  const { json } = await agent.get('/api/conversations?limit=20').catch(() => ({}));
  return json?.items?.find((c) => c.last_message?.content === text);
}, undefined, `a conversation that ends with ${text}`);

// How long after it was sent each message was in the page, in ms.
async function latency(page, agent, id) {
  await page.getByRole('log').evaluate((log) => {
    window.late = [];
    new MutationObserver((list) => {
      for (const e of list.flatMap((x) => [...x.addedNodes])) {
        const at = /^at (\d+)$/.exec(e.querySelector?.('p')?.textContent)?.[1];
        if (at)
          window.late.push(Date.now() - Number(at));
      }
    }).observe(log, { childList: true, subtree: true });
  });
  for (let i = 0; i < 21; i++) {
    await agent.send(id, `at ${Date.now()}`);
    await pause(30);
  }
  await until(() => page.evaluate(() => window.late.length === 21), undefined,
    'all 21');
  return page.evaluate(() => window.late.sort((a, b) => a - b)[10]);
}

const transport = (page) => page.evaluate(() => performance
  .getEntriesByType('resource').map((e) => new URL(e.name).pathname));

for (const web of ['apache', 'lighttpd']) {
  for (const mode of ['fcgi', 'cgi']) {
    test(`${web}, ${mode}: writes, is answered, finds it after a reload`,
      async (t) => {
        const p = await start({ web, mode });
        t.after(() => p.stop());
        const agent = await p.agent();
        const page = await visit(t, p);
        await page.getByRole('textbox', { name: /Tên/ }).fill('Chị Hoa');
        await write(page, 'Ấm trà còn không ạ?');
        const { id, customer } = await found(agent, 'Ấm trà còn không ạ?');
        assert.equal(customer.name, 'Chị Hoa');
        await page.getByText('· Đã gửi').waitFor();
        await agent.send(id, 'Dạ còn 3 chiếc.');
        await page.getByRole('log').getByText('Dạ còn 3 chiếc.')
          .waitFor({ timeout: 60_000 });
        await agent.send(id, 'chỉ cho đồng nghiệp', { type: 'note' });
        await page.getByText('· Đã đọc').waitFor();
        await write(page, 'Giao hôm nay nhé');
        const c = await found(agent, 'Giao hôm nay nhé');
        await page.getByText('· Đã gửi').waitFor();
        await agent.post(`/api/conversations/${id}/read`,
          { message_id: c.last_message.id });
        await page.getByText('· Đã đọc').waitFor({ timeout: 60_000 });
        await agent.post(`/api/conversations/${id}/typing`, { typing: true });
        if (mode === 'fcgi')
          await page.getByText('Đang soạn tin...').waitFor();
        await page.reload();
        await page.getByRole('log').getByText('Dạ còn 3 chiếc.').waitFor();
        assert.deepEqual(await shown(page),
          ['Ấm trà còn không ạ?', 'Dạ còn 3 chiếc.', 'Giao hôm nay nhé']);
        if (mode === 'cgi')
          await until(async () => (await transport(page))
            .includes('/api/events/poll'), undefined, 'a poll');
      });
  }

  test(`${web}: what an agent sends is in the page at once`,
    async (t) => {
      const p = await start({ web, env: { PARLEY_LIMITS: 'off' } });
      t.after(() => p.stop());
      const agent = await p.agent();
      const page = await visit(t, p);
      const sockets = [];
      page.on('websocket', (s) => sockets.push(new URL(s.url()).pathname));
      await write(page, 'xin chào');
      const { id } = await found(agent, 'xin chào');
      await page.getByText('· Đã gửi').waitFor();
      await until(() => sockets.length === 1, undefined, 'a WebSocket');
      assert.deepEqual(sockets, ['/ws/live-chat']);
      const median = await latency(page, agent, id);
      t.diagnostic(`median ${median} ms`);
      // Without the socket it would come by the next poll.
      assert.ok(median < 1500, `${median} ms`);
    });

  test(`${web}: pushd killed in mid-conversation, and back`, async (t) => {
    const p = await start({ web });
    t.after(() => p.stop());
    const agent = await p.agent();
    const page = await visit(t, p);
    const want = [];
    await write(page, 'bắt đầu');
    want.push('bắt đầu');
    const { id } = await found(agent, 'bắt đầu');
    await page.getByText('· Đã gửi').waitFor();
    for (let i = 0; i < 12; i++) {
      if (i % 4 === 1)
        p.kill('pushd');
      await agent.send(id, `trả lời ${i}`);
      await write(page, `hỏi ${i}`);
      await found(agent, `hỏi ${i}`);
      want.push(`trả lời ${i}`, `hỏi ${i}`);
    }
    await until(async () => (await shown(page)).length >= want.length, 60_000,
      'every message');
    await pause(500);
    const stored = (await agent.get(`/api/conversations/${id}/messages` +
      '?limit=100')).json.items.reverse().map((m) => m.content);
    assert.deepEqual([...stored].sort(), [...want].sort());
    assert.deepEqual(await shown(page), stored);
  });

  test(`${web}: the web server killed; what was written meanwhile arrives once`,
    async (t) => {
      const p = await start({ web });
      t.after(() => p.stop());
      const agent = await p.agent();
      const page = await visit(t, p);
      await write(page, 'một');
      const { id } = await found(agent, 'một');
      p.kill('web');
      await write(page, 'hai');
      await write(page, 'ba');
      await found(agent, 'ba');
      await agent.send(id, 'bốn');
      await until(async () => (await shown(page)).length === 4, 60_000, 'all');
      assert.deepEqual(await shown(page), ['một', 'hai', 'ba', 'bốn']);
    });
}

// A shop on an address that no other program of the test listens at.
async function foreign(t, conf) {
  let p;
  const site = http.createServer((rq, rs) => {
    rs.setHeader('Content-Type', 'text/html; charset=utf-8');
    rs.setHeader('Content-Security-Policy', `default-src 'none'; script-src ` +
      `${p.url}; connect-src ${p.url} ${p.url.replace('http', 'ws')}`);
    rs.end(`<!doctype html><html lang="vi"><title>x</title>` +
      `<script src="${p.url}/widget.js" async data-parley></script>`);
  });
  await new Promise((done) => site.listen(0, '127.0.0.2', done));
  const origin = `http://127.0.0.2:${site.address().port}`;
  p = await start({ conf: conf(origin) });
  t.after(async () => {
    await p.stop();
    site.closeAllConnections();
    site.close();
  });
  return { p, origin };
}

test('a shop of another origin, where cors_origins lists it', async (t) => {
  const { p, origin } = await foreign(t, (it) => ({ cors_origins: it }));
  const agent = await p.agent();
  const page = await visit(t, p, origin);
  await write(page, 'từ nơi khác');
  const { id } = await found(agent, 'từ nơi khác');
  await agent.send(id, 'chào bạn');
  await page.getByRole('log').getByText('chào bạn').waitFor();
});

test('a shop of another origin, not listed: said in the visitor\'s language',
  async (t) => {
    const { p, origin } = await foreign(t, () => ({}));
    const context = await browser.newContext({ locale: 'vi-VN' });
    t.after(() => context.close());
    await openShadows(context);
    const page = await context.newPage();
    await page.goto(origin);
    await launcher(page).click();
    await write(page, 'có ai không?');
    await page.getByText('Mất kết nối', { exact: true }).waitFor();
    assert.equal(await page.getByRole('textbox',
      { name: 'Viết tin nhắn…' }).inputValue(), 'có ai không?');
  });

test('what the server refuses is said in the visitor\'s language too',
  async (t) => {
    const p = await start();
    t.after(() => p.stop());
    const page = await visit(t, p);
    const refuse = (path, status, code) => page.route(path, (route) =>
      route.request().method() === 'POST' ? route.fulfill({ status,
        json: { success: false, code, error: 'In the words of programs.' } }) :
        route.continue());
    await refuse('**/api/widget/session', 429, 'rate_limited');
    await write(page, 'có ai không?');
    await page.getByText('Hơi nhanh quá.').waitFor();
    await page.unroute('**/api/widget/session');
    await refuse('**/api/conversations/*/messages', 422, 'invalid');
    await write(page, 'còn hàng không?');
    await page.getByText('· Lỗi').waitFor();
    assert.equal(await page.getByText('In the words').count(), 0);
    await page.unroute('**/api/conversations/*/messages');
    await page.getByRole('button', { name: 'Gửi lại' }).click();
    await page.getByText('· Đã gửi').waitFor();
  });
