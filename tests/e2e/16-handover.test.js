// A new pushd takes the place of the one that runs: nobody is refused, live
// connections go on, what cannot be carried is sent back, and whoever of the
// two fails or dies, nothing is lost.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { build, pause, Person, start, until } from './lib/harness.js';
import { Follower, seeded } from './lib/follow.js';
import { Socket, arrived, handshake, packets, poll, waiting } from './lib/engineio.js';
import { frame, frames, raw, socket, texts } from './lib/raw.js';

const pushd = join(build, 'pushd');

// pushd by itself, with the workspace's settings: {pid, done, output}.
function run(p, ...args) {
	const c = spawn(pushd, ['--conf', p.conf, ...args],
		{ stdio: ['ignore', 'ignore', 'pipe'] });
	const o = { child: c, pid: c.pid, output: '' };
	c.stderr.setEncoding('utf8').on('data', (d) => { o.output += d; });
	o.done = new Promise((ok) => c.on('exit', (code, sig) => ok(code ?? sig)));
	return o;
}

const alive = (pid) => {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
};

// A workspace with an agent, a customer and somebody who writes all the time.
async function workspace(t) {
	const p = await start({ web: 'lighttpd', mode: 'fcgi',
		env: { PARLEY_LIMITS: 'off', PARLEY_QUEUE_BYTES_MAX: String(8 << 20) } });
	t.after(() => p.stop());
	const customer = await p.customer('C');
	const agent = await p.bearer();
	const o = { p, customer, agent, sent: [] };
	// The same people, who ask pushd itself.
	const direct = Object.assign(Object.create(p),
		{ url: `http://${p.setting('push_listen')}` });
	o.customerDirect = new Person(direct, customer);
	o.agentDirect = new Person(direct, agent);
	o.write = (ms = 20) => {
		let on = true;
		const done = (async () => {
			while (on) {
				const r = await customer.send(customer.conversation_id,
					`m${o.sent.length}`);
				assert.equal(r.status, 201, r.text);
				o.sent.push(String(r.json.id));
				await pause(ms);
			}
		})();
		return async () => {
			on = false;
			await done;
		};
	};
	return o;
}

// Every message from the first that it got on, each once and in order.
function whole(inbox, sent, what) {
	const got = inbox.events.filter((e) => e.type === 'new_message')
		.map((e) => String(e.data.id));
	assert.ok(got.length > 0, `${what} got nothing`);
	assert.deepEqual(got, sent.slice(sent.indexOf(got[0])), what);
}

// Waits until another pushd serves and the one before it has gone.
async function succeeded(p, before) {
	await until(() => p.pid('pushd') !== before && !alive(before), undefined,
		'the change of pushd');
}

test('SIGHUP to parley run renews pushd: streams go on, nobody is refused', async (t) => {
	const { p, sent, write, customer, agent, customerDirect, agentDirect } =
		await workspace(t);
	// One that waits for something, which is last.
	const waits = (async () => {
		for (let after = ''; ;) {
			const r = await customerDirect.get(`/api/events/longpoll?wait=25${after}`);
			// Who came and went meanwhile is an answer, too.
			if (r.status !== 200 || r.json.events.some((e) => e.type === 'new_message'))
				return r;
			after = `&after=${r.json.cursor}`;
		}
	})();
	await until(async () => /^parley_push_connections.*longpoll.* 1$/m.test(
		(await agentDirect.get('/metrics')).text), undefined, 'the long poll');
	for (let round = 0; round < 2; round++) {
		const before = p.pid('pushd');
		process.kill(p.child.pid, 'SIGHUP');
		await succeeded(p, before);
	}
	const first = await customer.send(customer.conversation_id, 'first');
	const answer = await waits;
	assert.equal(answer.status, 200);
	assert.deepEqual(answer.json.events.filter((e) => e.type === 'new_message')
		.map((e) => e.data.id), [first.json.id]);

	const streams = [await agent.sse(), await agentDirect.sse(),
		await customerDirect.sse({ query: 'format=named' }),
		await agentDirect.sse({ query: 'batch=1' })];
	const stop = write();

	// Somebody who comes in all the time.
	let coming = true, came = 0;
	const knocking = (async () => {
		while (coming) {
			const r = await customerDirect.get('/health');
			assert.equal(r.status, 200);
			came++;
			await pause(2);
		}
	})();
	for (let round = 0; round < 3; round++) {
		await pause(200);
		const before = p.pid('pushd');
		process.kill(p.child.pid, 'SIGHUP');
		await succeeded(p, before);
	}
	await pause(200);
	coming = false;
	await knocking;
	await stop();
	const last = sent.at(-1);
	for (const [i, s] of streams.entries()) {
		await s.until((e) => JSON.stringify(e.data).includes(last));
		assert.equal(s.ended, false, `stream ${i} ended`);
	}
	for (const s of streams.slice(0, 3))
		whole(s, sent, 'a stream');
	assert.deepEqual(streams[3].events.flatMap((e) => e.type === 'batch' ?
		e.data.events : []).map((e) => String(e.data.id)).filter((id) =>
		sent.includes(id)).length > 0, true);
	assert.ok(came > 3, `${came} came in`); // over each change of hands

	// Who was there when it changed hands is still there, with a name.
	const typing = await agentDirect.sse();
	await customer.post(`/api/conversations/${customer.conversation_id}/typing`,
		{ typing: true });
	await typing.until('typing_indicator');
	assert.match(p.log('pushd'), /handover took=\d/);
	for (const s of [...streams, typing])
		s.close();
});

test('WebSockets go on with what they are in the middle of', async (t) => {
	const { p, sent, write, agent, customer, agentDirect, customerDirect } =
		await workspace(t);
	const conversation = customer.conversation_id;
	const all = await agentDirect.ws();
	const own = await customerDirect.ws({ events: '' });
	const joined = await agentDirect.ws({ events: '' });
	const chat = await socket(p, { path: '/chat/ws',
		more: `Authorization: Bearer ${agent.token}\r\n` });
	joined.send('join_conversation', { conversationId: conversation });
	chat.write(frame(JSON.stringify({ type: 'join_conversation',
		conversationId: conversation })));
	assert.ok(await chat.until(() => texts(chat).some((m) =>
		m.type === 'conversation_joined')), chat.text);
	await joined.until('conversation_joined');

	// One that is nobody yet, one in a frame, one in a fragmented message, and
	// one whose ping is whole but its message is not.
	const token = JSON.stringify({ type: 'auth', payload: { token: agent.token } });
	const nobody = await socket(p);
	const cut = frame(token);
	const inFrame = (await socket(p)).write(cut.subarray(0, 20));
	const inMessage = (await socket(p)).write(Buffer.concat([
		frame(token.slice(0, 30), { fin: false }), frame('x', { opcode: 9 })]));
	const inHead = (await socket(p)).write(cut.subarray(0, 3));
	await inMessage.until(() => frames(inMessage.bytes).some((f) => f.opcode === 10));

	// Somebody who does not read what is sent.
	const slow = await agentDirect.ws();
	slow.ws._socket.pause();

	// Writers over a WebSocket, each message acknowledged by its own id.
	const acks = [];
	const writer = await customerDirect.ws({ events: '' });
	let writing = true;
	const written = (async () => {
		for (let n = 0; writing || n % 4 !== 0; n++) {
			writer.send('message_send', { conversationId: conversation,
				content: `w${n} ${'x'.repeat(2000)}`, id: `w-${n}` });
			if (n % 4 === 3) {
				const e = await writer.until((x) => x.type === 'message_sent' &&
					x.data.clientId === `w-${n}`);
				acks.push(String(e.data.id));
			}
		}
	})();
	const stop = write(10);

	for (let round = 0; round < 4; round++) {
		await pause(150);
		const before = p.pid('pushd');
		process.kill(p.child.pid, 'SIGHUP');
		await succeeded(p, before);
	}
	assert.doesNotMatch(p.log('pushd'), /handover conns=\d+ left=[1-9]/);
	writing = false;
	await written;
	await stop();

	const types = writer.events.filter((e) => e.type === 'message_sent');
	assert.deepEqual(types.map((e) => e.data.clientId),
		types.map((e, n) => `w-${n}`), 'each acknowledged once, in order');
	const end = String(Math.max(sent.at(-1), acks.at(-1)));
	const last = (e) => String(e.data?.id) === end;
	for (const x of [all, own, joined])
		await x.until(last);
	slow.ws._socket.resume();
	await slow.until(last);
	const ids = (x) => x.events.filter((e) => /^(new_message|message_received)$/
		.test(e.type)).map((e) => String(e.data.id));
	for (const [what, x] of Object.entries({ own, joined, slow }))
		assert.deepEqual(ids(x).slice(-ids(all).length),
			ids(all).slice(-ids(x).length), what);
	assert.ok(types.every((e) => ids(all).includes(String(e.data.id))));
	assert.equal(new Set(ids(all)).size, ids(all).length, 'nothing twice');
	assert.deepEqual([all, own, joined, slow, writer, chat].map((x) => x.ended),
		[false, false, false, false, false, false]);
	const said = () => texts(chat).filter((m) => m.type === 'new_message')
		.map((m) => String(m.message.id));
	assert.ok(await chat.until(() => said().includes(end)), 'the chat dialect');
	assert.deepEqual(said().slice(-ids(all).length), ids(all).slice(-said().length));

	nobody.write(frame(token));
	inFrame.write(cut.subarray(20));
	inMessage.write(frame(token.slice(30), { opcode: 0 }));
	inHead.write(cut.subarray(3));
	for (const c of [nobody, inFrame, inMessage, inHead])
		assert.ok(await c.until(() => texts(c).some((m) => m.type === 'auth_success')));

	// What was joined can be left, and typing is still told.
	joined.send('typing_start', { conversationId: conversation });
	await own.until((e) => e.type === 'user_typing' && e.data.isTyping);
	const before = p.pid('pushd');
	process.kill(p.child.pid, 'SIGHUP');
	await succeeded(p, before);
	joined.ws.terminate();
	await own.until((e) => e.type === 'user_typing' && !e.data.isTyping);
	for (const x of [all, own, slow, writer, nobody, inFrame, inMessage, inHead])
		x.close();
});

test('Socket.IO clients notice nothing, polling or not, of version 4 or 2', async (t) => {
	const { p, sent, write, agent, customer, agentDirect } = await workspace(t);
	const conversation = customer.conversation_id;
	const clients = [];
	const client = (make, transports, token) => {
		const s = make(agentDirect.p.url, { transports, forceNew: true,
			auth: make === io ? { token } : undefined });
		const c = { s, got: [], states: [], what: `${make === io ? 4 : 2} ${transports}` };
		s.on('connect', () => c.states.push('connect'));
		s.on('disconnect', (why) => c.states.push(why));
		s.on('message_received', (d) => c.got.push(String(d.id)));
		c.ask = (...a) => new Promise((ok, no) => {
			setTimeout(() => no(new Error(`no answer to ${a[0]} (${c.states})`)),
				30_000).unref();
			s.emit(...a, ok);
		});
		c.ready = new Promise((ok) => s.on('authenticated', ok));
		if (make === io2)
			s.emit('authenticate', token);
		t.after(() => s.close());
		clients.push(c);
		return c;
	};
	for (const make of [io, io2])
		for (const way of [['websocket'], ['polling'], ['polling', 'websocket']])
			client(make, way, agent.token);
	const writer = client(io, ['websocket'], customer.token);
	await Promise.all(clients.map((c) => c.ready));
	const readers = clients.filter((c) => c !== writer);
	for (const c of readers)
		assert.equal((await c.ask('join_conversation', conversation)).success, true);

	// Several on their way at a time, each acknowledged once.
	let writing = true;
	const acked = [];
	const written = (async () => {
		for (let n = 0; writing; n += 3)
			for (const a of await Promise.all([0, 1, 2].map((i) => writer.ask(
				'send_message', { conversationId: conversation, id: `s-${n + i}`,
					content: `s ${n + i}` })))) {
				assert.equal(a.success, true, JSON.stringify(a));
				acked.push(String(a.id));
			}
	})();
	const stop = write(15);
	for (let round = 0; round < 4; round++) {
		await pause(200);
		const before = p.pid('pushd');
		process.kill(p.child.pid, 'SIGHUP');
		await succeeded(p, before);
	}
	writing = false;
	await written;
	await stop();
	const all = [...sent, ...acked].sort((a, b) => a - b);
	for (const c of readers) {
		await until(() => c.got.includes(all.at(-1)), undefined, `the last (${c.what})`);
		assert.deepEqual(c.got, all, c.what);
	}
	for (const c of clients)
		assert.deepEqual(c.states, ['connect'], c.what);
	assert.doesNotMatch(p.log('pushd'), /handover failed/);

	// What was joined before can be left, and is left.
	assert.equal((await readers[0].ask('leave_conversation', conversation)).success, true);
	const m = await customer.send(conversation, 'after');
	await until(() => readers[1].got.includes(String(m.json.id)));
	assert.equal(readers[0].got.includes(String(m.json.id)), false);
});

test('a join asked just before the change is answered once, by the new one', async (t) => {
	const { p, agent, customer, agentDirect } = await workspace(t);
	const conversation = customer.conversation_id;
	const ws = await agentDirect.ws({ events: '' });
	const chat = await socket(p, { path: '/chat/ws',
		more: `Authorization: Bearer ${agent.token}\r\n` });
	const s = io(agentDirect.p.url, { transports: ['websocket'], forceNew: true,
		auth: { token: agent.token } });
	t.after(() => s.close());
	await new Promise((ok) => s.on('authenticated', ok));
	const acks = [];
	const apis = ['push-api-1', 'push-api-2'];
	apis.forEach((n) => assert.ok(p.kill(n, 'SIGSTOP')));
	try {
		// Each of them twice: the second waits for the answer to the first.
		for (let i = 0; i < 2; i++) {
			ws.send('join_conversation', { conversationId: conversation });
			chat.write(frame(JSON.stringify({ type: 'join_conversation',
				conversationId: conversation })));
			s.emit('join_conversation', conversation, (a) => acks.push([i, a.success]));
		}
		// An answer to what came behind shows that the joins were read.
		ws.send('ping', {});
		await ws.until('pong');
		// Not by SIGHUP: that would renew those who are to answer, too.
		const other = run(p, '--take-over');
		t.after(() => other.child.kill('SIGKILL'));
		await until(() => /handover took=3/.test(other.output), undefined, 'all three');
		assert.deepEqual([acks, ws.of('conversation_joined').length], [[], 0]);
	} finally {
		apis.forEach((n) => p.kill(n, 'SIGCONT'));
	}
	const joined = () => texts(chat).filter((m) => m.type === 'conversation_joined').length;
	await ws.until('conversation_joined');
	assert.ok(await chat.until(() => joined() > 0));
	await until(() => acks.length === 2);
	// They are in: what is said comes once, and by then all has been answered.
	const m = await customer.send(conversation, 'joined');
	const id = String(m.json.id);
	await ws.until((e) => e.type === 'message_received' && String(e.data.id) === id);
	assert.ok(await chat.until(() => texts(chat).some((x) => x.type === 'new_message')));
	assert.deepEqual(acks.sort(), [[0, true], [1, true]]);
	const n = [ws.of('conversation_joined').length, joined()];
	assert.deepEqual(n, [1, 1]);
	assert.equal(texts(chat).filter((x) => x.type === 'new_message').length, 1);
	ws.close();
});

test('what is in the middle of a change is sent back, alone', async (t) => {
	const { p, sent, write, agent, agentDirect } = await workspace(t);
	const d = agentDirect.p;
	const o = { path: '/socket.io/', headers: { authorization: `Bearer ${agent.token}` } };
	const sse = await agentDirect.sse(), ws = await agentDirect.ws();
	const stop = write();
	// A session whose POST has not ended, and one that changes its transport.
	const posts = await handshake(d, o), changes = await handshake(d, o);
	const get = await waiting(d, { ...o, sid: posts.sid });
	const post = (await raw(p)).write(
		`POST /socket.io/?EIO=4&transport=polling&sid=${posts.sid} HTTP/1.1\r\nHost: x\r\n` +
		`Authorization: ${o.headers.authorization}\r\nContent-Length: 10\r\n\r\n40`);
	const probe = await new Socket(d, { ...o, sid: changes.sid }).opened;
	probe.send('2probe');
	assert.equal(await probe.next(), '3probe');
	await arrived(d);
	const before = p.pid('pushd');
	process.kill(p.child.pid, 'SIGHUP');
	assert.deepEqual(packets(4, (await get.answer).bytes), ['1']);
	assert.ok(await post.until(() => /^HTTP\/1\.1 400 /.test(post.text)), post.text);
	assert.equal(await probe.closed, 1012);
	await succeeded(p, before);
	assert.match(p.log('pushd'), /handover conns=[2-9] left=[3-9]/);
	for (const s of [posts, changes])
		assert.equal((await poll(d, { ...o, sid: s.sid })).status, 400);
	await stop();
	for (const s of [sse, ws]) {
		await s.until((e) => e.type === 'new_message' && String(e.data.id) === sent.at(-1));
		assert.equal(s.ended, false);
		whole(s, sent, 'a stream');
		s.close();
	}
});

test('--take-over=sockets: the old one sends its clients back, and they miss nothing', async (t) => {
	const o = await workspace(t);
	const { p, sent, write, agent, agentDirect } = o;
	const head = (await agent.get('/api/conversations?limit=1')).json.cursor;
	const follower = new Follower({ url: agentDirect.p.url, token: agent.token,
		cursor: head, random: seeded(7) });
	const sse = await agentDirect.sse(), ws = await agentDirect.ws();
	const stop = write();
	await pause(200);
	const before = p.pid('pushd');
	const other = run(p, '--take-over=sockets');
	t.after(() => other.child.kill('SIGKILL'));
	await until(() => ws.ended && sse.ended, undefined, 'being sent back');
	assert.equal(ws.code, 1012);
	assert.ok(sse.retry >= 1000, `retry ${sse.retry}`);
	// Until then events came to both, if later.
	const [ids, wsIds] = [sse, ws].map((x) => x.of('new_message')
		.map((e) => String(e.data.id)));
	assert.deepEqual(ids, sent.slice(sent.indexOf(ids[0])).slice(0, ids.length));
	assert.deepEqual(wsIds, sent.slice(sent.indexOf(wsIds[0])).slice(0, wsIds.length));
	// They come back with their cursors, and have all of it.
	const again = await agentDirect.sse({ cursor: sse.cursor });
	const wsAgain = await agentDirect.ws({ cursor: ws.cursor });
	await succeeded(p, before);
	await pause(300);
	await stop();
	const last = (e) => e.type === 'new_message' && String(e.data.id) === sent.at(-1);
	for (const [x, y, what] of [[sse, again, 'sse'], [ws, wsAgain, 'ws']]) {
		// The supervisor's own took over from ours meanwhile.
		if (!y.ended)
			await y.until(last, 3000).catch(() => {});
		const z = y.ended ? await agentDirect.sse({ cursor: y.cursor }) : y;
		await z.until(last);
		const events = [...x.events, ...y.events, ...z === y ? [] : z.events];
		whole({ events }, sent, what);
		z.close();
	}
	await follower.until((f) => f.events.some(last), 60_000);
	await follower.close();
	whole(follower, sent, 'the follower');
	assert.equal(follower.resets, 0);
});

test('a taker that goes away, lies or is of another version changes nothing', async (t) => {
	const { p, sent, write, agentDirect } = await workspace(t);
	const door = join(p.var, 'run', 'handover.sock');
	const before = p.pid('pushd');
	const s = await agentDirect.sse();
	const stop = write();

	// Says the lines; leaves after so many bytes, or at the other's end.
	const once = (say, most, then) => new Promise((ok) => {
		const c = net.connect(door);
		let text = '';
		c.on('error', () => {});
		c.on('connect', () => c.write(say));
		c.on('data', (d) => {
			text += d.toString('latin1');
			if (text.length >= most) {
				if (then)
					c.end(then);
				else
					c.destroy();
			}
		});
		c.on('close', () => ok(text));
	});
	// The one before may not be noticed as gone yet.
	const taker = async (say, most, then) => {
		for (;;) {
			const text = await once(say, most, then);
			if (text !== 'NO busy\n' && (text !== '' || most === Infinity))
				return text;
			await pause(10);
		}
	};
	assert.equal(await taker('take 999\n', 11), 'NO version\n');
	assert.equal(await taker('listen 999\n', 11), 'NO version\n');
	await taker(`${'x'.repeat(100)}\n`, Infinity);
	for (const most of [1, 10, 100, 300, 1000])
		assert.match(await taker('take 1\n', most), /^OK\n/);
	await taker('take 1\n', 500, 'NONE\n');
	await taker('listen 1\n', 200, 'HAV');
	// One that says nothing more than what it wants is waited for shortly.
	const silent = taker('take 1\n', Infinity);
	await until(() => /handover failed why="the new one did not take it"/
		.test(p.log('pushd')), undefined, 'giving up');
	await silent;
	await stop();
	await s.until((e) => e.type === 'new_message' && String(e.data.id) === sent.at(-1));
	assert.equal(s.ended, false);
	whole(s, sent, 'the stream');
	assert.equal(p.pid('pushd'), before);
	// And it can still be taken over from.
	process.kill(p.child.pid, 'SIGHUP');
	await succeeded(p, before);
	assert.equal(s.ended, false);
	s.close();
});

test('a giver that stops in the middle leaves the new one with nothing', async (t) => {
	const p = await start({ mode: 'none' });
	t.after(() => p.stop());
	const door = join(p.var, 'run', 'handover.sock');
	const server = net.createServer((c) => {
		c.on('error', () => {});
		c.once('data', () => c.end(server.say));
	});
	mkdirSync(join(p.var, 'run'), { recursive: true });
	await new Promise((ok) => server.listen(door, ok));
	t.after(() => server.close());
	const head = (len, type, fds = 0) => {
		const b = Buffer.alloc(6);
		b.writeUInt32LE(len);
		b[4] = type;
		b[5] = fds;
		return b;
	};
	const cases = ['', 'OK', 'OK\n', 'NO busy\n', 'nonsense',
		['OK\n', head(1, 1)], ['OK\n', head(1, 1), '\0', head(100, 2), '{'],
		['OK\n', head(0xffffffff, 1)], ['OK\n', head(0, 99)],
		['OK\n', head(0, 4, 2)], ['OK\n', head(0, 11)]];
	for (const say of cases) {
		server.say = Buffer.concat([say].flat().map((x) => Buffer.from(x)));
		const o = run(p, '--take-over');
		assert.equal(await o.done, 1, o.output);
		assert.match(o.output, /handover/);
	}
});

test('whichever is killed in the middle, clients come back and lose nothing', async (t) => {
	const o = await workspace(t);
	const { p, sent, write, agent, customer, agentDirect } = o;
	const random = seeded(11);
	const head = (await agent.get('/api/conversations?limit=1')).json.cursor;
	const readers = [agent, agent, agent, customer].map((w) => new Follower({
		url: agentDirect.p.url, token: w.token, cursor: head, random, swapMs: 3000 }));
	const stop = write(5);
	for (let n = 0; n < 12; n++) {
		await pause(100);
		const old = p.pid('pushd');
		process.kill(p.child.pid, 'SIGHUP');
		if (n % 2 === 0)
			await until(() => p.pid('pushd') !== old, undefined, 'a new one');
		await pause(random() * 40);
		const victim = n % 2 === 0 ? p.pid('pushd') : old;
		if (alive(victim))
			process.kill(victim, 'SIGKILL');
		await until(async () => (await agentDirect.get('/health')
			.catch(() => ({}))).status === 200, undefined, 'an answer');
	}
	await pause(300);
	await stop();
	for (const r of readers) {
		await r.until((f) => f.events.some((e) => e.type === 'new_message' &&
			String(e.data.id) === sent.at(-1)), 60_000);
		await r.close();
		whole(r, sent, 'a reader');
		assert.equal(r.resets, 0);
	}
});
