// /chat/sse and /notifications/sse: named events, read by the stock
// EventSource of npm and as bytes, across cuts and restarts.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import EventSource from 'eventsource';
import { pause, start, until } from './lib/harness.js';

const PATHS = ['/chat/sse', '/notifications/sse'];
const NAMES = ['connected', 'new_message', 'message_updated', 'message_deleted',
	'read_receipt', 'typing_indicator', 'presence_update',
	'customer_status', 'notification', 'conversation_updated', 'new_conversation',
	'reset', 'tick', 'rebuilt:now'];
const conf = { user_message_rate_max: 100000, user_message_burst_max: 100000,
	conversation_message_rate_max: 100000, credential_request_rate_max: 100000,
	credential_request_burst_max: 100000, presence_grace_ms: 300, url_tokens: 'on',
	// A web server notices that its client is gone when it writes to it.
	keepalive_s: 1 };

const all = new Set(); // still open: they would keep the test going

// A stock EventSource: what came, by name; and what came unnamed.
class Stock {
	constructor(p, path, who, { cursor } = {}) {
		const o = { headers: who.cookie ? { cookie: who.cookie } :
			who.token ? { authorization: `Bearer ${who.token}` } : {} };
		if (cursor)
			o.headers['Last-Event-ID'] = cursor;
		this.got = [];
		this.unnamed = 0;
		this.opens = 0;
		this.errors = [];
		this.es = new EventSource(p.url + path, o);
		all.add(this);
		this.es.onopen = () => { this.opens++; };
		this.es.onerror = (e) => { this.errors.push(e.status); };
		this.es.onmessage = () => { this.unnamed++; };
		for (const name of NAMES)
			this.es.addEventListener(name, (e) => this.got.push(
				{ name, id: e.lastEventId, data: JSON.parse(e.data) }));
	}

	of(name) {
		return this.got.filter((e) => e.name === name);
	}

	until(name, fits = () => true, ms = undefined) {
		return until(() => this.got.find((e) => e.name === name && fits(e.data)), ms,
			`${name} (${this.got.map((e) => e.name)})`);
	}

	get contents() {
		return this.of('new_message').map((e) => e.data.content);
	}

	close() {
		this.es.close();
	}
}

describe('named streams', { timeout: 300_000 }, () => {
	let p, admin, mai, som, lan, conv;

	before(async () => {
		p = await start({ conf });
		admin = await p.bearer(p.logins.find((x) => x.role === 'admin').email);
		mai = await p.bearer('mai@example.com');
		som = await p.agent('somchai@example.com');
		lan = await p.customer('Lan');
		conv = lan.conversation_id;
	});
	after(() => {
		all.forEach((c) => c.close());
		return p?.stop();
	});

	const open = async (path, who, o) => {
		const c = new Stock(p, path, who, o);
		await c.until('connected');
		return c;
	};

	for (const path of PATHS)
		it(`${path} has each event under its name`, async () => {
			const c = await open(path, som);
			const theirs = await open(path, lan);
			const hello = c.of('connected')[0];
			assert.equal(hello.data.status, 'connected');
			assert.equal(typeof hello.data.timestamp, 'number');
			assert.match(hello.id, /^\d+$/);

			const m = (await lan.send(conv, `hello by ${path}`)).json;
			const heard = (await c.until('new_message', (d) => d.id === m.id)).data;
			assert.equal(heard.conversation_id, conv);
			assert.equal(heard.conversationId, conv);
			assert.equal(heard.content, `hello by ${path}`);
			assert.equal(heard.type, 'incoming');
			assert.equal(heard.sender.kind, 'customer');
			assert.equal(typeof heard.created_at, 'number');
			assert.equal(new Date(heard.sentAt).getTime(), heard.created_at);
			await theirs.until('new_message', (d) => d.id === m.id);

			await lan.post(`/api/conversations/${conv}/typing`, { typing: true });
			const t = await c.until('typing_indicator', (d) => d.typing);
			assert.equal(t.data.conversation_id, conv);
			assert.equal(t.data.user_name, 'Lan');
			// It has no place in the log: the id of the last one stays.
			assert.ok(c.got.slice(0, c.got.indexOf(t)).some((e) => e.id === t.id));
			await c.until('typing_indicator', (d) => !d.typing);
			assert.equal(theirs.of('typing_indicator').length, 0);

			await mai.post(`/api/conversations/${conv}/read`, { message_id: m.id });
			const r = await c.until('read_receipt', (d) => d.message_id === m.id);
			assert.equal(r.data.conversation_id, conv);

			const a = (await mai.send(conv, 'an answer')).json;
			await mai.patch(`/api/messages/${a.id}`, { content: 'a better one' });
			assert.equal((await theirs.until('message_updated', (d) => d.id === a.id))
				.data.content, 'a better one');
			await mai.delete(`/api/messages/${a.id}`);
			await theirs.until('message_deleted', (d) => d.id === a.id);

			// Somebody comes and goes.
			const me = (await admin.get('/api/me')).json;
			const id = me.id ?? me.user.id;
			const at = c.got.length;
			const seen = (status) => until(() => c.got.slice(at).find((e) =>
				e.name === 'presence_update' && e.data.user_id === id &&
				e.data.status === status), undefined, `${path}: ${status}`);
			const other = await open(path, admin);
			await seen('online');
			other.close();
			await seen('offline');

			// Notes and presence are for agents.
			await mai.send(conv, 'between us', { type: 'note' });
			await c.until('new_message', (d) => d.content === 'between us');
			await mai.send(conv, 'for all');
			await theirs.until('new_message', (d) => d.content === 'for all');
			assert.ok(!theirs.contents.includes('between us'));
			assert.ok(!theirs.got.some((e) => e.data.user_id === id && e.data.last_seen));

			const ids = c.got.filter((e) => e.name !== 'typing_indicator').map((e) => Number(e.id));
			assert.deepEqual(ids, [...ids].sort((x, y) => x - y));
			assert.equal(c.unnamed + theirs.unnamed, 0);
			c.close();
			theirs.close();
		});

	it('brings notifications to one, broadcasts to all', async () => {
		const mine = await open(PATHS[1], som);
		const also = await open(PATHS[0], som);
		const others = await open(PATHS[1], mai);
		const me = (await som.get('/api/me')).json;
		const note = { title: 'Call back', body: 'Lan waits', url: '/inbox', level: 'info' };
		const r = await mai.post('/chat/notify', { userId: me.id ?? me.user.id,
			notification: note });
		assert.deepEqual([r.status, r.json.success], [200, true], r.text);
		for (const c of [mine, also])
			assert.equal((await c.until('notification')).data.title, 'Call back');
		const all = await admin.post('/chat/broadcast', { event: 'rebuilt:now', data: { n: 1 } });
		assert.deepEqual([all.status, all.json.success], [200, true], all.text);
		for (const c of [mine, also, others])
			assert.equal((await c.until('rebuilt:now')).data.n, 1);
		assert.equal(others.of('notification').length, 0);
		[mine, also, others].forEach((c) => c.close());
	});

	it('goes on from Last-Event-ID, header or query, and says when it cannot', async () => {
		for (const path of PATHS) {
			const c = await open(path, mai);
			await lan.send(conv, 'seen');
			await c.until('new_message', (d) => d.content === 'seen');
			const cursor = c.got.at(-1).id;
			c.close();
			await lan.send(conv, 'missed 1');
			await lan.send(conv, 'missed 2');
			const d = await open(path, mai, { cursor });
			await d.until('new_message', (x) => x.content === 'missed 2');
			assert.deepEqual(d.contents, ['missed 1', 'missed 2']);
			const e = await open(`${path}?lastEventId=${cursor}&token=${mai.token}`, {});
			await e.until('new_message', (x) => x.content === 'missed 2');
			assert.deepEqual(e.contents, ['missed 1', 'missed 2']);
			assert.equal(e.unnamed, 0, 'a token in the query makes no envelopes here');
			const f = await open(path, mai, { cursor: '1' });
			const reset = f.of('reset')[0];
			assert.equal(f.got[0], reset, 'before all else');
			assert.deepEqual(Object.keys(reset.data).sort(), ['epoch', 'latest', 'oldest']);
			assert.match(f.of('connected')[0].id, /^\d+$/);
			[d, e, f].forEach((x) => x.close());
		}
	});

	it('is the same in every form that one asks for', async () => {
		const c = await som.sse({ path: '/chat/sse', query: 'format=envelope' });
		const d = await som.sse({ path: '/notifications/sse', query: 'format=both' });
		const n = await som.sse({ path: '/notifications/sse', query: 'format=what' });
		await c.until('connection');
		await d.until('connection');
		await n.until('connected');
		await lan.send(conv, 'thrice');
		const fits = (e) => e.type === 'new_message' && e.data.content === 'thrice';
		const [x, y] = [await c.until(fits), await n.until(fits)];
		assert.deepEqual(x.data, y.data);
		assert.equal(x.id, y.id);
		assert.equal(x.name, undefined);
		await until(() => d.events.filter(fits).length === 2);
		assert.deepEqual(d.events.filter(fits).map((e) => [e.id, e.name]),
			[[x.id, 'new_message'], [x.id, undefined]]);
		[c, d, n].forEach((s) => s.close());
	});

	it('wants to know who it is, and gives up on a stock client if nobody', async () => {
		for (const path of PATHS) {
			const r = await p.request('GET', path);
			assert.equal(r.status, 401);
			assert.deepEqual([r.json.success, r.json.error],
				[false, 'Authentication required']);
			const c = new Stock(p, path, { token: 'a.b.c' });
			await until(() => c.errors.length > 0);
			assert.deepEqual(c.errors, [401]);
			assert.equal(c.es.readyState, 2);
		}
	});

	it('a stock client comes back by itself and misses nothing', async () => {
		const list = PATHS.flatMap((path) => [som, lan].map((who) => ({ path, who })));
		for (const l of list) {
			l.c = await open(l.path, l.who);
			l.all = [];
		}
		// Until all have it; what was said while nobody listened too.
		const say = async (text) => {
			await lan.send(conv, text);
			for (const l of list) {
				l.all.push(text);
				await l.c.until('new_message', (d) => d.content === text);
			}
		};
		await say('first');
		for (const [sig, text] of [['SIGKILL', 'killed'], ['SIGTERM', 'sent away']]) {
			const pid = p.pid('pushd');
			const had = list.map((l) => l.c.errors.length);
			p.kill('pushd', sig);
			await until(() => list.every((l, i) => l.c.errors.length > had[i]), undefined,
				'the end');
			for (const l of list)
				l.all.push(`while ${text}`);
			await lan.send(conv, `while ${text}`);
			await until(() => p.pid('pushd') !== pid && p.pid('pushd') > 0, undefined, 'pushd');
			await say(`after it was ${text}`);
		}
		for (const l of list) {
			assert.deepEqual(l.c.contents, l.all, `${l.path}`);
			assert.equal(l.c.of('reset').length, 0);
			assert.equal(l.c.unnamed, 0);
			l.c.close();
		}
	});

	it('goes through lighttpd in the same way', async () => {
		const q = await start({ web: 'lighttpd', conf });
		try {
			const who = await q.bearer();
			const kim = await q.customer('Kim');
			for (const path of PATHS) {
				const c = new Stock(q, path, who);
				await c.until('connected');
				await kim.send(kim.conversation_id, `by ${path}`);
				await c.until('new_message', (d) => d.content === `by ${path}`);
				c.close();
			}
		} finally {
			await q.stop();
		}
	});
});
