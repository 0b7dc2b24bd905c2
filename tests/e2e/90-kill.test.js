// Nothing acknowledged is lost, doubled or out of order, whatever is killed:
// writers over REST and every kind of socket, readers that change transport and
// dialect at random, while programs die by SIGKILL, and one pushd takes over from
// another, if neither of them is killed in the middle of it.
//
// PARLEY_KILL_S is how long (120), PARLEY_SEED replays a run.
import test from 'node:test';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { start } from './lib/harness.js';
import { Follower, pause, seeded } from './lib/follow.js';

const SECONDS = Number(process.env.PARLEY_KILL_S ?? 120);
const SEED = Number(process.env.PARLEY_SEED ?? Date.now() % 1e9);

// Posts one message until a whole answer names it; returns the message's id.
async function post(p, token, conversation, content, client_id) {
	for (;;) {
		try {
			const r = await fetch(`${p.url}/api/conversations/${conversation}/messages`, {
				method: 'POST',
				headers: { authorization: `Bearer ${token}`,
					'content-type': 'application/json' },
				body: JSON.stringify({ content, client_id }),
				signal: AbortSignal.timeout(5000),
			});
			const text = await r.text();
			if (r.status === 200 || r.status === 201) {
				const m = JSON.parse(text);
				if (m.client_id === client_id)
					return m.id;
			} else if (r.status < 500 && r.status !== 429) {
				throw Object.assign(new Error(`post ${r.status} ${text}`), { fatal: true });
			}
		} catch (e) {
			if (e.fatal)
				throw e;
		}
		await pause(20 + Math.random() * 60);
	}
}

// The same over a socket that is opened again whenever it is lost.
class SocketWriter {
	constructor(p, token, conversation) {
		Object.assign(this, { p, token, conversation, up: false, waits: new Map() });
	}

	// The connection has ended: what was asked over it is asked again.
	lost() {
		this.up = false;
		for (const w of this.waits.values())
			w(null);
		this.waits.clear();
	}

	answered(client_id, id) {
		this.waits.get(client_id)?.(id);
		this.waits.delete(client_id);
	}

	async post(content, client_id) {
		for (;;) {
			try {
				if (!this.up)
					await this.open();
				const id = await new Promise((resolve) => {
					this.waits.set(client_id, resolve);
					this.send(content, client_id);
					setTimeout(() => resolve(null), 3000).unref();
				});
				if (id)
					return id;
			} catch {
				// opened again below
			}
			await pause(20 + Math.random() * 60);
		}
	}
}

class LiveWriter extends SocketWriter {
	path = '/ws/live-chat';

	open() {
		return new Promise((resolve, reject) => {
			const ws = this.ws = new WebSocket(this.p.url.replace('http', 'ws') + this.path);
			const lost = (e) => {
				if (this.ws === ws)
					this.lost();
				reject(e ?? new Error('closed'));
			};
			ws.on('error', lost);
			ws.on('close', () => lost());
			ws.on('open', () => this.say('auth', { token: this.token }));
			ws.on('message', (text) => {
				const m = JSON.parse(text);
				if (m.type === 'auth_success') {
					this.say('join_conversation', { conversationId: this.conversation });
				} else if (m.type === 'conversation_joined') {
					this.up = this.ws === ws;
					resolve();
				} else {
					this.hear(m);
				}
			});
			setTimeout(() => { if (!this.up) ws.terminate(); }, 3000).unref();
		});
	}

	say(type, payload) {
		this.ws.send(JSON.stringify({ type, payload }));
	}

	send(content, id) {
		this.say('message_send', { conversationId: this.conversation, content, id });
	}

	hear(m) {
		if (m.type === 'message_sent')
			this.answered(m.payload.clientId, m.payload.id);
	}

	close() {
		this.ws?.terminate();
	}
}

// It hears its own messages as the others do, or that they were sent before.
class ChatWriter extends LiveWriter {
	path = '/chat/ws';

	say(type, more) {
		this.ws.send(JSON.stringify({ type, ...more }));
	}

	send(content, id) {
		this.say('group_message', { groupId: this.conversation, content, id });
	}

	hear(m) {
		if (m.type === 'new_message')
			this.answered(m.message.clientId, m.message.id);
		else if (m.type === 'message_sent')
			this.answered(m.clientId, m.id);
	}
}

class SocketIoWriter extends SocketWriter {
	open() {
		return new Promise((resolve, reject) => {
			const s = this.s = io(this.p.url, { auth: { token: this.token }, forceNew: true,
				reconnection: false });
			const lost = (e) => {
				s.close();
				if (this.s === s)
					this.lost();
				reject(e);
			};
			s.on('connect_error', lost);
			s.on('disconnect', lost);
			s.on('connect', () => {
				this.up = this.s === s;
				resolve();
			});
			setTimeout(() => { if (!this.up) lost(new Error('late')); }, 3000).unref();
		});
	}

	send(content, id) {
		this.s.emit('send_message', { conversationId: this.conversation, content, id },
			(r) => this.answered(id, r.success ? r.id : null));
	}

	close() {
		this.s?.close();
	}
}

for (const web of ['apache', 'lighttpd']) {
	const only = process.env.PARLEY_KILL_WEB;
	if (only && only !== web)
		continue;
	test(`nothing acknowledged is lost or doubled while programs are killed (${web})`,
		{ timeout: SECONDS * 1000 + 300_000 }, async (t) => {
		const random = seeded(SEED);
		t.diagnostic(`seed ${SEED}`);
		const p = await start({ web, mode: 'fcgi', env: { PARLEY_LIMITS: 'off',
			PARLEY_SYNCHRONOUS: 'full' } });
		t.after(() => p.stop());

		const cli = async (...args) => (await p.cli(...args)).trim();
		const agents = [];
		for (const n of [1, 2, 3, 4]) {
			const email = `k${n}@example.com`;
			await cli('user', 'add', '--email', email, '--name', `K${n}`, '--role', 'agent');
			agents.push(await cli('token', '--user', email));
		}
		const customers = [];
		for (const n of [1, 2, 3])
			customers.push(JSON.parse(await cli('token', '--customer', `C${n}`)));

		const r = await fetch(`${p.url}/api/conversations?limit=1`,
			{ headers: { authorization: `Bearer ${agents[0]}` } });
		assert.equal(r.status, 200);
		const { cursor } = await r.json();

		// Readers: three agents who see everything, a customer who sees its own.
		const readers = agents.slice(0, 3).map((token) =>
			new Follower({ url: p.url, token, cursor, random }));
		const own = new Follower({ url: p.url, token: customers[0].token, cursor, random });

		// Writers: each waits for its answer before it goes on.
		const acked = []; // {conversation, writer, content, id}
		const until = Date.now() + SECONDS * 1000;
		const writers = [];
		const writer = (name, conversation, send) => writers.push((async () => {
			for (let n = 0; Date.now() < until; n++) {
				const content = `${name} ${n}`;
				acked.push({ conversation, name, content,
					id: await send(content, randomUUID()) });
				await pause(10 + Math.random() * 40);
			}
		})());
		for (const [i, c] of customers.entries()) {
			writer(`customer${i}`, c.conversation_id, (content, id) =>
				post(p, c.token, c.conversation_id, content, id));
			writer(`agent${i}`, c.conversation_id, (content, id) =>
				post(p, agents[i], c.conversation_id, content, id));
		}
		const sockets = [
			new LiveWriter(p, agents[3], customers[0].conversation_id),
			new LiveWriter(p, customers[1].token, customers[1].conversation_id),
			new ChatWriter(p, agents[3], customers[1].conversation_id),
			new SocketIoWriter(p, customers[2].token, customers[2].conversation_id),
			new SocketIoWriter(p, agents[3], customers[0].conversation_id),
		];
		for (const [i, s] of sockets.entries())
			writer(`socket${i}`, s.conversation, (c, id) => s.post(c, id));

		// The killer.
		const victims = ['api-1', 'api-2', 'push-api-1', 'push-api-2', 'poll-1',
			'pushd', 'pushd', 'web'];
		let kills = 0, takeovers = 0;
		while (Date.now() < until - 5000) {
			await pause(300 + random() * 1700);
			if (random() < 0.4) {
				const old = p.pid('pushd');
				process.kill(p.child.pid, 'SIGHUP');
				takeovers++;
				if (random() < 0.5)
					continue;
				// Either of the two, at any moment of it.
				await pause(random() * 60);
				const victim = random() < 0.5 ? old : p.pid('pushd');
				try {
					kills += victim > 0 && process.kill(victim, 'SIGKILL');
				} catch {
					// it had ended
				}
				continue;
			}
			if (p.kill(victims[Math.floor(random() * victims.length)], 'SIGKILL'))
				kills++;
		}
		await Promise.all(writers);
		for (const s of sockets)
			s.close();
		t.diagnostic(`${acked.length} acknowledged, ${kills} kills, ` +
			`${takeovers} take-overs, ` +
			`swaps ${JSON.stringify(readers[0].swaps)}`);
		if (SECONDS >= 60)
			for (const name of Object.keys(own.transports))
				assert.ok([own, ...readers].some((f) => f.events.some((e) =>
					e.by === name)), `nothing came by ${name}`);
		assert.ok(kills + takeovers > SECONDS / 4, `only ${kills + takeovers} kills`);
		assert.ok(acked.length > SECONDS, `only ${acked.length} messages`);

		// Everybody sees everything, once, in order.
		const look = async (who, reader, wanted) => {
			const ids = new Set(wanted.map((m) => String(m.id)));
			const seen = (f) => f.events.filter((e) => e.type === 'new_message');
			await reader.until((f) => seen(f).filter((e) =>
				ids.has(String(e.data.id))).length >= ids.size, 120_000).catch(() => {
				const have = new Set(seen(reader).map((e) => String(e.data.id)));
				const lost = [...ids].filter((id) => !have.has(id));
				assert.fail(`${who} missed ${lost.length}: ${lost.slice(0, 5)}`);
			});
			await reader.close();
			assert.equal(reader.resets, 0, `${who} was told to start again`);
			let last = 0;
			for (const e of reader.events) {
				assert.ok(e.id > last, `${who} got ${e.id} after ${last}`);
				last = e.id;
			}
			const byWriter = new Map();
			for (const e of seen(reader)) {
				const m = /^(\w+) (\d+)$/.exec(e.data.content);
				if (!m)
					continue;
				assert.equal(Number(m[2]), byWriter.get(m[1]) ?? 0,
					`${who}: ${m[1]} out of order`);
				byWriter.set(m[1], Number(m[2]) + 1);
			}
		};
		for (const [i, reader] of readers.entries())
			await look(`agent ${i}`, reader, acked);
		await look('the customer', own, acked.filter((m) =>
			m.conversation === customers[0].conversation_id));

		// Stored once each, and the database is whole.
		const sql = (q) => execFileSync('sqlite3', ['-readonly',
			join(p.var, 'parley.db'), q], { encoding: 'utf8' }).trim();
		assert.equal(sql('PRAGMA integrity_check'), 'ok');
		for (const name of new Set(acked.map((m) => m.name))) {
			const sent = acked.filter((m) => m.name === name).length;
			assert.equal(Number(sql('SELECT count(*) FROM messages WHERE content ' +
				`GLOB '${name} *'`)), sent, name);
		}
	});
}
