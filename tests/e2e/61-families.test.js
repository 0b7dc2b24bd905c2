// Clients of every family in one conversation: socket.io-client 4 and 2, `ws`,
// EventSource, a WebSocket by hand, and a long-poller.  What one says, types
// and is, reaches each of the others in its own shape, also one that was killed
// and comes back with its cursor.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import EventSource from 'eventsource';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import WebSocket from 'ws';
import { start, until } from './lib/harness.js';
import { frame, frames, socket } from './lib/raw.js';

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const has = (o, keys) => assert.deepEqual(keys.filter((k) => o[k] === undefined), [],
	JSON.stringify(o));

/*
 * A member of the conversation.  ${got} is what it heard in words that are the
 * same for all: {what: message|typing|presence|read, by, content|on|status|id}.
 * connect, kill, say, typing, away and read are a family's own.
 */
class Member {
	constructor(p, base, who, conv) {
		Object.assign(this, { p, base, who, conv });
		this.got = [];
		this.wrong = [];
		this.id = who.id;
		this.cursor = undefined;
		this.joins = [Live, Flat, SocketIo].some((F) => this instanceof F);
	}

	// A shape that is not the family's is kept, since handlers swallow errors.
	take(what, by, more, id, check) {
		try {
			check();
			// What sockets missed has none, but the `tick` after it has.
			if (what !== 'typing' && (id !== undefined || !this.joins)) {
				assert.match(id ?? '', /^\d+$/, 'its cursor');
				assert.ok(!this.cursor || BigInt(id) > BigInt(this.cursor), 'in order');
				this.cursor = id;
			}
		} catch (e) {
			this.wrong.push(e);
		}
		this.got.push({ what, by, ...more });
	}

	// As streams and polls have it.
	thing(type, d, id) {
		if (type === 'new_message')
			this.take('message', d.sender.id, { content: d.content, id: d.id }, id, () => {
				has(d, ['id', 'kind', 'created_at', 'customer_id']);
				assert.equal(d.conversation_id, this.conv);
				assert.equal(d.sender.kind, 'agent');
			});
		else if (type === 'typing_indicator')
			this.take('typing', d.user_id, { on: d.typing }, id, () => {
				assert.equal(d.conversation_id, this.conv);
				has(d, ['user_name']);
			});
		else if (type === 'presence_update')
			this.take('presence', d.user_id, { status: d.status }, id, () =>
				assert.equal(typeof d.last_seen, 'number'));
		else if (type === 'read_receipt')
			this.take('read', d.read_by, { id: d.message_id }, id, () => {
				assert.equal(d.conversation_id, this.conv);
				assert.equal(typeof d.read_at, 'number');
			});
		else if (type === 'reset')
			this.wrong.push(new Error('reset'));
		else if (id)
			this.cursor = id;
	}

	// {id, senderId, ...} of the live dialect and of Socket.IO.
	message(d, id) {
		this.take('message', d.senderId, { content: d.content, id: d.id }, id, () => {
			has(d, ['id', 'senderName', 'sender', 'line_user_id']);
			assert.equal(d.type, 'message');
			assert.equal(d.conversationId, this.conv);
			assert.match(d.timestamp, ISO);
		});
	}

	// ... of their receipts.
	receipt(d, id) {
		this.take('read', d.readBy, { id: d.messageId }, id, () => {
			assert.equal(d.conversationId, this.conv);
			assert.match(d.readAt, ISO);
		});
	}

	until(fits, what) {
		return until(() => this.got.find(fits), undefined, `${this.constructor.name}: ${what} (${
			JSON.stringify(this.got.slice(-6))} ${this.wrong})`);
	}

	contents() {
		return this.got.filter((g) => g.what === 'message' && g.by !== this.id)
			.map((g) => g.content);
	}

	rest(method, path, body) {
		return this.p.request(method, path, { body,
			headers: { authorization: `Bearer ${this.who.token}` } });
	}

	async say(content) {
		const r = await this.rest('POST', `/api/conversations/${this.conv}/messages`, { content });
		assert.equal(r.status, 201, r.text);
	}

	async typing(on) {
		const r = await this.rest('POST', `/api/conversations/${this.conv}/typing`,
			{ typing: on });
		assert.ok(r.status < 300, r.text);
	}

	async read(id) {
		const r = await this.rest('POST', `/api/conversations/${this.conv}/read`,
			{ message_id: id });
		assert.ok(r.status < 300, r.text);
	}

	async away(status) {
		const r = await this.rest('PATCH', '/api/me', { status });
		assert.equal(r.status, 200, r.text);
	}
}

class Stream extends Member {
	async connect() {
		const es = this.es = new EventSource(`${this.base}/chat/sse`, { headers: {
			authorization: `Bearer ${this.who.token}`,
			...(this.cursor ? { 'Last-Event-ID': this.cursor } : {}) } });
		let open = false;
		es.addEventListener('connected', (e) => {
			this.cursor ??= e.lastEventId;
			open = true;
		});
		for (const type of ['new_message', 'typing_indicator', 'presence_update', 'read_receipt', 'reset'])
			es.addEventListener(type, (e) => this.es === es &&
				this.thing(type, JSON.parse(e.data), e.lastEventId));
		await until(() => open);
	}

	kill() {
		this.es.close();
		this.es = null;
	}
}

class Poller extends Member {
	async connect() {
		// Not over one that is kept, which may be closed under it.
		const headers = { authorization: `Bearer ${this.who.token}`, connection: 'close' };
		this.cursor ??= (await this.rest('GET', '/api/events/poll')).json.cursor;
		this.abort = new AbortController();
		this.loop(headers, this.abort.signal);
	}

	async loop(headers, signal) {
		while (!signal.aborted) {
			let a;
			try {
				const r = await fetch(`${this.base}/api/events/longpoll?after=${this.cursor}`,
					{ headers, signal });
				a = await r.json();
				assert.equal(r.status, 200, JSON.stringify(a));
			} catch (e) {
				if (!signal.aborted)
					this.wrong.push(e);
				return;
			}
			if (signal.aborted)
				return; // with an answer in its hands, as a kill would have it
			for (const e of a.events)
				this.thing(e.type, e.data, e.id ?? undefined);
			this.cursor = a.cursor;
		}
	}

	kill() {
		this.abort.abort();
	}
}

class Live extends Member {
	async connect() {
		const ws = this.ws = new WebSocket(`${this.base.replace('http', 'ws')}/ws/live-chat`);
		let joined = false;
		ws.on('open', () => this.send('auth', { token: this.who.token, cursor: this.cursor }));
		ws.on('message', (text) => {
			const { type, payload: d, timestamp, id } = JSON.parse(text);
			if (this.ws !== ws)
				return;
			if (type === 'auth_success') {
				this.cursor ??= d.cursor;
				this.send('join_conversation', { conversationId: this.conv });
			} else if (type === 'conversation_joined') {
				joined = true;
			} else if (type === 'message_received') {
				this.message(d, id);
				assert.match(timestamp, ISO);
			} else if (type === 'user_typing') {
				this.take('typing', d.userId, { on: d.isTyping }, id, () => {
					assert.equal(d.is_typing, d.isTyping);
					assert.equal(d.conversationId, this.conv);
					has(d, ['userName', 'line_user_id']);
				});
			} else if (type === 'operator_status') {
				this.take('presence', d.userId, { status: d.status }, id, () => {
					assert.equal(d.admin_id, d.userId);
					assert.match(d.timestamp, ISO);
				});
			} else if (type === 'read_receipt') {
				this.receipt(d, id);
			} else if (type === 'error' || type === 'auth_error' || type === 'reset') {
				this.wrong.push(new Error(text));
			} else if (id) {
				this.cursor = id;
			}
		});
		ws.on('error', (e) => this.wrong.push(e));
		await until(() => joined, undefined, `joining ${this.wrong}`);
	}

	send(type, payload) {
		this.ws.send(JSON.stringify({ type, payload }));
	}

	kill() {
		this.ws.terminate();
		this.ws = null;
	}

	say(content) {
		this.send('message_send', { conversationId: this.conv, content, id: content });
	}

	typing(on) {
		this.send(on ? 'typing_start' : 'typing_stop', { conversationId: this.conv });
	}

	away(status) {
		this.send('user_status', { status });
	}

	read(id) {
		this.send('message_read', { conversationId: this.conv, messageId: id });
	}
}

// By hand, and flat.
class Flat extends Member {
	async connect() {
		const c = this.c = await socket(this.p, { path: `/chat/ws${
			this.cursor ? `?cursor=${this.cursor}` : ''}`,
		more: `Authorization: Bearer ${this.who.token}\r\n` });
		let read = 0;
		let open = false;
		const look = () => {
			const list = frames(c.bytes);
			for (; this.c === c && read < list.length; read++) {
				const f = list[read];
				if (f.opcode === 9)
					c.write(frame(f.data, { opcode: 10 }));
				if (f.opcode !== 1)
					continue;
				const m = JSON.parse(f.data);
				open ||= m.type === 'auth_success';
				this.flat(m);
			}
		};
		c.socket.on('data', look);
		look();
		await until(() => open, undefined, `auth_success ${c.text}`);
	}

	flat(m) {
		assert.equal(m.payload, undefined);
		if (m.type === 'new_message')
			this.take('message', m.message.from, { content: m.message.content,
				id: m.message.id }, m.cursor, () => {
				has(m.message, ['id']);
				assert.equal(m.message.groupId, this.conv);
				assert.equal(m.message.type, 'group');
				assert.equal(typeof m.message.timestamp, 'number');
			});
		else if (m.type === 'typing_indicator')
			this.take('typing', m.typing.userId, { on: m.typing.isTyping }, m.cursor, () => {
				assert.equal(m.typing.groupId, this.conv);
				assert.equal(typeof m.typing.timestamp, 'number');
			});
		else if (m.type === 'user_status')
			this.take('presence', m.status.userId, { status: m.status.status }, m.cursor, () =>
				assert.equal(typeof m.status.timestamp, 'number'));
		else if (m.type === 'read_receipt')
			this.take('read', m.readBy, { id: m.messageId }, m.cursor, () =>
				assert.match(m.readAt, ISO));
		else if (['error', 'auth_error', 'reset'].includes(m.type))
			this.wrong.push(new Error(JSON.stringify(m)));
		else if (m.type === 'auth_success')
			this.cursor ??= m.cursor;
		else if (m.cursor)
			this.cursor = m.cursor;
	}

	send(o) {
		this.c.write(frame(JSON.stringify(o)));
	}

	kill() {
		this.c.socket.resetAndDestroy();
		this.c = null;
	}

	say(content) {
		this.send({ type: 'group_message', groupId: this.conv, content });
	}

	typing(isTyping) {
		this.send({ type: 'typing', groupId: this.conv, isTyping });
	}

	away(status) {
		this.send({ type: 'user_status', status });
	}

	read(id) {
		this.send({ type: 'read_receipt', messageId: id });
	}
}

class SocketIo extends Member {
	hear(s) {
		const on = (type, fn) => s.on(type, (d, offset) => this.s === s && fn(d, offset));
		on('message_received', (d, offset) => this.message(d, offset));
		on('typing_indicator', (d, offset) => this.take('typing', d.userId,
			{ on: d.isTyping }, offset, () => {
				assert.equal(d.conversationId, this.conv);
				has(d, ['userName']);
			}));
		on('presence_update', (d, offset) => this.take('presence', d.userId,
			{ status: d.status }, offset, () => {
				assert.match(d.timestamp, ISO);
				assert.match(d.last_seen, ISO);
			}));
		on('read_receipt', (d, offset) => this.receipt(d, offset));
		on('tick', (d, offset) => { this.cursor = offset; });
		for (const type of ['error', 'connect_error', 'reset'])
			on(type, (d) => this.wrong.push(new Error(`${type}: ${JSON.stringify(d)}`)));
	}

	ask(...a) {
		return new Promise((ok, no) => {
			const t = setTimeout(() => no(new Error(`no answer to ${a[0]}`)), 30_000);
			this.s.emit(...a, (r) => {
				clearTimeout(t);
				if (r.success)
					ok(r);
				else
					no(new Error(`${a[0]}: ${JSON.stringify(r)}`));
			});
		});
	}

	say(content) {
		return this.ask('send_message', { conversationId: this.conv, content });
	}

	typing(on) {
		this.s.emit(on ? 'typing_start' : 'typing_stop', this.conv);
	}

	away(status) {
		return this.ask('presence_update', { status });
	}

	read(id) {
		return this.ask('read_receipt', { conversationId: this.conv, messageId: id });
	}
}

// The stock client: it keeps the cursor and what it had joined by itself.
class SocketIo4 extends SocketIo {
	async connect() {
		if (this.s) {
			this.s.connect();
			await until(() => this.s.connected);
			assert.equal(this.s.recovered, true);
			return;
		}
		const s = this.s = io(this.base, { forceNew: true, reconnection: false,
			auth: { token: this.who.token } });
		this.hear(s);
		const hello = new Promise((ok) => s.once('authenticated', ok));
		this.cursor = (await hello).cursor;
		await this.ask('join_conversation', this.conv);
	}

	kill() {
		const t = this.s.io.engine.transport;
		if (t.ws)
			t.ws.terminate();
		else
			this.s.io.engine.close();
	}
}

// It knows no cursors: its user does.
class SocketIo2 extends SocketIo {
	async connect() {
		const s = this.s = io2(this.base, { forceNew: true, reconnection: false });
		this.hear(s);
		const hello = new Promise((ok) => s.once('authenticated', ok));
		s.emit('authenticate', { token: this.who.token, cursor: this.cursor });
		const { cursor } = await hello;
		this.cursor ??= cursor;
		await this.ask('join_conversation', this.conv);
	}

	kill() {
		const { s } = this;
		this.s = null;
		if (s.io.engine.transport.ws)
			s.io.engine.transport.ws.terminate();
		s.close();
	}
}

const families = { SocketIo4, SocketIo2, Live, Stream, Flat, Poller };

for (const way of ['straight', 'apache', 'lighttpd'])
	describe(`every family in one conversation, ${way}`, { timeout: 300_000 }, () => {
		let p, members;
		const said = []; // [by, content]

		before(async () => {
			p = await start({ web: way === 'straight' ? 'apache' : way, conf: {
				user_message_rate_max: 1000, credential_request_rate_max: 1000,
				credential_request_burst_max: 1000, presence_rate_max: 1000,
				typing_rate_max: 1000, presence_grace_ms: 300,
				// So that a web server soon sees who is gone.
				keepalive_s: 1, longpoll_s_max: 1 } });
			const people = [];
			for (const name of Object.keys(families)) {
				const email = `${name}@example.com`.toLowerCase();
				const out = await p.cli('user', 'add', '--email', email, '--name', name,
					'--role', 'agent', { input: `secret of ${name}\n` });
				people.push({ name, id: /^user (\d+)/m.exec(out)[1],
					token: (await p.cli('token', '--user', email)).trim() });
			}
			const r = await p.request('POST', '/api/conversations', {
				body: { type: 'group', subject: 'all', participants: people.map((x) => x.id) },
				headers: { authorization: `Bearer ${people[0].token}` } });
			assert.equal(r.status, 201, r.text);
			const conv = (r.json.conversation ?? r.json).id;
			const base = way === 'straight' ? `http://${p.setting('push_listen')}` : p.url;
			members = Object.values(families).map((F, i) => new F(p, base, people[i], conv));
			for (const m of members)
				await m.connect();
		});
		after(async () => {
			members?.forEach((m) => m.kill());
			await p?.stop();
		});

		const others = (m) => members.filter((x) => x !== m);
		const right = () => assert.deepEqual(members.flatMap((m) =>
			m.wrong.map((e) => `${m.constructor.name}: ${e.message}`)), []);
		const say = async (m, content, to = others(m)) => {
			said.push([m.id, content]);
			await m.say(content);
			for (const x of to)
				await x.until((g) => g.what === 'message' && g.content === content &&
					g.by === m.id, content);
		};
		const seen = async (m, status, at) => {
			for (const x of others(m))
				await until(() => x.got.slice(at.get(x)).find((g) => g.what === 'presence' &&
					g.by === m.id && g.status === status), undefined,
				`${x.constructor.name}: ${m.constructor.name} ${status} (${
					JSON.stringify(x.got.slice(at.get(x)))})`);
		};
		const mark = () => new Map(members.map((m) => [m, m.got.length]));

		it('hears each message', async () => {
			for (const m of members)
				await say(m, `hello from ${m.constructor.name}`);
			right();
		});

		it('sees each type, and stop', async () => {
			for (const m of members) {
				const at = mark();
				for (const on of [true, false]) {
					await m.typing(on);
					for (const x of others(m))
						await until(() => x.got.slice(at.get(x)).find((g) => g.what === 'typing' &&
							g.by === m.id && g.on === on), undefined,
						`${x.constructor.name}: ${m.constructor.name} ${on} (${x.wrong})`);
				}
				for (const x of members)
					assert.deepEqual(x.got.slice(at.get(x)).filter((g) => g.what === 'typing')
						.map((g) => [g.by, g.on]), x === m ? [] : [[m.id, true], [m.id, false]]);
			}
			right();
		});

		it('sees each go away, and be back', async () => {
			for (const m of members) {
				const at = mark();
				await m.away('away');
				await seen(m, 'away', at);
				await m.away('online');
				await seen(m, 'online', at);
			}
			right();
		});

		it('sees how far each has read', async () => {
			for (const m of members) {
				const [x] = others(m);
				await say(x, `read me, ${m.constructor.name}`);
				const { id } = m.got.findLast((g) => g.what === 'message');
				const at = mark();
				await m.read(id);
				for (const y of others(m))
					await until(() => y.got.slice(at.get(y)).find((g) => g.what === 'read' &&
						g.by === m.id && g.id === id), undefined,
					`${y.constructor.name}: ${m.constructor.name} has read (${y.wrong} ${
						JSON.stringify(y.got.slice(at.get(y)))})`);
			}
			right();
		});

		it('misses nothing when killed, and is missed', async () => {
			for (const [i, m] of members.entries()) {
				const name = m.constructor.name;
				const at = mark();
				m.kill();
				await seen(m, 'offline', at);
				const rest = others(m);
				for (const n of [1, 2, 3]) {
					const x = rest[(i + n) % rest.length];
					await say(x, `${n} without ${name}`, rest.filter((y) => y !== x));
				}
				const back = mark();
				await m.connect();
				await seen(m, 'online', back);
				await m.until((g) => g.content === `3 without ${name}`, 'what it missed');
				await say(m, `${name} is back`);
				await say(rest[0], `welcome, ${name}`);
			}
			right();
		});

		it('has heard each message of each other once, in order', () => {
			for (const m of members)
				assert.deepEqual(m.contents(), said.filter(([by]) => by !== m.id)
					.map(([, content]) => content), m.constructor.name);
			right();
		});
	});
