// A full disk: whatever way a message comes, the answer says that it was not
// stored, what is there can be read, nothing ends or turns in circles; and when
// there is space again everything goes on by itself, nothing lost or doubled.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, rmdirSync, statfsSync, writeSync }
	from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause, start, until } from './lib/harness.js';
import { signed, startCustom } from '../standin/custom.js';

const SECRET = 'custom-sample-secret';
const FULL_VI = 'Hết chỗ lưu trữ. Chưa có gì được lưu.';

// A disk of its own for each workspace; why not, where that is not allowed.
function disk() {
	const dir = mkdtempSync(join(tmpdir(), 'parley-full-'));
	try {
		execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=700', 'tmpfs', dir],
			{ stdio: 'pipe' });
	} catch (e) {
		rmdirSync(dir);
		return { why: `no disk may be mounted here: ${e.stderr ?? e.message}` };
	}
	const fill = join(dir, 'fill');
	return {
		dir,
		free() {
			const s = statfsSync(dir);
			return s.bavail * s.bsize;
		},
		// Takes all of it but ${keep} bytes.
		fill(keep) {
			const fd = openSync(fill, 'a'), piece = Buffer.alloc(4096);
			try {
				while (this.free() > keep)
					writeSync(fd, piece);
			} catch (e) {
				assert.equal(e.code, 'ENOSPC');
			}
			closeSync(fd);
		},
		clear: () => rmSync(fill),
		end() {
			execFileSync('umount', ['-l', dir]);
			rmdirSync(dir);
		},
	};
}

const probe = disk();
const skip = probe.why ?? false;
probe.end?.();

// Somebody with a browser that runs no scripts.
class Browser {
	constructor(p) {
		Object.assign(this, { p, jar: new Map() });
	}

	async ask(method, path, form) {
		const r = await this.p.request(method, path, {
			headers: { accept: 'text/html', 'accept-language': 'vi',
				cookie: [...this.jar].map(([k, v]) => `${k}=${v}`).join('; '),
				...(form ? { origin: this.p.url,
					'content-type': 'application/x-www-form-urlencoded' } : {}) },
			body: form && String(new URLSearchParams(form)) });
		for (const c of r.headers['set-cookie'] ?? []) {
			const [k, v] = c.split(';')[0].split(/=(.*)/s);
			this.jar.set(k, v);
		}
		return r.status === 303 && method === 'GET' ?
			this.ask('GET', r.headers.location) : r;
	}

	// The hidden fields of a page's form.
	static hidden(html, id) {
		const form = new RegExp(`<form[^>]*id="${id}".*?</form>`, 's').exec(html)[0];
		return Object.fromEntries([...form.matchAll(
			/type="hidden" name="([^"]*)" value="([^"]*)"/g)].map((m) => [m[1], m[2]]));
	}
}

// A shop with everything, its disk full, and free again.
async function story(t, { web, keep, min, killed }) {
	const d = disk(), crm = await startCustom({ secret: SECRET });
	let p;
	t.after(async () => {
		await p?.stop();
		await crm.close();
		d.end();
	});
	p = await start({ web, var: d.dir, conf: {
		write_free_bytes_min: min, worker_poll_ms: 50, delivery_lease_ms: 3000,
		platform_total_ms: 1500, backoff_percent: 5,
		fetch_networks: '127.0.0.1' } });
	const channel = /^channel (\d+)/m.exec(await p.cli('channel', 'add',
		'--platform', 'custom', '--name', 'App', '--set', `secret=${SECRET}`,
		'--set', `out_url=${crm.url}/hook`))[1];
	const began = Date.now();
	const hook = (id, text) => {
		const at = Math.floor(Date.now() / 1000);
		const body = JSON.stringify({ event_id: id, type: 'message',
			conversation_id: 'crm', user: { id: 'u', name: 'Bình' },
			message: { id: `m-${id}`, kind: 'text', text }, sent_at: began });
		return p.request('POST', `/webhooks/custom/${channel}`, { body, headers: {
			'content-type': 'application/json', 'x-parley-timestamp': String(at),
			'x-parley-signature': signed(SECRET, at, body) } });
	};
	const sql = (query) => execFileSync('sqlite3', ['-readonly', '-cmd',
		'.timeout 20000', join(d.dir, 'parley.db'), query], { encoding: 'utf8' }).trim();

	// Before: all of them have said something.
	const agent = await p.agent(), visitor = await p.visitor({ name: 'An' });
	const ours = visitor.conversation_id;
	assert.equal((await agent.send(ours, 'before')).status, 201);
	assert.equal((await hook('e0', 'from the shop\'s app')).status, 200);
	const theirs = await until(() => sql(`SELECT conversation_id FROM messages
		WHERE external_id = 'm-e0'`), undefined, 'the webhook read');
	const browser = new Browser(p);
	let page = await browser.ask('GET', '/chat');
	const begun = await browser.ask('POST', '/chat/new', {
		...Browser.hidden(page.text, 'start'), name: 'Hoa', content: 'by form', consent: '1' });
	assert.equal(begun.status, 303, begun.text);
	const chat = begun.headers.location;
	page = await browser.ask('GET', chat);
	const other = new Browser(p);
	const fresh = Browser.hidden((await other.ask('GET', '/chat')).text, 'start');
	const follow = agent.poll(), stream = await visitor.sse(), ws = await visitor.ws();
	await until(() => follow.cursor);
	// One is over there, but its answer is not here; one waits to be sent.
	crm.script('message', { hold: true });
	assert.equal((await agent.send(theirs, 'on its way')).status, 201);
	await until(() => crm.sent.length === 1, undefined, 'it over there');
	p.kill('worker', 'SIGSTOP');
	assert.equal((await agent.send(theirs, 'waits')).status, 201);

	d.fill(keep);
	// What the log of the database has left is used up.
	for (let i = 0; i < 40; i++)
		if ((await agent.send(ours, `fills ${'x'.repeat(9000)}`)).status !== 201)
			break;
	d.fill(keep);
	const stored = Number(sql('SELECT count(*) FROM messages'));
	p.kill('worker', 'SIGCONT');
	crm.release();
	const names = ['api-1', 'api-2', 'pages-1', 'poll-1', 'webhook-1', 'media-1',
		'push-api-1', 'push-api-2', 'pushd', 'worker', 'web'];
	const pids = names.map((n) => p.pid(n));

	const refused = (r, status = 503) => {
		assert.equal(r.status, status, r.text);
		if (r.json)
			assert.equal(r.json.code, 'no_space');
		if (status === 503)
			assert.match(r.headers['retry-after'] ?? '', /^[1-5]$/);
		return r;
	};
	const says = (r) => {
		assert.ok(refused(r).text.includes(FULL_VI), 'said in the reader\'s language');
		return r;
	};
	const typed = 'Cái này còn không ạ?';
	const form = { ...Browser.hidden(page.text, 'composer'), content: typed };
	let kept, kept2;
	async function full() {
		const h = await p.request('GET', '/health');
		assert.deepEqual([h.status, h.json.status, h.json.disk, h.json.database],
			[200, 'degraded', 'full', 'up']);
		assert.match((await p.request('GET', '/metrics')).text, /^parley_disk_full 1$/m);
		refused(await agent.send(ours, 'rest', { client_id: 'rest' }));
		refused(await visitor.post('/api/widget/messages',
			{ content: 'widget', client_id: 'widget' }));
		refused(await p.request('POST', '/api/widget/session', { body: { name: 'Q' } }));
		refused(await hook('e1', 'webhook'));
		refused(await agent.post('/api/uploads', 'x', { 'content-type': 'text/plain' }), 507);
		refused(await p.request('POST', '/api/auth/login', { headers: { origin: p.url },
			body: { email: p.logins[0].email, password: p.logins[0].password } }));
		// Forms keep what was typed, and the key it goes under.
		kept = Browser.hidden(says(await browser.ask('POST', `${chat}/messages`, form)).text,
			'composer');
		assert.equal(kept.key, form.key);
		kept2 = Browser.hidden(says(await other.ask('POST', '/chat/new',
			{ ...fresh, name: 'Lan', content: 'begins', consent: '1' })).text, 'start');
		assert.equal(kept2.key, fresh.key);
		const l = new Browser(p);
		says(await l.ask('POST', '/login', {
			...Browser.hidden((await l.ask('GET', '/login')).text, 'login'),
			email: p.logins[0].email, password: p.logins[0].password }));
		// What is there can be read.
		for (const path of [chat, '/chat', '/login', '/demo.html'])
			assert.equal((await browser.ask('GET', path)).status, 200, path);
		for (const path of ['/inbox', `/inbox/${theirs}`, '/api/conversations',
			'/api/events/poll'])
			assert.equal((await agent.get(path)).status, 200, path);
		assert.equal(Number(sql('SELECT count(*) FROM messages')), stored);
	}
	await full();
	ws.send('message_send', { conversationId: ours, content: 'socket', id: 'socket' });
	assert.equal((await ws.until('error')).data.code, 'no_space');
	// Who cannot write does not try without end.
	const lines = (name) => p.log(name).split('\n').length;
	const had = lines('worker') + lines('api');
	await pause(1500);
	assert.ok(lines('worker') + lines('api') - had < 40, p.log('worker').slice(-2000));
	assert.deepEqual(names.map((n) => p.pid(n)), pids, 'nobody ended');
	assert.deepEqual(crm.sent.map((m) => m.text), ['on its way']);

	// Who is killed now comes again, and says the same.
	for (const n of killed)
		p.kill(n);
	await until(() => names.every((n, i) => p.pid(n) > 0 &&
		(killed.includes(n) ? p.pid(n) !== pids[i] : p.pid(n) === pids[i])),
	undefined, `${killed} again`);
	await until(() => p.request('GET', '/health').then((r) => r.json?.push === 'up',
		() => false), undefined, 'an answer again');
	await full();

	d.clear();
	for (const again of [false, true]) {
		const want = again ? 200 : 201;
		assert.equal((await agent.send(ours, 'rest', { client_id: 'rest' })).status, want);
		assert.equal((await visitor.post('/api/widget/messages',
			{ content: 'widget', client_id: 'widget' })).status, want);
		assert.deepEqual((await hook('e1', 'webhook')).json, { ok: true, duplicate: again });
		assert.equal((await browser.ask('POST', `${chat}/messages`,
			{ ...kept, content: typed })).status, 303);
		assert.equal((await other.ask('POST', '/chat/new',
			{ ...kept2, name: 'Lan', content: 'begins', consent: '1' })).status, 303);
	}
	assert.equal((await p.request('GET', '/health')).json.status, 'ok');
	await until(() => sql(`SELECT count(*) FROM deliveries WHERE state <> 'sent'`) === '0' &&
		sql(`SELECT count(*) FROM messages WHERE external_id = 'm-e1'`) === '1',
	undefined, 'all sent and read');
	assert.deepEqual(crm.sent.map((m) => m.text), ['on its way', 'waits']);
	assert.deepEqual(crm.faults, []);
	assert.equal(Number(sql('SELECT count(*) FROM messages')), stored + 5);
	assert.equal(sql('PRAGMA integrity_check'), 'ok');

	// Each event came once, to who was there all the time.
	const last = sql('SELECT id FROM messages ORDER BY id DESC LIMIT 1');
	await until(() => follow.of('new_message').some((e) => e.data.id === last));
	const ids = follow.of('new_message').map((e) => e.data.id);
	assert.equal(new Set(ids).size, ids.length);
	assert.deepEqual(ids, sql(`SELECT id FROM messages WHERE id >= ${ids[0]} ORDER BY id`)
		.split('\n'));
	await follow.close();
	stream.close();
	ws.close();
	assert.equal(await p.stop({ keep: true }), 0);
}

test('not a byte is left, behind apache', { skip }, (t) => story(t, { web: 'apache',
	min: 0, keep: 0, killed: ['api-1', 'pages-1', 'webhook-1', 'push-api-1', 'pushd'] }));

test('what is left is kept back, behind lighttpd', { skip }, (t) => story(t, {
	web: 'lighttpd', min: 16 << 20, keep: (16 << 20) - 65536,
	killed: ['api-1', 'worker', 'poll-1', 'push-api-2', 'web'] }));
