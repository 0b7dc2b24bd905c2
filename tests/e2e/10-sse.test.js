// Server-sent events as pushd speaks them: the answer, the formats, the
// cursor, and what ends a stream.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { pause, start, until } from './lib/harness.js';
import { ask, raw } from './lib/raw.js';

const GET = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`;
const STREAM = '/api/events/stream';
// Writing is not what is tested here.
const rates = { user_message_rate_max: 100000, user_message_burst_max: 100000,
	conversation_message_rate_max: 100000, credential_request_rate_max: 100000,
	credential_request_burst_max: 100000 };

// The blocks of a stream: [{id, event, data, comment, retry}].
function blocks(text) {
	const body = text.slice(text.indexOf('\r\n\r\n') + 4);
	return body.split('\n\n').slice(0, -1).map((b) => {
		const o = {};
		for (const line of b.split('\n')) {
			const i = line.indexOf(':');
			const k = line.slice(0, i) || 'comment';
			assert.match(k, /^(id|event|data|retry|comment)$/, line);
			o[k] = line.slice(i + 1).trim();
		}
		if (o.data !== undefined)
			o.json = JSON.parse(o.data);
		return o;
	});
}

describe('SSE', { timeout: 300_000 }, () => {
	let p, agent, customer, auth, conv;

	before(async () => {
		p = await start({ conf: { ...rates, url_tokens: 'on',
			cors_origins: 'https://shop.example' } });
		agent = await p.bearer();
		customer = await p.customer('Lan');
		conv = customer.conversation_id;
		auth = `Authorization: Bearer ${agent.token}\r\n`;
	});
	after(() => p?.stop());

	// A stream straight from pushd; resolves when it has been greeted.
	async function stream(path = STREAM, more = auth) {
		const c = await raw(p);
		c.write(GET(path, more));
		await c.until(() => /"status":"connected"[^\n]*\n\n/.test(c.text));
		c.list = () => blocks(c.text);
		return c;
	}
	const say = async (text, who = agent) => {
		const r = await who.send(conv, text);
		assert.equal(r.status, 201, r.text);
		return r;
	};
	const contents = (c) => c.list().map((b) => b.json?.data?.content ?? b.json?.content)
		.filter(Boolean);

	it('answers at once with head, retry and greeting', async () => {
		const c = await stream();
		const head = c.text.slice(0, c.text.indexOf('\r\n\r\n')).toLowerCase();
		assert.match(head, /^http\/1\.1 200 ok\r\n/);
		assert.match(head, /content-type: text\/event-stream/);
		assert.match(head, /cache-control: no-cache/);
		assert.match(head, /x-accel-buffering: no/);
		assert.doesNotMatch(head, /content-length|content-encoding|transfer-encoding/);
		const [first, hello] = c.list();
		assert.deepEqual(first, { retry: '3000' });
		assert.equal(hello.event, 'connected');
		assert.equal(hello.json.status, 'connected');
		assert.match(hello.id, /^\d+$/);
		c.close();
	});

	it('chooses the format by credential, path and query', async () => {
		const q = `token=${agent.token}`;
		for (const [path, more, name] of [
			[`${STREAM}?${q}`, '', undefined],
			[`/api/api/events/stream?${q}`, '', undefined],
			[`/chat/sse?${q}`, '', 'connected'],
			[`/notifications/sse?${q}`, '', 'connected'],
			[STREAM, auth, 'connected'],
			[`${STREAM}?${q}&format=named`, '', 'connected'],
			[`${STREAM}?${q}&format=nonsense`, '', undefined],
			[`${STREAM}?format=envelope`, auth, undefined],
		]) {
			const c = await stream(path, more);
			const hello = c.list()[1];
			assert.equal(hello.event, name, path);
			if (!name)
				assert.equal(hello.json.type, 'connection');
			c.close();
		}
	});

	it('refuses with JSON and CORS headers', async () => {
		const origin = 'Origin: https://shop.example\r\n';
		for (const more of ['', 'Authorization: Bearer x.y.z\r\n']) {
			const r = await ask(p, GET(STREAM, more + origin));
			assert.equal(r.status, 401);
			assert.equal(r.json.success, false);
			assert.equal(typeof r.json.error, 'string');
			assert.equal(r.headers['access-control-allow-origin'], 'https://shop.example');
			assert.equal(r.headers['access-control-allow-credentials'], 'true');
			assert.match(r.headers.vary, /Origin/);
		}
		assert.equal((await ask(p, GET(STREAM))).json.error, 'Authentication required');
		const other = await ask(p, GET(STREAM, 'Origin: https://evil.example\r\n'));
		assert.equal(other.headers['access-control-allow-origin'], undefined);
	});

	it('knows HEAD, OPTIONS, and no other method or path', async () => {
		const swap = (m, more = '') => GET(STREAM, more).replace('GET', m);
		const head = await ask(p, swap('HEAD', auth));
		assert.equal(head.status, 200);
		assert.match(head.headers['content-type'], /text\/event-stream/);
		assert.equal(head.body, '');
		assert.equal((await ask(p, swap('HEAD'))).status, 401);
		const o = await ask(p, swap('OPTIONS', 'Origin: https://shop.example\r\n'));
		assert.equal(Math.floor(o.status / 100), 2);
		assert.match(o.headers['access-control-allow-headers'], /Last-Event-ID/);
		const post = await ask(p, swap('POST', 'Content-Length: 0\r\n'));
		assert.equal(post.status, 405);
		assert.match(post.headers.allow, /GET/);
		for (const path of ['//', `${STREAM}/`, '/api/events', '/x', '/metrics/'])
			assert.equal((await ask(p, GET(path))).status, 404, path);
	});

	it('takes a head byte by byte and refuses a bad one', async () => {
		const c = await raw(p);
		await c.slowly(GET(STREAM, auth));
		assert.ok(await c.until(() => c.text.includes('event: connected')));
		c.close();
		for (const [text, status] of [
			['GET / HTTP/1.1\nHost: a\n\n', 400],
			['GET / HTTP/1.1\r\n\r\n', 400],
			[GET('/', 'A : b\r\n'), 400],
			[GET('/', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'), 400],
			[GET('/', `A: ${'x'.repeat(9000)}\r\n`), 431],
			[GET('/', 'A: b\r\n'.repeat(101)), 431],
			[GET(`/${'x'.repeat(5000)}`), 414],
			['GET / HTTP/2.0\r\n\r\n', 505],
		])
			assert.equal((await ask(p, text)).status, status, text.slice(0, 60));
	});

	it('gives each event once, in order, in its format, to who may see it', async () => {
		const named = await stream();
		const both = await stream(`${STREAM}?format=both`);
		const theirs = await stream(STREAM, `Authorization: Bearer ${customer.token}\r\n`);
		const other = await p.customer('Other');
		const foreign = await stream(STREAM, `Authorization: Bearer ${other.token}\r\n`);
		for (let i = 0; i < 20; i++)
			await say(`m${i}`);
		const note = await agent.send(conv, 'for us', { type: 'note' });
		assert.equal(note.status, 201);
		await say('last');
		const want = [...Array(20).keys()].map((i) => `m${i}`);
		for (const c of [named, both, theirs])
			await c.until(() => c.text.includes('"last"'));
		assert.deepEqual(contents(named), [...want, 'for us', 'last']);
		assert.deepEqual(contents(both), [...want, 'for us', 'last'].flatMap((x) => [x, x]));
		assert.deepEqual(contents(theirs), [...want, 'last']);
		assert.deepEqual(contents(foreign), []);
		const ids = named.list().filter((b) => b.event === 'new_message').map((b) => Number(b.id));
		assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => a - b));
		const pair = both.list().filter((b) => b.json?.content === 'm3' ||
			b.json?.data?.content === 'm3');
		assert.equal(pair[0].event, 'new_message');
		assert.equal(pair[1].event, undefined);
		assert.equal(pair[1].json.type, 'new_message');
		assert.equal(pair[0].id, pair[1].id);
		assert.equal(pair[1].json.id, pair[1].id);
		for (const c of [named, both, theirs, foreign])
			c.close();
	});

	it('resumes from a cursor, without an id in the greeting', async () => {
		const c = await stream();
		await say('one');
		await c.until(() => c.text.includes('"one"'));
		const id = c.list().findLast((b) => b.json?.content === 'one').id;
		c.close();
		await say('two');
		await say('three');
		for (const more of [`${auth}Last-Event-ID: ${id}\r\n`, auth]) {
			const path = more === auth ? `${STREAM}?lastEventId=${id}` : STREAM;
			const d = await stream(path, more);
			assert.equal(d.list()[1].id, undefined);
			await d.until(() => d.text.includes('"three"'));
			assert.deepEqual(contents(d), ['two', 'three']);
			await say('four');
			await d.until(() => d.text.includes('"four"'));
			assert.equal(contents(d).filter((x) => x === 'four').length, 1);
			await agent.request('DELETE', `/api/messages/${d.list()
				.findLast((b) => b.json?.content === 'four').json.id}`);
			// What pushd has heard of it does not bring again.
			await d.until(() => d.text.includes('event: message_deleted'));
			d.close();
		}
		// The header wins: an EventSource repeats its first query for ever.
		const d = await stream(`${STREAM}?lastEventId=1`, `${auth}Last-Event-ID: ${id}\r\n`);
		await d.until(() => d.text.includes('"three"'));
		assert.doesNotMatch(d.text, /event: reset/);
		d.close();
	});

	it('says reset first to a cursor that is of no use', async () => {
		for (const cursor of ['1', '9007199254740991', 'abc', '-5', '1'.repeat(40),
			String(Date.now() + 86400_000 * 400), '12.5']) {
			const c = await stream(STREAM, `${auth}Last-Event-ID: ${cursor}\r\n`);
			const [, reset, hello] = c.list();
			assert.equal(reset.event, 'reset', cursor);
			assert.equal(reset.id, undefined);
			assert.ok('epoch' in reset.json && 'oldest' in reset.json && 'latest' in reset.json);
			assert.equal(hello.event, 'connected');
			assert.match(hello.id, /^\d+$/);
			c.close();
		}
		const c = await stream(`${STREAM}?format=envelope&lastEventId=x`);
		assert.equal(c.list()[1].json.type, 'reset');
		c.close();
	});

	it('replays a deleted message as deleted', async () => {
		const c = await stream();
		const id = c.list()[1].id;
		c.close();
		const r = await say('wipe me out');
		assert.equal((await agent.delete(`/api/messages/${r.json.id}`)).status, 200);
		await say('still here');
		const d = await stream(STREAM, `${auth}Last-Event-ID: ${id}\r\n`);
		await d.until(() => d.text.includes('still here'));
		assert.doesNotMatch(d.text, /wipe me out/);
		assert.match(d.text, /event: message_deleted/);
		d.close();
	});

	it('wraps events only for who asks for batches', async () => {
		const c = await stream(`${STREAM}?batch=1`);
		await Promise.all([...Array(25).keys()].map((i) => say(`b${i}`)));
		await c.until(() => c.list().filter((b) => b.event === 'batch')
			.flatMap((b) => b.json.events).filter((e) => e.type === 'new_message').length === 25);
		const batches = c.list().filter((b) => b.event === 'batch');
		for (const b of batches) {
			assert.ok(b.json.events.length <= 10);
			assert.equal(b.id, b.json.events.at(-1).id);
		}
		assert.equal(c.list().filter((b) => b.event === 'new_message').length, 0);
		c.close();
	});

	it('is cut when its session ends, not when that is looked at again', async () => {
		const a = await p.agent();
		const c = await stream(STREAM, `Cookie: ${a.cookie}\r\n`);
		const t = Date.now();
		assert.ok((await a.post('/api/auth/logout', {})).status < 300);
		assert.ok(await c.gone());
		// An identity is asked for again after 60 s.
		assert.ok(Date.now() - t < 40_000);
		const again = await ask(p, GET(STREAM, `Cookie: ${a.cookie}\r\n`));
		assert.equal(again.status, 401);
		c.close();
	});

	it('gives nothing between a change of its session and the answer', async () => {
		const other = await p.agent('somchai@example.com');
		const som = (await other.get('/api/me')).json;
		const id = som.id ?? som.user.id;
		const g = (await agent.post('/api/conversations',
			{ type: 'group', name: 'doubt', participants: [id] })).json;
		const group = (g.conversation ?? g).id;
		const c = await stream(STREAM, `Cookie: ${other.cookie}\r\n`);
		const names = ['push-api-1', 'push-api-2'];
		names.forEach((n) => assert.ok(p.kill(n, 'SIGSTOP')));
		try {
			const r = await agent.delete(`/api/conversations/${group}/participants/${id}`);
			assert.ok(r.status < 300, r.text);
			await say('in doubt');
			await pause(400);
			assert.deepEqual(contents(c), []);
		} finally {
			names.forEach((n) => p.kill(n, 'SIGCONT'));
		}
		await c.until(() => c.text.includes('in doubt'));
		await say('and sure');
		await c.until(() => c.text.includes('and sure'));
		assert.deepEqual(contents(c), ['in doubt', 'and sure']);
		c.close();
	});

	it('refuses a foreign page that shows a cookie', async () => {
		const a = await p.agent();
		const r = await ask(p, GET(STREAM,
			`Cookie: ${a.cookie}\r\nOrigin: https://evil.example\r\n`));
		assert.equal(r.status, 403);
	});

	it('loses nothing when hints do not come', async () => {
		const c = await stream();
		const { rename } = await import('node:fs/promises');
		await rename(`${p.var}/run/hint.sock`, `${p.var}/run/away`);
		for (const name of ['api-1', 'api-2'])
			p.kill(name);
		await until(async () => (await agent.get('/api/me').catch(() => 0)).status === 200);
		await say('unheard');
		await c.until(() => c.text.includes('unheard'));
		assert.deepEqual(contents(c), ['unheard']);
		await rename(`${p.var}/run/away`, `${p.var}/run/hint.sock`);
		c.close();
	});

	it('goes on after pushd is killed', async () => {
		const c = await stream();
		await say('before');
		await c.until(() => c.text.includes('"before"'));
		const id = c.list().findLast((b) => b.id).id;
		const pid = p.pid('pushd');
		p.kill('pushd');
		await c.gone();
		await say('while down');
		await until(() => p.pid('pushd') !== pid && p.pid('pushd') > 0);
		const d = await until(() => stream(STREAM, `${auth}Last-Event-ID: ${id}\r\n`)
			.catch(() => null), 10_000);
		await d.until(() => d.text.includes('while down'));
		assert.deepEqual(contents(d), ['while down']);
		c.close();
		d.close();
	});

	it('leaves its place to no second pushd', async () => {
		const { execFile } = await import('node:child_process');
		const { build } = await import('./lib/harness.js');
		const r = await new Promise((ok) => execFile(`${build}/pushd`, ['--conf', p.conf],
			{ timeout: 60_000 }, (e, out, err) => ok({ code: e?.code, err })));
		assert.equal(r.code, 1);
		assert.match(r.err, /hint\.sock/);
		const c = await stream();
		c.close();
	});

	it('shows its figures to the addresses of the settings alone', async () => {
		const m = await ask(p, GET('/metrics'));
		assert.equal(m.status, 200);
		assert.match(m.body, /^parley_push_connections\{transport="none",dialect="",state="head"\} \d+$/m);
		assert.match(m.body, /^parley_push_log_regress_total 0$/m);
		const secret = p.setting('proxy_secret');
		const far = `X-Parley-Proxy: ${secret}\r\nX-Forwarded-For: 127.0.0.1, 203.0.113.9\r\n`;
		assert.equal((await ask(p, GET('/metrics', far))).status, 404);
		assert.equal((await ask(p, GET('/metrics', far.replace(secret, 'x')))).status, 200);
		const health = await ask(p, GET('/health', far));
		assert.deepEqual(health.json, { status: 'ok' });
		assert.ok((await ask(p, GET('/health'))).json.version);
	});

	it('sends everybody away when it ends, and says when to come back', async () => {
		const c = await stream();
		process.kill(p.pid('pushd'), 'SIGTERM');
		assert.ok(await c.gone());
		assert.match(c.list().at(-1).retry ?? '', /^\d+$/);
		c.close();
		await until(() => stream().then((d) => (d.close(), true), () => false));
	});
});

describe('SSE in the course of time', { timeout: 300_000 }, () => {
	let p, agent;

	before(async () => {
		p = await start({ conf: { ...rates, keepalive_s: 1,
			ring_events_max: 10, account_connections_max: 5,
			queue_bytes_max: 262144, address_connections_max: 30 } });
		agent = await p.bearer();
	});
	after(() => p?.stop());

	async function stream(query = '', more = '', q = p, who = agent) {
		const c = await raw(q);
		c.write(GET(STREAM + query, `Authorization: Bearer ${who.token}\r\n${more}`));
		await c.until(() => c.text.includes('"status":"connected"'));
		c.list = () => blocks(c.text);
		return c;
	}

	it('keeps alive, beats, and ticks', async () => {
		const c = await stream('?format=envelope');
		const quiet = await stream('', '', p, await p.customer('Quiet'));
		await p.customer('Loud');
		assert.ok(await c.until(() => c.text.includes(': keep-alive\n\n') &&
			c.text.includes('"type":"heartbeat"')));
		const beat = c.list().find((b) => b.json?.type === 'heartbeat');
		assert.equal(beat.id, undefined);
		assert.equal(typeof beat.json.timestamp, 'number');
		assert.ok(await quiet.until(() => /id: \d+\nevent: tick\n/.test(quiet.text)));
		quiet.close();
		c.close();
	});

	it('ends a stream that has been held for long', async () => {
		const q = await start({ conf: { ...rates, stream_life_s: 2 } });
		try {
			const c = await stream('', '', q, await q.bearer());
			assert.ok(await c.gone());
			c.close();
		} finally {
			await q.stop();
		}
	});

	it('serves a resume from the log where the ring does not reach', async () => {
		const customer = await p.customer('Long');
		const c = await stream();
		const { id } = c.list()[1];
		c.close();
		for (let i = 0; i < 60; i++)
			await agent.send(customer.conversation_id, `r${i}`);
		const d = await stream('', `Last-Event-ID: ${id}\r\n`);
		await d.until(() => d.text.includes('"r59"'));
		const got = d.list().map((b) => b.json?.content).filter(Boolean);
		assert.deepEqual(got, [...Array(60).keys()].map((i) => `r${i}`));
		d.close();
		// The customer's own view of the same.
		const e = await raw(p);
		e.write(GET(STREAM, `Authorization: Bearer ${customer.token}\r\nLast-Event-ID: ${id}\r\n`));
		await e.until(() => e.text.includes('"r59"'));
		assert.equal(blocks(e.text).filter((b) => b.json?.content).length, 60);
		e.close();
	});

	it('drops a reader that does not read, and no other', async () => {
		const customer = await p.customer('Much');
		const slow = await stream();
		const quick = await stream();
		slow.socket.pause();
		const text = 'x'.repeat(9000);
		// Enough to fill the kernel's buffers and the bound behind them.
		for (let i = 0; i < 900; i += 30)
			await Promise.all([...Array(30).keys()].map((j) =>
				agent.send(customer.conversation_id, `${i + j} ${text}`)));
		assert.ok(await quick.until(() =>
			blocks(quick.text).filter((b) => b.json?.content).length >= 500));
		const m = await until(async () => {
			const { body } = await ask(p, GET('/metrics'));
			return Number(/^parley_push_slow_total (\d+)$/m.exec(body)[1]) > 0 && body;
		}, undefined, 'dropping the slow reader');
		assert.ok(m);
		quick.close();
		slow.close();
	});

	it('lets the oldest idle connection of an account go', async () => {
		const list = [];
		for (let i = 0; i < 6; i++) {
			list.push(await stream());
			await pause(10);
		}
		assert.ok(await list[0].gone());
		await pause(100);
		assert.equal(list.slice(1).filter((c) => c.ended).length, 0);
		list.forEach((c) => c.close());
	});

	it('limits the connections of an address', async () => {
		const secret = p.setting('proxy_secret');
		const more = `X-Parley-Proxy: ${secret}\r\nX-Forwarded-For: 198.51.100.7\r\n`;
		const held = [];
		const people = await Promise.all([...Array(7).keys()].map((i) => p.customer(`C${i}`)));
		for (let i = 0; i < 31; i++) {
			const c = await raw(p);
			c.write(GET(STREAM, `Authorization: Bearer ${people[i % 7].token}\r\n${more}`));
			await c.until(() => c.text.includes('\r\n\r\n'));
			held.push(c);
		}
		assert.match(held[29].text, /^HTTP\/1\.1 200/);
		assert.match(held[30].text, /^HTTP\/1\.1 429/);
		held.forEach((c) => c.close());
	});
});
