// The native WebSocket: RFC 6455 byte by byte, and the live dialect.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import WebSocket from 'ws';
import { pause, start, until } from './lib/harness.js';
import { ask, closeCode, frame, frames, raw, socket, texts, upgrade } from './lib/raw.js';

const rates = { user_message_rate_max: 100000, user_message_burst_max: 100000,
	conversation_message_rate_max: 100000, credential_request_rate_max: 100000,
	credential_request_burst_max: 100000 };

const GRACE_MS = 1000;

// A client of the live dialect: what came, and waiting for it.
class Live {
	constructor(p, token, { auth = {}, headers, query = '' } = {}) {
		this.got = [];
		this.ws = new WebSocket(`${p.url.replace('http', 'ws')}/ws/live-chat${query}`,
			{ headers });
		this.ws.on('message', (m, binary) => {
			assert.equal(binary, false);
			const o = JSON.parse(m);
			assert.ok('type' in o && 'payload' in o && 'timestamp' in o, m);
			assert.equal(new Date(o.timestamp).toISOString(), o.timestamp);
			this.got.push(o);
		});
		this.closed = new Promise((ok) => this.ws.on('close', (code, reason) =>
			ok({ code, reason: String(reason) })));
		this.open = new Promise((ok, no) => {
			this.ws.on('open', ok);
			this.ws.on('error', no);
		}).then(async () => {
			if (token !== null)
				this.say('auth', { ...(token ? { token } : {}), ...auth });
			return this;
		});
	}

	say(type, payload) {
		this.ws.send(JSON.stringify({ type, payload }));
		return this;
	}

	of(type) {
		return this.got.filter((m) => m.type === type);
	}

	until(fits, ms) {
		const f = typeof fits === 'string' ? (m) => m.type === fits : fits;
		return until(() => this.got.find(f), ms,
			`${fits} (${this.got.map((m) => m.type)})`);
	}

	async close() {
		this.ws.close(1000);
		return this.closed;
	}
}

// A message that is stored, also where the disk is busy.
const stored = (who, room, text) =>
	until(async () => (await who.send(room, text)).status === 201);

const live = async (p, token, o) => {
	const c = await new Live(p, token, o).open;
	await c.until((m) => m.type === 'auth_success' || m.type === 'auth_error');
	return c;
};

describe('RFC 6455', { timeout: 300_000 }, () => {
	let p, token;

	before(async () => {
		p = await start({ conf: { ...rates, login_wait_s: 30, address_connections_max: 1000,
			account_connections_max: 1000 } });
		token = (await p.bearer()).token;
	});
	after(() => p?.stop());

	it('refuses a handshake that is none', async () => {
		const good = upgrade();
		const key = /Sec-WebSocket-Key: .*\r\n/.exec(good)[0];
		for (const [text, status, header] of [
			[good.replace('GET', 'POST'), 405],
			[good.replace('HTTP/1.1', 'HTTP/1.0'), 426],
			[good.replace('Upgrade: websocket\r\n', ''), 426, ['upgrade', 'websocket']],
			[good.replace('Version: 13', 'Version: 8'), 426, ['sec-websocket-version', '13']],
			[good.replace(key, ''), 400],
			[good.replace(key, key + key), 400],
			[good.replace(key, 'Sec-WebSocket-Key: abc\r\n'), 400],
			[good.replace('Host: 127.0.0.1\r\n', ''), 400],
			[good.replace('Connection: Upgrade\r\n', ''), 400],
			[`GET /ws/live-chat HTTP/1.1\r\nHost: a\r\n\r\n`, 426, ['upgrade', 'websocket']],
		]) {
			const r = await ask(p, text);
			assert.equal(r.status, status, text);
			assert.equal(r.json.success, false);
			if (header)
				assert.equal(r.headers[header[0]], header[1]);
		}
	});

	it('accepts names and tokens in any case and lists over lines', async () => {
		const c = await raw(p);
		c.write(upgrade().replace('Upgrade: websocket', 'uPGRADE:   WebSocket  ')
			.replace('Connection: Upgrade', 'connection: keep-alive\r\nCONNECTION: x , uPgRaDe'));
		assert.ok(await c.until(() => c.text.startsWith('HTTP/1.1 101 ')));
		assert.doesNotMatch(c.text, /extensions|protocol:/i);
		c.close();
		const d = await socket(p, { more: 'Sec-WebSocket-Extensions: permessage-deflate\r\n' +
			'Sec-WebSocket-Protocol: chat\r\n' });
		assert.doesNotMatch(d.text, /extensions|protocol:/i);
		d.close();
	});

	it('hears frames that came with the handshake, and one byte at a time', async () => {
		const text = JSON.stringify({ type: 'ping' });
		const c = await socket(p, { along: frame(text) });
		assert.ok(await c.until(() => texts(c).length === 1));
		assert.equal(texts(c)[0].type, 'pong');
		await c.slowly(frame(text));
		assert.ok(await c.until(() => texts(c).length === 2));
		c.close();
		const d = await raw(p);
		await d.slowly(Buffer.concat([Buffer.from(upgrade()), frame(text)]));
		assert.ok(await d.until(() => texts(d).length === 1));
		d.close();
		// Also behind a handshake that has to wait for who it is.
		const e = await socket(p, { more: `Authorization: Bearer ${token}\r\n`,
			along: Buffer.concat([frame(text), frame(text)]) });
		assert.ok(await e.until(() => texts(e).filter((m) => m.type === 'pong').length === 2));
		assert.ok(texts(e).some((m) => m.type === 'auth_success'));
		e.close();
	});

	it('puts fragments together, with pings between them', async () => {
		const c = await socket(p);
		c.write(Buffer.concat([frame('{"ty', { fin: false }), frame('a', { opcode: 9 }),
			frame('', { opcode: 0, fin: false }), frame('b', { opcode: 9 }),
			frame('pe":"ping"}', { opcode: 0 }), frame('', { opcode: 10 })]));
		assert.ok(await c.until(() => texts(c).length === 1));
		assert.deepEqual(frames(c.bytes).map((f) => [f.opcode, f.opcode === 10 &&
			f.data.toString()]), [[10, 'a'], [10, 'b'], [1, false]]);
		c.close();
	});

	it('fails with the right code, and ends', async () => {
		const bad = (bytes) => Buffer.from(bytes);
		for (const [what, data, code] of [
			['RSV', frame('a', { rsv: 4 }), 1002],
			['opcode', frame('a', { opcode: 3 }), 1002],
			['opcode', frame('a', { opcode: 11 }), 1002],
			['no mask', frame('a', { mask: false }), 1002],
			['long ping', frame('x'.repeat(126), { opcode: 9 }), 1002],
			['cut ping', frame('x', { opcode: 9, fin: false }), 1002],
			['nothing to continue', frame('x', { opcode: 0 }), 1002],
			['two messages', Buffer.concat([frame('a', { fin: false }), frame('b')]), 1002],
			['2^63', bad([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1002],
			['overlong', frame(bad([0xc0, 0xaf])), 1007],
			['surrogate', frame(bad([0xed, 0xa0, 0x80])), 1007],
			['above', frame(bad([0xf4, 0x90, 0x80, 0x80])), 1007],
			['cut', frame(bad([0xe2, 0x82])), 1007],
			['before its end', frame(bad([0x61, 0xff]), { fin: false }), 1007],
			['over fragments', Buffer.concat([frame(bad([0xe2]), { fin: false }),
				frame(bad([0x28, 0xa1]), { opcode: 0, fin: false })]), 1007],
			['length alone', frame('', { length: 1048577 }).subarray(0, 14), 1009],
			['fragments', Buffer.concat([frame('', { fin: false }),
				...Array(1100).fill(0).map(() => frame('', { opcode: 0, fin: false }))]), 1009],
			['close of 1', frame('a', { opcode: 8 }), 1002],
			...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000].map((n) =>
				[`close ${n}`, frame(bad([n >> 8, n & 255]), { opcode: 8 }), 1002]),
			['close reason', frame(bad([3, 232, 0xff]), { opcode: 8 }), 1007],
		]) {
			const c = await socket(p);
			c.write(data);
			assert.equal(await closeCode(c), code, what);
			assert.ok(await c.gone(), `${what}: the end`);
			c.close();
		}
	});

	it('answers a Close with its code', async () => {
		for (const n of [0, 1000, 1001, 1003, 1011, 1012, 1014, 3000, 4999]) {
			const c = await socket(p);
			c.write(Buffer.concat([frame(n ? Buffer.from([n >> 8, n & 255]) : '',
				{ opcode: 8 }), frame('{"type":"ping"}')]));
			assert.equal(await closeCode(c), n);
			assert.ok(await c.gone());
			assert.equal(texts(c).length, 0, 'what follows is not heard');
			c.close();
		}
	});

	it('takes a message of a megabyte, and one byte more not', async () => {
		const c = await socket(p);
		c.write(frame(JSON.stringify({ type: 'x' }).padEnd(1048576)));
		assert.ok(await c.until(() => texts(c).length === 1));
		assert.equal(texts(c)[0].type, 'error');
		c.write(Buffer.concat([frame(Buffer.alloc(600000), { opcode: 2, fin: false }),
			frame(Buffer.alloc(500000), { opcode: 0 })]));
		assert.equal(await closeCode(c), 1009);
		c.close();
	});

	it('wants to know who it is in time', async () => {
		const q = await start({ conf: { ...rates, login_wait_s: 2, push_pool: 3 } });
		try {
			const t = Date.now();
			const c = await socket(q);
			assert.equal(await closeCode(c), 1008);
			assert.ok(Date.now() - t > 1000, 'not at once');
			c.close();
			// Said in time, and it cannot be found out: no fault of its own.
			const names = [1, 2, 3].map((n) => `push-api-${n}`);
			const who = await q.bearer();
			const bearer = `Authorization: Bearer ${who.token}\r\n`;
			names.forEach((n) => assert.ok(q.kill(n, 'SIGSTOP')));
			try {
				const d = await socket(q, { along: frame(JSON.stringify(
					{ type: 'auth', token: who.token })) });
				const get = (path) => ask(q, `GET ${path} HTTP/1.1\r\nHost: a\r\n${bearer}\r\n`);
				const [sse, poll, code] = await Promise.all([get('/api/events/stream'),
					get('/api/events/longpoll'), closeCode(d)]);
				assert.equal(code, 1011);
				// An EventSource would give up for good.
				assert.equal(sse.status, 200);
				assert.match(sse.headers['content-type'], /^text\/event-stream/);
				assert.match(sse.body, /^(retry: \d+\n\n)+$/);
				assert.equal(poll.status, 503);
				assert.equal(poll.headers['retry-after'], '2');
				d.close();
			} finally {
				names.forEach((n) => q.kill(n, 'SIGCONT'));
			}
		} finally {
			await q.stop();
		}
	});

	it('bears no flood of pings', async () => {
		const c = await socket(p);
		for (let i = 0; i < 30; i++)
			c.write(frame('x', { opcode: 9 }));
		assert.equal(await closeCode(c), 1008);
		c.close();
	});
});

describe('the live dialect', { timeout: 300_000 }, () => {
	let p, mai, som, lan, conv;

	before(async () => {
		p = await start({ conf: { ...rates, url_tokens: 'on', presence_grace_ms: GRACE_MS,
			ring_events_max: 40, account_connections_max: 60 } });
		mai = await p.bearer('mai@example.com');
		som = await p.bearer('somchai@example.com');
		lan = await p.customer('Lan');
		conv = lan.conversation_id;
	});
	after(() => p?.stop());

	it('tells who one is, by token, URL, cookie and flat or payload', async () => {
		const me = (await mai.get('/api/me')).json;
		const id = me.id ?? me.user.id;
		const byUrl = new Live(p, null, { query: `?token=${mai.token}` });
		const ok = (await byUrl.until('auth_success')).payload;
		assert.equal(ok.userId, id);
		assert.equal(ok.admin_id, id);
		assert.equal(ok.role, 'agent');
		assert.match(ok.cursor, /^\d+$/);
		await byUrl.close();

		const a = await p.agent('mai@example.com');
		const byCookie = await live(p, '', { headers: { cookie: a.cookie, origin: p.url } });
		assert.equal(byCookie.of('auth_success')[0].payload.userId, id);
		await byCookie.close();

		const flat = await new Live(p, null).open;
		flat.ws.send(JSON.stringify({ type: 'auth', token: mai.token }));
		await flat.until('auth_success');
		await flat.close();
		const text = await new Live(p, null).open;
		text.ws.send(JSON.stringify({ type: 'auth', payload: mai.token }));
		await text.until('auth_success');
		await text.close();
		const theirs = await live(p, lan.token);
		assert.equal(theirs.of('auth_success')[0].payload.role, 'customer');
		await theirs.close();
	});

	it('refuses the unknown, and foreign pages with a cookie', async () => {
		for (const c of [await live(p, 'x.y.z'), await live(p, ''),
			new Live(p, null, { query: '?token=nonsense' })]) {
			await c.until('auth_error');
			assert.equal(typeof c.of('auth_error')[0].payload.message, 'string');
			assert.equal((await c.closed).code, 1008);
		}
		const a = await p.agent();
		const r = await ask(p, upgrade(`Cookie: ${a.cookie}\r\nOrigin: https://evil.example\r\n`));
		assert.equal(r.status, 403);
		assert.equal(r.json.code, 'bad_origin');
		// A cookie of nobody does not stop who has a token.
		const c = await live(p, mai.token, { headers: { cookie: 'parley=9.9.x.y' } });
		assert.equal(c.of('auth_success').length, 1);
		await c.close();
	});

	it('keeps the connection whatever is said', async () => {
		const c = await new Live(p, null).open;
		c.say('join_conversation', { conversationId: conv });
		await c.until((m) => m.type === 'error' && m.payload.code === 'unauthenticated');
		c.say('ping');
		await c.until('pong');
		c.say('auth', { token: mai.token });
		await c.until('auth_success');
		for (const text of ['', 'x', '[]', '1', '{}', '{"type":1}', '{"type":"nonsense"}',
			'{"type":"ping","type":"pong"}', '{"type":"message_send","payload":{}}',
			'{"type":"message_send","conversationId":"../../x","content":"a"}',
			'{"type":"message_send","conversationId":"999999999","content":"a"}',
			`{"type":"message_send","conversationId":"${conv}","content":7}`,
			`{"type":"message_send","conversationId":"${conv}","content":""}`,
			`{"type":"join_conversation","conversationId":"999999999"}`]) {
			const n = c.of('error').length;
			c.ws.send(text);
			await until(() => c.of('error').length === n + 1, undefined, `an error for ${text}`);
			const { code, message } = c.of('error').at(-1).payload;
			assert.ok(code && message, text);
		}
		c.ws.send(Buffer.from([1, 2, 3]));
		await c.until((m) => m.type === 'error' && m.payload.code === 'binary');
		assert.equal((await c.close()).code, 1000);
	});

	it('acknowledges to the sender once, and tells the others', async () => {
		const a = await live(p, mai.token);
		const a2 = await live(p, mai.token);
		const b = await live(p, som.token);
		const away = await live(p, som.token);
		const c = await live(p, lan.token);
		for (const x of [a, a2, b]) {
			x.say('join_conversation', { conversationId: conv });
			const j = await x.until('conversation_joined');
			assert.equal(j.payload.conversationId, conv);
			assert.equal(j.payload.line_user_id, conv);
			assert.match(j.payload.cursor, /^\d+$/);
		}
		a.say('message_send', { conversationId: conv, content: 'with id', id: 'my-1' });
		a.say('message_send', { content: 'without' });
		a.say('message_send', { line_user_id: conv, text: 'as text', id: 'my-2' });
		await until(() => a.of('message_sent').length === 3);
		const sent = a.of('message_sent').map((m) => m.payload);
		assert.deepEqual(sent.map((x) => x.content), ['with id', 'without', 'as text']);
		assert.deepEqual(sent.map((x) => x.clientId), ['my-1', null, 'my-2']);
		for (const x of [a2, b, c]) {
			await until(() => x.of('message_received').length === 3);
			const got = x.of('message_received');
			assert.deepEqual(got.map((m) => m.payload.id), sent.map((m) => m.id));
			assert.deepEqual(got.map((m) => m.payload.content), sent.map((m) => m.content));
			const { payload } = got[0];
			assert.equal(payload.type, 'message');
			assert.equal(payload.sender, 'agent');
			assert.equal(payload.conversationId, conv);
			assert.equal(payload.line_user_id, conv);
			assert.ok(payload.senderId && payload.senderName && payload.timestamp);
		}
		// The same again: the first result, no second message.
		a.say('message_send', { conversationId: conv, content: 'with id', id: 'my-1' });
		await until(() => a.of('message_sent').length === 4);
		assert.equal(a.of('message_sent')[3].payload.id, sent[0].id);
		a.say('message_send', { conversationId: conv, content: 'other', id: 'my-1' });
		await a.until((m) => m.type === 'error' && m.payload.code === 'idempotency_conflict');
		await pause(200);
		assert.equal(a.of('message_received').length, 0);
		assert.equal(a2.of('message_received').length, 3);
		assert.equal(away.of('message_received').length, 0, 'not joined');
		// Ids of events grow, as a cursor must.
		for (const x of [a, a2, b, c]) {
			const ids = x.got.filter((m) => m.id).map((m) => Number(m.id));
			assert.deepEqual(ids, [...new Set(ids)].sort((m, n) => m - n));
		}
		// What was said before is done when this is answered.
		const heard = async (x) => {
			const n = x.of('pong').length;
			x.say('ping');
			await until(() => x.of('pong').length > n);
		};
		b.say('leave_conversation', { conversationId: conv });
		await heard(b);
		c.say('message_send', { content: 'from Lan' });
		await a.until((m) => m.type === 'message_received' && m.payload.sender === 'customer');
		await heard(b);
		assert.equal(b.of('message_received').length, 3);
		for (const x of [a, a2, b, c, away])
			await x.close();
	});

	it('keeps the order of what one client pipelines, up to its bound', async () => {
		const a = await live(p, mai.token);
		a.say('join_conversation', { conversationId: conv });
		await a.until('conversation_joined');
		for (let i = 0; i < 16; i++)
			a.say('message_send', { content: `p${i}`, id: `pipe-${i}` });
		await until(() => a.of('message_sent').length === 16);
		assert.deepEqual(a.of('message_sent').map((m) => m.payload.content),
			[...Array(16).keys()].map((i) => `p${i}`));
		for (let i = 0; i < 60; i++)
			a.say('message_send', { content: `q${i}`, id: `more-${i}` });
		await until(() => a.of('message_sent').length + a.of('error').length === 76);
		for (const m of a.of('error'))
			assert.equal(m.payload.code, 'rate_limited');
		await a.close();
	});

	it('answers what is due before it closes', async () => {
		const a = await live(p, mai.token);
		for (let i = 0; i < 5; i++)
			a.say('message_send', { conversationId: conv, content: `z${i}` });
		assert.equal((await a.close()).code, 1000);
		assert.equal(a.of('message_sent').length, 5);
		for (const [id, answer] of [[conv, 'conversation_joined'], ['999999999', 'error']]) {
			const b = await live(p, mai.token);
			b.say('join_conversation', { conversationId: id });
			assert.equal((await b.close()).code, 1000);
			assert.equal(b.of(answer).length, 1);
		}
	});

	it('shows typing to the others, and its end by itself', async () => {
		const a = await live(p, mai.token);
		const b = await live(p, som.token);
		const c = await live(p, lan.token);
		for (const x of [a, b]) {
			x.say('join_conversation', { conversationId: conv });
			await x.until('conversation_joined');
		}
		c.say('typing_stop', { conversationId: conv });
		const t = performance.now();
		a.say('typing_start', { conversationId: conv });
		for (const x of [b, c]) {
			const on = await x.until('user_typing');
			assert.equal(on.payload.isTyping, true);
			assert.equal(on.payload.is_typing, true);
			assert.equal(on.payload.conversationId, conv);
			assert.ok(on.payload.userId && on.payload.userName);
			assert.equal(on.id, undefined);
		}
		await b.until((m) => m.type === 'user_typing' && !m.payload.isTyping);
		// typing_ms is 3000; a loop's clock may be behind.
		assert.ok(performance.now() - t > 2000, `${performance.now() - t} ms`);
		await pause(300);
		assert.equal(b.of('user_typing').length, 2);
		assert.equal(a.of('user_typing').length, 0);
		// A message ends it at once, once.
		await pause(1000);
		c.say('typing_start', { conversationId: conv });
		await b.until((m) => m.type === 'user_typing' && m.payload.isTyping &&
			m.payload.userId === lan.customer_id);
		c.say('message_send', { content: 'done typing' });
		await b.until((m) => m.payload.content === 'done typing');
		assert.equal(b.of('user_typing').length, 4);
		c.say('typing_stop', { conversationId: conv });
		await pause(300);
		assert.equal(b.of('user_typing').length, 4);
		for (const x of [a, b, c])
			await x.close();
	});

	it('tells operators when one comes and, after a grace, goes', async () => {
		// Those of before are gone, and that is known.
		const ids = await Promise.all([mai, som].map(async (who) => {
			const u = (await who.get('/api/me')).json;
			return u.id ?? u.user.id;
		}));
		await until(async () => (await mai.get(`/api/presence?users=${ids}`)).json.items
			.every((x) => x.status === 'offline'), undefined, 'nobody here');
		const b = await live(p, som.token);
		const me = b.of('auth_success')[0].payload.userId;
		const a = await live(p, mai.token);
		const { userId } = a.of('auth_success')[0].payload;
		const on = await b.until((m) => m.type === 'operator_status' &&
			m.payload.userId === userId && m.payload.status === 'online');
		assert.equal(on.payload.admin_id, userId);
		assert.ok(on.payload.timestamp);
		const told = () => b.of('operator_status').filter((m) => m.payload.userId === userId)
			.map((m) => m.payload.status);
		const a2 = await live(p, mai.token);
		await a.close();
		await pause(GRACE_MS + 300);
		assert.deepEqual(told(), ['online'], 'one is left');
		const a3 = await live(p, mai.token);
		await a2.close();
		// Back within the grace, once that was quick enough.
		let again = a3, quick = false;
		while (!quick) {
			const n = told().length, t = performance.now();
			await again.close();
			again = await live(p, mai.token);
			quick = performance.now() - t < GRACE_MS;
			await pause(GRACE_MS + 300);
			if (quick)
				assert.equal(told().length, n);
		}
		await again.close();
		await until(() => told().at(-1) === 'offline');
		assert.equal(b.of('operator_status').filter((m) => m.payload.userId === me).length, 0);
		await b.close();
	});

	it('resumes a conversation at its join, from ring and log', async () => {
		for (const n of [5, 80]) { // the ring has 40
			const a = await live(p, mai.token);
			const { cursor } = a.of('auth_success')[0].payload;
			await a.close();
			for (let i = 0; i < n; i++)
				await som.send(conv, `gap ${n} ${i}`);
			const b = await live(p, mai.token, { auth: { cursor } });
			assert.equal(b.of('auth_success')[0].payload.cursor, undefined);
			b.say('join_conversation', { conversationId: conv });
			const want = [...Array(n).keys()].map((i) => `gap ${n} ${i}`);
			await until(() => b.of('message_received').length >= n, undefined, 'the missed');
			await som.send(conv, 'and live');
			await b.until((m) => m.payload.content === 'and live');
			assert.deepEqual(b.of('message_received').map((m) => m.payload.content),
				[...want, 'and live']);
			assert.ok(b.got.findIndex((m) => m.type === 'conversation_joined') <
				b.got.findIndex((m) => m.type === 'message_received'));
			await b.close();
		}
		const c = await live(p, lan.token, { auth: { cursor: '1' } });
		const reset = await c.until('reset');
		assert.ok('epoch' in reset.payload && 'latest' in reset.payload);
		await c.close();
	});

	it('acknowledges no id past what the sender has still to get', async () => {
		const start = (await mai.get('/api/events/poll')).json.cursor;
		const v = await p.visitor({ name: 'Behind' });
		const room = v.conversation_id;
		for (let i = 0; i < 1100; i += 20)
			await Promise.all([...Array(20).keys()].map((n) => stored(v, room, `late ${i + n}`)));
		for (let turn = 0; turn < 3; turn++) {
			const a = await new Live(p, som.token, { auth: { cursor: start } }).open;
			a.say('join_conversation', { conversationId: room });
			for (let i = 0; i < 5; i++)
				a.say('message_send', { conversationId: room, id: `past-${turn}-${i}`, text: 'x' });
			await until(() => a.of('message_sent').length === 5);
			await a.until((m) => m.payload.content === 'late 1099');
			await pause(100);
			for (const [at, m] of a.got.entries())
				if (m.type === 'message_sent' && m.id)
					assert.ok(!a.got.slice(at).some((x) => Number(x.id) < Number(m.id)),
						'an older event comes after it');
			assert.equal(a.of('message_received').filter((m) =>
				m.payload.clientId?.startsWith(`past-${turn}`)).length, 0, 'told once');
			await a.close();
		}
	});

	it('gives no id that skips what a join still owes', async () => {
		const start = (await mai.get('/api/events/poll')).json.cursor;
		const v = await p.visitor({ name: 'Owed' });
		const room = v.conversation_id;
		for (let i = 0; i < 1100; i += 20)
			await Promise.all([...Array(20).keys()].map((n) => stored(v, room, `owed ${i + n}`)));
		const a = await new Live(p, som.token, { auth: { cursor: start } }).open;
		a.say('join_conversation', { conversationId: conv, cursor: '' });
		a.say('join_conversation', { conversationId: room });
		const sending = (async () => {
			for (let i = 0; i < 20; i++)
				await mai.send(conv, `aside ${i}`);
		})();
		await a.until((m) => m.payload.content === 'owed 1099');
		const last = a.got.findIndex((m) => m.payload.content === 'owed 1099');
		// Whenever it had broken off: nothing newer than what it lacks.
		const ids = a.got.slice(0, last).filter((m) => m.id).map((m) => Number(m.id));
		assert.deepEqual(ids.filter((id) => id > Number(start)), []);
		const tick = await a.until((m) => m.type === 'tick');
		assert.ok(Number(tick.id) > Number(start));
		await sending;
		await a.until((m) => m.payload.content === 'aside 19');
		assert.equal(a.of('message_received').filter((m) =>
			m.payload.content.startsWith('owed')).length, 1100);
		await mai.send(conv, 'with an id');
		assert.match((await a.until((m) => m.payload.content === 'with an id')).id, /^\d+$/);
		await a.close();
	});

	it('gives no cursor past what a join owes to who says again who it is', async () => {
		const start = (await mai.get('/api/events/poll')).json.cursor;
		await lan.send(conv, 'owed to a join');
		const said = (o) => frame(JSON.stringify(o));
		for (const all of [{}, { events: 'all' }])
			for (const path of ['/ws/live-chat', '/chat/ws']) {
				const c = await socket(p, { path: `${path}?cursor=${start}`,
					more: `Authorization: Bearer ${mai.token}\r\n` });
				const hellos = () => texts(c).filter((m) => m.type === 'auth_success');
				const cursors = () => hellos().map((m) => (m.payload ?? m).cursor);
				await c.until(() => hellos().length === 1);
				// Together, so that the join is on its way.
				c.write(Buffer.concat([
					said({ type: 'join_conversation', conversationId: conv }),
					said({ type: 'auth', ...all })]));
				await c.until(() => hellos().length === 2 &&
					c.text.includes('owed to a join'));
				assert.deepEqual(cursors(), [undefined, undefined], path);
				c.write(said({ type: 'auth' }));
				await c.until(() => hellos().length === 3);
				assert.ok(Number(cursors()[2]) > Number(start), path);
				c.close();
			}
	});

	it('gives every event under its own name to who asks for all', async () => {
		const a = await live(p, mai.token, { auth: { events: 'all' } });
		const { cursor } = a.of('auth_success')[0].payload;
		const r = await som.send(conv, 'for all');
		const m = await a.until((x) => x.type === 'new_message');
		assert.equal(m.payload.id, r.json.id);
		assert.match(m.id, /^\d+$/);
		a.say('message_send', { conversationId: conv, content: 'mine', id: 'all-1' });
		await a.until('message_sent');
		await a.until((x) => x.type === 'new_message' && x.payload.client_id === 'all-1');
		assert.equal(a.of('message_sent').length, 1);
		await a.close();
		const b = await live(p, mai.token, { auth: { events: 'all', last_event_id: cursor } });
		await b.until((x) => x.type === 'new_message' && x.payload.client_id === 'all-1');
		assert.deepEqual(b.of('new_message').map((x) => x.payload.content), ['for all', 'mine']);
		await b.close();
	});

	it('does not lose a message while pushd and the API die', async () => {
		const b = await live(p, som.token, { auth: { events: 'all' } });
		const { cursor } = b.of('auth_success')[0].payload;
		const acked = new Set();
		let n = 0, stop = false;
		const writer = (async () => {
			while (!stop) {
				const a = await new Live(p, mai.token).open.catch(() => null);
				if (!a) {
					await pause(100);
					continue;
				}
				let dead = false;
				a.closed.then(() => { dead = true; });
				while (!stop && !dead) {
					const id = `kill-${n}`;
					a.say('message_send', { conversationId: conv, content: id, id });
					const ok = await Promise.race([a.closed.then(() => null),
						a.until((m) => (m.type === 'message_sent' ||
							m.type === 'error') && m.payload.clientId === id, 3000)
							.catch(() => null)]);
					if (ok?.type === 'message_sent') {
						acked.add(id);
						n++;
					}
				}
				a.ws.terminate();
			}
		})();
		// Each dies while it is being used.
		const more = async (k) => {
			const until_ = acked.size + k;
			await until(() => acked.size >= until_, 60_000, `${until_} acknowledged`);
		};
		for (let i = 0; i < 3; i++) {
			await more(5);
			p.kill('push-api-1');
			await more(3);
			p.kill(i % 2 ? 'push-api-2' : 'pushd');
		}
		await more(5);
		stop = true;
		await writer;
		// Who is told to try again does so.
		const c = await until(async () => {
			const x = await new Live(p, som.token, { auth: { events: 'all', cursor } })
				.open.catch(() => null);
			const ok = await Promise.race([x?.closed.then(() => null),
				x?.until('auth_success').catch(() => null)]);
			return ok && x;
		});
		await c.until((m) => m.type === 'new_message' &&
			m.payload.client_id === `kill-${n - 1}`);
		const got = c.of('new_message').map((m) => m.payload.client_id)
			.filter((x) => x?.startsWith('kill-'));
		assert.equal(new Set(got).size, got.length, 'none twice');
		for (const id of acked)
			assert.ok(got.includes(id), id);
		await c.close();
		b.ws.terminate();
	});

	it('cuts a session that ends, and says goodbye when pushd ends', async () => {
		const a = await p.agent('mai@example.com');
		const c = await live(p, '', { headers: { cookie: a.cookie, origin: p.url } });
		assert.ok((await a.post('/api/auth/logout', {})).status < 300);
		let end;
		c.closed.then((x) => { end = x; });
		// Before its identity is asked for again, after 60 s.
		assert.equal((await until(() => end, 40_000, 'the cut')).code, 1008);
		const b = await live(p, som.token);
		process.kill(p.pid('pushd'), 'SIGTERM');
		const bye = await b.closed;
		assert.equal(bye.code, 1012);
		assert.match(bye.reason, /retry=\d+/);
	});
});
