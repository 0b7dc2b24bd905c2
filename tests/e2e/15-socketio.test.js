// The chat over Socket.IO with stock clients: socket.io-client 4 and 2, each
// polling, by WebSocket, and changing over; straight, behind Apache and behind
// lighttpd.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { arrived, handshake, packets, poll, post, Socket, socket } from './lib/engineio.js';
import { pause, start, until } from './lib/harness.js';

const WAYS = [['polling'], ['websocket'], ['polling', 'websocket']];
const conf = { user_message_rate_max: 100000, user_message_burst_max: 100000,
	conversation_message_rate_max: 100000, credential_request_rate_max: 100000,
	credential_request_burst_max: 100000, address_connections_max: 5000,
	account_connections_max: 5000, presence_grace_ms: 100, presence_rate_max: 1000,
	typing_ms: 600 };

// A client and all that it was sent, as {type, data, offset}.
class Client {
	constructor(url, { version = 4, transports = ['websocket'], token, auth, ...o } = {}) {
		const shown = { ...(token && version === 4 ? { token } : {}), ...auth };
		this.version = version;
		this.token = token;
		this.got = [];
		this.states = [];
		this.socket = (version === 4 ? io : io2)(url, { transports, forceNew: true,
			reconnectionDelay: 20, reconnectionDelayMax: 50, randomizationFactor: 0,
			auth: shown, ...o });
		const s = this.socket;
		s.on('connect', () => this.states.push(s.recovered ? 'recovered' : 'connect'));
		s.on('disconnect', (why) => this.states.push(why));
		s.on('connect_error', (e) => this.states.push(`refused: ${e.message}`));
		for (const type of ['authenticated', 'error', 'reconnected', 'message_received',
			'message_sent', 'typing_indicator', 'presence_update', 'conversation_joined',
			'conversation_updated', 'read_receipt', 'message_status', 'reset', 'tick',
			'new_message'])
			s.on(type, (data, offset) => this.got.push({ type, data, offset }));
	}

	of(type) {
		return this.got.filter((e) => e.type === type);
	}

	texts() {
		return this.of('message_received').map((e) => e.data.content);
	}

	until(test, ms) {
		const fits = typeof test === 'string' ? (e) => e.type === test : test;
		return until(() => this.got.find(fits), ms,
			`${test} (${this.states}; ${this.got.map((e) => e.type)})`);
	}

	// Logged in; version 2 has no other way than the event.
	async ready() {
		if (this.version !== 4)
			this.socket.emit('authenticate', this.token);
		return this.until('authenticated');
	}

	ask(...a) {
		return new Promise((ok, no) => {
			const t = setTimeout(() => no(new Error(`no answer to ${a[0]} (${this.states})`)),
				30_000);
			this.socket.emit(...a, (x) => {
				clearTimeout(t);
				ok(x);
			});
		});
	}

	close() {
		this.socket.close();
	}
}

// Who answers pushd.
const apis = ['push-api-1', 'push-api-2'];
const servers = {};
let p;
before(async () => {
	p = servers.apache = await start({ web: 'apache', conf });
	servers.lighttpd = await start({ web: 'lighttpd', conf });
});
after(async () => {
	for (const s of Object.values(servers))
		await s.stop();
});

const direct = (s) => `http://${s.setting('push_listen')}`;
const open = [];
const client = (url, o) => {
	const c = new Client(url, o);
	open.push(c);
	return c;
};
const done = () => open.splice(0).forEach((c) => c.close());

for (const [name, where] of [['straight', () => direct(servers.apache)],
	['apache', () => servers.apache.url], ['lighttpd', () => servers.lighttpd.url]])
	describe(name, { timeout: 300_000 }, () => {
		after(done);

		for (const version of [4, 2])
			for (const transports of WAYS)
				it(`client ${version}, ${transports}`, async () => {
					const s = name === 'lighttpd' ? servers.lighttpd : servers.apache;
					const lan = await s.customer('Lan');
					const mai = await s.bearer();
					const conv = lan.conversation_id;
					const a = client(where(), { version, transports, token: mai.token });
					const c = client(where(), { version, transports, token: lan.token });
					const hello = await a.ready();
					assert.equal(hello.data.success, true);
					assert.equal(hello.data.role, 'agent');
					assert.equal(hello.offset, hello.data.cursor);
					await c.ready();
					const { cursor, ...joined } = await a.ask('join_conversation', conv);
					assert.deepEqual(joined,
						{ success: true, conversationId: conv, line_user_id: conv });
					assert.ok(Number(cursor) >= Number(hello.data.cursor));
					c.socket.emit('typing_start', conv);
					const typing = await a.until('typing_indicator');
					assert.equal(typing.data.isTyping, true);
					assert.equal(typing.data.conversationId, conv);
					assert.equal(typing.data.userName, 'Lan');
					const sent = await c.ask('send_message',
						{ id: 'm1', conversationId: conv, content: 'xin chào 😀' });
					assert.equal(sent.success, true);
					assert.equal(sent.messageId, sent.id);
					assert.equal(sent.clientId, 'm1');
					assert.ok(Date.parse(sent.timestamp) > 0);
					const got = await a.until('message_received');
					assert.equal(got.data.id, sent.id);
					assert.equal(got.data.content, 'xin chào 😀');
					assert.equal(got.data.sender, 'customer');
					assert.match(got.offset, /^\d+$/);
					// Without a conversation: the only one; and by two arguments.
					assert.equal((await a.ask('send_message', { content: 'dạ' })).success, true);
					assert.equal((await a.ask('send_message', conv, 'thứ hai')).success, true);
					await until(() => c.texts().length === 2);
					assert.deepEqual(c.texts(), ['dạ', 'thứ hai']);
					assert.deepEqual(a.texts(), ['xin chào 😀'], 'not its own');
					if (transports.length === 2)
						await until(() => a.socket.io.engine.transport.name === 'websocket',
							undefined, 'the upgrade');
					assert.equal(a.socket.io.engine.transport.name, transports.at(-1));
					a.close();
					c.close();
				});
	});

describe('who it is', { timeout: 300_000 }, () => {
	after(done);
	let lan, mai;
	before(async () => {
		lan = await p.customer('Lan');
		mai = await p.bearer();
	});

	it('is said by CONNECT, or refused', async () => {
		const c = client(p.url, { token: 'nonsense' });
		await until(() => c.states.includes('refused: Authentication failed'));
		assert.equal(c.socket.connected, false);
		const d = client(p.url, { auth: { sessionId: lan.token } });
		assert.equal((await d.ready()).data.userId, lan.customer_id);
	});

	it('is said by an event, or nothing works', async () => {
		const c = client(p.url);
		for (const a of [['join_conversation', lan.conversation_id],
			['send_message', lan.conversation_id, 'x'], ['typing_start', '1'],
			['leave_conversation', '1'], ['read_receipt', '1', '2']]) {
			const r = await c.ask(...a);
			assert.equal(r.success, false);
			assert.equal(r.code, 'unauthenticated');
		}
		assert.equal((await c.ask('authenticate', { token: lan.token })).success, true);
		await c.until('authenticated');
		assert.equal((await c.ask('authenticate', lan.token)).success, true, 'again');
		assert.equal((await c.ask('authenticate', mai.token)).code, 'already_authenticated');
		for (const version of [4, 2]) {
			const d = client(p.url, { version, reconnection: false });
			await until(() => d.socket.connected);
			d.socket.emit('authenticate', 'nonsense');
			const e = await d.until('error');
			assert.equal(e.data.message, 'Authentication failed');
			await until(() => d.states.includes('io server disconnect'));
		}
	});

	it('is said by the request: a header, or a cookie', async () => {
		const c = client(p.url, { extraHeaders: { authorization: `Bearer ${lan.token}` },
			transports: ['polling', 'websocket'] });
		assert.equal((await c.until('authenticated')).data.userId, lan.customer_id);
		await until(() => c.socket.io.engine.transport.name === 'websocket');
		const agent = await p.agent();
		const d = client(p.url, { extraHeaders: { cookie: agent.cookie } });
		assert.equal((await d.until('authenticated')).data.role, 'agent');
		const e = client(p.url, { extraHeaders: { authorization: 'Bearer nonsense' } });
		await until(() => e.states.includes('refused: Authentication failed'));
		// A page of somebody else's may not use the cookie.
		const r = await poll(p, { path: '/socket.io/',
			headers: { cookie: agent.cookie, origin: 'https://evil.example' } });
		assert.equal(r.status, 403);
		assert.equal(JSON.parse(r.text).code, 4);
	});

	it('is found out while the transport changes', async () => {
		const d = { url: direct(p) }, o = { path: '/socket.io/' };
		const kim = await p.customer('Kim');
		const { sid } = await handshake(d, o);
		let s, said;
		apis.forEach((n) => assert.ok(p.kill(n, 'SIGSTOP')));
		try {
			said = post(d, sid, `40${JSON.stringify({ token: kim.token })}`, o);
			await arrived(d);
			s = await new Socket(d, { ...o, sid }).opened;
			assert.equal(await s.send('2probe').next(), '3probe');
			s.send('5').send(`421["join_conversation","${kim.conversation_id}"]`);
			await arrived(d);
			assert.deepEqual(s.got, []);
		} finally {
			apis.forEach((n) => p.kill(n, 'SIGCONT'));
		}
		assert.equal((await said).text, 'ok');
		assert.match(await s.data(), /^40\{/);
		await until(() => s.got.some((m) => m.startsWith('431[{"success":true')));
		s.close();
	});

	it('owns its session id', async () => {
		const headers = { authorization: `Bearer ${lan.token}` };
		const o = { path: '/socket.io/' };
		const { sid } = await handshake(p, { ...o, headers });
		const other = { authorization: `Bearer ${mai.token}` };
		for (const h of [other, {}]) {
			const r = await poll(p, { ...o, sid, headers: h });
			assert.deepEqual([r.status, JSON.parse(r.text).code], [400, 1]);
		}
		await assert.rejects(new Socket(p, { ...o, sid, headers: other }).opened);
		assert.equal((await post(p, sid, '40', { ...o, headers })).text, 'ok');
		// A browser's WebSocket has no such header.
		const s = await new Socket(p, { ...o, sid }).opened;
		assert.equal(await s.send('2probe').next(), '3probe');
		s.close();
	});

	it('has to be said in time', async (t) => {
		const q = await start({ conf: { ...conf, login_wait_s: 1, socket_connect_s: 1 } });
		t.after(() => q.stop());
		// Who takes more than a second to say CONNECT is not even that far.
		await until(async () => {
			const c = client(q.url, { reconnection: false });
			await until(() => c.states.some((s) => s !== 'connect'));
			return c.states.includes('io server disconnect');
		});
		const s = await new Socket(q, { path: '/socket.io/' }).opened;
		await s.next();
		assert.equal(await s.next(), undefined, 'no CONNECT');
	});
});

describe('a conversation', { timeout: 300_000 }, () => {
	after(done);
	let lan, mai, conv;
	before(async () => {
		lan = await p.customer('Lan');
		mai = await p.bearer();
		conv = lan.conversation_id;
	});

	it('is joined and left', async () => {
		const a = client(p.url, { token: mai.token });
		const c = client(p.url, { token: lan.token });
		const c2 = client(p.url, { token: lan.token }); // hears what pushd knows
		await Promise.all([a.ready(), c.ready(), c2.ready()]);
		await c.ask('send_message', conv, 'unheard');
		await until(() => c2.texts().length === 1);
		assert.equal((await a.ask('join_conversation', { conversationId: conv })).success, true);
		await c.ask('send_message', conv, 'heard');
		await until(() => a.texts().length === 1);
		assert.equal((await a.ask('leave_conversation', conv)).success, true);
		await c.ask('send_message', conv, 'unheard again');
		await until(() => c2.texts().length === 3);
		a.socket.emit('join_conversation', conv);
		await a.until('conversation_joined');
		await c.ask('send_message', conv, 'heard again');
		await until(() => a.texts().length === 2);
		assert.deepEqual(a.texts(), ['heard', 'heard again']);
		for (const id of ['999999', 'no such', '', null, 1.5]) {
			const r = await a.ask('join_conversation', id);
			assert.equal(r.success, false, id);
			assert.ok(r.error);
		}
		const other = await p.customer('Minh');
		assert.equal((await c.ask('join_conversation', other.conversation_id)).success, false);
		assert.equal((await c.ask('send_message', other.conversation_id, 'x')).success, false);
		for (const bad of [{ conversationId: conv }, { conversationId: conv, content: 7 },
			{ conversationId: conv, content: '' }])
			assert.equal((await a.ask('send_message', bad)).success, false);
		assert.equal((await a.ask('send_message', conv)).success, false);
		assert.equal((await a.ask('send_message',
			{ conversationId: conv, content: Buffer.from('bytes') })).success, false);
		// The same message twice is one.
		const m = { id: 'twice', conversationId: conv, content: 'once' };
		assert.equal((await a.ask('send_message', m)).id, (await a.ask('send_message', m)).id);
		// Without an acknowledgement it is told by an event.
		a.socket.emit('send_message', { id: 'by-event', conversationId: conv, content: 'e' });
		assert.equal((await a.until('message_sent')).data.clientId, 'by-event');
		a.socket.emit('join_conversation', '999999');
		assert.equal((await a.until('error')).data.code, 'not_found');
		assert.equal(a.socket.connected, true);
	});

	it('shows typing, which ends once', async () => {
		const a = client(p.url, { token: mai.token });
		const c = client(p.url, { token: lan.token });
		await Promise.all([a.ready(), c.ready()]);
		await a.ask('join_conversation', conv);
		const typing = () => a.of('typing_indicator').map((e) => e.data.isTyping);
		c.socket.emit('typing_stop', conv);
		c.socket.emit('typing_start', conv);
		await until(() => typing().length >= 2);
		assert.deepEqual(typing(), [true, false], 'by itself');
		assert.equal(a.of('typing_indicator')[0].offset, undefined);
		await pause(700);
		c.socket.emit('typing_start', { conversationId: conv });
		await until(() => typing().length >= 3);
		c.socket.emit('typing_stop', { conversationId: conv });
		await until(() => typing().length >= 4);
		await pause(1500);
		c.socket.emit('typing_start', conv);
		await until(() => typing().length >= 5);
		const ended = Array(3).fill([true, false]).flat();
		c.close();
		await until(() => typing().length >= 6);
		assert.deepEqual(typing(), ended);
		// It ends by what is said, and by leaving.
		const d = client(p.url, { token: lan.token });
		await d.ready();
		for (const end of ['send_message', 'leave_conversation']) {
			await pause(1100);
			d.socket.emit('typing_start', conv);
			await until(() => typing().length > ended.length);
			assert.equal((await d.ask(end, conv, 'said')).success, true);
			ended.push(true, false);
			await until(() => typing().length >= ended.length);
		}
		await pause(700);
		assert.deepEqual(typing(), ended);
	});

	it('shows presence and receipts', async () => {
		const a = client(p.url, { token: mai.token });
		await a.ready();
		const admin = await p.agent('admin');
		const b = client(p.url, { extraHeaders: { cookie: admin.cookie } });
		const { userId } = (await b.until('authenticated')).data;
		const is = (status) => a.until((e) => e.type === 'presence_update' &&
			e.data.userId === userId && e.data.status === status);
		const on = await is('online');
		assert.ok(Date.parse(on.data.timestamp) > 0);
		assert.match(on.offset, /^\d+$/);
		assert.equal((await b.ask('presence_update', { status: 'away' })).success, true);
		await is('away');
		assert.equal((await b.ask('presence_update', 'busy')).success, true);
		await is('busy');
		for (const bad of ['nonsense', {}, 7])
			assert.equal((await b.ask('presence_update', bad)).success, false);
		b.close();
		const off = await is('offline');
		assert.ok(Date.parse(off.data.last_seen) > 0);
		const c = client(p.url, { token: lan.token });
		await c.ready();
		const { id } = await c.ask('send_message', conv, 'read me');
		assert.equal((await a.ask('join_conversation', conv)).success, true);
		assert.equal((await a.ask('read_receipt', { conversationId: conv, messageId: id }))
			.success, true);
		const r = await c.until('read_receipt');
		assert.equal(r.data.messageId, id);
		assert.equal(r.data.conversationId, conv);
	});

	it('gives all events under their own names to who asks', async () => {
		const a = client(p.url, { auth: { token: mai.token, events: 'all' } });
		await a.ready();
		await lan.send(conv, 'as it is');
		const e = await a.until('new_message');
		assert.equal(e.data.content, 'as it is');
		assert.equal(e.data.conversation_id, conv);
		assert.match(e.offset, /^\d+$/);
	});

	it('bears no flood of pings, of either kind', async () => {
		for (const [version, ping] of [[4, (s) => s.ws.ping()], [3, (s) => s.send('2')]]) {
			const s = await new Socket(p, { path: '/socket.io/', version }).opened;
			for (let i = 0; i < 30; i++)
				ping(s);
			assert.ok([1002, 1008].includes(await s.closed));
		}
	});

	it('bears no flood of what means nothing here', async () => {
		const hello = `40${JSON.stringify({ token: mai.token })}`;
		for (const m of ['40/elsewhere,', '431[]', '461-1[{"_placeholder":true,"num":0}]']) {
			const s = await socket(p, { path: '/socket.io/' });
			s.send(hello);
			await until(() => s.got.some((x) => x.includes('"authenticated"')));
			// Some of it does no harm.
			for (let i = 0; i < 3; i++)
				m.startsWith('46') ? s.send(m).send(Buffer.from([i])) : s.send(m);
			s.send('429["leave_conversation"]');
			await until(() => s.got.some((x) => x.startsWith('439')));
			for (let i = 0; i < 200; i++)
				m.startsWith('46') ? s.send(m).send(Buffer.from([i])) : s.send(m);
			assert.equal(await s.closed, 1008);
		}
	});

	it('bears no guessing of who one is', async () => {
		const o = { path: '/socket.io/' };
		const s = await socket(p, o);
		for (let i = 0; i < 6; i++)
			s.send('40{"token":"nonsense"}');
		assert.equal(await s.closed, 1008);
		assert.equal(s.got.filter((m) => m.startsWith('44')).length, 5);
		// Nor nobody, who comes and goes.
		const t = await socket(p, o);
		for (let i = 0; i < 6; i++)
			t.send('40').send('41');
		assert.equal(await t.closed, 1008);
		assert.equal(t.got.filter((m) => m.startsWith('40')).length, 5);
	});

	it('counts what is asked, also of who leaves and comes back', async () => {
		const s = await socket(p, { path: '/socket.io/' });
		for (let i = 0; i < 20; i++) {
			s.send(`40${JSON.stringify({ token: mai.token })}`);
			for (let n = 0; n < 90; n++)
				s.send('421["leave_conversation"]');
			s.send('41');
		}
		s.send('40{"token":"nonsense"}');
		await until(() => s.got.some((m) => m.startsWith('44')) || s.code !== undefined);
		assert.ok(s.got.some((m) => m.includes('rate_limited')));
		s.close();
	});

	it('answers each join that a leave overtakes', async () => {
		const s = await new Socket({ url: direct(p) }, { path: '/socket.io/' }).opened;
		s.send(`40${JSON.stringify({ token: mai.token })}`);
		await until(() => s.got.some((m) => m.includes('"authenticated"')));
		// All in one packet, so that no answer comes between.
		s.ws._socket.cork();
		s.send(`421["join_conversation","${conv}"]`);
		s.send(`422["join_conversation","${conv}"]`);
		s.send(`423["leave_conversation","${conv}"]`);
		s.ws._socket.uncork();
		const acks = () => s.got.filter((m) => m.startsWith('43')).map((m) =>
			[m[2], JSON.parse(m.slice(3))[0].success]).sort();
		await until(() => acks().length === 3, undefined, 'three answers');
		assert.deepEqual(acks(), [['1', false], ['2', false], ['3', true]]);
		s.close();
	});

	it('bears no flood of events', { timeout: 300_000 }, async () => {
		const s = await socket(p, { path: '/socket.io/' });
		s.send(`40${JSON.stringify({ token: mai.token })}`);
		await until(() => s.got.some((m) => m.includes('"authenticated"')));
		for (let i = 0; i < 5000; i++)
			s.send('42["join_conversation"]');
		assert.equal(await s.closed, 1008);
	});

	it('is bounded', async () => {
		const a = client(p.url, { token: mai.token, reconnection: false });
		await a.ready();
		a.socket.emit('send_message', { conversationId: conv, content: 'x'.repeat(300000) });
		await until(() => a.states.some((s) => /^transport (close|error)$/.test(s)));
	});
});

describe('coming back', { timeout: 300_000 }, () => {
	after(done);
	let lan, mai, conv;
	before(async () => {
		lan = await p.customer('Lan');
		mai = await p.bearer();
		conv = lan.conversation_id;
	});
	const cut = (c) => c.socket.io.engine.transport.ws?.terminate?.() ??
		c.socket.io.engine.transport.onError('cut');

	for (const transports of WAYS)
		it(`finds all as it was: ${transports}`, async () => {
			const a = client(p.url, { token: mai.token, transports });
			const c = client(p.url, { token: lan.token, transports });
			await Promise.all([a.ready(), c.ready()]);
			await a.ask('join_conversation', conv);
			await lan.send(conv, 'one');
			await until(() => a.texts().length === 1 && c.of('authenticated').length === 1);
			const ids = [a.socket.id, c.socket.id];
			const states = a.states.length, before = a.of('reconnected').length;
			if (transports.length === 2)
				await until(() => a.socket.io.engine.transport.name === 'websocket');
			for (const x of [a, c]) {
				x.socket.io.reconnectionDelay(300);
				x.socket.io.reconnectionDelayMax(300);
				cut(x);
			}
			await until(() => a.states.length > states);
			await mai.send(conv, 'two');
			await lan.send(conv, 'three');
			await until(() => a.states.at(-1) === 'recovered', undefined, () => a.states);
			await until(() => a.texts().length === 3);
			await lan.send(conv, 'four');
			await until(() => a.texts().length === 4);
			assert.deepEqual(a.texts(), ['one', 'two', 'three', 'four']);
			// With their cursors, also what it missed.
			const offsets = a.of('message_received').map((e) => Number(e.offset));
			assert.ok(offsets.every((x, i) => x > (offsets[i - 1] ?? 0)), String(offsets));
			await until(() => c.states.at(-1) === 'recovered');
			await until(() => c.texts().length === 4);
			assert.deepEqual(c.texts(), ['one', 'two', 'three', 'four']);
			assert.deepEqual([a.socket.id, c.socket.id], ids);
			assert.equal(a.of('reconnected').length, before + 1);
			assert.equal(a.of('reconnected')[0].data.success, true);
			// Once more, with nothing missed.
			cut(a);
			await until(() => a.states.filter((s) => s === 'recovered').length === 2);
			await lan.send(conv, 'five');
			await until(() => a.texts().length === 5);
			a.close();
			c.close();
		});

	it('finds all when the end was not seen', async () => {
		const a = client(p.url, { token: mai.token });
		await a.ready();
		await a.ask('join_conversation', conv);
		await lan.send(conv, 'seen');
		const { offset } = await a.until('message_received');
		// By hand: the old connection stays as it is.
		const s = await new Socket(p, { path: '/socket.io/' }).opened;
		await s.next();
		s.send(`40${JSON.stringify({ token: mai.token, pid: a.socket._pid, offset })}`);
		const answer = JSON.parse((await s.next()).slice(2));
		assert.equal(answer.pid, a.socket._pid);
		await lan.send(conv, 'next');
		for (;;) {
			const m = await s.next();
			if (m.includes('message_received'))
				break;
		}
		await until(() => a.states.includes('transport close'));
		s.close();
	});

	it('finds all though it was cut while it came back', async () => {
		const d = { url: direct(p) };
		const a = client(p.url, { token: mai.token });
		await a.ready();
		assert.equal((await a.ask('join_conversation', conv)).success, true);
		await lan.send(conv, 'the last');
		const { offset } = await a.until('message_received');
		const pid = a.socket._pid;
		const back = async (o) => {
			const s = await socket(d, { path: '/socket.io/' });
			s.send(`40${JSON.stringify({ token: mai.token, pid, offset, ...o })}`);
			await arrived(d);
			return s;
		};
		cut(a);
		a.close();
		apis.forEach((n) => assert.ok(p.kill(n, 'SIGSTOP')));
		try {
			// The first one's end is not seen, the second one's is.
			const first = await back();
			const second = await back();
			assert.equal(await first.closed, 1001);
			second.close();
			await second.closed;
			assert.deepEqual([...first.got, ...second.got], []);
		} finally {
			apis.forEach((n) => p.kill(n, 'SIGCONT'));
		}
		const third = await back();
		assert.equal(JSON.parse((await third.data()).slice(2)).pid, pid);
		await lan.send(conv, 'the next');
		await until(() => third.got.some((x) => x.includes('the next')));
		third.close();
		// What cannot be made up for is no recovery.
		const last = await back({ offset: '1' });
		assert.notEqual(JSON.parse((await last.data()).slice(2)).pid, pid);
		await until(() => last.got.some((x) => x.startsWith('42["reset"')));
		last.close();
	});

	it('goes on where it was cut while it was given what it missed', async () => {
		const d = { url: direct(p) }, o = { path: '/socket.io/' };
		const other = await p.customer('Minh');
		const a = client(p.url, { token: mai.token });
		await a.ready();
		for (const id of [conv, other.conversation_id])
			assert.equal((await a.ask('join_conversation', id)).success, true);
		await lan.send(conv, 'before');
		let { offset } = await a.until('message_received');
		const pid = a.socket._pid;
		cut(a);
		a.close();
		const want = [], got = [];
		for (let i = 0; i < 80; i++) {
			want.push(`missed ${i} ${'x'.repeat(9000)}`);
			const [who, where] = i % 2 ? [lan, conv] : [other, other.conversation_id];
			assert.equal((await who.send(where, want[i])).status, 201);
		}
		// By hand: it polls a little, is cut, and comes back with what it has.
		let rounds = 0;
		for (; got.length < want.length; rounds++) {
			const { sid } = await handshake(d, o);
			await post(d, sid, `40${JSON.stringify({ token: mai.token, pid, offset })}`, o);
			const list = [];
			while (!list.some((m) => m.includes('"missed ')))
				list.push(...packets(4, (await poll(d, { ...o, sid })).bytes));
			assert.equal(JSON.parse(list[0].slice(2)).pid, pid, `round ${rounds}`);
			for (const m of list.filter((x) => x.startsWith('42'))) {
				const [type, data, at] = JSON.parse(m.slice(2));
				if (type === 'message_received')
					got.push(data.content);
				offset = at ?? offset;
			}
		}
		assert.deepEqual(got, want);
		assert.ok(rounds > 1);
	});

	it('is answered though nobody answers, and once', async () => {
		const a = client(p.url, { token: mai.token });
		await a.ready();
		const m = { id: 'slow', conversationId: conv, content: 'slow' };
		// One that was in many conversations.
		const b = client(p.url, { token: mai.token });
		await b.ready();
		for (let i = 0; i < 30; i++) {
			const { conversation_id: id } = await p.customer(`C${i}`);
			assert.equal((await b.ask('join_conversation', id)).success, true);
		}
		const { offset } = await b.until((e) => e.offset);
		const pid = b.socket._pid;
		cut(b);
		b.close();
		const timeouts = async () => Number(/^parley_push_backend_timeouts_total (\d+)/m
			.exec(await (await fetch(`${direct(p)}/metrics`)).text())[1]);
		const before = await timeouts();
		let behind;
		apis.forEach((n) => assert.ok(p.kill(n, 'SIGSTOP')));
		try {
			const back = await socket({ url: direct(p) }, { path: '/socket.io/' });
			back.send(`40${JSON.stringify({ token: mai.token, pid, offset })}`);
			const slow = a.ask('send_message', m);
			behind = Array.from({ length: 15 }, (_, i) =>
				a.ask('send_message', conv, `behind ${i}`));
			assert.equal((await a.ask('send_message', conv, 'too many')).code, 'rate_limited');
			const r = await slow;
			assert.deepEqual([r.success, r.code, r.clientId], [false, 'busy', 'slow']);
			assert.ok(r.retry_after > 0);
			// It does not ask for each of them in vain.
			assert.notEqual(JSON.parse((await back.data()).slice(2)).pid, pid);
			assert.ok(await timeouts() - before < 25);
			back.close();
		} finally {
			apis.forEach((n) => p.kill(n, 'SIGCONT'));
		}
		for (const r of await Promise.all(behind))
			assert.equal(r.success, true, JSON.stringify(r));
		assert.equal((await a.ask('send_message', m)).success, true);
		const { json } = await lan.get(`/api/conversations/${conv}/messages`);
		assert.equal(json.items.filter((x) => x.content === 'slow').length, 1);
		assert.equal(json.items.filter((x) => x.content === 'too many').length, 0);
	});

	for (const way of ['polling', 'websocket'])
		it(`has said what it said before it left: ${way}`, async () => {
			const d = { url: direct(p) }, o = { path: '/socket.io/' };
			const texts = [...Array(4).keys()].map((i) => `bye ${way} ${i}`);
			const said = [...texts.map((content, i) => `42${i}` +
				JSON.stringify(['send_message', { conversationId: conv, content }])), '41'];
			const hello = `40${JSON.stringify({ token: lan.token })}`;
			let s, sid;
			if (way === 'websocket') {
				s = await socket(d, o);
				s.send(hello);
				await until(() => s.got.some((m) => m.includes('"authenticated"')));
			} else {
				({ sid } = await handshake(d, o));
				await post(d, sid, hello, o);
				while (!(await poll(d, { ...o, sid })).text.includes('"authenticated"'))
					;
			}
			apis.forEach((n) => assert.ok(p.kill(n, 'SIGSTOP')));
			try {
				if (way === 'websocket') {
					said.forEach((m) => s.send(m));
					s.ws.close(3001);
					await arrived(d);
				} else {
					assert.equal((await post(d, sid, [...said, '1'].join('\x1e'), o)).text,
						'ok');
					const r = await poll(d, { ...o, sid });
					assert.equal(JSON.parse(r.text).code, 1);
				}
			} finally {
				apis.forEach((n) => p.kill(n, 'SIGCONT'));
			}
			if (way === 'websocket')
				assert.equal(await s.closed, 3001);
			await until(async () => {
				const { json } = await lan.get(`/api/conversations/${conv}/messages`);
				return json.items.sort((a, b) => a.id - b.id).map((x) => x.content)
					.filter((x) => x.startsWith(`bye ${way}`)).join() === texts.join();
			});
		});

	it('goes on from its own cursor, whatever it began with', async () => {
		const begin = client(p.url, { token: lan.token });
		const { cursor } = (await begin.ready()).data;
		begin.close();
		await mai.send(conv, 'once');
		const a = client(p.url, { auth: { token: lan.token, cursor } });
		await until(() => a.texts().length === 1);
		cut(a);
		await until(() => a.states.at(-1) === 'recovered');
		await mai.send(conv, 'and once');
		await until(() => a.texts().includes('and once'));
		assert.deepEqual(a.texts(), ['once', 'and once']);
		a.close();
	});

	it('is told to clients of version 2 also', async () => {
		const a = client(p.url, { version: 2, token: lan.token });
		await a.ready();
		assert.equal(a.of('reconnected').length, 0);
		cut(a);
		await until(() => a.states.filter((s) => s === 'connect').length === 2);
		a.socket.emit('authenticate', lan.token);
		await a.until('reconnected');
		const types = a.got.map((e) => e.type);
		assert.ok(types.lastIndexOf('authenticated') < types.indexOf('reconnected'));
	});

	it('is new to somebody else, and to who said goodbye', async () => {
		const a = client(p.url, { token: mai.token });
		await a.ready();
		const { offset } = a.of('authenticated')[0];
		const pid = a.socket._pid;
		cut(a);
		a.close();
		const b = client(p.url, { auth: { token: lan.token, pid, offset } });
		await b.ready();
		assert.notEqual(b.socket._pid, pid);
		const c = client(p.url, { token: mai.token });
		await c.ready();
		const d = { pid: c.socket._pid, offset: c.of('authenticated')[0].offset };
		c.socket.disconnect();
		const e = client(p.url, { auth: { token: mai.token, ...d } });
		await e.ready();
		assert.notEqual(e.socket._pid, d.pid);
		// What was missed comes all the same.
		await lan.send(conv, 'missed');
		const f = client(p.url, { auth: { token: lan.token,
			offset: e.of('authenticated')[0].data.cursor ?? d.offset } });
		await f.ready();
		assert.equal(f.of('reset').length, 0);
	});

	it('is new while a conversation owes it what is older than its cursor', async () => {
		const d = { url: direct(p) }, o = { path: '/socket.io/' };
		const { cursor } = (await mai.get('/api/conversations?limit=1')).json;
		for (let i = 0; i < 10; i++)
			await Promise.all(Array.from({ length: 10 }, () =>
				lan.send(conv, 'x'.repeat(9000))));
		// By hand: it polls no more than it has to, and much waits for it.
		const connect = async (auth) => {
			const { sid } = await handshake(d, o);
			const c = { sid, got: [] };
			c.until = async (test) => {
				while (!c.got.some(test))
					c.got.push(...packets(4, (await poll(d, { ...o, sid })).bytes));
				return c.got.find(test);
			};
			c.say = async (m) => assert.equal((await post(d, sid, m, o)).text, 'ok');
			await c.say(`40${JSON.stringify({ token: mai.token, ...auth })}`);
			c.pid = JSON.parse((await c.until((m) => /^40/.test(m))).slice(2)).pid;
			return c;
		};
		const a = await connect({ offset: cursor });
		const other = await p.customer('Minh');
		const heard = await a.until((m) => m.includes(other.conversation_id) &&
			/"\d+"\]$/.test(m));
		const offset = /"(\d+)"\]$/.exec(heard)[1];
		await a.say(`421["join_conversation","${conv}"]`);
		assert.match(await a.until((m) => /^431/.test(m)), /"success":true/);
		await a.say('1');
		const b = await connect({ pid: a.pid, offset });
		assert.notEqual(b.pid, a.pid);
		await b.say('1');
	});

	it('is told of a cursor that is of no use', async () => {
		for (const offset of ['1', 'abc', '99999999999999999']) {
			const a = client(p.url, { auth: { token: mai.token, offset } });
			const r = await a.until('reset');
			assert.match(r.data.latest, /^\d+$/);
			assert.ok(r.data.epoch);
			assert.equal(r.offset, r.data.latest);
			a.close();
		}
	});

	it('loses nothing while pushd is killed', async () => {
		const a = client(p.url, { token: mai.token, transports: ['polling', 'websocket'] });
		const c = client(p.url, { token: lan.token, transports: ['polling'] });
		await Promise.all([a.ready(), c.ready()]);
		await a.ask('join_conversation', conv);
		a.socket.on('connect', () => !a.socket.recovered &&
			a.socket.emit('join_conversation', conv));
		for (let i = 0; i < 20; i++) {
			await (i % 2 ? lan : mai).send(conv, `k${i}`);
			if (i === 5 || i === 12) {
				// It may be back before one looks.
				const n = a.states.length;
				p.kill('pushd');
				await until(() => a.states.length > n);
			}
		}
		const texts = (x) => x.texts().filter((t) => /^k\d/.test(t));
		await until(() => texts(c).length >= 10 && texts(a).length >= 20, undefined,
			() => `all: ${texts(a)} ${texts(c)}`);
		assert.deepEqual(texts(a), [...Array(20).keys()].map((i) => `k${i}`));
	});

	it('is not needed when another pushd takes over', async (t) => {
		const q = await start({ env: { PARLEY_LIMITS: 'off' }, conf });
		t.after(() => q.stop());
		const [who, writer] = [await q.bearer(), await q.customer('Minh')];
		const at = writer.conversation_id;
		const a = client(direct(q), { token: who.token });
		const b = client(direct(q), { version: 2, token: writer.token,
			transports: ['polling', 'websocket'] });
		const c = client(direct(q), { token: who.token, transports: ['polling'] });
		await Promise.all([a, b, c].map((x) => x.ready()));
		await until(() => b.socket.io.engine.transport.name === 'websocket');
		for (const x of [a, c])
			await x.ask('join_conversation', at);
		for (const x of [a, c])
			x.socket.on('connect', () => x.socket.recovered ||
				x.socket.emit('join_conversation', at));
		let sent = 0;
		for (let round = 0; round < 3; round++) {
			const was = q.pid('pushd');
			process.kill(q.child.pid, 'SIGHUP');
			while (q.pid('pushd') === was || sent % 20 !== 0) {
				const r = await b.ask('send_message', at, `t${sent}`);
				assert.equal(r.success, true, JSON.stringify(r));
				sent++;
			}
		}
		await until(() => [a, c].every((x) => x.texts().length >= sent), undefined,
			`all ${sent}: ${[a, b, c].map((x) => x.states).join(' | ')}`);
		assert.deepEqual(a.texts(), [...Array(sent).keys()].map((i) => `t${i}`));
		assert.deepEqual(c.texts(), a.texts());
		assert.deepEqual(a.states, ['connect']);
		assert.deepEqual(b.states, ['connect']);
		// It can also still be cut, and find all as it was.
		cut(a);
		await until(() => a.states.at(-1) === 'recovered');
	});

	it('is asked for when pushd ends', async (t) => {
		const q = await start({ env: { PARLEY_DRAIN_S: '0' }, conf });
		t.after(() => q.stop());
		const who = await q.bearer();
		for (const transports of [['polling'], ['websocket']]) {
			const a = client(q.url, { token: who.token, transports });
			await a.ready();
			q.kill('pushd', 'SIGTERM');
			await until(() => a.states.includes('transport close') ||
				a.states.includes('transport error'), undefined, () => a.states);
			await until(() => a.socket.connected, undefined, 'back');
			a.close();
		}
	});
});
