// The widget in somebody else's page: another origin, a strict policy, a
// closed shadow root, three languages, a keyboard, a phone.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { LogServer } from './lib/log-server.js';
import { launch, openShadows } from './lib/chromium.js';

const size = (name) => gzipSync(readFileSync(
  new URL(`../../www/js/${name}`, import.meta.url)), { level: 6 }).length;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const until = async (what, why, ms = 30_000) => {
  for (const end = Date.now() + ms; Date.now() < end;) {
    const got = await what();
    if (got)
      return got;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`waited in vain: ${why}`);
};

// A shop at one origin, Parley at another.
async function shop(t, { lang = 'en', attributes = '', ...options } = {}) {
  const parley = await new LogServer().listen();
  const site = await new LogServer().listen();
  const context = await browser.newContext({ locale: 'de-DE', ...options });
  const page = await context.newPage();
  const errors = [];
  await openShadows(context);
  site.csp = `default-src 'none'; script-src ${parley.url};` +
    ` connect-src ${parley.url} ${parley.url.replace('http', 'ws')}`;
  site.pages.set('/', `<!doctype html><html lang="${lang}"><head><title>x` +
    `</title><script src="${parley.url}/widget.js" async data-parley` +
    ` ${attributes}></script></head><body><a href="/" id="a">a</a></body>`);
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('console', (m) => /Content Security|Trusted/.test(m.text()) &&
    errors.push(m.text()));
  t.after(async () => {
    await context.close();
    await parley.close();
    await site.close();
    assert.deepEqual([...parley.errors, ...errors], []);
  });
  await page.goto(site.url + '/');
  return { parley, site, context, page };
}

const launcher = (page) => page.locator('parley-chat .launch');
const log = (page) => page.getByRole('log');
const write = async (page, text) => {
  await page.getByRole('textbox', { name: /message|tin nhắn|ข้อความ/ })
    .fill(text);
  await page.keyboard.press('Enter');
};

test('a page loads less than 10 KB for it', () => {
  const loader = size('widget.js'), chat = size('widget-panel.js') +
    size('push.js');
  assert.ok(loader < 4096, `widget.js: ${loader} bytes`);
  assert.ok(chat < 20480, `what the button loads: ${chat} bytes`);
});

test('before it is touched only the button is there; no globals, no token',
  async (t) => {
    const { parley, page } = await shop(t);
    await launcher(page).waitFor();
    assert.equal(parley.count('GET /js/'), 0);
    assert.equal(parley.count('GET /widget.js'), 1);
    await launcher(page).click();
    await write(page, 'hi');
    await until(() => parley.messages.length === 1, 'stored');
    const mine = await page.evaluate(() => {
      const frame = document.body.appendChild(document.createElement('iframe'));
      const plain = new Set(Object.getOwnPropertyNames(frame.contentWindow));
      frame.remove();
      return Object.getOwnPropertyNames(window).filter((k) =>
        !plain.has(k) && !/^\d+$|^__playwright|^__pw|^a$/.test(k));
    });
    assert.deepEqual(mine, []);
    assert.ok(parley.asked.every((a) => !a.includes('secret')));
  });

test('its shadow root is closed', async (t) => {
  const parley = await new LogServer().listen();
  const context = await browser.newContext();
  t.after(async () => {
    await context.close();
    await parley.close();
  });
  const page = await context.newPage();
  await page.goto(parley.url + '/demo.html');
  await page.locator('parley-chat').waitFor({ state: 'attached' });
  assert.equal(await page.evaluate(() =>
    document.querySelector('parley-chat').shadowRoot), null);
});

test('a visitor writes, is answered, and finds it all after a reload',
  async (t) => {
    const { parley, page } = await shop(t);
    await launcher(page).click();
    await page.getByRole('textbox', { name: /name/ }).fill('Minh');
    await write(page, 'Còn hàng không?');
    await log(page).getByText('Còn hàng không?').waitFor();
    await page.getByText('· Sent').waitFor();
    assert.equal(await page.getByRole('textbox', { name: /name/ }).count(), 0);
    parley.ephemeral('typing_indicator', { conversation_id: '12',
      user_id: '5', user_name: 'Lan', kind: 'agent', typing: true });
    await page.getByText('Lan is typing...').waitFor();
    parley.store('12', 'agent', 'Còn ạ.');
    await log(page).getByText('Còn ạ.').waitFor();
    assert.equal(await page.getByText('Lan is typing...').isVisible(), false);
    await until(() => parley.reads.length === 1, 'read');
    await page.getByText('· Read').waitFor(); // who answers has read
    await page.reload();
    await log(page).getByText('Còn ạ.').waitFor(); // it was open
    assert.deepEqual(await log(page).locator('p').allTextContents(),
      ['Còn hàng không?', 'Còn ạ.']);
    assert.equal(parley.sessions, 1);
    await write(page, 'Cảm ơn');
    await until(() => parley.messages.length === 3, 'goes on');
    await page.getByText('· Sent').waitFor();
    parley.publish('read_receipt', { conversation_id: '12',
      message_id: parley.messages[2].id, read_by: null,
      read_by_kind: 'agent', read_at: 1 });
    await page.getByText('· Read').waitFor();
  });

test('what comes while it is closed is counted, also after a reload',
  async (t) => {
    const { parley, page } = await shop(t);
    await launcher(page).click();
    await write(page, 'hi');
    await page.getByText('· Sent').waitFor();
    await page.keyboard.press('Escape');
    parley.store('12', 'agent', 'one');
    parley.store('12', 'agent', 'two');
    const badge = page.locator('parley-chat .badge');
    await until(async () => await badge.textContent() === '2', 'two');
    assert.equal(await launcher(page).getAttribute('aria-label'),
      'Open chat, 2 unread');
    await page.reload();
    await until(async () => await badge.textContent() === '2', 'two');
    assert.equal(await page.getByRole('dialog').isVisible(), false);
    await launcher(page).click();
    await badge.waitFor({ state: 'hidden' });
    await until(() => parley.reads.at(-1) === parley.messages.at(-1).id,
      'read');
  });

test('what is written while the server is away is sent when it is back',
  async (t) => {
    const { parley, page } = await shop(t);
    await launcher(page).click();
    await write(page, 'one');
    await page.getByText('· Sent').waitFor();
    await parley.close();
    await write(page, 'two');
    await page.getByText('Sending...').waitFor();
    await page.getByText('Reconnecting...').waitFor();
    // "Connected" is there for 2 s only, which who looks now and then may miss.
    await page.evaluate(() => {
      const line = document.querySelector('parley-chat').shadowRoot
        .querySelector('.state');
      window.told = [];
      new MutationObserver(() => line.hidden ||
        window.told.push(line.textContent)).observe(line, { attributes: true,
        childList: true, characterData: true, subtree: true });
    });
    await parley.listen(parley.port);
    await until(() => parley.messages.length === 2, 'stored');
    await until(() => page.evaluate(() => window.told.includes('Connected')),
      'the word that all is well');
    await page.getByText('Connected').waitFor({ state: 'hidden' });
    assert.deepEqual(await log(page).locator('p').allTextContents(),
      ['one', 'two']);
  });

test('a message refused says so, and can be sent again', async (t) => {
  const { parley, page } = await shop(t);
  await launcher(page).click();
  await write(page, 'one');
  await page.getByText('· Sent').waitFor();
  parley.faults.post = [422];
  await write(page, 'two');
  await page.getByRole('button', { name: 'Try again' }).click();
  await until(() => parley.messages.length === 2, 'stored');
  await until(async () => (await log(page).locator('p').allTextContents())
    .join() === 'one,two', 'shown once');
});

test('says whether somebody is there', async (t) => {
  const { parley, page } = await shop(t);
  await launcher(page).click();
  await write(page, 'hello');
  await page.getByText('Sent').waitFor();
  await until(() => parley.streams.size > 0, 'the stream');
  parley.publish('presence_update', { here: true });
  await page.getByText('Online', { exact: true }).waitFor();
  parley.publish('presence_update', { here: false });
  await page.getByText('We usually answer within minutes').waitFor();
});

test('texts and names are texts; only web addresses are links', async (t) => {
  const { parley, page } = await shop(t);
  await launcher(page).click();
  await write(page, '<img src=x onerror=alert(1)>');
  await log(page).getByText('<img src=x onerror=alert(1)>').waitFor();
  parley.store('12', 'agent', 'javascript:alert(1) https://a.example/b?c=d. ok');
  const links = log(page).locator('a');
  await links.first().waitFor();
  assert.deepEqual(await links.evaluateAll((a) => a.map((x) =>
    [x.getAttribute('href'), x.rel])), [['https://a.example/b?c=d',
    'noopener noreferrer nofollow ugc']]);
  assert.equal(await log(page).locator('img').count(), 0);
});

test('edited and deleted messages follow; older ones come on request',
  async (t) => {
    const { parley, page } = await shop(t);
    for (let i = 0; i < 70; i++)
      parley.store('12', i % 2 ? 'agent' : 'customer', `m${i}`);
    await launcher(page).click();
    await write(page, 'hi');
    await log(page).getByText('hi', { exact: true }).waitFor();
    const older = page.getByRole('button', { name: 'Older messages' });
    await older.click();
    await log(page).getByText('m20', { exact: true }).waitFor();
    await older.click();
    await log(page).getByText('m0', { exact: true }).waitFor();
    await older.waitFor({ state: 'hidden' });
    assert.deepEqual(await log(page).locator('p').allTextContents(),
      [...Array.from({ length: 70 }, (_, i) => `m${i}`), 'hi']);
    parley.publish('message_updated', { ...parley.messages[69],
      content: 'changed', edited_at: 5 });
    await log(page).getByText('changed').waitFor();
    parley.publish('message_deleted', { id: parley.messages[69].id,
      conversation_id: '12', deleted_at: 6 });
    await log(page).getByText('This message was deleted').waitFor();
    assert.equal(await log(page).getByText('changed').count(), 0);
  });

test('by keyboard alone: open, write, close with Esc, focus comes back',
  async (t) => {
    const { parley, page } = await shop(t);
    await launcher(page).waitFor();
    await page.focus('#a');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const box = page.getByRole('textbox', { name: 'Write a message…' });
    await until(() => box.evaluate((e) => e.getRootNode().activeElement === e),
      'focus in the text');
    await page.keyboard.type('line one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('line two');
    await page.keyboard.press('Enter');
    await until(() => parley.messages[0]?.content === 'line one\nline two',
      'two lines');
    await page.keyboard.press('Escape');
    assert.equal(await page.getByRole('dialog').isVisible(), false);
    assert.ok(await launcher(page).evaluate((e) =>
      e.getRootNode().activeElement === e));
    assert.equal(await launcher(page).getAttribute('aria-expanded'), 'false');
  });

test('on a phone it fills the screen and keeps the focus', async (t) => {
  const { page } = await shop(t, { viewport: { width: 380, height: 700 },
    hasTouch: true });
  await launcher(page).click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  await until(async () => JSON.stringify(await dialog.boundingBox()) ===
    JSON.stringify({ x: 0, y: 0, width: 380, height: 700 }), 'the whole screen');
  assert.equal(await dialog.getAttribute('aria-modal'), 'true');
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.localName),
      'parley-chat');
  }
  await page.getByRole('button', { name: 'Close' }).click();
  await dialog.waitFor({ state: 'hidden' });
  assert.ok(await launcher(page).isVisible());
});

test('language: the attribute, else the page\'s, else the browser\'s',
  async (t) => {
    for (const [options, text] of [[{ lang: 'vi' }, 'Mở khung chat'],
      [{ lang: 'th-TH' }, 'เปิดแชท'], [{ lang: 'fr' }, 'Open chat'],
      [{ lang: '', locale: 'vi-VN' }, 'Mở khung chat'],
      [{ lang: 'vi', attributes: 'data-lang="th"' }, 'เปิดแชท']]) {
      const { page } = await shop(t, options);
      await launcher(page).waitFor();
      assert.equal(await launcher(page).getAttribute('aria-label'), text);
    }
  });

test('colour and place are the shop\'s', async (t) => {
  const { page } = await shop(t, { attributes:
    'data-color="#ffd54f" data-position="left"' });
  await launcher(page).waitFor();
  const [look, box] = [await launcher(page).evaluate((e) => {
    const s = getComputedStyle(e);
    return [s.backgroundColor, s.color];
  }), await launcher(page).boundingBox()];
  assert.deepEqual(look, ['rgb(255, 213, 79)', 'rgb(17, 17, 17)']);
  assert.equal(box.x, 20);
});

test('two tabs of the shop are one conversation on one stream', async (t) => {
  const { parley, site, context, page } = await shop(t);
  const other = await context.newPage();
  await other.goto(site.url + '/');
  await launcher(page).click();
  await launcher(other).click();
  await write(page, 'from one');
  await log(other).getByText('from one').waitFor();
  await write(other, 'from two');
  await log(page).getByText('from two').waitFor();
  parley.store('12', 'agent', 'to both');
  await log(page).getByText('to both').waitFor();
  await log(other).getByText('to both').waitFor();
  assert.equal(parley.sessions, 1);
  await until(() => parley.streams.size === 1, 'one stream');
  for (const p of [page, other])
    assert.deepEqual(await log(p).locator('p').allTextContents(),
      ['from one', 'from two', 'to both']);
});

test('a session that is no more: the next message begins another',
  async (t) => {
    const { parley, page } = await shop(t);
    await launcher(page).click();
    await write(page, 'old');
    await page.getByText('· Sent').waitFor();
    parley.token = 'pc1.another';
    parley.messages = [];
    parley.cut();
    await until(() => page.evaluate((k) => localStorage.getItem(k) === null,
      `parley ${parley.url}`), 'forgotten');
    await write(page, 'new');
    await log(page).getByText('new').waitFor();
    assert.equal(parley.sessions, 2);
  });

test('without Parley the page stands, and the button offers the chat page',
  async (t) => {
    const { parley, page } = await shop(t);
    await launcher(page).waitFor();
    await parley.close();
    await launcher(page).click();
    const link = page.getByRole('alert');
    await link.waitFor();
    assert.equal(await link.getAttribute('href'), parley.url + '/chat');
    await parley.listen(parley.port);
  });

test('the demo shop: without a script, in each language, no wider than a phone',
  async (t) => {
    const server = await new LogServer().listen();
    t.after(() => server.close());
    for (const [options, query, text] of [
      [{ javaScriptEnabled: false }, '', 'Nhắn tin'],
      [{}, '?lang=th', 'แชท'], [{}, '?lang=en', 'Chat']]) {
      const context = await browser.newContext({ ...options,
        viewport: { width: 320, height: 640 } });
      const page = await context.newPage();
      await page.goto(server.url + '/demo.html' + query);
      const link = page.locator('header').getByRole('link',
        { name: text, exact: true });
      await link.waitFor();
      assert.equal(await link.getAttribute('href'), 'chat');
      assert.equal(await page.locator('header nav span:visible').count(), 3);
      if (options.javaScriptEnabled !== false)
        assert.equal(await page.evaluate(() =>
          document.documentElement.scrollWidth), 320);
      await context.close();
    }
  });
