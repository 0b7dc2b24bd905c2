// The admin's pages of bots, by forms alone and with a script: each kind is made,
// tried out, changed, switched off and removed; what is wrong is said where it
// is, and nothing typed is lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { eachLook, enter, picture, readsWell } from './lib/pages.js';
import { startAssistant } from '../standin/assistant.js';
import { startShopbot } from '../standin/shopbot.js';

const LIST = '/settings/bots';
let p, browser, admin, api, model, robot;

before(async () => {
	[p, browser, model, robot] = await Promise.all([
		start({ conf: { worker_poll_ms: 50, page_refresh_s: 600, fetch_http: 'on',
			fetch_networks: '127.0.0.1', backoff_percent: 1 } }),
		launch(), startAssistant(), startShopbot()]);
	admin = await login('admin');
	api = await p.agent('admin');
});
after(async () => {
	await browser?.close();
	await p?.stop();
	await model?.close();
	await robot?.close();
});

const login = async (who, o) => enter(await plain(browser, o), p, who);
const number = (page) => new URL(page.url()).pathname.match(/(\d+)$/)[1];
const told = async (id) => (await api.get(`/api/bots/${id}`)).json;
const path = (page) => new URL(page.url()).pathname;

// A form's fields as the browser would send them.
const fields = (page, form) => page.locator(form).first().evaluate((f) =>
	Object.fromEntries(new FormData(f)));
const post = (page, to, form) => page.request.post(p.url + to, { form,
	maxRedirects: 0, headers: { Origin: p.url } });

// What it answered when it was asked; the page is asked for until it knows.
async function tries(page, question) {
	await page.fill('#message', question);
	await page.click('#ask');
	await until(async () => {
		if (await page.locator('#waits').count() === 0)
			return true;
		await page.click('#look');
		return false;
	}, undefined, 'answered');
	assert.equal(await page.textContent('#tried .asked'), question);
	return await page.locator('#answered').count() ? page.textContent('#answered') : null;
}

test('a bot of rules: made, tried, its rules changed, moved and removed', async () => {
	await admin.goto(`${p.url}/settings/push`);
	await admin.click('#tab-bots');
	assert.equal(path(admin), LIST);
	assert.ok(await admin.locator('#none').isVisible());
	await admin.click('#new-rules');
	await admin.fill('#name', 'Robo <b>x</b>');
	await admin.check('#channels input');
	await admin.fill('#greeting', 'Xin chào!');
	await admin.fill('#handover', 'nhân viên, agent');
	await admin.fill('#rule_1_keywords', 'giá\nprice');
	await admin.fill('#rule_1_reply', 'Mười nghìn.\nRẻ mà.');
	await admin.fill('#rule_1_quick_replies', 'Mua | BUY\nThôi');
	await admin.click('#rule-2 summary');
	await admin.fill('#rule_2_keywords', 'price, ship');
	await admin.fill('#rule_2_reply', 'Hai ngày.');
	await admin.check('#rule_2_handover');
	for (const d of [1, 2])
		await admin.check(`#hours_1_${d}`);
	await admin.fill('#hours_1_from', '08:00');
	await admin.fill('#hours_1_to', '17:30');
	await admin.click('#save');
	assert.ok(await admin.locator('#saved').isVisible());
	assert.equal(await admin.textContent('h1'), 'Robo <b>x</b>');
	const id = number(admin);
	const bot = await told(id);
	assert.deepEqual(bot.config, {
		greeting: 'Xin chào!', handover: ['nhân viên', 'agent'], when: 'always',
		hours: [{ days: [1, 2], from: '08:00', to: '17:30' }],
		rules: [{ keywords: ['giá', 'price'], reply: 'Mười nghìn.\nRẻ mà.',
			quick_replies: [{ title: 'Mua', payload: 'BUY' }, { title: 'Thôi' }] },
		{ keywords: ['price', 'ship'], reply: 'Hai ngày.', handover: true }],
	});
	assert.equal(bot.channels.length, 1);

	// Asked, at once and without a worker; nobody is told.
	assert.equal(await tries(admin, 'Price?'), 'Xin chào!\n\nMười nghìn.\nRẻ mà.');
	assert.deepEqual(await admin.locator('#tried .pill').allTextContents(), ['Mua', 'Thôi']);
	await tries(admin, 'an agent please');
	assert.ok(await admin.locator('#handed').isVisible());
	await admin.goto(`${p.url}${LIST}/${id}?ask=987654321`);
	assert.equal(await admin.locator('#tried').count(), 0);

	// The page as it is, sent again, changes nothing.
	await admin.click('#save');
	assert.deepEqual((await told(id)).config, bot.config);
	assert.deepEqual((await told(id)).channels, bot.channels);

	// The second rule before the first; then a new one, and the first is gone.
	await admin.click('#rule-2 summary');
	await admin.fill('#rule_2_place', '1');
	await admin.click('#save');
	assert.equal(await tries(admin, 'Price?'), 'Xin chào!\n\nHai ngày.');
	await admin.click('#rule-1 summary');
	await admin.check('#rule_1_gone');
	await admin.click('#rule-3 summary');
	await admin.fill('#rule_3_keywords', 'màu');
	await admin.fill('#rule_3_reply', 'Đỏ.');
	await admin.uncheck('#hours_1_2');
	await admin.fill('#greeting', '');
	await admin.click('#save');
	const { config } = await told(id);
	assert.deepEqual(config.rules.map((r) => r.reply), ['Mười nghìn.\nRẻ mà.', 'Đỏ.']);
	assert.deepEqual(config.hours[0].days, [1]);
	assert.equal(config.greeting, undefined);

	// Off, on; in the list.
	await admin.click('#switch-off');
	assert.equal((await told(id)).state, 'off');
	await admin.click('#switch-on');
	assert.equal((await told(id)).state, 'on');
	await admin.goto(p.url + LIST);
	assert.equal(await admin.locator('#bots li').count(), 1);
	assert.match(await admin.textContent('#bots li'), /Robo <b>x<\/b>/);
});

test('a program: its key and secret are shown once, another is made', async () => {
	await admin.goto(`${p.url}${LIST}/new/http`);
	// Where a bot answers already no other can be put.
	assert.ok(await admin.locator('#channels input').first().isDisabled());
	await admin.fill('#name', 'Kho');
	await admin.fill('#url', `${robot.url}/bot`);
	await admin.fill('#calls_max', '2');
	await admin.click('#save');
	const key = await admin.textContent('#key-text'), secret = await admin.textContent('#secret-text');
	assert.match(key, /^[\w-]{43}$/);
	assert.match(secret, /^[\w-]{43}$/);

	// The same form again: the same bot, neither of them any more.
	await admin.reload();
	const id = number(admin);
	assert.equal(await admin.locator('#key-text, #secret-text').count(), 0);
	assert.ok(!(await admin.content()).includes(secret));
	assert.equal((await api.get('/api/bots')).json.items.length, 2);
	assert.ok(await admin.locator('#set-secret').isVisible());

	robot.secret = secret;
	assert.equal(await tries(admin, 'áo xanh'), 'you said áo xanh');
	assert.match(await admin.textContent('#calls dd'), /1 \/ 2/);
	await admin.click('#new-secret');
	robot.secret = await admin.textContent('#secret-text');
	assert.notEqual(robot.secret, secret);
	assert.equal(await admin.locator('#key-text').count(), 0);
	await admin.reload(); // the form again makes no third
	assert.equal(await tries(admin, 'two'), 'you said two');
	assert.deepEqual(robot.faults, []);
	assert.ok(await admin.locator('#spent').isVisible());
	await admin.click('#new-key');
	const other = await admin.textContent('#key-text');
	const speaks = (k) => p.request('POST', `/api/bots/${id}/messages`, {
		body: { conversation_id: '1', text: 'x' }, headers: { Authorization: `Bearer ${k}` } });
	assert.equal((await speaks(key)).status, 401);
	assert.notEqual((await speaks(other)).status, 401);

	// One that is given stays secret, too.
	await admin.goto(`${p.url}${LIST}/${id}`);
	await admin.fill('#secret', 'given-1');
	await admin.click('#save');
	assert.ok(!(await admin.content()).includes('given-1'));
});

test('an assistant: asked with what it is told, its key never shown', async () => {
	await admin.goto(`${p.url}${LIST}/new/assistant`);
	await admin.fill('#name', 'Trợ lý');
	await admin.fill('#base_url', `${model.url}/v1`);
	await admin.fill('#model', model.model);
	await admin.fill('#api_key', model.key);
	await admin.fill('#system', 'You sell shoes.\n\nBe kind.');
	await admin.fill('#history', '4');
	await admin.click('#save');
	const id = number(admin), bot = await told(id);
	assert.deepEqual(bot.config, { base_url: `${model.url}/v1`, model: model.model,
		system: 'You sell shoes.\n\nBe kind.', history: 4, when: 'always' });
	assert.ok(!(await admin.content()).includes(model.key));
	assert.equal(await tries(admin, 'size 40?'), 'echo: size 40?');
	assert.match(await admin.textContent('#tokens dd'), /25/);
	assert.deepEqual(model.faults, []);

	// Its key stays with an empty field, and can be taken away.
	await admin.click('#save');
	assert.deepEqual((await told(id)).secrets, { api_key: 'set' });

	// But it does not follow to another address.
	await admin.fill('#base_url', `${model.url}/v2`);
	await admin.click('#save');
	assert.match(await admin.locator('.at-field').textContent(), /khóa/);
	assert.equal(await admin.inputValue('#base_url'), `${model.url}/v2`);
	assert.deepEqual((await told(id)).config, bot.config);
	await admin.goto(`${p.url}${LIST}/${id}`);
	await admin.check('#clear_api_key');
	await admin.click('#save');
	assert.deepEqual((await told(id)).secrets, {});
	assert.deepEqual((await told(id)).config, bot.config);

	// Deleted after a question; gone then.
	await admin.click('#delete');
	await admin.click('#keep');
	await admin.click('#delete');
	await admin.click('#delete');
	assert.equal(path(admin), LIST);
	assert.equal(await admin.locator('#bots li').count(), 2);
	assert.equal((await admin.goto(`${p.url}${LIST}/${id}`)).status(), 404);
});

test('what is wrong is said at its field, and nothing is lost or stored', async () => {
	const before = JSON.stringify((await api.get('/api/bots')).json.items);
	const blank = {};
	for (const kind of ['rules', 'assistant', 'http']) {
		await admin.goto(`${p.url}${LIST}/new/${kind}`);
		blank[kind] = await fields(admin, '#new');
	}
	const at = async (kind, changes, where, words, status = 422) => {
		const r = await post(admin, `${LIST}/new/${kind}`, { ...blank[kind], name: 'Hai',
			...changes });
		const html = await r.text();
		assert.equal(r.status(), status, `${kind} ${where}`);
		assert.equal(html.split('class="at-field"').length, 2, `${kind} ${where}`);
		assert.match(html.slice(html.indexOf(`id="${where}"`)).split('</div>')[0],
			new RegExp(`class="at-field"[^>]*>[^<]*${words}`), `${kind} ${where}`);
		assert.match(html, /value="Hai"|id="field-name"/);
		return html;
	};
	await at('rules', { name: '' }, 'field-name', 'tên');
	await at('rules', { greeting: 'x'.repeat(20000) }, 'field-greeting', 'dài');
	await at('rules', { handover: 'y'.repeat(101) }, 'field-handover', '100');
	await at('rules', { when: 'never' }, 'field-when', 'chọn');
	await at('rules', { hours_2_1: '1', hours_2_from: '9', hours_2_to: '10:00' }, 'hours-1', 'giờ');
	await at('rules', { hours_1_from: '09:00', hours_1_to: '10:00' }, 'hours-1', 'ngày');
	let html = await at('rules', { rule_1_keywords: 'một', rule_1_reply: 'Một.',
		rule_2_keywords: ' , ', rule_2_reply: 'Hai <i>.' }, 'field-keywords-2', 'Ít nhất một từ');
	assert.match(html, /<details class="rule" id="rule-2" open>/);
	assert.match(html, /Hai &lt;i&gt;\./);
	await at('rules', { rule_1_keywords: 'a', rule_1_reply: 'x'.repeat(20000) }, 'field-reply-1', 'dài');
	html = await at('rules', { rule_1_keywords: 'a', rule_1_quick_replies: 'z'.repeat(21) },
		'field-quick-1', '20');
	assert.match(html, /z{21}<\/textarea>/);
	await at('http', { url: 'ftp://x' }, 'field-url', 'web');
	html = await at('http', { url: '', secret: 'geheim-1', history: '3' }, 'field-url', 'web');
	assert.ok(!html.includes('geheim-1'));
	await at('http', { url: 'https://x.example', secret: 'có dấu' }, 'field-secret', '1000');
	html = await at('assistant', { base_url: 'https://x.example', model: '', history: '3' },
		'field-model', 'mô hình');
	assert.match(html, /name="history"[^>]*value="3"/);
	await at('assistant', { base_url: 'https://x.example', model: 'm', history: '51' },
		'field-history', '50');
	html = await at('assistant', { base_url: 'https://x.example', model: 'm', max_tokens: 'viele' },
		'field-max_tokens', '100000');
	assert.match(html, /value="viele"/);
	html = await at('http', { url: 'https://x.example', calls_max: '-1' }, 'field-calls_max', 'số');
	assert.match(html, /value="-1"/);
	const taken = (await api.get('/api/bots')).json.items[0].channels[0];
	await at('http', { url: 'https://x.example', [`channel_${taken}`]: '1' }, 'channels', 'bot', 409);

	// All that is wrong is said at once.
	html = await (await post(admin, `${LIST}/new/rules`, { ...blank.rules, name: '',
		greeting: 'x'.repeat(20000), rule_1_reply: 'Hai', hours_1_1: '1' })).text();
	assert.equal(html.split('class="at-field"').length, 5);

	const form = { ...blank.http, name: 'Hai', url: 'https://x.example' };
	assert.equal((await post(admin, `${LIST}/new/http`, { ...form, csrf: 'x' })).status(), 403);
	assert.equal((await post(admin, `${LIST}/new/http`, { ...form, key: '' })).status(), 422);
	assert.equal((await post(admin, `${LIST}/new/magic`, form)).status(), 404);
	assert.equal(JSON.stringify((await api.get('/api/bots')).json.items), before);

	// A change that is refused; a question that is none.
	const { id } = (await api.get('/api/bots')).json.items[0];
	await admin.goto(`${p.url}${LIST}/${id}`);
	const edit = await fields(admin, '#edit');
	const bad = await post(admin, `${LIST}/${id}`, { ...edit, name: '', fallback: 'Chờ nhé' });
	assert.equal(bad.status(), 422);
	assert.match(await bad.text(), /Chờ nhé/);
	const ask = await fields(admin, '#try form');
	const none = await post(admin, `${LIST}/${id}/test`, { ...ask, message: '  ' });
	assert.equal(none.status(), 422);
	assert.match(await none.text(), /class="at-field"[^>]*>[^<]*câu hỏi/);
	assert.equal((await post(admin, `${LIST}/${id}/state`, { ...ask, state: 'gone' })).status(), 422);
	assert.equal((await post(admin, `${LIST}/${id}/key`, { ...ask, new_key: '1' })).status(), 422);
	assert.equal(JSON.stringify((await api.get('/api/bots')).json.items), before);

	// A form sent twice is one.
	const [a, b] = await Promise.all([1, 2].map(() => post(admin, `${LIST}/${id}`,
		{ ...edit, fallback: 'Chờ nhé' })));
	assert.deepEqual([a.status(), b.status()], [303, 303]);
	assert.equal((await told(id)).config.fallback, 'Chờ nhé');
});

test('with a script, what is being asked shows its answer by itself', async () => {
	const id = (await api.get('/api/bots')).json.items.find((b) => b.kind === 'http').id;
	await api.patch(`/api/bots/${id}`, { calls_max: 0, secrets: { secret: robot.secret } });
	const page = await enter(await (await browser.newContext()).newPage(), p, 'admin');
	await page.waitForURL(/inbox/);
	await page.goto(`${p.url}${LIST}/${id}`);
	await page.fill('#message', 'live');
	await page.click('#ask');
	await page.waitForSelector('#answered');
	assert.equal(await page.textContent('#answered'), 'you said live');
	await page.context().close();
});

test('it reads so in each language, wide and narrow', async () => {
	const heads = { vi: 'Bot', th: 'บอต', en: 'Bots' };
	const items = (await api.get('/api/bots')).json.items;
	const pages = { list: LIST, new: `${LIST}/new/assistant` };
	for (const b of items)
		pages[b.kind] = `${LIST}/${b.id}`;
	pages.delete = `${LIST}/${items[0].id}/delete`;
	await eachLook(api, async (lang, viewport, colorScheme) => {
		await admin.setViewportSize(viewport);
		await admin.emulateMedia({ colorScheme });
		for (const [name, to] of Object.entries(pages)) {
			await admin.goto(p.url + to);
			assert.equal(await admin.textContent('#tab-bots'), heads[lang]);
			await admin.evaluate(() => document.querySelectorAll('.rule')
				.forEach((r) => { r.open = true; }));
			for (const t of await admin.locator('#channels label').allTextContents())
				assert.doesNotMatch(t.trim(), /^(.+)\s+\1$/);
			await readsWell(admin, 'h1, h2, dt, legend, .hint, .button, label, option',
				`${name} in ${lang} at ${viewport.width}`);
			await picture(admin, `bots-${name}-${lang}-${viewport.width}`, true);
		}
	});
});

test('nobody else sees or does any of it', async () => {
	const { id } = (await api.get('/api/bots')).json.items[0];
	const agent = await login('agent');
	await agent.goto(`${p.url}/me`);
	const { csrf } = await fields(agent, '#profile');
	for (const to of [LIST, `${LIST}/new/rules`, `${LIST}/${id}`, `${LIST}/${id}/delete`]) {
		assert.equal((await agent.goto(p.url + to)).status(), 403, to);
		const r = await p.request('GET', to);
		assert.equal(r.status, 303);
		assert.match(r.headers.location, /^\/login\?next=/);
	}
	for (const to of [`${LIST}/new/rules`, `${LIST}/${id}`, `${LIST}/${id}/state`,
		`${LIST}/${id}/test`, `${LIST}/${id}/key`, `${LIST}/${id}/delete`]) {
		const form = { csrf, key: 'k', name: 'x', state: 'off', message: 'x' };
		assert.equal((await post(agent, to, form)).status(), 403, to);
		assert.equal((await post(admin, to, form)).status(), 403, to); // another's csrf
	}
	for (const to of [`${LIST}/0`, `${LIST}/987654321`, `${LIST}/x`, `${LIST}/new/magic`])
		assert.equal((await admin.goto(p.url + to)).status(), 404, to);
	assert.equal((await told(id)).state, 'on');
});
