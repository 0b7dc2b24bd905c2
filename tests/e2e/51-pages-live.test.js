// The same pages with their scripts: what arrives appears, and appears once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { enter } from './lib/pages.js';

let p, browser;
const errors = [];

before(async () => {
	p = await start();
	browser = await launch();
});
after(async () => {
	await browser?.close();
	await p?.stop();
});

async function fresh(options = {}) {
	const context = await browser.newContext({ locale: 'vi-VN', ...options });
	const page = await context.newPage();
	page.on('pageerror', (e) => errors.push(e.message));
	return page;
}

const connected = (page) =>
	page.waitForSelector('body[data-state=connected]', { timeout: 30_000 });

async function visitor(text, name) {
	const page = await fresh();
	await page.goto(p.url + '/chat');
	await page.fill('#name', name);
	await page.fill('#content', text);
	await page.check('#consent');
	await page.click('#submit');
	await connected(page);
	return page;
}

async function agent(who = 'agent') {
	const page = await fresh();
	await enter(page, p, who, '/inbox');
	await connected(page);
	return page;
}

async function open(page, name) {
	await page.locator('#rows .row', { hasText: name }).locator('a').click();
	await page.waitForSelector('#log');
	await connected(page);
}

async function say(page, text) {
	await page.fill('#content', text);
	await page.press('#content', 'Enter');
}

const texts = (page) => page.locator('#log .msg .text').allTextContents();
const shows = (page, text) =>
	page.locator('#log .msg .text', { hasText: text }).waitFor();
const state = (page, text) => page.locator('#log .msg', { hasText: text })
	.locator('.state-text').textContent();
const becomes = (page, text, word) => until(async () =>
	await state(page, text) === word, undefined, `${word} of ${text}`);

test('a conversation appears in the list, messages on both sides', async () => {
	const a = await agent(), day = new Date().getDate();
	const before = Number(await a.textContent('#unread-total') || 0);
	const v = await visitor('Chào shop <i>nhé</i>', 'Chị Thu');
	const row = a.locator('#rows .row', { hasText: 'Chị Thu' });
	await row.waitFor();
	assert.equal(await row.locator('.preview-text').textContent(), 'Chào shop <i>nhé</i>');
	await until(async () => (await a.title()).startsWith(`(${before + 1}) `), undefined,
		'the title');
	await open(a, 'Chị Thu');

	await say(v, 'còn hàng không ạ?');
	await shows(a, 'còn hàng không ạ?');
	await say(a, 'Dạ còn ạ: https://example.com/a.');
	await shows(v, 'Dạ còn ạ');
	assert.equal(await v.locator('#log .text a').getAttribute('href'), 'https://example.com/a');
	assert.deepEqual(await texts(v), await texts(a));
	await becomes(a, 'Dạ còn ạ', 'Đã đọc');
	await becomes(v, 'còn hàng', 'Đã đọc');

	// A note stays inside, and nothing is there twice after a reload.
	await a.check('#as-note');
	await say(a, 'khách dễ thương');
	await a.locator('#log .msg.note[data-id]').waitFor();
	await a.check('#as-reply');
	await say(v, 'cảm ơn');
	await shows(a, 'cảm ơn');
	const live = await texts(a);
	await a.reload();
	assert.deepEqual(await texts(a), live);
	assert.ok(!(await texts(v)).includes('khách dễ thương'));
	// Midnight may have passed since.
	const days = 1 + Number(day !== new Date().getDate());
	assert.ok(await v.locator('#log .day').count() <= days);
	assert.notEqual(await v.locator('#log .day').count(), 0);
});

test('typing is shown and ends; Enter of an input method does not send', async () => {
	const v = await visitor('alo', 'Cô Tám');
	const a = await agent();
	await open(a, 'Cô Tám');
	await v.locator('#content').pressSequentially('đang');
	await until(async () => await a.textContent('#typing') === 'Đang soạn tin...', undefined, 'typing');
	await a.locator('#typing').waitFor({ state: 'hidden', timeout: 30_000 });
	await v.fill('#content', 'gõ dở');
	await v.evaluate(() => document.querySelector('#content').dispatchEvent(
		new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true })));
	assert.equal(await v.inputValue('#content'), 'gõ dở');
	await v.reload(); // a draft outlives it
	assert.equal(await v.inputValue('#content'), 'gõ dở');
});

test('what is written while cut off goes out once, when it can', async () => {
	const v = await visitor('mạng yếu', 'Anh Bảy');
	const a = await agent();
	await open(a, 'Anh Bảy');
	await a.context().setOffline(true);
	await say(a, 'gửi lúc mất mạng');
	await shows(a, 'gửi lúc mất mạng');
	assert.equal(await state(a, 'gửi lúc mất mạng'), 'Đang gửi');
	await a.locator('#connection', { hasText: /kết nối/ }).waitFor();
	await a.context().setOffline(false);
	await shows(v, 'gửi lúc mất mạng');
	await until(async () => /Đã (gửi|đọc)/.test(await state(a, 'gửi lúc mất mạng')));
	await a.locator('#connection').waitFor({ state: 'hidden' });
	assert.deepEqual(await texts(a), ['mạng yếu', 'gửi lúc mất mạng']);
	assert.deepEqual(await texts(v), ['mạng yếu', 'gửi lúc mất mạng']);
});

test('what is refused says why, and can be thrown away', async () => {
	const v = await visitor('chữ dài', 'Cậu Năm');
	await v.evaluate(() => {
		document.querySelector('#content').value = 'dài '.repeat(2501);
	});
	await v.click('#send');
	const li = v.locator('#log .msg.failed'), why = li.locator('.state-text');
	await li.waitFor();
	assert.equal(await why.textContent(), 'Tin nhắn quá dài.');
	assert.ok(await li.locator('.retry').isVisible());
	await v.reload(); // it is still there, and why
	await connected(v);
	assert.equal(await why.textContent(), 'Tin nhắn quá dài.');
	await li.locator('.discard').click();
	await li.waitFor({ state: 'detached' });
	await v.reload();
	await connected(v);
	assert.deepEqual(await texts(v), ['chữ dài']);
});

test('a second tab and a second agent see the same', async () => {
	const v = await visitor('hai nơi', 'Út Em');
	const a = await agent(), other = await agent('admin');
	await open(a, 'Út Em');
	await open(other, 'Út Em');
	const tab = await a.context().newPage();
	await tab.goto(a.url());
	await connected(tab);
	await say(a, 'từ nơi thứ nhất');
	await shows(other, 'từ nơi thứ nhất');
	await shows(tab, 'từ nơi thứ nhất');
	await say(tab, 'từ thẻ thứ hai');
	await shows(a, 'từ thẻ thứ hai');
	await shows(other, 'từ thẻ thứ hai');
	await shows(v, 'từ thẻ thứ hai');
	for (const page of [a, tab, other, v])
		assert.deepEqual(await texts(page), ['hai nơi', 'từ nơi thứ nhất', 'từ thẻ thứ hai']);

	// Who takes it, and that it is closed, is seen by the others.
	await a.click('#take');
	await connected(a);
	await until(async () => await other.inputValue('#assignee') !== '', undefined, 'assignee');
	await a.click('#close');
	await until(async () => await other.locator('#talk-status').textContent() === 'Đã đóng',
		undefined, 'closed');
	await v.locator('#closed').waitFor();
	await say(v, 'mở lại nhé');
	await v.locator('#closed').waitFor({ state: 'hidden' });
});

test('that it is closed is said for as long as it is so', async () => {
	const v = await visitor('đóng rồi mở', 'Dì Tư');
	const a = await agent(), closed = a.locator('#closed');
	await open(a, 'Dì Tư');
	await closed.waitFor({ state: 'hidden' });
	await v.click('#end');
	await connected(v);
	await closed.waitFor();
	await say(v, 'còn câu nữa');
	await shows(a, 'còn câu nữa');
	await closed.waitFor({ state: 'hidden' });
	await a.click('#close');
	await connected(a);
	await closed.waitFor();
	await say(v, 'và một câu nữa');
	await closed.waitFor({ state: 'hidden' });
	await a.locator('#talk-status').waitFor({ state: 'hidden' });
});

test('with nothing to hold a stream it polls', async () => {
	const v = await visitor('chỉ hỏi thôi', 'Bà Chín');
	const page = await fresh();
	await page.route(/events\/stream/, (r) => r.abort());
	await page.addInitScript(() => delete window.WebSocket);
	await page.goto(v.url());
	await page.waitForSelector('body[data-state=connected][data-transport=poll]',
		{ timeout: 30_000 });
	await say(v, 'qua đường hỏi');
	await page.locator('#log .text', { hasText: 'qua đường hỏi' }).waitFor({ timeout: 30_000 });
	assert.deepEqual(await texts(page), await texts(v));
});

test('no page threw', () => assert.deepEqual(errors, []));
