// A bot in the inbox: what it writes is marked as a bot's, whoever reads sees
// that it answers, takes over and gives back; without a script and live.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { enter, picture } from './lib/pages.js';

let p, browser, api;

before(async () => {
	p = await start({ conf: { worker_poll_ms: 50, page_refresh_s: 600 } });
	browser = await launch();
	api = await p.agent('admin');
	const [web] = (await api.get('/api/channels')).json.items;
	const made = await api.post('/api/bots', { name: 'Robo', kind: 'rules', channels: [web.id],
		config: { rules: [{ keywords: ['giá'], reply: 'Mười nghìn.' }], fallback: 'Chờ nhé.' } });
	assert.equal(made.status, 201);
});
after(async () => {
	await browser?.close();
	await p?.stop();
});


// What the bot has said there, oldest first.
const said = async (id) => (await api.get(`/api/conversations/${id}/messages`)).json.items
	.filter((m) => m.sender.kind === 'bot').map((m) => m.content).reverse();
const answered = (id, n) => until(async () => (await said(id)).length === n, undefined, `${n} said`);

test('without a script: marked, taken over, given back', async () => {
	const lan = await p.customer('Lan');
	const id = lan.conversation_id;
	assert.equal((await lan.send(id, 'giá bao nhiêu?')).status, 201);
	await answered(id, 1);
	const page = await enter(await plain(browser), p, 'agent');
	await page.goto(`${p.url}/inbox/${id}`);
	assert.match(await page.textContent('#bot-line'), /Robo đang trả lời ở đây/);
	const words = page.locator('#log .msg.us[data-sender^="bot:"]');
	assert.equal(await words.count(), 1);
	assert.match(await words.locator('.who').textContent(), /^Robo · trả lời tự động/);
	assert.ok(await words.locator('.bot-mark').isVisible());
	assert.equal(await page.locator('#log .msg.them .bot-mark:visible').count(), 0);
	assert.equal((await page.locator(`#c${id} .mark`).textContent()).trim(), 'Bot:');
	await picture(page, 'inbox-nojs-active');

	await page.click('#take-over');
	assert.equal(await page.locator('#take-over').count(), 0);
	assert.match(await page.textContent('#bot-line'), /Robo im lặng ở đây: nhân viên đang trả lời/);
	assert.equal((await lan.send(id, 'giá?')).status, 201);
	await page.setViewportSize({ width: 390, height: 780 });
	await picture(page, 'inbox-nojs-narrow');
	assert.ok(await page.evaluate(() =>
		document.documentElement.scrollWidth <= window.innerWidth));
	await page.click('#give-back');
	assert.equal(await page.locator('#take-over').count(), 1);
	await picture(page, 'inbox-nojs-narrow-active');
	assert.equal((await lan.send(id, 'còn hàng không?')).status, 201);
	await answered(id, 2);
	assert.deepEqual(await said(id), ['Mười nghìn.', 'Chờ nhé.']);

	// Closed, there is nobody to name; a state that there is not is refused.
	await page.click('#close');
	assert.equal(await page.locator('#bot-line').isVisible(), false);
	assert.equal((await api.patch(`/api/conversations/${id}`, { bot: 'gone' })).json.field, 'bot');
	await page.context().close();
});

test('live: its words arrive marked, and the line follows who answers', async () => {
	const minh = await p.customer('Minh');
	const id = minh.conversation_id;
	assert.equal((await minh.send(id, 'xin chào')).status, 201);
	await answered(id, 1);
	const page = await enter(await (await browser.newContext()).newPage(), p, 'agent');
	await page.waitForURL(/inbox/);
	await page.goto(`${p.url}/inbox/${id}`);
	await page.waitForSelector('body[data-state="connected"]');
	assert.equal((await minh.send(id, 'giá?')).status, 201);
	const words = page.locator('#log .msg.us[data-sender^="bot:"]', { hasText: 'Mười nghìn.' });
	await words.waitFor();
	assert.match(await words.locator('.who').textContent(), /^Robo · trả lời tự động/);
	await until(() => page.evaluate((c) =>
		document.querySelector(`${c} .mark`)?.textContent.trim() === 'Bot:', `#c${id}`),
	undefined, 'the mark of a bot');
	await picture(page, 'inbox-live-active');

	// An agent's answer silences it, another's word brings it back.
	await page.fill('#content', 'Tôi đây');
	await page.click('#send');
	await page.waitForSelector('#give-back');
	assert.equal(await page.locator('#log .msg[data-sender^="bot:"]', { hasText: 'Tôi đây' }).count(), 0);
	assert.equal((await api.patch(`/api/conversations/${id}`, { bot: 'active' })).status, 200);
	await page.waitForSelector('#take-over');
	await page.click('#take-over');
	await page.waitForSelector('#give-back');
	const { bot } = (await api.get(`/api/conversations/${id}`)).json;
	assert.deepEqual([bot.state, bot.reason], ['handed_over', 'agent']);
	await page.setViewportSize({ width: 390, height: 780 });
	await picture(page, 'inbox-live-narrow');
	await page.context().close();

	// Where no bot is, no line is shown, and nothing can be given back.
	const direct = (await api.get('/api/conversations')).json.items.find((c) => c.bot === null);
	if (direct)
		assert.equal((await api.patch(`/api/conversations/${direct.id}`,
			{ bot: 'active' })).status, 422);
});

test('what one types is not lost when one takes over', async () => {
	const an = await p.customer('An');
	const id = an.conversation_id;
	assert.equal((await an.send(id, 'xin chào')).status, 201);
	await answered(id, 1);
	const page = await enter(await (await browser.newContext()).newPage(), p, 'agent');
	await page.waitForURL(/inbox/);
	await page.goto(`${p.url}/inbox/${id}`);
	await page.waitForSelector('html.live');
	await page.fill('#content', 'dở dang');
	await page.click('#take-over');
	await page.waitForSelector('#give-back');
	await until(() => page.evaluate(() => document.querySelector('#content').value === 'dở dang'),
		undefined, 'what was begun');
	await page.context().close();
});
