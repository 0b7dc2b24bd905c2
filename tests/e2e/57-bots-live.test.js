// What a bot says is seen at once by all who look, and marked as a bot's: in the
// widget, in the inbox with a script and without, and in the event.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openShadows } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { enter } from './lib/pages.js';

const MARK = /Robo · trả lời tự động/;
let p, browser;

before(async () => {
	[p, browser] = await Promise.all([start(), launch()]);
});
after(async () => {
	await browser?.close();
	await p?.stop();
});

async function inbox(id, options = {}) {
	const context = await browser.newContext({ locale: 'vi-VN', ...options });
	const page = await context.newPage();
	await enter(page, p, 'admin');
	await page.goto(`${p.url}/inbox/${id}`);
	return page;
}

// What stands above the bot's messages, and above the others.
const marked = async (page) => [
	await page.locator('#log .msg[data-sender^="bot:"] .who').allTextContents(),
	await page.locator('#log .msg:not([data-sender^="bot:"]) .bot-mark:not([hidden])').count()];

test('a bot answers live, and all can see that it is one', async () => {
	const boss = await p.agent('admin');
	const stream = await boss.sse();
	const channels = (await boss.get('/api/channels')).json.items;
	const made = await boss.post('/api/bots', { name: 'Robo', kind: 'rules',
		channels: [channels.find((c) => c.platform === 'web').id],
		config: { rules: [{ keywords: ['price'], reply: 'Ten.' }] } });
	assert.equal(made.status, 201, made.text);

	// A script's visitor asks; whoever listens hears the answer.
	const lan = await p.visitor({ name: 'Lan' });
	const page = await inbox(lan.conversation_id);
	await page.waitForSelector('body[data-state=connected]', { timeout: 30_000 });
	const said = await lan.post('/chat', { message: 'price?' });
	assert.equal(said.json.answer.content, 'Ten.');
	const e = await stream.until((x) => x.type === 'new_message' && x.data.content === 'Ten.');
	assert.deepEqual([e.data.sender.kind, e.data.sender.name], ['bot', 'Robo']);
	await until(() => page.locator('#log .msg[data-sender^="bot:"]').count(), 10_000);
	for (const look of [page, await inbox(lan.conversation_id, { javaScriptEnabled: false })]) {
		const [bots, others] = await marked(look);
		assert.equal(bots.length, 1);
		assert.match(bots[0], MARK);
		assert.equal(others, 0);
	}

	// The same in the widget.
	const context = await browser.newContext({ locale: 'vi-VN' });
	await openShadows(context);
	const shop = await context.newPage();
	await shop.goto(`${p.url}/demo.html`);
	await shop.locator('parley-chat .launch').click();
	await shop.getByRole('textbox', { name: 'Viết tin nhắn…' }).fill('price, please');
	await shop.keyboard.press('Enter');
	// Its own words are stored, and answered by whoever has the time: the worker.
	await until(async () => (await shop.getByRole('log').locator('.who')
		.allTextContents()).some((t) => MARK.test(t)), 20_000, 'the answer in the widget');
});
