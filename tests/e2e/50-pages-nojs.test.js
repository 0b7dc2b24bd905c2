// The whole conversation by forms alone: no page here runs a script.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';

let p, browser;

before(async () => {
	p = await start({ conf: { page_refresh_s: 600 } });
	browser = await launch();
});
after(async () => {
	await browser?.close();
	await p?.stop();
});

const fresh = (locale = 'vi-VN') => plain(browser, { locale });

// A visitor who has begun a conversation.
async function visitor(text, name = 'Chị Hoa', at = p) {
	const page = await fresh();
	await page.goto(at.url + '/chat');
	await page.fill('#name', name);
	await page.fill('#content', text);
	await page.check('#consent');
	await page.click('#submit');
	await page.waitForSelector('#log');
	return page;
}

// An agent in the inbox.
async function agent(who = 'agent') {
	const page = await fresh();
	const { email, password } = p.logins.find((x) => x.role === who);
	await page.goto(p.url + '/inbox');
	assert.match(page.url(), /\/login\?next=/);
	await page.fill('#email', email);
	await page.fill('#password', password);
	await page.click('#submit');
	assert.equal(new URL(page.url()).pathname, '/inbox');
	return page;
}

const texts = (page) => page.locator('#log .msg .text').allTextContents();

// A form as the browser would send it, sent again without its page.
async function fields(page, form) {
	const out = {};
	for (const i of await page.locator(`${form} [name]`).all()) {
		const type = await i.getAttribute('type');
		if (type !== 'radio' || await i.isChecked())
			out[await i.getAttribute('name')] = await i.inputValue();
	}
	return out;
}
const post = (page, path, form) =>
	page.request.post(p.url + path, { form, maxRedirects: 0,
		headers: { Origin: p.url } });

test('a visitor writes, an agent answers, the visitor reads it', async () => {
	const v = await visitor('Shop ơi, <b>còn</b> áo "xanh" không?');
	assert.deepEqual(await texts(v), ['Shop ơi, <b>còn</b> áo "xanh" không?']);
	assert.match(await v.locator('#log .state').last().textContent(), /Đã gửi/);

	const a = await agent();
	const row = a.locator('#rows .row', { hasText: 'Chị Hoa' });
	assert.equal(await row.locator('.badge').textContent(), '1');
	await row.locator('a').click();
	assert.deepEqual(await texts(a), ['Shop ơi, <b>còn</b> áo "xanh" không?']);
	assert.equal(await a.locator('#log').getAttribute('role'), 'log');

	await a.check('#as-note');
	await a.fill('#content', 'Kho còn hai cái.');
	await a.click('#send');
	assert.equal(await a.locator('#log .msg.note').count(), 1);
	await a.fill('#content', 'Dạ còn ạ!\nhttps://example.com/ao?a=1&b=2.');
	await a.click('#send');
	assert.equal((await texts(a)).length, 3);
	const link = a.locator('#log .text a');
	assert.equal(await link.getAttribute('href'), 'https://example.com/ao?a=1&b=2');
	assert.match(await link.getAttribute('rel'), /noopener/);
	assert.match(await a.locator('#log .msg.us:not(.note) .state').textContent(), /Đã gửi/);

	await v.goto(p.url + '/chat'); // the cookie finds it again
	assert.deepEqual(await texts(v), ['Shop ơi, <b>còn</b> áo "xanh" không?',
		'Dạ còn ạ!\nhttps://example.com/ao?a=1&b=2.']);
	assert.match(await v.locator('#log .msg.us .state').textContent(), /Đã đọc/);
	await a.reload();
	assert.match(await a.locator('#log .msg.us:not(.note) .state').textContent(), /Đã đọc/);
	assert.equal(await a.locator('.row.current .badge').isVisible(), false);
});

test('a form sent twice is one message, and one conversation', async () => {
	const v = await visitor('Một lần thôi');
	const form = { ...await fields(v, '#composer'), content: 'lần nữa' };
	const path = new URL(v.url()).pathname + '/messages';
	for (let i = 0; i < 3; i++)
		assert.equal((await post(v, path, form)).status(), 303);
	await v.reload();
	assert.deepEqual(await texts(v), ['Một lần thôi', 'lần nữa']);

	// The same key for another text is told, and the text kept.
	const other = await post(v, path, { ...form, content: 'khác' });
	assert.equal(other.status(), 409);
	assert.match(await other.text(), />khác<\/textarea>/);

	const s = await fresh();
	await s.goto(p.url + '/chat');
	const begin = { ...await fields(s, '#start'), name: 'Hai lần', content: 'alo', consent: '1' };
	const first = await post(s, '/chat/new', begin);
	const second = await post(s, '/chat/new', begin);
	assert.equal(first.status(), 303);
	assert.equal(first.headers().location, second.headers().location);
	const a = await agent();
	await a.goto(p.url + '/inbox?view=all&q=Hai+l%E1%BA%A7n');
	assert.equal(await a.locator('#rows .row').count(), 1);
});

test('who answers blind is shown what came in between', async () => {
	const v = await visitor('câu thứ nhất', 'Anh Tú');
	const a = await agent();
	await a.locator('#rows .row', { hasText: 'Anh Tú' }).locator('a').click();
	await a.fill('#content', 'trả lời câu thứ nhất');
	await v.fill('#content', 'câu thứ hai');
	await v.click('#send');
	await a.click('#send');
	assert.ok(await a.locator('#newer').isVisible());
	assert.deepEqual(await texts(a), ['câu thứ nhất', 'câu thứ hai']);
	assert.equal(await a.inputValue('#content'), 'trả lời câu thứ nhất');
	await a.click('#send');
	assert.deepEqual(await texts(a),
		['câu thứ nhất', 'câu thứ hai', 'trả lời câu thứ nhất']);
});

test('status, assignee and tags; the lists follow', async () => {
	await visitor('giao cho ai?', 'Cô Ba');
	const a = await agent();
	await a.locator('#rows .row', { hasText: 'Cô Ba' }).locator('a').click();
	await a.click('#take');
	await a.fill('#tags', 'gấp, vip');
	await a.selectOption('#status', 'pending');
	await a.click('#update [type=submit]');
	await a.goto(p.url + '/inbox?view=open');
	assert.equal(await a.locator('#rows .row', { hasText: 'Cô Ba' }).count(), 0);
	await a.goto(p.url + '/inbox?view=all&q=co+ba'); // found without its marks
	const row = a.locator('#rows .row', { hasText: 'Cô Ba' });
	assert.deepEqual(await row.locator('.pill').allTextContents(), ['Đang chờ', 'gấp', 'vip']);
	await row.locator('a').click();
	await a.click('#close');
	assert.ok(await a.locator('#closed').isVisible());
	await a.goto(p.url + '/inbox?view=closed');
	assert.equal(await a.locator('#rows .row', { hasText: 'Cô Ba' }).count(), 1);
});

test('a visitor ends it, and goes on by writing', async () => {
	const v = await visitor('xin chào', 'Bé Na');
	await v.click('#end');
	assert.ok(await v.locator('#closed').isVisible());
	await v.fill('#content', 'quên mất');
	await v.click('#send');
	assert.equal(await v.locator('#closed').isVisible(), false);
	assert.deepEqual(await texts(v), ['xin chào', 'quên mất']);
});

test('the link opens it elsewhere, in the visitor’s language', async () => {
	const v = await visitor('ở máy này', 'Dì Tư');
	const link = v.url();
	const other = await fresh('en-US');
	await other.goto(link);
	assert.deepEqual(await texts(other), ['ở máy này']);
	await other.fill('#content', 'ở máy khác');
	await other.click('#send');
	assert.deepEqual(await texts(other), ['ở máy này', 'ở máy khác']);
	assert.equal(await other.locator('html').getAttribute('lang'), 'vi');

	const bad = await other.goto(p.url + '/chat/' + 'A'.repeat(43));
	assert.equal(bad.status(), 404);
	const th = await fresh('th-TH');
	await th.goto(p.url + '/chat');
	assert.equal(await th.textContent('h1'), 'แชทกับเรา');
	await th.click('.languages a[lang=en]');
	assert.equal(await th.textContent('h1'), 'Chat with us');
});

test('another visitor does not see it', async () => {
	const mine = await visitor('của tôi', 'Người Một');
	const a = await agent();
	const href = await a.locator('#rows .row', { hasText: 'Người Một' })
		.locator('a').getAttribute('href');
	const id = /\d+/.exec(href)[0];
	const other = await visitor('của người khác', 'Người Hai');
	assert.equal((await other.goto(`${p.url}/chat/${id}`)).status(), 404);
	assert.equal((await mine.goto(`${p.url}/chat/${id}`)).status(), 200);
	await other.goto(`${p.url}/inbox/${id}`);
	assert.match(other.url(), /\/login/);
});

test('pages refresh themselves, and stop while one writes', async () => {
	const v = await visitor('chờ trả lời', 'Ông Năm');
	const refresh = v.locator('meta[http-equiv=refresh]');
	assert.equal(await refresh.getAttribute('content'), '600');
	await v.click('#pause');
	assert.equal(await refresh.count(), 0);
	await v.click('#unpause');
	assert.equal(await refresh.count(), 1);

	// Tapping the field leads to the page that waits for the writer.
	const field = v.locator('#content');
	const box = await field.boundingBox();
	await v.mouse.click(box.x + 20, box.y + box.height / 2);
	await v.waitForURL(/pause=1/);
	assert.equal(await refresh.count(), 0);
	await until(() => field.evaluate((e) => e === document.activeElement));
	await v.keyboard.type('viết thong thả');
	assert.equal(await field.inputValue(), 'viết thong thả');
	await v.click('#send');
	assert.equal(await refresh.count(), 1);
});

test('what the agent writes appears by itself', async (t) => {
	const o = await start();
	t.after(() => o.stop());
	const v = await visitor('chờ trả lời', 'Ông Năm', o);
	assert.equal(await v.locator('meta[http-equiv=refresh]').getAttribute('content'), '5');
	const a = await o.agent();
	const { items } = (await a.get('/api/conversations?limit=20')).json;
	const { id } = items.find((c) => c.last_message?.content === 'chờ trả lời');
	await a.send(id, 'đây ạ');
	await v.locator('#log .msg .text', { hasText: 'đây ạ' }).waitFor();
});

test('forms from elsewhere, without a token, empty or too long', async () => {
	const v = await visitor('kiểm tra', 'Bác Sáu');
	const form = { ...await fields(v, '#composer'), content: 'x' };
	const path = new URL(v.url()).pathname + '/messages';
	const refused = await post(v, path, { ...form, csrf: 'nonsense' });
	assert.equal(refused.status(), 403);
	assert.match(refused.headers()['content-type'], /text\/html; charset=utf-8/i);
	assert.match(await refused.text(), /tải lại trang/);
	const foreign = await v.request.post(p.url + path, { form, maxRedirects: 0,
		headers: { Origin: 'https://evil.example' } });
	assert.equal(foreign.status(), 403);
	for (const blank of [' \r\n ', '\u00a0\u200b']) {
		const empty = await post(v, path, { ...form, content: blank });
		assert.equal(empty.status(), 422);
		assert.match(await empty.text(), /id="error"/);
	}
	const long = await post(v, path, { ...form, content: 'ớ'.repeat(10001) });
	assert.equal(long.status(), 422);
	assert.match(await long.text(), /quá dài/);
	await v.reload();
	assert.deepEqual(await texts(v), ['kiểm tra']);
});

test('a first form that is refused leaves nothing behind', async () => {
	const page = await fresh();
	await page.goto(p.url + '/chat');
	const form = { ...await fields(page, '#start'), content: 'chưa gửi được',
		consent: '1', name: 'x'.repeat(201) };
	const admin = await p.agent('admin');
	const found = async () => (await admin.get('/api/conversations?q=' +
		encodeURIComponent('chưa gửi được'))).json.items;
	assert.equal((await post(page, '/chat/new', form)).status(), 422);
	assert.deepEqual(await found(), []);
	assert.equal((await post(page, '/chat/new', { ...form, name: 'Hoa',
		locale: 'xx' })).status(), 422);
	assert.deepEqual(await found(), []);
	assert.equal((await post(page, '/chat/new', { ...form, name: 'Hoa',
		content: '\u00a0 ' })).status(), 422);
	const good = await post(page, '/chat/new', { ...form, name: 'Hoa' });
	assert.equal(good.status(), 303);
	assert.deepEqual((await found()).map((c) => c.customer.name), ['Hoa']);
});

test('the log-in page speaks the language one chooses, and stays with it', async () => {
	const page = await fresh();
	const { email, password } = p.logins.find((x) => x.role === 'agent');
	await page.goto(p.url + '/login?next=%2Fcustomers%3Fq%3Da%26b');
	for (const lang of ['vi', 'en', 'th']) {
		await page.click(`.languages [lang=${lang}]`);
		assert.equal(await page.getAttribute('html', 'lang'), lang);
		assert.equal(await page.getAttribute('.languages [aria-current]', 'lang'), lang);
	}
	await page.fill('#email', email);
	await page.fill('#password', 'not this one');
	await page.click('#submit');
	assert.ok(await page.locator('#error').isVisible());
	assert.equal(await page.getAttribute('html', 'lang'), 'th');
	await page.fill('#password', password);
	await page.click('#submit');
	assert.equal(page.url(), p.url + '/customers?q=a&b');
});

test('what is kept of a customer has words in the reader’s language', async () => {
	const c = await p.customer('Lan'), admin = await p.agent('admin');
	const { json } = await admin.get(`/api/conversations/${c.conversation_id}`);
	assert.equal((await admin.patch(`/api/customers/${json.customer.id}`,
		{ attributes: { page: 'https://shop.example/pots', colour: 'red' } })).status, 200);
	const a = await agent('admin');
	const label = { vi: 'Trang', th: 'หน้าเว็บ', en: 'Page' };
	await a.goto(`${p.url}/inbox/${c.conversation_id}`);
	const facts = await a.locator('.facts dt').allTextContents();
	assert.deepEqual(facts.slice(-2).sort(),
		[label[await a.getAttribute('html', 'lang')], 'colour'].sort());
});

test('headers, next= and a page that is not there', async () => {
	const a = await agent();
	const page = await a.request.get(p.url + '/inbox');
	const csp = page.headers()['content-security-policy'];
	assert.match(csp, /default-src 'none'/);
	assert.match(csp, /frame-ancestors 'none'/);
	assert.equal(page.headers()['referrer-policy'], 'no-referrer');
	assert.equal(page.headers()['x-content-type-options'], 'nosniff');
	assert.doesNotMatch(await page.text(), /\sstyle=|<style|<script(?![^>]* src=)|\son\w+=/);
	for (const next of ['//evil.example', '/\\evil.example', 'https://evil.example']) {
		const r = await a.request.get(p.url + '/login?next=' + encodeURIComponent(next),
			{ maxRedirects: 0 });
		assert.equal(r.status(), 303);
		assert.equal(r.headers().location.replace(p.url, ''), '/inbox');
	}
	const gone = await a.goto(p.url + '/inbox/999999999');
	assert.equal(gone.status(), 404);
	assert.equal(await a.locator('#error').getAttribute('data-code'), 'not_found');
});

test('customers and one’s own account', async () => {
	const a = await agent('admin');
	await a.goto(p.url + '/customers');
	await a.locator('#new-customer summary').click();
	await a.fill('#new-customer #name', 'Nguyễn "Văn" <Mới>');
	await a.fill('#new-customer #phone', 'chưa có');
	await a.click('#add');
	assert.match(await a.textContent('#error'), /^Điện thoại: /);
	assert.ok(await a.locator('#add').isVisible());
	assert.equal(await a.inputValue('#new-customer #name'), 'Nguyễn "Văn" <Mới>');
	assert.equal(await a.inputValue('#new-customer #phone'), 'chưa có');
	await a.fill('#new-customer #phone', '0901 234 567');
	await a.click('#add');
	assert.match(a.url(), /\/customers\/\d+$/);
	assert.equal(await a.textContent('h1'), 'Nguyễn "Văn" <Mới>');
	await a.fill('#notes', 'khách quen');
	await a.fill('#tags', 'vip');
	await a.fill('#phone', 'không rõ');
	await a.click('#save');
	assert.match(await a.textContent('#error'), /^Điện thoại: /);
	assert.equal(await a.inputValue('#notes'), 'khách quen');
	assert.equal(await a.inputValue('#tags'), 'vip');
	await a.fill('#phone', '0901 234 567');
	await a.click('#save');
	assert.ok(await a.locator('#saved').isVisible());
	assert.equal(await a.inputValue('#notes'), 'khách quen');
	await a.goto(p.url + '/customers?q=nguyen');
	assert.ok(await a.locator('#customers li', { hasText: 'Mới' }).count() === 1);

	await a.goto(p.url + '/me');
	const name = await a.inputValue('#name');
	await a.fill('#name', '   ');
	await a.click('#save');
	assert.ok(await a.locator('#error').isVisible());
	assert.equal(await a.inputValue('#name'), name);
	await a.selectOption('#locale', 'en');
	await a.click('#save');
	assert.equal(await a.locator('html').getAttribute('lang'), 'en');
	await a.selectOption('#status', 'busy');
	await a.fill('#text', 'in a call');
	await a.click('#set-status');
	assert.equal(await a.inputValue('#text'), 'in a call');

	const { email, password } = p.logins.find((x) => x.role === 'admin');
	const elsewhere = await agent('admin');
	await a.fill('#password', 'not this one');
	await a.fill('#new', 'một mật khẩu mới');
	await a.fill('#again', 'một mật khẩu mới');
	await a.click('#change');
	assert.ok(await a.locator('#error').isVisible());
	await a.fill('#password', password);
	await a.fill('#new', 'một mật khẩu mới');
	await a.fill('#again', 'một mật khẩu mới');
	await a.click('#change');
	assert.ok(await a.locator('#saved').isVisible());
	await elsewhere.goto(p.url + '/inbox'); // the others are out
	assert.match(elsewhere.url(), /\/login/);

	await a.click('#logout');
	await a.goto(p.url + '/inbox');
	assert.match(a.url(), /\/login/);
	await a.fill('#email', email);
	await a.fill('#password', password);
	await a.click('#submit');
	assert.ok(await a.locator('#error').isVisible());
});
