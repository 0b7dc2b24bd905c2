// Files in a real browser: chosen, taken away again, sent with a text as one
// message, seen at the other end; as the forms do without a script.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openShadows } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { enter } from './lib/pages.js';
import { pdf, png } from './lib/files.js';

let p, browser;
const errors = [];

before(async () => {
	p = await start({ env: { PARLEY_LIMITS: 'off' } });
	browser = await launch();
});
after(async () => {
	await browser?.close();
	await p?.stop();
	assert.deepEqual(errors, []);
});

async function fresh(options = {}) {
	const context = await browser.newContext({ locale: 'vi-VN', ...options });
	await openShadows(context);
	const page = await context.newPage();
	page.on('pageerror', (e) => errors.push(e.message));
	page.on('console', (m) => /Content Security|CORS/.test(m.text()) && errors.push(m.text()));
	return page;
}

const connected = (page) =>
	page.waitForSelector('body[data-state=connected]', { timeout: 30_000 });

async function visitor(name, options) {
	const page = await fresh(options);
	await page.goto(p.url + '/chat');
	await page.fill('#name', name);
	await page.fill('#content', `${name} here`);
	await page.check('#consent');
	await page.click('#submit');
	await page.waitForSelector('#composer');
	return page;
}

async function agent(name) {
	const page = await fresh();
	await enter(page, p, 'agent', '/inbox');
	await connected(page);
	await page.locator('#rows .row', { hasText: name }).locator('a').click();
	await page.waitForSelector('#log');
	await connected(page);
	return page;
}

const picture = (name, width) => ({ name, mimeType: 'image/png',
	buffer: png({ width, height: 3 }) });
const paper = { name: 'giá.pdf', mimeType: 'application/pdf', buffer: pdf() };
const page = { name: 'x.png', mimeType: 'image/png', buffer: Buffer.from('<svg/>') };

// The last message of the conversation: its text, and its files as they show.
const last = (view) => view.locator('#log .msg[data-id]').last().evaluate((li) => ({
	text: li.querySelector('.text').textContent,
	files: [...li.querySelectorAll('.file')].map((f) =>
		f.querySelector('img')?.getAttribute('alt') ?? f.textContent.trim()) }));
const shows = (view, text, ...files) => until(async () =>
	JSON.stringify(await last(view)) === JSON.stringify({ text, files }),
undefined, `${text} with ${files}`);
const loaded = (view) => until(() => view.locator('#log .file img').evaluateAll((list) =>
	list.length > 0 && list.every((img) => img.complete && img.naturalWidth > 0)),
undefined, 'pictures');

test('an agent sends two files with a text, a customer answers with one', async () => {
	const v = await visitor('Chị Thu');
	await connected(v);
	const a = await agent('Chị Thu');
	const chips = a.locator('#picked li');

	await a.fill('#content', 'đây ạ');
	await a.setInputFiles('#file', [picture('một.png', 7), paper, picture('nhầm.png', 9)]);
	assert.equal(await chips.count(), 3);
	await chips.filter({ hasText: 'nhầm' }).locator('button').click();
	// One that is not taken says so, and costs the others nothing.
	await a.setInputFiles('#file', [page]);
	await a.locator('#upload[role=alert]', { hasText: 'x.png' }).waitFor();
	await until(async () => await chips.count() === 2, undefined, 'two are left');
	assert.equal(await a.inputValue('#content'), 'đây ạ'); // nothing went yet
	await a.press('#content', 'Enter');
	for (const view of [a, v])
		await shows(view, 'đây ạ', 'một.png', 'giá.pdf');
	assert.equal(await chips.count(), 0);
	await Promise.all([loaded(a), loaded(v)]);

	// A file alone, from the customer; a note's file is not for him.
	await v.setInputFiles('#file', [picture('ảnh.png', 5)]);
	await v.click('#composer button[type=submit]:not(#send-file)');
	await shows(a, '', 'ảnh.png');
	await a.check('#as-note');
	await a.setInputFiles('#file', [paper]);
	await a.press('#content', 'Enter');
	await a.locator('#log .msg.note[data-id] .file').waitFor();
	await shows(v, '', 'ảnh.png');

	// The same after a reload, from the server.
	await v.reload();
	await shows(v, '', 'ảnh.png');
	await loaded(v);
	await a.context().close();
	await v.context().close();
});

test('without a script the form does the same', async () => {
	const v = await visitor('Anh Ba', { javaScriptEnabled: false });
	await v.click('#write'); // or the page would refresh itself
	await v.fill('#content', 'hai tệp');
	await v.setInputFiles('#file', [picture('một.png', 7), paper]);
	await v.click('#send-file');
	const li = v.locator('#log .msg').last();
	assert.equal((await li.locator('.text').textContent()).trim(), 'hai tệp');
	assert.equal(await li.locator('.file').count(), 2);
	assert.match(await li.locator('.file img').getAttribute('src'), /^\/media\//);
	// One that is not taken: none of them is.
	const url = v.url();
	await v.click('#write');
	await v.setInputFiles('#file', [paper, page]);
	await v.click('#send-file');
	assert.equal(await v.locator('#log').count(), 0);
	await v.goto(url);
	assert.equal(await v.locator('#log .file').count(), 2);
	await v.context().close();
});

test('in the widget, too', async () => {
	const v = await fresh();
	await v.goto(p.url + '/demo.html');
	await v.locator('parley-chat .launch').click();
	const field = v.getByRole('textbox', { name: 'Viết tin nhắn…' });
	await field.fill('chào');
	await v.keyboard.press('Enter');
	await v.getByRole('log').locator('p', { hasText: 'chào' }).waitFor();
	const file = v.locator('parley-chat input[type=file]');
	await file.setInputFiles([picture('một.png', 7), paper]);
	await v.locator('parley-chat .chip').nth(1).waitFor();
	await file.setInputFiles([page]);
	await until(async () => await v.locator('parley-chat .chip').count() === 2,
		undefined, 'two are left');
	await field.fill('hai tệp');
	await v.keyboard.press('Enter');
	await v.locator('parley-chat .chip').first().waitFor({ state: 'detached' });

	const who = await p.agent();
	const found = await until(async () => (await who.get('/api/conversations?limit=20')).json.items
		.find((c) => c.last_message?.content === 'hai tệp'), undefined, 'the message');
	const { json } = await who.get(`/api/conversations/${found.id}/messages`);
	const m = json.items.find((x) => x.content === 'hai tệp');
	assert.deepEqual(m.attachments.map((f) => f.name), ['một.png', 'giá.pdf']);
	await until(() => v.locator('parley-chat').evaluate((e) =>
		[...e.shadowRoot.querySelectorAll('img[alt="một.png"]')]
			.some((img) => img.complete && img.naturalWidth > 0)), undefined, 'the picture');
	await v.context().close();
});
