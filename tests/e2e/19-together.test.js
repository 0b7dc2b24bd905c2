// Stock clients of each family in one conversation: every message, typing and
// presence change reaches each of the others in its own shape, also when each
// is killed and comes back with its cursor.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import EventSource from 'eventsource';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import WebSocket from 'ws';
import { pause, start, until } from './lib/harness.js';
import { frame, frames, socket } from './lib/raw.js';

const conf = { user_message_rate_max: 100000, user_message_burst_max: 100000,
	conversation_message_rate_max: 100000, credential_request_rate_max: 100000,
	credential_request_burst_max: 100000, account_connections_max: 100,
	presence_rate_max: 1000, typing_rate_max: 100, url_tokens: 'on', typing_ms: 800 };

// What all have in common: what each saw, in one form, {what, id, ...}.
class Client {
	constructor(p, who, conv) {
		Object.assign(this, { p, who, conv, seen: [], cursor: undefined });
	}

	saw(what, fields, cursor) {
		if (cursor)
			this.cursor = String(cursor);
		this.seen.push({ what, ...fields, cursor });
	}

	// Those without a way of their own to say something.
	say(content) {
		return this.who.send(this.conv, content);
	}

	type(typing) {
		return this.who.post(`/api/conversations/${this.conv}/typing`, { typing });
	}

	texts() {
		return this.seen.filter((e) => e.what === 'message').map((e) => e.text);
	}

	until(what, fields) {
		const fits = (e) => e.what === what &&
			Object.entries(fields).every(([k, v]) => e[k] === v);
		return until(() => this.seen.find(fits), 6000,
			`${this.constructor.name}: ${what} ${JSON.stringify(fields)}`);
	}

	// An event under its own name, with its own data.
	plain(type, d, cursor) {
		if (type === 'new_message' && d.conversation_id === this.conv)
			this.saw('message', { id: d.id, text: d.content, from: d.sender.id }, cursor);
		else if (type === 'typing_indicator')
			this.saw('typing', { user: d.user_id, on: d.typing });
		else if (type === 'presence_update')
			this.saw('presence', { user: d.user_id, status: d.status }, cursor);
		else if (type === 'reset')
			this.saw('reset', {});
		else if (cursor)
			this.cursor = String(cursor);
	}
}

class Named extends Client {
	open() {
		this.es = new EventSource(`${this.p.url}/chat/sse`, { headers: {
			authorization: `Bearer ${this.who.token}`,
			...(this.cursor ? { 'Last-Event-ID': this.cursor } : {}) } });
		for (const type of ['connected', 'new_message', 'typing_indicator',
			'presence_update', 'reset'])
			this.es.addEventListener(type, (e) =>
				this.plain(type, JSON.parse(e.data), e.lastEventId));
		return new Promise((ok) => this.es.addEventListener('connected', ok));
	}

	kill() {
		this.es.close();
	}
}

class Envelope extends Client {
	open() {
		this.es = new EventSource(`${this.p.url}/api/events/stream?token=${this.who.token}` +
			(this.cursor ? `&lastEventId=${this.cursor}` : ''));
		return new Promise((ok) => {
			this.es.onmessage = (m) => {
				const e = JSON.parse(m.data);
				if (e.type === 'connection')
					ok();
				this.plain(e.type, e.data, e.id);
			};
		});
	}

	kill() {
		this.es.close();
	}
}

class LongPoll extends Client {
	async open() {
		this.abort = new AbortController();
		const { signal } = this.abort;
		const ask = (path) => fetch(this.p.url + path, { signal,
			headers: { authorization: `Bearer ${this.who.token}` } }).then((r) => r.json());
		this.cursor ??= (await ask('/api/events/poll')).cursor;
		(async () => {
			while (!signal.aborted) {
				const r = await ask(`/api/events/longpoll?after=${this.cursor}&wait=10`);
				for (const e of r.events)
					this.plain(e.type, e.data, e.id);
				this.cursor = r.cursor;
			}
		})().catch(() => {});
		await pause(100);
	}

	kill() {
		this.abort.abort();
	}
}

// The live dialect's shapes, by whatever carries them.
class Live extends Client {
	heard({ type, payload: d, id }) {
		if (id)
			this.cursor = String(id);
		if (type === 'auth_success') {
			this.cursor ??= d.cursor;
			this.tell('join_conversation', { conversationId: this.conv });
		} else if (type === 'conversation_joined')
			this.ready();
		else if (type === 'message_received')
			this.saw('message', { id: d.id, text: d.content, from: d.senderId }, id);
		else if (type === 'user_typing')
			this.saw('typing', { user: d.userId, on: d.isTyping });
		else if (type === 'operator_status')
			this.saw('presence', { user: d.userId, status: d.status }, id);
		else if (type === 'reset' || type === 'error')
			this.saw(type, d);
	}

	say(content) {
		this.tell('message_send', { conversationId: this.conv, content });
	}

	type(on) {
		this.tell(on ? 'typing_start' : 'typing_stop', { conversationId: this.conv });
	}

	tell(type, payload) {
		this.ws.send(JSON.stringify({ type, payload }));
	}

	open() {
		this.ws = new WebSocket(`${this.p.url.replace('http', 'ws')}/ws/live-chat`);
		this.ws.on('open', () =>
			this.tell('auth', { token: this.who.token, cursor: this.cursor }));
		this.ws.on('message', (text) => this.heard(JSON.parse(text)));
		return new Promise((ok) => { this.ready = ok; });
	}

	kill() {
		this.ws.terminate();
	}
}

// The same in bytes, and in pieces.
class Raw extends Live {
	tell(type, payload) {
		const text = JSON.stringify({ type, payload });
		this.c.write(frame(text.slice(0, 7), { fin: false }));
		this.c.write(frame(text.slice(7), { opcode: 0 }));
	}

	async open() {
		this.c = await socket(this.p);
		let at = 0;
		const ready = new Promise((ok) => { this.ready = ok; });
		const look = () => {
			const all = frames(this.c.bytes);
			for (; at < all.length; at++)
				if (all[at].opcode === 1)
					this.heard(JSON.parse(all[at].data));
		};
		this.c.socket.on('data', look);
		this.tell('auth', { token: this.who.token, cursor: this.cursor });
		return ready;
	}

	kill() {
		this.c.socket.destroy();
	}
}

class Chat extends Client {
	tell(type, fields) {
		this.ws.send(JSON.stringify({ type, ...fields }));
	}

	open() {
		const q = new URLSearchParams({ token: this.who.token,
			...(this.cursor ? { cursor: this.cursor } : {}) });
		this.ws = new WebSocket(`${this.p.url.replace('http', 'ws')}/chat/ws?${q}`);
		return new Promise((ok) => this.ws.on('message', (text) => {
			const m = JSON.parse(text);
			if (m.cursor)
				this.cursor = m.cursor;
			if (m.type === 'auth_success')
				this.tell('join_conversation', { groupId: this.conv });
			else if (m.type === 'conversation_joined')
				ok();
			else if (m.type === 'new_message')
				this.saw('message', { id: m.message.id, text: m.message.content,
					from: m.message.from }, m.cursor);
			else if (m.type === 'typing_indicator')
				this.saw('typing', { user: m.typing.userId, on: m.typing.isTyping });
			else if (m.type === 'user_status')
				this.saw('presence', { user: m.status.userId, status: m.status.status });
			else if (m.type === 'reset' || m.type === 'error')
				this.saw(m.type, m);
		}));
	}

	say(content) {
		this.tell('group_message', { groupId: this.conv, content });
	}

	type(on) {
		this.tell('typing', { groupId: this.conv, isTyping: on });
	}

	kill() {
		this.ws.terminate();
	}
}

class SocketIo extends Client {
	connect() {
		this.s = io(this.p.url, { forceNew: true, reconnection: false,
			auth: { token: this.who.token, ...(this.cursor ? { offset: this.cursor } : {}) } });
	}

	open() {
		this.connect();
		const { s } = this;
		s.on('tick', (d, id) => { this.cursor = id; });
		s.on('message_received', (d, id) => this.saw('message',
			{ id: d.id, text: d.content, from: d.senderId }, id));
		s.on('typing_indicator', (d) => this.saw('typing', { user: d.userId, on: d.isTyping }));
		s.on('presence_update', (d, id) => this.saw('presence',
			{ user: d.userId, status: d.status }, id));
		s.on('reset', (d) => this.saw('reset', d));
		s.on('error', (d) => this.saw('error', d));
		return new Promise((ok) => s.on('authenticated', (me) => {
			this.cursor ??= me.cursor;
			s.emit('join_conversation', this.conv, ok);
		}));
	}

	say(content) {
		this.s.emit('send_message', { conversationId: this.conv, content });
	}

	type(on) {
		this.s.emit(on ? 'typing_start' : 'typing_stop', this.conv);
	}

	// The connection dies under it.
	kill() {
		this.s.io.engine.transport.ws?.terminate?.();
		this.s.disconnect();
	}
}

class SocketIo2 extends SocketIo {
	connect() {
		this.s = io2(this.p.url, { forceNew: true, reconnection: false });
		this.s.on('connect', () => this.s.emit('authenticate',
			{ token: this.who.token, cursor: this.cursor }));
	}
}

const FAMILIES = [Named, Envelope, LongPoll, Live, Raw, Chat, SocketIo, SocketIo2];

describe('clients of all families', { timeout: 60_000 }, () => {
	let p, people, conv;
	const all = [];

	before(async () => {
		p = await start({ conf });
		people = await Promise.all(p.logins.map((l) => p.bearer(l.email)));
		for (const who of people)
			who.id = (await who.get('/api/me')).json.id;
		conv = (await p.customer('Lan')).conversation_id;
		for (const [i, Family] of FAMILIES.entries())
			all.push(new Family(p, people[i % people.length], conv));
		await Promise.all(all.map((c) => c.open()));
	});
	after(async () => {
		for (const c of all)
			c.kill();
		await p?.stop();
	});
	const name = (c) => c.constructor.name;

	it('hear each other\'s messages, once each and in order', async () => {
		const want = [];
		for (const c of all) {
			const text = `by ${name(c)}`;
			want.push(text);
			c.say(text);
			for (const x of all) {
				if (x === c)
					continue;
				const m = await x.until('message', { text });
				assert.equal(m.from, c.who.id);
				assert.match(m.id, /^\d+$/);
			}
		}
		for (const x of all)
			assert.deepEqual(x.texts().filter((t) => t !== `by ${name(x)}`),
				want.filter((t) => t !== `by ${name(x)}`), name(x));
	});

	it('see who types, but for the typist', async () => {
		for (const c of all) {
			for (const x of all)
				x.seen = [];
			await c.type(true);
			const others = all.filter((x) => x.who !== c.who);
			for (const x of others)
				await x.until('typing', { user: c.who.id, on: true });
			// Signals are not in the log: a poll hears them while it waits.
			await pause(300);
			await c.type(false);
			for (const x of others)
				await x.until('typing', { user: c.who.id, on: false });
			for (const x of all.filter((y) => y.who === c.who))
				assert.equal(x.seen.filter((e) => e.what === 'typing').length, 0, name(x));
			await pause(300);
		}
	});

	it('see who is away', async () => {
		for (const who of people)
			for (const status of ['away', 'busy']) {
				assert.equal((await who.patch('/api/me', { status })).status, 200);
				for (const x of all.filter((y) => y.who !== who))
					await x.until('presence', { user: who.id, status });
			}
	});

	it('miss nothing when they are killed and come back', async () => {
		for (const c of all) {
			for (const x of all)
				x.seen = [];
			c.kill();
			const want = [];
			const say = async (who, text) => {
				want.push(text);
				who.say(text);
				for (const x of all)
					if (x !== c && x !== who)
						await x.until('message', { text });
			};
			for (const x of all.filter((y) => y !== c))
				await say(x, `to ${name(c)} by ${name(x)}`);
			await c.open();
			await c.until('message', { text: want.at(-1) });
			await say(all.find((x) => x !== c), `${name(c)} is back`);
			await c.until('message', { text: want.at(-1) });
			assert.deepEqual(c.texts(), want, name(c));
			assert.equal(c.seen.filter((e) => e.what === 'reset').length, 0, name(c));
		}
		for (const x of all)
			assert.equal(x.seen.filter((e) => e.what === 'error').length, 0, name(x));
	});
});
