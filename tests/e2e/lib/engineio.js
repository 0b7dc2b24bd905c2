// Engine.IO by hand: requests that poll, and a WebSocket's messages.
import http from 'node:http';
import WebSocket from 'ws';

export const query = (version, transport, sid, more = '') =>
	`EIO=${version}&transport=${transport}${sid ? `&sid=${sid}` : ''}${more}`;

// {status, headers, text, bytes}; o: {path, version, sid, more, headers, body}.
export function poll(p, { method = 'GET', path = '/engine.io/', version = 4, sid, more,
	headers, body, signal, sent } = {}) {
	return new Promise((ok, no) => {
		const rq = http.request(`${p.url}${path}?${query(version, 'polling', sid, more)}`,
			{ method, headers, agent: false, signal }, (rs) => {
				const parts = [];
				rs.on('data', (d) => parts.push(d));
				rs.on('error', no);
				rs.on('end', () => {
					const bytes = Buffer.concat(parts);
					ok({ status: rs.statusCode, headers: rs.headers, bytes,
						text: bytes.toString() });
				});
			});
		rq.on('error', no);
		rq.on('socket', (s) => s.on('connect', () => setImmediate(() => sent?.())));
		rq.end(body);
	});
}

export const post = (p, sid, body, o = {}) => poll(p, { method: 'POST', sid, body, ...o });

// What was written before on other connections straight to pushd has been read
// when this is done: its loop takes them in turn.
export const arrived = (p) => poll(p, { path: '/arrived' });

// A GET that waits at pushd for its .answer.
export async function waiting(p, o) {
	let answer;
	await new Promise((sent) => {
		answer = poll(p, { ...o, sent });
		answer.catch(() => {});
	});
	await arrived(p);
	return { answer };
}

// The texts of a payload's packets; bytes of version 3's as [type, bytes].
export function packets(version, bytes) {
	if (version === 4)
		return bytes.toString().split('\x1e');
	const list = [];
	if (bytes[0] > 1) {
		for (let text = bytes.toString(); text !== '';) {
			const n = Number(/^(\d+):/.exec(text)[1]);
			const at = text.indexOf(':') + 1;
			list.push(text.slice(at, at + n));
			text = text.slice(at + n);
		}
		return list;
	}
	for (let at = 0; at < bytes.length;) {
		const end = bytes.indexOf(255, at);
		const n = Number([...bytes.subarray(at + 1, end)].join(''));
		const data = bytes.subarray(end + 1, end + 1 + n);
		list.push(bytes[at] === 0 ? data.toString() : [data[0], data.subarray(1)]);
		at = end + 1 + n;
	}
	return list;
}

// The open packet's fields.
export async function handshake(p, o = {}) {
	const r = await poll(p, o);
	const [open] = packets(o.version ?? 4, r.bytes);
	return { ...JSON.parse(open.slice(1)), response: r, open };
}

// A WebSocket, its messages in a line.
export class Socket {
	constructor(p, { path = '/engine.io/', version = 4, sid, more, headers } = {}) {
		this.ws = new WebSocket(`${p.url.replace('http', 'ws')}${path}?` +
			query(version, 'websocket', sid, more), { headers });
		this.got = [];
		this.waiters = [];
		this.opened = new Promise((ok, no) => {
			this.ws.on('open', () => ok(this));
			this.ws.on('error', no);
		});
		this.opened.catch(() => {});
		this.closed = new Promise((ok) => {
			this.ws.on('close', (code) => {
				this.code = code;
				for (const w of this.waiters.splice(0))
					w(undefined);
				ok(code);
			});
		});
		this.ws.on('message', (data, binary) => {
			const m = binary ? data : data.toString();
			const w = this.waiters.shift();
			if (w)
				w(m);
			else
				this.got.push(m);
		});
	}

	// The next message; undefined at the end.
	next() {
		if (this.got.length > 0)
			return Promise.resolve(this.got.shift());
		if (this.code !== undefined)
			return Promise.resolve(undefined);
		return new Promise((ok) => this.waiters.push(ok));
	}

	// The next that is not a ping.
	async data() {
		for (;;) {
			const m = await this.next();
			if (m !== '2')
				return m;
		}
	}

	send(m) {
		this.ws.send(m);
		return this;
	}

	close() {
		this.ws.terminate();
	}
}

// One that has got its open packet, which is .hello.
export async function socket(p, o) {
	const s = await new Socket(p, o).opened;
	const open = await s.next();
	s.hello = JSON.parse(open.slice(1));
	return s;
}
