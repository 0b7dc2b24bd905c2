// A reader that follows the event log as the documents ask of clients: one
// cursor, any transport in any dialect, changed in mid-air.  It remembers every
// event with its id, so that a test can say what was missed, doubled or out of
// order.
import http from 'node:http';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import WebSocket from 'ws';

const WAYS = [['polling'], ['websocket'], ['polling', 'websocket']];

export class Follower {
	// url: http://host:port; token: bearer; cursor: where to begin.
	constructor({ url, token, cursor, random = Math.random, swapMs = 1500 }) {
		Object.assign(this, { url, token, cursor: String(cursor), random, swapMs });
		this.events = []; // {id, type, data} as received, doubles too
		this.resets = 0;
		this.transports = {
			named: (t) => this.#sse(t, '/chat/sse'),
			envelope: (t) => this.#sse(t, '/api/events/stream?format=envelope'),
			live: (t) => this.#ws(t, '/ws/live-chat'),
			chat: (t) => this.#ws(t, '/chat/ws'),
			io4: (t) => this.#io(t, 4),
			io2: (t) => this.#io(t, 2),
			poll: (t) => this.#poll(t, 'poll'),
			longpoll: (t) => this.#poll(t, 'longpoll'),
		};
		this.swaps = {};
		this.waiters = new Set();
		this.closed = false;
		this.done = this.#run();
	}

	async #run() {
		const names = Object.keys(this.transports);
		while (!this.closed) {
			const name = names[Math.floor(this.random() * names.length)];
			const until = Date.now() + this.swapMs * (0.3 + this.random());
			this.transport = name;
			try {
				await this.transports[name](until);
				this.swaps[name] = (this.swaps[name] ?? 0) + 1;
			} catch {
				await pause(50 + this.random() * 200);
			}
		}
	}

	#take(id, type, data) {
		if (this.closed)
			return;
		if (type === 'reset') {
			this.resets++;
			return;
		}
		if (!/^\d+$/.test(id ?? ''))
			return;
		this.cursor = id;
		this.events.push({ id: Number(id), type, data, by: this.transport });
		for (const w of this.waiters)
			w();
	}

	// One block of a stream, in either form.
	#block(text) {
		let id, type, data = '';
		for (const line of text.split('\n')) {
			if (line.startsWith('id: '))
				id = line.slice(4);
			else if (line.startsWith('event: '))
				type = line.slice(7);
			else if (line.startsWith('data: '))
				data += line.slice(6);
		}
		if (data === '')
			return;
		let o = JSON.parse(data);
		if (!type)
			({ type, data: o } = o);
		if (!['connected', 'connection', 'heartbeat'].includes(type))
			this.#take(id, type, o);
	}

	#sse(until, path) {
		return new Promise((resolve, reject) => {
			const req = http.get(this.url + path, {
				agent: false,
				headers: { authorization: `Bearer ${this.token}`,
					'last-event-id': this.cursor },
			});
			const timer = setTimeout(() => req.destroy(), until - Date.now());
			const end = (f, x) => { clearTimeout(timer); req.destroy(); f(x); };
			req.on('error', (e) => end(reject, e));
			req.on('close', () => end(resolve));
			req.on('response', (res) => {
				if (res.statusCode !== 200)
					return end(reject, new Error(`sse ${res.statusCode}`));
				let text = '';
				res.setEncoding('utf8');
				res.on('error', (e) => end(reject, e));
				res.on('end', () => end(resolve));
				res.on('data', (part) => {
					text += part;
					for (let i; (i = text.indexOf('\n\n')) >= 0;) {
						this.#block(text.slice(0, i));
						text = text.slice(i + 2);
					}
				});
			});
		});
	}

	#ws(until, path) {
		return new Promise((resolve, reject) => {
			const ws = new WebSocket(this.url.replace('http', 'ws') + path);
			const timer = setTimeout(() => ws.terminate(), until - Date.now());
			let over = false;
			const end = (f, x) => {
				over = true;
				clearTimeout(timer);
				ws.terminate();
				f(x);
			};
			ws.on('error', (e) => end(reject, e));
			ws.on('close', () => end(resolve));
			ws.on('open', () => ws.send(JSON.stringify({ type: 'auth',
				token: this.token, cursor: this.cursor, events: 'all' })));
			ws.on('message', (text) => {
				const e = JSON.parse(text);
				if (e.type === 'auth_error')
					end(reject, new Error('auth'));
				else if (e.type !== 'auth_success' && !over)
					this.#take(e.id ?? e.cursor, e.type, e.payload ?? e.message ?? e);
			});
		});
	}

	#io(until, version) {
		return new Promise((resolve, reject) => {
			const transports = WAYS[Math.floor(this.random() * WAYS.length)];
			const who = { token: this.token, offset: this.cursor, events: 'all' };
			const s = (version === 4 ? io : io2)(this.url, { transports, auth: who,
				forceNew: true, reconnection: false });
			let over = false;
			const end = (f, x) => {
				if (over)
					return;
				over = true;
				clearTimeout(timer);
				s.close();
				f(x);
			};
			// Left as one that says goodbye, or as one that is torn off.
			const timer = setTimeout(() => {
				if (this.random() < 0.5)
					s.io.engine?.transport?.ws?.terminate();
				end(resolve);
			}, until - Date.now());
			s.on('connect_error', (e) => end(reject, e));
			s.on('error', (e) => end(reject, new Error(e.message)));
			s.on('disconnect', () => end(resolve));
			if (version !== 4)
				s.on('connect', () => s.emit('authenticate', who));
			// Every event, also those that nobody has named.
			const { onevent } = s;
			s.onevent = (packet) => {
				const [type, data, id] = packet.data;
				if (!over && type !== 'authenticated')
					this.#take(id, type, data);
				onevent.call(s, packet);
			};
		});
	}

	async #poll(until, how) {
		const abort = new AbortController();
		const timer = setTimeout(() => abort.abort(), how === 'poll' ? 5000 :
			until - Date.now());
		try {
			while (!this.closed && Date.now() < until) {
				const r = await fetch(`${this.url}/api/events/${how}?after=${this.cursor}`, {
					headers: { authorization: `Bearer ${this.token}` },
					signal: abort.signal,
				});
				if (r.status !== 200)
					throw new Error(`${how} ${r.status}`);
				const a = await r.json();
				for (const e of a.events)
					this.#take(e.id, e.type, e.data);
				this.cursor = a.cursor ? String(a.cursor) : this.cursor;
				if (!a.more)
					await pause(how === 'poll' ? 100 : a.next_poll_ms ?? 0);
			}
		} catch (e) {
			if (!abort.signal.aborted)
				throw e;
		} finally {
			clearTimeout(timer);
		}
	}

	// Resolves when test(this) holds; rejects after ms.
	until(test, ms) {
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => {
				this.waiters.delete(look);
				reject(new Error('the reader never saw it'));
			}, ms);
			const look = () => {
				if (!test(this))
					return;
				clearTimeout(timer);
				this.waiters.delete(look);
				resolve();
			};
			this.waiters.add(look);
			look();
		});
	}

	async close() {
		this.closed = true;
		await this.done;
	}
}

export function pause(ms) {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

// mulberry32: a small seedable random source, so that a failure can be replayed.
export function seeded(seed) {
	return () => {
		seed = (seed + 0x6d2b79f5) | 0;
		let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}
