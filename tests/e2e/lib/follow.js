// A reader that follows the event log as the documents ask of clients: one
// cursor, any transport, changed in mid-air.  It remembers every event with
// its id, so that a test can say what was missed, doubled or out of order.
import http from 'node:http';
import WebSocket from 'ws';

const TRANSPORTS = ['sse', 'ws', 'poll'];

export class Follower {
	// url: http://host:port; token: bearer; cursor: where to begin.
	constructor({ url, token, cursor, random = Math.random, swapMs = 1500 }) {
		Object.assign(this, { url, token, cursor: String(cursor), random, swapMs });
		this.events = []; // {id, type, data} as received, doubles too
		this.resets = 0;
		this.swaps = { sse: 0, ws: 0, poll: 0 };
		this.waiters = new Set();
		this.closed = false;
		this.done = this.#run();
	}

	async #run() {
		while (!this.closed) {
			const t = TRANSPORTS[Math.floor(this.random() * 3)];
			this.swaps[t]++;
			const until = Date.now() + this.swapMs * (0.3 + this.random());
			try {
				if (t === 'sse')
					await this.#sse(until);
				else if (t === 'ws')
					await this.#ws(until);
				else
					await this.#poll(until);
			} catch {
				await pause(50 + this.random() * 200);
			}
		}
	}

	#take(id, type, data) {
		if (type === 'reset')
			this.resets++;
		if (!/^\d+$/.test(id ?? ''))
			return;
		this.cursor = id;
		this.events.push({ id: Number(id), type, data });
		for (const w of this.waiters)
			w();
	}

	#sse(until) {
		return new Promise((resolve, reject) => {
			const req = http.get(`${this.url}/api/events/stream?format=envelope`, {
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
						const block = text.slice(0, i);
						text = text.slice(i + 2);
						let id, data = '';
						for (const line of block.split('\n')) {
							if (line.startsWith('id: '))
								id = line.slice(4);
							else if (line.startsWith('data: '))
								data += line.slice(6);
						}
						if (data === '')
							continue;
						const e = JSON.parse(data);
						if (e.type === 'connection' || e.type === 'heartbeat')
							continue;
						if (!this.closed)
							this.#take(id, e.type, e.data);
					}
				});
			});
		});
	}

	#ws(until) {
		return new Promise((resolve, reject) => {
			const ws = new WebSocket(`${this.url.replace('http', 'ws')}/ws/live-chat`);
			const timer = setTimeout(() => ws.terminate(), until - Date.now());
			const end = (f, x) => { clearTimeout(timer); ws.terminate(); f(x); };
			ws.on('error', (e) => end(reject, e));
			ws.on('close', () => end(resolve));
			ws.on('open', () => ws.send(JSON.stringify({ type: 'auth',
				payload: { token: this.token, cursor: this.cursor, events: 'all' } })));
			ws.on('message', (text) => {
				const e = JSON.parse(text);
				if (e.type === 'auth_error')
					end(reject, new Error('auth'));
				else if (e.type !== 'auth_success' && !this.closed)
					this.#take(e.id, e.type, e.payload);
			});
		});
	}

	async #poll(until) {
		while (!this.closed && Date.now() < until) {
			const r = await fetch(`${this.url}/api/events/poll?after=${this.cursor}`, {
				headers: { authorization: `Bearer ${this.token}` },
				signal: AbortSignal.timeout(5000),
			});
			if (r.status !== 200)
				throw new Error(`poll ${r.status}`);
			const a = await r.json();
			for (const e of a.events)
				this.#take(e.id, e.type, e.data);
			this.cursor = a.cursor ? String(a.cursor) : this.cursor;
			if (!a.more)
				await pause(100);
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
