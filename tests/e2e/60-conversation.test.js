// The main job in real windows: a customer's and an agent's, through each web
// server, with pushd and by plain CGI, with scripts and without.  With pushd
// killed in mid-conversation both go on by polling and come back to push.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { enter } from './lib/pages.js';

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

async function window(t, javaScriptEnabled) {
	const page = javaScriptEnabled ? await browser.newPage({ locale: 'vi-VN' }) :
		await plain(browser, { locale: 'vi-VN' });
	t.after(() => page.context().close());
	page.on('pageerror', (e) => assert.fail(e.message));
	return page;
}

// Both windows, in the same new conversation.
async function pair(t, p, scripts, name) {
	const v = await window(t, scripts);
	await v.goto(`${p.url}/chat`);
	await v.fill('#name', name);
	await v.fill('#content', 'Chào shop');
	await v.check('#consent');
	await v.click('#submit');
	await v.waitForSelector('#log');

	const a = await window(t, scripts);
	await enter(a, p, 'agent', '/inbox');
	await a.waitForSelector('#rows');
	await a.locator('#rows .row', { hasText: name }).locator('a').click();
	await a.waitForSelector('#log');
	if (scripts)
		for (const page of [v, a])
			await page.waitForSelector('body[data-state=connected]');
	return [v, a];
}

const texts = (page) => page.locator('#log .msg .text').allTextContents();

// From now on the window notes when each message appears in it.
const watch = (page) => page.evaluate(() => {
	window.shownAt = {};
	new MutationObserver(() => {
		for (const e of document.querySelectorAll('#log .msg .text'))
			window.shownAt[e.textContent] ??= Date.now();
	}).observe(document.querySelector('#log'), { childList: true, subtree: true,
		characterData: true });
});

async function say(page, text) {
	await page.fill('#content', text);
	const at = await page.evaluate(() => Date.now());
	await page.press('#content', 'Enter');
	return at;
}

const sees = (page, text, timeout = 40_000) =>
	page.locator('#log .msg .text', { hasText: text }).first().waitFor({ timeout });

const median = (list) => list.sort((x, y) => x - y)[list.length >> 1];

for (const web of ['apache', 'lighttpd']) {
	for (const mode of ['fcgi', 'cgi']) {
		test(`${web}, ${mode}: with scripts, both ways, once and in order`, async (t) => {
			const p = await start({ web, mode });
			t.after(() => p.stop());
			const [v, a] = await pair(t, p, true, 'Cô Út');
			await watch(v);
			await watch(a);
			const want = ['Chào shop'], took = [];
			for (let i = 0; i < 10; i++) {
				for (const [from, to, who] of [[v, a, 'khách'], [a, v, 'shop']]) {
					const text = `${who} nói ${i}.`;
					const at = await say(from, text);
					await sees(to, text);
					took.push(await to.evaluate((x) => window.shownAt[x], text) - at);
					want.push(text);
				}
			}
			t.diagnostic(`visible at the other end after ${median(took)} ms (median of ${took.length})`);
			assert.deepEqual(await texts(v), want);
			assert.deepEqual(await texts(a), want);
			if (mode === 'cgi')
				assert.equal(await v.evaluate(() => document.body.dataset.transport), 'poll');
		});

		test(`${web}, ${mode}: without scripts`, async (t) => {
			const p = await start({ web, mode, conf: { page_refresh_s: 600 } });
			t.after(() => p.stop());
			const [v, a] = await pair(t, p, false, 'Bác Sáu');
			const want = ['Chào shop'];
			for (let i = 0; i < 3; i++) {
				for (const [from, to, who] of [[v, a, 'khách'], [a, v, 'shop']]) {
					const text = `${who} viết ${i}.`;
					await from.fill('#content', text);
					await from.click('#send');
					want.push(text);
					assert.deepEqual(await texts(from), want);
					await to.reload();
					assert.deepEqual(await texts(to), want);
				}
			}
		});
	}

	test(`${web}: pushd killed in mid-conversation, on by polling, back to push`, async (t) => {
		const p = await start({ web });
		t.after(() => p.stop());
		const [v, a] = await pair(t, p, true, 'Dì Ba');
		const want = ['Chào shop'];
		const talk = async (n) => {
			for (const [from, to, who] of [[v, a, 'khách'], [a, v, 'shop']]) {
				const text = `${who} ${n}.`;
				want.push(text);
				await say(from, text);
				await sees(to, text, 40_000);
			}
		};
		const transport = (page) => page.evaluate(() => document.body.dataset.transport);
		await talk('trước');
		assert.notEqual(await transport(v), 'poll');

		// Kept down for as long as it takes both to fall back to polling.
		let down = true;
		const keep = (async () => {
			while (down) {
				p.kill('pushd');
				await new Promise((r) => setTimeout(r, 20));
			}
		})();
		try {
			await talk('lúc vắng 1');
			for (const page of [v, a])
				await until(async () => await transport(page) === 'poll', 90_000, 'polling');
			await talk('lúc vắng 2');
		} finally {
			down = false;
			await keep;
		}
		for (const page of [v, a])
			await until(async () => await transport(page) !== 'poll', 120_000, 'push again');
		await talk('sau');
		assert.deepEqual(await texts(v), want);
		assert.deepEqual(await texts(a), want);
	});
}
