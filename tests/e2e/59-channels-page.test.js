// The admin's pages of channels, without a script: each platform is connected
// step by step, and what customers write there is answered.  Secrets go in and
// never come out; a form sent twice is one; nobody else gets in.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { eachLook, enter, picture, readsWell } from './lib/pages.js';
import { sampleJson } from './lib/shop.js';
import { metaSign, startFacebook } from '../standin/facebook.js';
import { startLine } from '../standin/line.js';

const LIST = '/settings/channels';
let p, browser, admin, accounts, fb, line;

before(async () => {
	[p, browser, fb, line, { accounts }] = await Promise.all([
		start({ conf: { worker_poll_ms: 50, page_refresh_s: 600 } }), launch(), startFacebook(),
		startLine(), sampleJson('signatures.json')]);
	admin = await login('admin');
});
after(async () => {
	await browser?.close();
	await p?.stop();
	await fb?.close();
	await line?.close();
});

const login = async (who, o) => enter(await plain(browser, o), p, who);

// From the list through the form of a platform; the page that follows.
async function connect(page, platform, name, settings) {
	await page.goto(p.url + LIST);
	await page.click(`#connect-${platform}`);
	const more = page.locator('.more-settings summary');
	if (await more.count())
		await more.click();
	await page.fill('#name', name);
	for (const [key, value] of Object.entries(settings))
		await page.fill(`#${key}`, value);
	await page.click('#save');
}
const number = (page) => new URL(page.url()).pathname.match(/(\d+)$/)[1];

// A form's fields as the browser would send them.
async function fields(page, form) {
	const out = {};
	for (const i of await page.locator(`${form} [name]`).all())
		if (await i.getAttribute('type') !== 'checkbox' || await i.isChecked())
			out[await i.getAttribute('name')] = await i.inputValue();
	return out;
}
const post = (page, path, form) => page.request.post(p.url + path, { form,
	maxRedirects: 0, headers: { Origin: p.url } });

async function answer(text, reply) {
	await until(async () => {
		await admin.goto(`${p.url}/inbox?view=all`);
		return await admin.locator('#rows .row', { hasText: text }).count() === 1;
	}, undefined, text);
	await admin.locator('#rows .row', { hasText: text }).locator('a').click();
	assert.ok((await admin.locator('#log .msg .text').allTextContents()).includes(text));
	await admin.fill('#content', reply);
	await admin.click('#send');
}

test('Facebook, from the first step to an answer', async () => {
	await admin.goto(`${p.url}/settings/push`);
	await admin.click('#tab-channels');
	assert.equal(await admin.locator('#channels li').count(), 1); // the demo's own
	assert.equal(await admin.locator('#platforms a').count(), 8);
	await connect(admin, 'facebook', 'Trang của tiệm', {
		fb_page_id: fb.pageId, fb_app_secret: 'một bí mật',
		fb_page_token: fb.token, fb_api_base: fb.url });
	assert.ok(await admin.locator('#saved').isVisible());
	const id = number(admin);
	const hook = `${p.url}/webhooks/facebook/${id}`;
	const entered = await admin.locator('.paste code').allTextContents();
	assert.equal(entered[0], hook);
	assert.match(entered[2], /^messages, messaging_postbacks, .*standby$/);
	assert.ok(await admin.locator('#unreachable').isVisible());

	// The word that was made up is good, and shown this once.
	const word = await admin.textContent('#fresh');
	assert.match(word, /^[\w-]{43}$/);
	const shake = (token) => fetch(`${hook}?hub.mode=subscribe&hub.challenge=77` +
		`&hub.verify_token=${token}`);
	assert.equal(await (await shake(word)).text(), '77');
	await admin.goto(`${p.url}${LIST}/${id}`);
	const html = await admin.content();
	for (const secret of [word, 'một bí mật', fb.token])
		assert.ok(!html.includes(secret));
	assert.equal(await admin.inputValue('#fb_api_base'), fb.url);
	assert.ok(await admin.locator('#set-fb_app_secret').isVisible());

	const body = Buffer.from(fb.body(fb.from('7310000000000077',
		{ message: { mid: 'm_page1', text: 'còn áo size L không?' } })));
	const got = await fetch(hook, { method: 'POST', body, headers: {
		'Content-Type': 'application/json',
		'X-Hub-Signature-256': metaSign(body, 'một bí mật') } });
	assert.equal(got.status, 200);
	await answer('còn áo size L không?', 'Dạ còn ạ');
	await until(() => fb.sent.length > 0, undefined, 'sent');
	assert.deepEqual(fb.sent.map((m) => m.text), ['Dạ còn ạ']);
	assert.deepEqual(fb.faults, []);

	// How it is, and what the platform says when it is asked.
	await admin.goto(`${p.url}${LIST}/${id}`);
	assert.match(await admin.textContent('#last-in dd'), /\d/);
	assert.match(await admin.textContent('#last-out dd'), /\d/);
	assert.equal((await admin.textContent('#waiting dd')).trim(), '0');
	await admin.click('#test');
	await until(async () => {
		await admin.reload();
		return await admin.locator('#tested.good').count() === 1;
	}, undefined, 'tested');
	assert.deepEqual(fb.faults, []);

	// A new word in place of the old one; all else stays as it was.
	await admin.check('#make_fb_verify_token');
	await admin.fill('#name', 'Trang mới');
	await admin.click('#save');
	assert.equal(await admin.textContent('h1'), 'Trang mới');
	const other = await admin.textContent('#fresh');
	assert.notEqual(other, word);
	assert.equal((await shake(word)).status, 403);
	assert.equal((await shake(other)).status, 200);
	assert.equal((await fetch(hook, { method: 'POST', body, headers: {
		'Content-Type': 'application/json',
		'X-Hub-Signature-256': metaSign(body, 'một bí mật') } })).status, 200);
});

test('LINE, with a setting that can be taken away again', async () => {
	const { bot_user_id: bot, channel_secret: secret } = accounts.line;
	await connect(admin, 'line', 'Tiệm LINE', { line_bot_user_id: bot,
		line_channel_secret: secret, line_channel_token: 'old-token',
		line_channel_id: line.channelId, line_api_base: line.url,
		line_data_base: line.url });
	const id = number(admin);
	await admin.check('#clear_line_channel_token');
	await admin.check('#line_use_reply');
	await admin.click('#save');
	assert.equal(await admin.locator('#set-line_channel_token').count(), 0);
	assert.ok(await admin.locator('#set-line_channel_secret').isVisible());
	assert.ok(await admin.isChecked('#line_use_reply'));
	await admin.uncheck('#line_use_reply');
	await admin.click('#save');
	assert.equal(await admin.isChecked('#line_use_reply'), false);

	const body = Buffer.from(JSON.stringify({ destination: bot, events: [{
		type: 'message', mode: 'active', timestamp: Date.now(),
		webhookEventId: 'wp1', deliveryContext: { isRedelivery: false },
		replyToken: 'rp1', source: { type: 'user', userId: `U${'7'.repeat(32)}` },
		message: { type: 'text', id: '530077', text: 'ส่งไหม', quoteToken: 'qp1' } }] }));
	const got = await fetch(`${p.url}/webhooks/line/${id}`, { method: 'POST', body,
		headers: { 'Content-Type': 'application/json', 'x-line-signature':
			createHmac('sha256', secret).update(body).digest('base64') } });
	assert.equal(got.status, 200);
	await answer('ส่งไหม', 'ส่งค่ะ');
	await until(() => line.calls.some((c) => c.name === 'push'), undefined, 'pushed');
	assert.deepEqual(line.calls.filter((c) => c.name === 'push')
		.map((c) => c.body.messages[0].text), ['ส่งค่ะ']);
	assert.deepEqual(line.faults, []);
});

test('how a channel breaks is said, and how it goes on', async () => {
	await admin.goto(p.url + LIST);
	await admin.locator('#channels a', { hasText: 'Trang mới' }).click();
	const id = number(admin);
	await admin.fill('#fb_page_token', 'ended');
	await admin.click('#save');
	fb.script('message', { error: 190, subcode: 463, message: 'Session has expired' });
	await answer('Dạ còn ạ', 'Còn màu xanh');
	await until(async () => {
		await admin.goto(`${p.url}${LIST}/${id}`);
		return await admin.locator('#broken').count() === 1;
	}, undefined, 'broken');
	assert.match(await admin.getAttribute('#state', 'class'), /state-reauth/);
	assert.ok(await admin.locator('#problem-reauth').isVisible());
	assert.equal((await admin.textContent('#waiting dd')).trim(), '1');
	await admin.goto(p.url + LIST);
	assert.match(await admin.locator('#channels li', { hasText: 'Trang mới' }).textContent(),
		/Nền tảng từ chối/);
	await admin.goto(`${p.url}${LIST}/${id}`);
	await admin.fill('#fb_page_token', fb.token);
	await admin.click('#save');
	assert.match(await admin.getAttribute('#state', 'class'), /state-ok/);
	await until(() => fb.sent.length === 2, undefined, 'sent after all');
	assert.deepEqual(fb.sent.map((m) => m.text), ['Dạ còn ạ', 'Còn màu xanh']);
});

test('a token that nobody renews may have its last day', async () => {
	await admin.goto(`${p.url}${LIST}/new/instagram`);
	const form = { ...await fields(admin, '#connect'), name: 'Hết hạn',
		ig_account_id: '778899', ig_app_secret: 's', ig_token: 't' };
	const bad = await post(admin, `${LIST}/new/instagram`,
		{ ...form, ig_token_expires_at: '2027-13-01' });
	assert.equal(bad.status(), 422);
	assert.match(await bad.text(), /id="field-ig_token_expires_at"[\s\S]*?at-field/);
	const day = new Date(Date.now() + 3 * 86400_000).toISOString().slice(0, 10);
	const good = await post(admin, `${LIST}/new/instagram`,
		{ ...form, ig_token_expires_at: day });
	assert.equal(good.status(), 303);
	await admin.goto(p.url + good.headers().location.replace(p.url, ''));
	assert.equal(await admin.inputValue('#ig_token_expires_at'), day);
	assert.ok(await admin.locator('#problem-token_ends').isVisible());
	assert.match(await admin.getAttribute('#token-end time', 'datetime'), new RegExp(`^${day}`));
	await admin.click('#delete');
	await admin.click('#delete');
});

test('the other platforms; every setting has its name and every step its words', async () => {
	const prefix = { instagram: 'ig', whatsapp: 'wa', telegram: 'tg' };
	const permissions = { facebook: 'pages_messaging', line: '', zalo: '', tiktok: '',
		instagram: 'instagram_business_manage_messages',
		whatsapp: 'whatsapp_business_messaging', telegram: '' };
	for (const [platform, word] of Object.entries(permissions)) {
		await admin.goto(`${p.url}${LIST}/new/${platform}`);
		assert.ok((await admin.textContent('#steps')).includes(word), platform);
		assert.match(await admin.locator('.panel a[target=_blank]').first().getAttribute('href'),
			/^https:\/\/[\w./-]+$/, platform);
	}
	for (const platform of ['instagram', 'whatsapp', 'zalo', 'tiktok', 'telegram', 'custom']) {
		const { channel, ...own } = accounts[platform] ?? accounts[prefix[platform]] ?? {};
		await admin.goto(`${p.url}${LIST}/new/${platform}`);
		assert.ok(await admin.locator('#steps li').count() >= 2, platform);
		const labels = await admin.locator('.field label').allTextContents();
		for (const l of labels)
			assert.ok(l.trim().length > 1, platform);
		const given = {};
		for (const i of await admin.locator('#connect input[required]').all()) {
			const name = await i.getAttribute('name');
			if (name !== 'name')
				given[name] = own[name.replace(/^[a-z]+_/, '')] ??
					(name === 'tg_bot_token' ? `700${'1'.repeat(6)}:${'a'.repeat(35)}` : '12345');
		}
		await connect(admin, platform, `Kênh ${platform}`, given);
		assert.ok(await admin.locator('#saved').isVisible(), platform);
		const shown = await admin.locator('.paste dd').allTextContents();
		assert.ok(shown.some((t) => t === `${p.url}/webhooks/${platform}/${number(admin)}`), platform);
		for (const t of await admin.locator('.paste dt, .paste dd').allTextContents())
			assert.ok(t.trim() !== '', platform);
	}
	await admin.goto(p.url + LIST);
	assert.equal(await admin.locator('#channels li').count(), 9);
	// One of your own is called in the list what its tile is called.
	assert.ok((await admin.textContent('#channels li:has(.custom)'))
		.includes(await admin.textContent('#connect-custom b')));
});

test('what is wrong is said at its field, and nothing is stored', async () => {
	const path = `${LIST}/new/facebook`;
	await admin.goto(p.url + path);
	const form = await fields(admin, '#connect');
	const good = { ...form, name: 'Hai', fb_page_id: '555', fb_app_secret: 'geheim-1' };
	const at = async (changes, key, words, status = 422) => {
		const r = await post(admin, path, { ...good, ...changes });
		assert.equal(r.status(), status);
		const html = await r.text();
		assert.ok(!html.includes('geheim-1'));
		const field = html.split('<div class="field').find((s) => s.includes(`id="field-${key}"`));
		assert.match(field, words);
		assert.equal(html.split('class="at-field"').length, 2);
		return html;
	};
	await at({ fb_page_id: '' }, 'fb_page_id', /Cần điền mục này/);
	const html = await at({ fb_api_base: 'http://elsewhere.example' }, 'fb_api_base',
		/bắt đầu bằng https:/);
	assert.match(html, /<details class="more-settings" open>/);
	assert.match(html, /value="555"/);
	await at({ fb_page_id: 'a\tb' }, 'fb_page_id', /ký tự không nhìn thấy/);
	await at({ fb_page_id: fb.pageId }, 'fb_page_id', /đã được kết nối/, 409);
	assert.equal((await post(admin, path, { ...good, name: ' ' })).status(), 422);
	assert.equal((await post(admin, path, { ...good, key: '' })).status(), 422);
	assert.equal((await post(admin, path, { ...good, csrf: 'x' })).status(), 403);
	assert.equal((await post(admin, `${LIST}/new/icq`, good)).status(), 404);
	await admin.goto(p.url + LIST);
	assert.equal(await admin.locator('#channels li').count(), 9);

	// Another account is another channel.
	const id = /\d+$/.exec(await admin.locator('#channels a', { hasText: 'Trang mới' })
		.getAttribute('href'))[0];
	await admin.goto(`${p.url}${LIST}/${id}`);
	const moved = await post(admin, `${LIST}/${id}`,
		{ ...await fields(admin, '#edit'), fb_page_id: '556' });
	assert.equal(moved.status(), 422);
	assert.match(await moved.text(), /at-field[^<]*>[^<]*tài khoản khác/);

	// What is kept secret is not sent to another address by who does not know it.
	const edit = await fields(admin, '#edit');
	const away = await post(admin, `${LIST}/${id}`,
		{ ...edit, fb_api_base: 'https://graph.example' });
	assert.equal(away.status(), 422);
	assert.match(await away.text(), /id="field-fb_app_secret"[\s\S]*?at-field[^<]*>[^<]*cần nhập lại/);
});

test('what is wrong is said in the language of who reads', async () => {
	const wrong = [['facebook', { fb_page_id: '' }], ['facebook', { fb_page_id: 'a\tb' }],
		['facebook', { fb_page_id: 'x'.repeat(4097) }],
		['facebook', { fb_api_base: 'http://elsewhere.example' }],
		['custom', { custom_out_url: 'http://elsewhere.example' }],
		['custom', { custom_sig_tolerance_s: 'soon' }],
		['telegram', { tg_bot_token: 'no token' }], ['telegram', { tg_secret: 'có dấu' }],
		['tiktok', { tiktok_error_class: 'x' }]];
	const given = { fb_page_id: '556', fb_app_secret: 's', tiktok_business_id: 'b',
		tiktok_app_id: 'a', tiktok_app_secret: 's',
		tg_bot_token: `701${'1'.repeat(6)}:${'a'.repeat(35)}` };
	const api = await p.agent('admin');
	const said = {};
	for (const lang of ['en', 'vi', 'th']) {
		assert.equal((await api.patch('/api/me', { locale: lang })).status, 200);
		said[lang] = [];
		for (const [platform, bad] of wrong) {
			const path = `${LIST}/new/${platform}`;
			await admin.goto(p.url + path);
			const form = await fields(admin, '#connect');
			for (const name of Object.keys(form))
				form[name] = form[name] || given[name] || '';
			const r = await post(admin, path, { ...form, name: 'Sai', ...bad });
			assert.equal(r.status(), 422, JSON.stringify(bad));
			const html = await r.text();
			const [key] = Object.keys(bad);
			const field = html.split('<div class="field')
				.find((s) => s.includes(`id="field-${key}"`));
			const text = field.match(/class="at-field"[^>]*>([^<]+)</)?.[1];
			assert.ok(text, `${key} in ${lang}`);
			assert.ok(!text.includes(key));
			said[lang].push(text);
		}
	}
	assert.equal((await api.patch('/api/me', { locale: 'vi' })).status, 200);
	assert.equal(new Set(said.en).size, 8); // https twice
	for (const lang of ['vi', 'th'])
		for (const text of said[lang]) {
			assert.ok(!said.en.includes(text), text);
			assert.doesNotMatch(text, /\b(is|must|required|address|at most|holds|long|an|of)\b/, text);
		}
});

test('a form sent twice is one; off, on, and gone', async () => {
	await admin.goto(`${p.url}${LIST}/new/custom`);
	const form = { ...await fields(admin, '#connect'), name: 'Hai lần',
		custom_secret: ' dán kèm khoảng trắng \n' };
	const [a, b] = await Promise.all([post(admin, `${LIST}/new/custom`, form),
		post(admin, `${LIST}/new/custom`, form)]);
	assert.equal(a.status(), 303);
	assert.equal(a.headers().location, b.headers().location);
	await admin.goto(p.url + LIST);
	assert.equal(await admin.locator('#channels li', { hasText: 'Hai lần' }).count(), 1);
	await admin.locator('#channels a', { hasText: 'Hai lần' }).click();
	const id = number(admin);
	assert.equal(await admin.locator('#fresh').count(), 0); // who gave it has it
	const event = () => {
		const body = JSON.stringify({ event_id: 'e', type: 'message', conversation_id: 'c',
			user: { id: 'u' }, sent_at: Date.now(),
			message: { id: 'm', kind: 'text', text: 'hi' } });
		const t = String(Math.floor(Date.now() / 1000));
		return fetch(`${p.url}/webhooks/custom/${id}`, { method: 'POST', body, headers: {
			'Content-Type': 'application/json', 'X-Parley-Timestamp': t,
			'X-Parley-Signature': 'v1=' + createHmac('sha256', 'dán kèm khoảng trắng')
				.update(`${t}.${body}`).digest('hex') } });
	};
	assert.equal((await event()).status, 200);
	await admin.click('#switch-off');
	assert.match(await admin.getAttribute('#state', 'class'), /state-off/);
	assert.equal((await event()).status, 404);
	await admin.click('#switch-on');
	assert.match(await admin.getAttribute('#state', 'class'), /state-ok/);
	assert.equal((await event()).status, 200);

	await admin.click('#delete');
	assert.equal(new URL(admin.url()).pathname, `${LIST}/${id}/delete`);
	await admin.click('#keep');
	await admin.click('#delete');
	await admin.click('#delete');
	assert.equal(new URL(admin.url()).pathname, LIST);
	assert.equal(await admin.locator('#channels li', { hasText: 'Hai lần' }).count(), 0);
	assert.equal((await admin.goto(`${p.url}${LIST}/${id}`)).status(), 404);
	assert.equal((await event()).status, 404);
});

test('it reads so in each language, wide and narrow', async () => {
	const api = await p.agent('admin');
	const heads = { vi: 'Kênh', th: 'ช่องทาง', en: 'Channels' };
	await admin.goto(p.url + LIST);
	const one = await admin.locator('#channels a', { hasText: 'Trang mới' })
		.getAttribute('href');
	const pages = { list: LIST, new: `${LIST}/new/zalo`, one: one.replace(p.url, ''),
		delete: `${one.replace(p.url, '')}/delete` };
	await eachLook(api, async (lang, viewport, colorScheme) => {
		await admin.setViewportSize(viewport);
		await admin.emulateMedia({ colorScheme });
		for (const [name, path] of Object.entries(pages)) {
			await admin.goto(p.url + path);
			assert.equal(await admin.textContent('#tab-channels'), heads[lang]);
			await readsWell(admin, 'h1, h2, dt, .hint, label, .button',
				`${name} in ${lang} at ${viewport.width}`);
			await picture(admin, `channels-${name}-${lang}-${viewport.width}`, true);
		}
	});
});

test('nobody else sees or does any of it', async () => {
	const id = /\d+$/.exec(await (async () => {
		await admin.goto(p.url + LIST);
		return admin.locator('#channels a').first().getAttribute('href');
	})())[0];
	const agent = await login('agent');
	await agent.goto(`${p.url}/me`);
	const { csrf } = await fields(agent, '#profile');
	for (const path of [LIST, `${LIST}/new/line`, `${LIST}/${id}`, `${LIST}/${id}/delete`]) {
		assert.equal((await agent.goto(p.url + path)).status(), 403, path);
		const r = await p.request('GET', path);
		assert.equal(r.status, 303);
		assert.match(r.headers.location, /^\/login\?next=/);
	}
	for (const path of [`${LIST}/new/custom`, `${LIST}/${id}`, `${LIST}/${id}/state`,
		`${LIST}/${id}/delete`]) {
		const form = { csrf, key: 'k', name: 'x', state: 'off' };
		assert.equal((await post(agent, path, form)).status(), 403, path);
		assert.equal((await post(admin, path, form)).status(), 403, path); // another's csrf
	}
	for (const path of [`${LIST}/0`, `${LIST}/999999`, `${LIST}/x`, `${LIST}/new/web`])
		assert.equal((await admin.goto(p.url + path)).status(), 404, path);
	await admin.goto(`${p.url}${LIST}/${id}`);
	assert.match(await admin.getAttribute('#state', 'class'), /state-ok/);
});
