// The admin's pages about outgoing webhooks: by forms alone, in three languages,
// for nobody else.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, plain } from './lib/chromium.js';
import { start, until } from './lib/harness.js';
import { eachLook, enter, picture, readsWell } from './lib/pages.js';
import { startHook } from '../standin/hook.js';

let p, browser;

before(async () => {
	p = await start({ conf: { fetch_http: 'on', fetch_networks: '127.0.0.1',
		backoff_percent: 1 } });
	browser = await launch();
});
after(async () => {
	await browser?.close();
	await p?.stop();
});

const login = async (who, o) => enter(await plain(browser, o), p, who);

test('an admin sets one up, tests it, sends again, switches it off, removes it', async (t) => {
	const to = await startHook();
	t.after(() => to.close());
	const page = await login('admin');
	await page.click('#nav-settings');
	await page.click('#tab-webhooks');
	assert.equal(new URL(page.url()).pathname, '/settings/webhooks');
	assert.equal(await page.locator('#tab-webhooks').getAttribute('aria-current'), 'page');

	// What is wrong is said, what was typed stays.
	await page.click('#new-hook summary');
	await page.fill('#name', 'Sổ <b>cái</b>');
	await page.fill('#url', 'https://192.168.0.1/hook');
	await page.check('#type_customer_created');
	await page.click('#add');
	assert.ok(await page.locator('#error').isVisible());
	assert.match(await page.textContent('#field-url.wrong .at-field'), /https/);
	assert.equal(await page.locator('.at-field').count(), 1);
	assert.equal(await page.inputValue('#name'), 'Sổ <b>cái</b>');
	assert.ok(await page.isChecked('#type_customer_created'));
	await page.fill('#url', `${to.url}/hook`);
	await page.click('#add');
	assert.equal(await page.locator('h1').textContent(), 'Sổ <b>cái</b>');
	to.secrets.push(await page.locator('#secret-text').textContent());
	assert.equal(await page.textContent('#address'), `${to.url}/hook`);
	assert.equal(await page.locator('#told .pill').count(), 2);

	// The same form again: the same webhook, its secret no more.
	await page.reload();
	assert.match(new URL(page.url()).pathname, /^\/settings\/webhooks\/\d+$/);
	assert.equal(await page.locator('#secret').count(), 0);
	const home = page.url();

	await page.click('#test');
	assert.ok(await page.locator('#sent').isVisible());
	await page.click('#look');
	assert.equal(page.url(), home);
	await until(async () => {
		await page.goto(home);
		return await page.locator('#attempts li .pill.good').count() === 1;
	});
	assert.equal(to.events.length, 1);

	const customer = await p.customer('Lan');
	to.script(customer.conversation_id, { status: 500, body: '<script>alert(1)</script>' });
	assert.equal((await customer.send(customer.conversation_id, 'hi')).status, 201);
	await to.until(() => to.texts().includes('hi'));
	await until(async () => {
		await page.goto(home);
		return await page.locator('#attempts li').count() === 4 &&
			await page.locator('#waiting').textContent() === '0';
	});
	const bad = page.locator('#attempts li:has(.pill.bad)');
	assert.match(await bad.locator('.said').textContent(), /<script>alert\(1\)<\/script>/);
	await picture(page, 'webhook', true);
	await bad.locator('button').click();
	await to.until(() => to.calls.filter((c) => c.body.data.content === 'hi').length === 3);

	await page.goto(home);
	await page.click('#switch');
	assert.ok(await page.locator('#reason').isVisible());
	await page.click('#switch');
	assert.equal(await page.locator('#reason').count(), 0);
	await page.click('#more summary');
	await page.click('#new-secret');
	const renewed = await page.locator('#secret-text').textContent();
	assert.notEqual(renewed, to.secrets[0]);
	// The same form again leaves the secret that was just copied alone.
	await page.reload();
	assert.equal(page.url(), home);
	assert.equal(await page.locator('#secret').count(), 0);
	to.secrets.push(renewed);
	await page.click('#test');
	await to.until(() => to.calls.at(-1).body.type === 'webhook_test');
	await page.goto(home);
	// A change that is refused shows what was typed; the page says what counts.
	await page.click('#edit summary');
	await page.fill('#url', 'https://10.0.0.1/hook');
	await page.click('#save');
	assert.ok(await page.locator('#field-url.wrong .at-field').isVisible());
	assert.equal(await page.inputValue('#url'), 'https://10.0.0.1/hook');
	assert.equal(await page.textContent('#address'), `${to.url}/hook`);
	await page.fill('#url', `${to.url}/hook`);
	await page.fill('#name', 'Ledger');
	await page.click('#save');
	assert.equal(await page.locator('h1').textContent(), 'Ledger');
	await page.goto(`${p.url}/settings/webhooks`);
	assert.equal(await page.locator('#hooks li').count(), 1);
	await page.click('#hooks a');
	await page.click('#more summary');
	await page.click('#delete');
	assert.equal(await page.locator('#hooks li').count(), 0);
	assert.deepEqual(to.faults, []);
});

test('they read so in each language, wide and narrow', async () => {
	const admin = await p.agent('admin');
	const made = (await admin.post('/api/webhooks', { name: 'Ledger',
		url: 'https://hooks.example.com/in', types: ['new_message', 'note'] })).json;
	await admin.post(`/api/webhooks/${made.id}/test`, {});
	const heads = { vi: 'Webhook', th: 'เว็บฮุก', en: 'Webhooks' };
	await eachLook(admin, async (lang, viewport, colorScheme) => {
		const page = await login('admin', { viewport, colorScheme });
		for (const [path, name] of [['', 'webhooks'], [`/${made.id}`, 'webhook']]) {
			await page.goto(`${p.url}/settings/webhooks${path}`);
			if (path === '')
				assert.equal(await page.locator('h1').textContent(), heads[lang]);
			for (const s of await page.locator('summary').all())
				await s.click();
			await readsWell(page, 'dt, h2, legend, label, button, summary, .hint',
				`${name} ${lang} at ${viewport.width}`);
			await picture(page, `${name}-${lang}-${viewport.width}`, true);
		}
		await page.context().close();
	});
});

test('a form that is sent twice acts once', async (t) => {
	const to = await startHook();
	t.after(() => to.close());
	const admin = await p.agent('admin');
	const made = (await admin.post('/api/webhooks', { name: 'Twice', url: `${to.url}/hook`,
		types: ['note'] })).json;
	to.secrets.push(made.secret);
	const press = async (act, body) => {
		const r = await admin.request('POST', `/settings/webhooks/${made.id}/${act}`, body,
			{ 'content-type': 'application/x-www-form-urlencoded' });
		return [r.status, r.headers.location?.replace(/^.*\/settings/, '')];
	};
	const tried = async () => {
		const { items } = (await admin.get(`/api/webhooks/${made.id}/attempts`)).json;
		return (await admin.get(`/api/webhooks/${made.id}`)).json.waiting === 0 && items;
	};
	const home = `/webhooks/${made.id}`;
	for (const key of ['k1', 'k1', 'k2'])
		assert.deepEqual(await press('test', `key=${key}`), [303, `${home}?sent=1`]);
	await until(tried);
	assert.equal((await tried()).length, 2);
	const [{ id }] = await tried();
	for (let i = 0; i < 2; i++)
		assert.deepEqual(await press('replay', `key=k3&attempt=${id}`), [303, `${home}?sent=1`]);
	await until(tried);
	assert.equal((await tried()).length, 3);
	assert.deepEqual(await press('secret', 'key=k4'), [200, undefined]);
	assert.deepEqual(await press('secret', 'key=k4'), [303, home]);
	for (const act of ['test', 'secret', 'delete'])
		assert.deepEqual(await press(act, 'a=b'), [400, undefined]);
	for (let i = 0; i < 2; i++)
		assert.deepEqual(await press('delete', 'key=k5'), [303, '/webhooks?saved=1']);
	assert.deepEqual(await press('test', 'key=k6'), [404, undefined]);
	assert.deepEqual(to.faults, []);
});

test('nobody else sees them', async () => {
	const agent = await p.agent('agent');
	assert.equal((await agent.get('/settings/webhooks')).status, 403);
	assert.equal((await agent.get('/settings/webhooks/1')).status, 403);
	assert.equal((await p.request('GET', '/settings/webhooks')).status, 303);
	const admin = await p.agent('admin');
	assert.equal((await admin.get('/settings/webhooks/987654321')).status, 404);
	const r = await admin.request('POST', '/settings/webhooks/1/delete', 'a=b',
		{ 'content-type': 'application/x-www-form-urlencoded', 'x-csrf-token': 'none' });
	assert.equal(r.status, 403);
});
