// The admin's page about the live connections: by forms and links alone, in
// three languages, for nobody else; it says so where pushd is not there.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { eachLook, enter, picture, readsWell } from './lib/pages.js';
import { ask } from './lib/raw.js';

let p, browser;

before(async () => {
	p = await start();
	browser = await launch();
});
after(async () => {
	await browser?.close();
	await p?.stop();
});

const login = async (who, o) => enter(await plain(browser, o), p, who);
const figure = async (page, id) => (await page.locator(`#${id} dd`).textContent()).trim();

test('an admin reads how the live connections are, without a script', async () => {
	const admin = await p.agent('admin');
	const page = await login('admin');
	await page.click('#nav-settings');
	assert.equal(new URL(page.url()).pathname, '/settings/push');
	assert.equal(await page.locator('#nav-settings').getAttribute('aria-current'), 'page');
	// All is well, or a busy machine is slow.
	const slow = await page.locator('#warn-event_most, #warn-backend_most, #warn-turn_most')
		.count();
	assert.equal(await page.locator('[id^=warn-]').count(), slow);
	assert.equal(await page.locator('#well').count(), slow ? 0 : 1);
	assert.equal(await figure(page, 'push-sse'), '0');

	const s = await admin.sse();
	const w = await admin.ws();
	await until(async () => {
		await page.click('#reload');
		return await figure(page, 'push-sse') === '1' &&
			await figure(page, 'push-websocket') === '1';
	});
	const customer = await p.customer('Lan');
	assert.equal((await customer.send(customer.conversation_id, 'hi')).status, 201);
	await s.until('new_message');
	await page.click('#reload');
	assert.match(await figure(page, 'push-event_half'), /^\d+([.,]\d)? (ms|s)$/);
	assert.match(await figure(page, 'push-event_most'), /^\d+([.,]\d)? (ms|s)$/);
	assert.match(await figure(page, 'push-backend_half'), /^\d+([.,]\d)? (ms|s)$/);
	assert.match(await figure(page, 'push-bytes'), /^\d+([.,]\d)? (B|KB|MB)$/);
	assert.notEqual(await figure(page, 'push-deliveries'), '0');
	s.close();
	w.close();
	await until(async () => {
		await page.click('#reload');
		return await page.locator('#end-client').count() === 1;
	});

	// What deserves a look is marked, and said.
	const r = await ask(p, 'GET /api/events/longpoll?after=1&wait=0 HTTP/1.1\r\n' +
		`Host: 127.0.0.1\r\nAuthorization: Bearer ${(await p.bearer()).token}\r\n\r\n`);
	assert.equal(r.json.events[0].type, 'reset');
	await page.click('#reload');
	assert.equal(await page.locator('#well').count(), 0);
	assert.ok(await page.locator('#warn-resets').isVisible());
	assert.equal(await page.locator('#push-resets.warn').count(), 1);
	assert.equal(await figure(page, 'push-resets'), '1');
});

test('it reads so in each language, wide and narrow', async () => {
	const admin = await p.agent('admin');
	const heads = { vi: 'Kết nối trực tiếp', th: 'การเชื่อมต่อสด', en: 'Live connections' };
	await eachLook(admin, async (lang, viewport, colorScheme) => {
		const page = await login('admin', { viewport, colorScheme });
		await page.goto(`${p.url}/settings/push`);
		assert.equal(await page.locator('h1').textContent(), heads[lang]);
		assert.equal(await page.locator('html').getAttribute('lang'), lang);
		await readsWell(page, 'dt, h2, .notice, .since', `${lang} at ${viewport.width}`);
		await picture(page, `push-${lang}-${viewport.width}`, true);
		await page.context().close();
	});
});

test('with a script its times are those of the reader’s clock', async () => {
	const page = await login('admin', { javaScriptEnabled: true,
		timezoneId: 'Pacific/Kiritimati' });
	await page.goto(`${p.url}/settings/push`);
	await until(() => page.evaluate(() => {
		const e = document.querySelector('.as-of time'), at = new Date(Number(e.dataset.at));
		const two = (n) => String(n).padStart(2, '0');
		return e.textContent === `${two(at.getHours())}:${two(at.getMinutes())}`;
	}), undefined, 'the reader’s clock');
	await page.context().close();
});

test('nobody else sees it', async () => {
	const page = await login('agent');
	assert.equal(await page.locator('#nav-settings').count(), 0);
	for (const path of ['/settings', '/settings/push']) {
		assert.equal((await page.goto(p.url + path)).status(), 403);
		assert.equal(await page.locator('.figures').count(), 0);
		const r = await p.request('GET', path);
		assert.equal(r.status, 303);
		assert.match(r.headers.location, /^\/login\?next=/);
	}
});

test('with other metrics_addresses it is the same, without pushd it says so', async (t) => {
	const o = await start({ conf: { metrics_addresses: '192.0.2.1' } });
	t.after(() => o.stop());
	const admin = await o.agent('admin');
	const text = async () => (await admin.get('/settings/push')).text;
	assert.match(await text(), /id="push-now"/);
	assert.equal((await ask(o, 'GET /metrics HTTP/1.1\r\nHost: x\r\n' +
		`X-Parley-Internal: ${'0'.repeat(64)}\r\n\r\n`)).status, 404);
	process.kill(o.pid('pushd'), 'SIGSTOP');
	try {
		assert.match(await text(), /id="down"/);
	} finally {
		process.kill(o.pid('pushd'), 'SIGCONT');
	}
	await until(async () => /id="push-now"/.test(await text()));
});

test('where there is to be no pushd it is no fault', async (t) => {
	const o = await start({ mode: 'cgi', conf: { push_daemon: 'off' } });
	t.after(() => o.stop());
	const admin = await o.agent('admin');
	const r = await admin.get('/settings/push');
	assert.equal(r.status, 200);
	assert.match(r.text, /id="off"/);
	assert.doesNotMatch(r.text, /id="down"|class="figures"/);
});
