// Bytes to pushd itself, past the web server and past any client library.
import net from 'node:net';
import { randomBytes } from 'node:crypto';
import { pause, WAIT_MS } from './harness.js';

// A TCP or Unix connection to pushd; what came is in .text and .bytes.  o:
// more for net.connect.
export function raw(p, o = {}) {
	const at = p.setting('push_listen');
	const m = /^(?:\[(.*)\]|([^/:]+)):(\d+)$/.exec(at);
	const s = m ? net.connect({ port: Number(m[3]), host: m[1] ?? m[2], ...o }) :
		net.connect({ path: at.startsWith('/') ? at : `${p.var}/${at}`, ...o });
	const c = new Raw(s);
	return new Promise((ok, no) => {
		s.on('connect', () => ok(c));
		s.on('error', no);
	});
}

class Raw {
	constructor(socket) {
		this.socket = socket;
		this.bytes = Buffer.alloc(0);
		this.ended = false;
		this.waiters = new Set();
		const wake = () => [...this.waiters].forEach((w) => w());
		socket.setNoDelay(true);
		socket.on('data', (d) => {
			this.bytes = Buffer.concat([this.bytes, d]);
			wake();
		});
		socket.on('error', (e) => { this.error = e; });
		socket.on('close', () => {
			this.ended = true;
			wake();
		});
		socket.on('end', () => {
			this.ended = true;
			wake();
		});
	}

	get text() {
		return this.bytes.toString();
	}

	write(data) {
		this.socket.write(data);
		return this;
	}

	async slowly(data) {
		for (const b of Buffer.from(data)) {
			this.socket.write(Buffer.from([b]));
			await new Promise(setImmediate);
		}
	}

	// Resolves to what fn gives once that is true; null at the end or too late.
	until(fn, ms = WAIT_MS) {
		return new Promise((ok) => {
			const look = () => {
				const v = fn(this);
				if (!v && !this.ended)
					return;
				clearTimeout(timer);
				this.waiters.delete(look);
				ok(v || null);
			};
			const timer = setTimeout(() => {
				this.waiters.delete(look);
				ok(null);
			}, ms);
			this.waiters.add(look);
			look();
		});
	}

	// The end of the connection, in so many ms.
	gone(ms = WAIT_MS) {
		return this.until((c) => c.ended, ms);
	}

	close() {
		this.socket.destroy();
	}
}

// A whole plain answer: {status, headers, body, text}.
export async function ask(p, text, { slowly = false, end = true } = {}) {
	const c = await raw(p);
	if (slowly)
		await c.slowly(text);
	else
		c.write(text);
	await c.gone();
	if (end)
		c.close();
	return answer(c.text);
}

export function answer(text) {
	const [head, ...rest] = text.split('\r\n\r\n');
	const [line, ...fields] = head.split('\r\n');
	const headers = {};
	for (const f of fields) {
		const i = f.indexOf(':');
		headers[f.slice(0, i).toLowerCase()] = f.slice(i + 1).trim();
	}
	const body = rest.join('\r\n\r\n');
	let json;
	try {
		json = JSON.parse(body);
	} catch {
		json = undefined;
	}
	return { status: Number(line.split(' ')[1]), headers, body, json, text };
}

export const upgrade = (more = '', path = '/ws/live-chat') =>
	`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n` +
	'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
	`Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${more}\r\n`;

// A client's frame. o: fin, opcode, mask, rsv, length (a lie).
export function frame(payload, o = {}) {
	const data = Buffer.from(payload);
	const mask = o.mask === false ? null : randomBytes(4);
	const head = [(o.fin === false ? 0 : 0x80) | (o.rsv ?? 0) << 4 | (o.opcode ?? 1)];
	const m = mask ? 0x80 : 0;
	const n = o.length ?? data.length;
	if (n < 126)
		head.push(m | n);
	else if (n < 65536)
		head.push(m | 126, n >> 8, n & 255);
	else {
		const b = Buffer.alloc(8);
		b.writeBigUInt64BE(BigInt(n));
		head.push(m | 127, ...b);
	}
	if (mask)
		for (let i = 0; i < data.length; i++)
			data[i] ^= mask[i & 3];
	return Buffer.concat([Buffer.from(head), mask ?? Buffer.alloc(0), data]);
}

// The server's frames behind the head of its answer: [{opcode, data}].
export function frames(bytes) {
	const at = bytes.indexOf('\r\n\r\n');
	const out = [];
	if (at < 0)
		return out;
	for (let i = at + 4; i + 2 <= bytes.length;) {
		let n = bytes[i + 1] & 127;
		let head = 2;
		if (bytes[i + 1] & 128)
			throw new Error('a masked frame from the server');
		if (n === 126) {
			if (i + 4 > bytes.length)
				break;
			n = bytes.readUInt16BE(i + 2);
			head = 4;
		} else if (n === 127) {
			if (i + 10 > bytes.length)
				break;
			n = Number(bytes.readBigUInt64BE(i + 2));
			head = 10;
		}
		if (i + head + n > bytes.length)
			break;
		if ((bytes[i] & 0xf0) !== 0x80)
			throw new Error('not a whole frame from the server');
		out.push({ opcode: bytes[i] & 15, data: bytes.subarray(i + head, i + head + n) });
		i += head + n;
	}
	return out;
}

// The server's Close: its code, 0 for one without, null if none came.
export async function closeCode(c, ms = WAIT_MS) {
	const f = await c.until(() => frames(c.bytes).find((x) => x.opcode === 8), ms);
	if (!f)
		return null;
	return f.data.length >= 2 ? f.data.readUInt16BE(0) : 0;
}

export const texts = (c) => frames(c.bytes).filter((f) => f.opcode === 1)
	.map((f) => JSON.parse(f.data.toString()));

// A raw WebSocket, past its handshake, perhaps with something sent along.
export async function socket(p, { more, along, path } = {}) {
	const c = await raw(p);
	const text = Buffer.from(upgrade(more, path));
	c.write(along ? Buffer.concat([text, along]) : text);
	await c.until(() => c.text.includes('\r\n\r\n'));
	if (!c.text.startsWith('HTTP/1.1 101 '))
		throw new Error(`no upgrade: ${c.text}`);
	return c;
}

export { pause };
