// The chat dialect, on /chat/ws and /: flat messages both ways, to one user,
// into a group, typing, what was read, who is there.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import WebSocket from 'ws';
import { pause, start, until } from './lib/harness.js';
import { ask, frame, raw, texts, upgrade } from './lib/raw.js';

const rates = { user_message_rate_max: 100000, user_message_burst_max: 100000,
	conversation_message_rate_max: 100000, credential_request_rate_max: 100000,
	credential_request_burst_max: 100000 };

// What came over one connection, and waiting for it.
class Chat {
	constructor(p, token, { path = '/chat/ws', cursor } = {}) {
		const query = new URLSearchParams({ ...(token ? { token } : {}),
			...(cursor ? { cursor } : {}) });
		this.got = [];
		this.ws = new WebSocket(`${p.url.replace('http', 'ws')}${path}?${query}`);
		this.ws.on('message', (text, binary) => {
			assert.equal(binary, false);
			const m = JSON.parse(text);
			assert.equal(typeof m.timestamp, 'number', `${text}`);
			assert.ok(!('payload' in m), `${text}`);
			this.got.push(m);
			this.cursor = m.cursor ?? this.cursor;
		});
		this.closed = new Promise((ok) => this.ws.on('close', (code) => ok(code)));
		this.open = new Promise((ok, no) => {
			this.ws.on('open', () => ok(this));
			this.ws.on('error', no);
		});
	}

	say(type, fields) {
		this.ws.send(JSON.stringify({ type, ...fields }));
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

	close() {
		this.ws.close(1000);
		return this.closed;
	}
}

const texted = (text) => (m) => m.message?.content === text;

describe('the chat dialect', { timeout: 300_000 }, () => {
	let p, mai, som, admin, lan, group;
	const open = [];
	const chat = async (who, o) => {
		const c = await new Chat(p, who?.token, o).open;
		open.push(c);
		if (who)
			await c.until('auth_success');
		return c;
	};
	const id = (c) => c.of('auth_success')[0].userId;

	before(async () => {
		p = await start({ conf: { ...rates, url_tokens: 'on', presence_grace_ms: 100,
			ring_events_max: 40, account_connections_max: 60 } });
		const agents = p.logins.filter((l) => l.role === 'agent');
		mai = await p.bearer(agents[0].email);
		som = await p.bearer(agents[1].email);
		admin = await p.bearer(p.logins.find((l) => l.role === 'admin').email);
		lan = await p.customer('Lan');
		for (const who of [mai, som, admin])
			who.id = (await who.get('/api/me')).json.id;
		const r = await mai.post('/api/conversations', { type: 'group', subject: 'noon',
			participants: [som.id, admin.id] });
		group = r.json.id;
	});
	after(() => p?.stop());
	const clear = async () => {
		await Promise.all(open.splice(0).map((c) => c.close()));
	};

	it('is on its two paths, and asks for an upgrade there', async () => {
		for (const path of ['/chat/ws', '/']) {
			const c = await chat(mai, { path });
			assert.equal(c.of('auth_success')[0].userId, mai.id);
			c.say('ping');
			await c.until('pong');
			const a = await ask(p, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
			assert.equal(a.status, 426);
			assert.equal(a.headers.upgrade, 'websocket');
		}
		const c = await raw(p);
		c.write(Buffer.concat([Buffer.from(upgrade('', `/chat/ws?token=${mai.token}`)),
			frame('{"type":"ping","payload":{}}')]));
		await c.until(() => texts(c).length === 2);
		assert.deepEqual(texts(c).map((m) => m.type), ['auth_success', 'pong']);
		c.close();
		await clear();
	});

	it('wants to know who it is: in the request, or said', async () => {
		const c = await chat(null);
		for (const m of [{ type: 'message', to: som.id, content: 'x' },
			{ type: 'group_message', groupId: group, content: 'x' },
			{ type: 'typing', groupId: group, isTyping: true },
			{ type: 'read_receipt', messageId: '1' },
			{ type: 'nothing' }])
			c.say(m.type, m);
		await until(() => c.of('error').length === 5);
		assert.ok(c.of('error').every((m) => m.code === 'unauthenticated'));
		c.say('auth', { token: mai.token });
		assert.equal((await c.until('auth_success')).role, 'agent');
		const bad = await chat(null);
		bad.say('auth', { token: 'x.y.z' });
		assert.ok((await bad.until('auth_error')).message);
		assert.equal(await bad.closed, 1008);
		const url = new Chat(p, 'no');
		assert.equal(await url.closed, 1008);
		await clear();
	});

	it('carries a message to one user, and no further', async () => {
		const [a, b, c] = [await chat(mai), await chat(som), await chat(admin)];
		const b2 = await chat(som, { path: '/' });
		const a2 = await chat(mai);
		a.say('message', { to: som.id, content: 'for you', id: 'm-1' });
		const sent = await a.until('message_sent');
		assert.equal(sent.clientId, 'm-1');
		assert.equal(sent.to, som.id);
		for (const x of [b, b2, a2]) {
			const { message, cursor } = await x.until(texted('for you'));
			assert.equal(message.type, 'direct');
			assert.equal(message.from, mai.id);
			assert.equal(message.to, som.id);
			assert.equal(message.id, sent.id);
			assert.equal(typeof message.timestamp, 'number');
			assert.ok(cursor);
		}
		// The answer goes into the same conversation; an id may be a number.
		b.say('message', { to: Number(mai.id), content: 'and you' });
		const back = await a.until(texted('and you'));
		assert.equal(back.message.to, mai.id);
		assert.equal(back.message.conversationId, sent.conversationId);
		// The same again is told once more, and not to the other.
		a.say('message', { to: som.id, content: 'for you', id: 'm-1' });
		await until(() => a.of('message_sent').length === 2);
		assert.equal(a.of('message_sent')[1].id, sent.id);
		a.say('message', { to: som.id, content: 'last' });
		await b.until(texted('last'));
		assert.equal(b.got.filter(texted('for you')).length, 1);
		assert.equal(a.of('new_message').length, 1);
		assert.equal(c.of('new_message').length, 0);
		await clear();
	});

	it('refuses what cannot be sent, and stays', async () => {
		const a = await chat(mai);
		for (const [fields, code] of [
			[{ content: 'to nobody' }, 'bad_request'],
			[{ to: '987654321', content: 'x' }, 'not_found'],
			[{ to: 'so', content: 'x' }, 'not_found'],
			[{ to: mai.id, content: 'x' }, 'not_found'],
			[{ to: som.id }, 'invalid'],
			[{ to: som.id, content: 5 }, 'invalid']]) {
			a.say('message', { ...fields, id: `bad-${a.got.length}` });
			const n = a.of('error').length;
			const e = await until(() => a.of('error')[n]);
			assert.equal(e.code, code, JSON.stringify(fields));
			assert.match(e.clientId, /^bad-/);
		}
		a.say('group_message', { content: 'x' });
		a.say('group_message', { groupId: '987654321', content: 'x' });
		await until(() => a.of('error').length === 8);
		assert.deepEqual(a.of('error').slice(6).map((m) => m.code),
			['bad_request', 'not_found']);
		for (const text of ['no json', '[]', '{"type":5.5}'])
			a.ws.send(text);
		a.ws.send(Buffer.from('binary'), { binary: true });
		await until(() => a.of('error').length === 12);
		// Customers write in their own conversation, to no user.
		const c = await chat(lan);
		c.say('message', { to: mai.id, content: 'x' });
		assert.equal((await c.until('error')).code, 'forbidden');
		a.say('ping');
		await a.until('pong');
		await clear();
	});

	it('carries a message to a group, its sender too', async () => {
		const [a, a2] = [await chat(mai), await chat(mai)];
		const [b, c] = [await chat(som), await chat(admin)];
		a.say('group_message', { groupId: group, content: 'all of you', id: 'g-1' });
		for (const x of [a, a2, b, c]) {
			const { message } = await x.until(texted('all of you'));
			assert.equal(message.type, 'group');
			assert.equal(message.groupId, group);
			assert.equal(message.from, mai.id);
			assert.equal(message.to, undefined);
		}
		// In either form, and once each, in order.
		for (let i = 0; i < 10; i++)
			b.ws.send(JSON.stringify({ type: 'group_message',
				payload: { groupId: group, content: `n${i}` } }));
		for (const x of [a, a2, b, c]) {
			await x.until(texted('n9'));
			assert.deepEqual(x.of('new_message').map((m) => m.message.content),
				['all of you', ...[...Array(10).keys()].map((i) => `n${i}`)]);
		}
		assert.equal(a.of('message_sent').length, 0);
		// The same again: nobody hears it, its sender is told.
		a.say('group_message', { groupId: group, content: 'all of you', id: 'g-1' });
		assert.equal((await a.until('message_sent')).clientId, 'g-1');
		await clear();
	});

	it('shows a customer\'s conversation to who joined it', async () => {
		const conv = lan.conversation_id;
		const [a, b, c] = [await chat(mai), await chat(som), await chat(lan)];
		a.say('join_conversation', { conversationId: conv });
		assert.equal((await a.until('conversation_joined')).groupId, conv);
		c.say('message_send', { content: 'help' });
		await c.until('message_sent');
		const { message } = await a.until(texted('help'));
		assert.equal(message.groupId, conv);
		assert.equal(message.sender, 'customer');
		// Unjoined, a sender hears what it said, and nothing else of it.
		b.say('group_message', { groupId: conv, content: 'on my way' });
		for (const x of [a, b, c])
			await x.until(texted('on my way'));
		assert.equal(b.of('new_message').length, 1);
		a.say('leave_conversation', { groupId: conv });
		a.say('ping'); // answered when it has left
		await a.until('pong');
		c.say('group_message', { groupId: conv, content: 'thanks' });
		await c.until(texted('thanks'));
		a.say('ping');
		await until(() => a.of('pong').length === 2);
		assert.equal(a.got.filter(texted('thanks')).length, 0);
		await clear();
	});

	it('tells the others who types, and when that ends', async () => {
		const [a, b, c] = [await chat(mai), await chat(som), await chat(lan)];
		a.say('typing', { groupId: group, isTyping: true });
		const { typing } = await b.until('typing_indicator');
		assert.equal(typing.userId, mai.id);
		assert.equal(typing.groupId, group);
		assert.equal(typing.isTyping, true);
		assert.equal(typeof typing.timestamp, 'number');
		a.say('typing', { groupId: group, isTyping: false });
		await b.until((m) => m.typing?.isTyping === false);
		await pause(1500); // one beginning a second counts
		a.say('typing_start', { groupId: group });
		await until(() => b.of('typing_indicator').length >= 4);
		assert.deepEqual(b.of('typing_indicator').map((m) => m.typing.isTyping),
			[true, false, true, false]);
		await a.close();
		assert.equal(b.of('typing_indicator').length, 4);
		assert.equal(a.of('typing_indicator').length, 0);
		assert.equal(c.of('typing_indicator').length, 0);
		await clear();
	});

	it('tells the author that it was read', async () => {
		const [a, b] = [await chat(mai), await chat(som)];
		a.say('message', { to: som.id, content: 'read me' });
		const { message } = await b.until(texted('read me'));
		b.say('read_receipt', { messageId: message.id });
		const r = await a.until('read_receipt');
		assert.equal(r.messageId, message.id);
		assert.equal(r.readBy, som.id);
		assert.equal(new Date(r.readAt).toISOString(), r.readAt);
		b.say('read_receipt', { messageId: message.id });
		b.say('read_receipt', { messageId: '987654321' });
		assert.equal((await b.until('error')).code, 'not_found');
		b.say('read_receipt', {});
		await until(() => b.of('error').length === 2);
		assert.equal(a.of('read_receipt').length, 1);
		assert.equal(b.of('read_receipt').length, 0);
		await clear();
	});

	it('tells who is there, away, busy, gone', async () => {
		const a = await chat(mai);
		await until(async () => (await mai.get(`/api/presence?users=${som.id}`)).json.items[0]
			.status === 'offline', undefined, 'som of before is gone');
		const b = await chat(som);
		const of = () => a.of('user_status').map((m) => m.status)
			.filter((s) => s.userId === som.id);
		await until(() => of().some((s) => s.status === 'online'));
		for (const status of ['away', 'busy', 'online']) {
			b.say('user_status', { status });
			await until(() => of().at(-1).status === status);
			await pause(1500); // one change a second counts
		}
		b.say('user_status', { status: 'elsewhere' });
		assert.equal((await b.until('error')).code, 'invalid');
		const b2 = await chat(som);
		await b.close();
		b2.say('ping');
		await b2.until('pong');
		assert.equal(of().at(-1).status, 'online');
		await b2.close();
		await until(() => of().at(-1).status === 'offline');
		assert.equal(typeof of().at(-1).timestamp, 'number');
		await clear();
	});

	it('goes on from its cursor: nothing lost, nothing twice', async () => {
		const a = await chat(mai);
		for (const n of [5, 60]) { // the ring has 40
			const b = await chat(som);
			const { cursor } = b;
			assert.ok(cursor);
			b.ws.terminate();
			await b.closed;
			const want = [...Array(n).keys()].map((i) => `gap ${n} ${i}`);
			a.got = [];
			for (const [i, content] of want.entries()) {
				a.say(...(i % 2 ? ['message', { to: som.id, content }] :
					['group_message', { groupId: group, content }]));
				await until(() => a.of('message_sent').length +
					a.of('new_message').length > i);
			}
			const c = await chat(som, { cursor });
			await c.until(texted(want.at(-1)));
			// A join does not bring what the member has had already.
			c.say('join_conversation', { groupId: group });
			await c.until('conversation_joined');
			a.say('group_message', { groupId: group, content: `and live ${n}` });
			await c.until(texted(`and live ${n}`));
			assert.deepEqual(c.of('new_message').map((m) => m.message.content),
				[...want, `and live ${n}`]);
			assert.equal(c.of('auth_success')[0].cursor, undefined);
			const ids = c.got.filter((m) => m.cursor).map((m) => Number(m.cursor));
			assert.deepEqual(ids, [...new Set(ids)].sort((x, y) => x - y));
		}
		const d = await chat(som, { cursor: '1' });
		assert.ok('epoch' in await d.until('reset'));
		await clear();
	});

	it('goes on with another pushd, which takes over', async () => {
		const [a, b] = [await chat(mai), await chat(som, { path: '/' })];
		const before = p.pid('pushd');
		for (let i = 0; i < 5; i++)
			a.say('group_message', { groupId: group, content: `over ${i}`, id: `over-${i}` });
		p.child.kill('SIGHUP');
		await until(() => p.pid('pushd') !== before && p.pid('pushd') > 0);
		a.say('message', { to: som.id, content: 'still here' });
		await b.until(texted('still here'));
		a.say('group_message', { groupId: group, content: 'and last' });
		for (const x of [a, b])
			await x.until(texted('and last'));
		for (const x of [a, b])
			assert.deepEqual(x.of('new_message').map((m) => m.message.content)
				.filter((m) => m !== 'still here'),
			[0, 1, 2, 3, 4].map((i) => `over ${i}`).concat('and last'));
		assert.equal(a.of('message_sent').length, 1);
		await clear();
	});

	it('is one conversation with the live dialect and the API', async () => {
		const conv = lan.conversation_id;
		const a = await chat(mai);
		a.say('join_conversation', { groupId: conv });
		await a.until('conversation_joined');
		const live = await som.ws({ events: 'mine' });
		live.send('join_conversation', { conversationId: conv });
		await live.until('conversation_joined');
		a.say('group_message', { groupId: conv, content: 'from chat' });
		const m = await live.until('message_received');
		assert.equal(m.data.content, 'from chat');
		live.send('message_send', { content: 'from live' });
		await a.until(texted('from live'));
		const r = await lan.send(conv, 'by hand');
		assert.equal(r.status, 201);
		await a.until(texted('by hand'));
		const n = await som.post('/chat/send', { userId: mai.id, message: { any: 'thing' } });
		assert.equal(n.status, 200);
		assert.deepEqual((await a.until('message')).content, { any: 'thing' });
		await som.post('/chat/notify', { userId: mai.id, notification: { title: 'hi' } });
		assert.deepEqual((await a.until('notification')).notification, { title: 'hi' });
		live.close();
		await clear();
	});
});
