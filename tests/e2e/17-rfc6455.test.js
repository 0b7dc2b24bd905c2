// RFC 6455 over real sockets: as public suites see it, by --echo, and in the
// daemon that serves.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { build, freePort, pause, start, until } from './lib/harness.js';
import { answer, ask, closeCode, frame, frames, raw, socket, upgrade } from './lib/raw.js';

// pushd alone, in a folder of its own; for raw() it looks like a workspace.
async function echo() {
	const dir = mkdtempSync(join(tmpdir(), 'parley-echo-'));
	const at = `127.0.0.1:${await freePort()}`;
	const child = spawn(join(build, 'pushd'), ['--echo', '--listen', at],
		{ cwd: dir, stdio: 'ignore', env: { ...process.env, PARLEY_CONF: '' } });
	const exited = new Promise((ok) => child.on('exit', ok));
	const p = { var: dir, setting: () => at, pid: child.pid, url: `http://${at}` };
	p.stop = async () => {
		child.kill('SIGKILL');
		await exited;
		rmSync(dir, { recursive: true });
	};
	await until(() => raw(p).then((c) => (c.close(), true), () => false), undefined, 'pushd');
	return p;
}

describe('--echo', { timeout: 300_000 }, () => {
	let p;

	before(async () => {
		p = await echo();
	});
	after(() => p?.stop());

	it('is for loopback alone', () => {
		for (const at of ['0.0.0.0:9', '[::]:9', '192.0.2.1:9', 'run/pushd.sock', ':9']) {
			const r = spawnSync(join(build, 'pushd'), ['--echo', '--listen', at],
				{ cwd: p.var, encoding: 'utf8' });
			assert.equal(r.status, 2, at);
			assert.match(r.stderr, /loopback/);
		}
	});

	it('echoes text and binary, and has nothing else', async () => {
		for (const path of ['/', '/chat/ws', '/ws/live-chat']) {
			const c = await socket(p, { path, along: frame('hé') });
			c.write(Buffer.concat([frame(Buffer.from([0, 255]), { opcode: 2, fin: false }),
				frame('x', { opcode: 9 }), frame('', { opcode: 0 })]));
			await c.until(() => frames(c.bytes).length === 3);
			assert.deepEqual(frames(c.bytes).map((f) => [f.opcode, f.data.toString('hex')]),
				[[1, '68c3a9'], [10, '78'], [2, '00ff']]);
			c.close();
		}
		assert.equal((await ask(p, 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n')).status, 404);
		assert.equal((await ask(p, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).status, 426);
	});

	it('waits for who reads slowly, with 16 MiB messages', async () => {
		const big = Buffer.alloc(16 << 20, 'ü');
		const c = await raw(p);
		c.socket.pause();
		c.write(upgrade('', '/'));
		for (let i = 0; i < 8; i++)
			c.write(frame(big));
		c.write(frame('the end'));
		// pushd reads no more while so much waits for its client.
		let left = -1;
		await until(async () => {
			const before = left;
			await pause(200);
			left = c.socket.writableLength;
			return left === before;
		}, 20_000, 'being held back');
		assert.ok(left > 2 * big.length, `${left} bytes not taken`);
		c.socket.resume();
		const bytes = await new Promise((ok) => {
			let n = 0;
			c.socket.removeAllListeners('data');
			c.socket.on('data', (d) => {
				n += d.length;
				if (d.subarray(-7).toString() === 'the end')
					ok(n);
			});
			c.socket.on('close', () => ok(-1));
		});
		assert.ok(bytes > 8 * big.length, `${bytes} came back`);
		c.close();
	});
});

// --- what a client can send, and what must come back ---

const TEXT = 1, BIN = 2, CLOSE = 8, PING = 9, PONG = 10;
const part = (data, o = {}) => frame(data, { fin: false, ...o });
const more = (data, o = {}) => frame(data, { opcode: 0, ...o });
const ping = (data = '') => frame(data, { opcode: PING });
const pong = (data = '') => frame(data, { opcode: PONG });
const bin = (data, o = {}) => frame(data, { opcode: BIN, ...o });
const close = (code, reason = '') => frame(code === undefined ? reason :
	Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]),
{ opcode: CLOSE });
const bytes = (...b) => Buffer.from(b);

/*
 * The cases, in the groups of the public suites: [name, sent, wanted, code].
 *	sent	frames
 *	wanted	[opcode, payload] of each answer before the Close
 *	code	of the server's Close; without one the case ends with our
 *		Close 1000, and the server's is the answer to that
 */
function* framing() {
	for (const n of [0, 1, 125, 126, 127, 128, 65535, 65536]) {
		yield [`text of ${n}`, [frame('*'.repeat(n))], [[TEXT, '*'.repeat(n)]]];
		yield [`binary of ${n}`, [bin(Buffer.alloc(n, 0xfe))],
			[[BIN, Buffer.alloc(n, 0xfe)]]];
	}
	// Lengths that are not in their shortest form are taken.
	for (const head of [[126, 0, 3], [127, 0, 0, 0, 0, 0, 0, 0, 3]])
		yield [`length by ${head[0]}`,
			[bytes(0x81, 0x80 | head[0], ...head.slice(1), 0, 0, 0, 0, 0x61, 0x62, 0x63)],
			[[TEXT, 'abc']]];
	yield ['2^63', [bytes(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4)], [], 1002];
	yield ['2^64 - 1', [bytes(0x82, ...Array(13).fill(0xff))], [], 1002];
	yield ['2^63 - 1', [bytes(0x82, 0xff, 0x7f, ...Array(11).fill(0xff))], [], 1009];
	for (const [what, f] of [['text', frame('a', { mask: false })],
		['empty', frame('', { mask: false })], ['ping', frame('', { opcode: PING, mask: false })],
		['close', frame(bytes(3, 232), { opcode: CLOSE, mask: false })]])
		yield [`unmasked ${what}`, [frame('a'), f, frame('b')], [[TEXT, 'a']], 1002];
	// A mask of zeros, and one of ones.
	yield ['mask 0', [bytes(0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69)], [[TEXT, 'hi']]];
	yield ['mask ff', [bytes(0x81, 0x82, 255, 255, 255, 255, 0x97, 0x96)], [[TEXT, 'hi']]];
}

function* pings() {
	const full = bytes(...Array(125).keys());
	yield ['empty', [ping()], [[PONG, '']]];
	yield ['with payload', [ping('Hello, world!')], [[PONG, 'Hello, world!']]];
	yield ['binary', [ping(bytes(0, 255, 254, 253))], [[PONG, bytes(0, 255, 254, 253)]]];
	yield ['of 125', [ping(full)], [[PONG, full]]];
	yield ['of 126', [ping('x'.repeat(126))], [], 1002];
	yield ['pong of 126', [pong('x'.repeat(126))], [], 1002];
	yield ['unasked pongs', [pong(), pong('x'), ping('y')], [[PONG, 'y']]];
	yield ['in order', [...Array(9).keys()].map((i) => ping(`${i}`)),
		[...Array(9).keys()].map((i) => [PONG, `${i}`])];
}

function* reserved() {
	for (let rsv = 1; rsv < 8; rsv++)
		for (const opcode of [TEXT, BIN, CLOSE, PING, PONG])
			yield [`rsv ${rsv} with opcode ${opcode}`,
				[frame('a'), frame('', { opcode, rsv }), ping()], [[TEXT, 'a']], 1002];
	yield ['rsv in a continuation', [part('a'), more('b', { rsv: 4 })], [], 1002];
	for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
		yield [`opcode ${opcode}`, [frame('', { opcode })], [], 1002];
		yield [`opcode ${opcode} and more`,
			[frame('a'), frame('xyz', { opcode }), ping()], [[TEXT, 'a']], 1002];
		yield [`opcode ${opcode} in fragments`, [part('a'), frame('', { opcode }),
			more('b')], [], 1002];
	}
}

function* fragments() {
	yield ['a cut ping', [part('a', { opcode: PING }), more('b')], [], 1002];
	yield ['a cut pong', [part('a', { opcode: PONG }), more('b')], [], 1002];
	yield ['a cut close', [part(bytes(3, 232), { opcode: CLOSE })], [], 1002];
	yield ['two', [part('fr1'), more('fr2')], [[TEXT, 'fr1fr2']]];
	yield ['two, binary', [part('fr1', { opcode: BIN }), more('fr2')], [[BIN, 'fr1fr2']]];
	yield ['a ping between', [part('fr1'), ping('p'), more('fr2')],
		[[PONG, 'p'], [TEXT, 'fr1fr2']]];
	yield ['five and pings', [part('f1'), more('f2', { fin: false }), ping('p1'),
		more('f3', { fin: false }), more('f4', { fin: false }), ping('p2'), more('f5')],
	[[PONG, 'p1'], [PONG, 'p2'], [TEXT, 'f1f2f3f4f5']]];
	yield ['pongs between', [part('a'), pong('x'), more('b')], [[TEXT, 'ab']]];
	yield ['empty ones', [part(''), more('', { fin: false }), more('')], [[TEXT, '']]];
	yield ['the middle alone', [part(''), more('mid', { fin: false }), more('')],
		[[TEXT, 'mid']]];
	for (const fin of [true, false])
		yield [`nothing to continue, ${fin}`, [more('x', { fin }), frame('a')], [], 1002];
	yield ['none left to continue', [part('a'), more('b'), more('c', { fin: false }),
		frame('d')], [[TEXT, 'ab']], 1002];
	yield ['text in text', [part('a'), frame('b')], [], 1002];
	yield ['part in text', [part('a'), part('b'), more('c')], [], 1002];
	yield ['binary in text', [part('a'), bin('b')], [], 1002];
	yield ['close between', [part('a'), close(1000), more('b')], [], 1000];
	yield ['a hundred', [part('0'), ...Array(98).fill(0).map(() => more('1', { fin: false })),
		more('2')], [[TEXT, `0${'1'.repeat(98)}2`]]];
}

function* closing() {
	yield ['none', [close()], [], 0];
	yield ['of 1 byte', [close(undefined, 'a')], [], 1002];
	yield ['of 126', [close(1000, 'x'.repeat(124))], [], 1002];
	yield ['with a reason', [close(1000, 'bye')], [], 1000];
	yield ['reason of 123', [close(1000, 'x'.repeat(123))], [], 1000];
	yield ['reason in UTF-8', [close(1000, 'tạm biệt 👋')], [], 1000];
	yield ['reason of no UTF-8', [close(1000, bytes(0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf,
		0x83, 0xce, 0xbc, 0xce, 0xb5, 0xed, 0xa0, 0x80))], [], 1007];
	yield ['reason cut', [close(1000, bytes(0xe2, 0x82))], [], 1007];
	yield ['two of them', [close(1000), close(1001)], [], 1000];
	yield ['ping behind', [close(1000), ping('x')], [], 1000];
	yield ['text behind', [close(1000), frame('x')], [], 1000];
	yield ['rubbish behind', [close(1000), Buffer.alloc(300, 0xff)], [], 1000];
	yield ['answers before', [frame('x'), close(1001)], [[TEXT, 'x']], 1001];
	yield ['behind 256 KiB', [frame('x'.repeat(262144)), close(1000), ping()],
		[[TEXT, 'x'.repeat(262144)]], 1000];
	for (let code = 0; code < 1020; code++) {
		const ok = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
		if (code < 3 || code > 997)
			yield [`code ${code}`, [close(code)], [], ok ? code : 1002];
	}
	for (const code of [1099, 1100, 2000, 2999, 5000, 32768, 65535])
		yield [`code ${code}`, [close(code)], [], 1002];
	for (const code of [3000, 3999, 4000, 4999])
		yield [`code ${code}`, [close(code, 'why')], [], code];
}

// Text, whole, cut in two anywhere, and a byte a frame.
function* unicode() {
	const text = Buffer.from('κόσμε ạ ế ߿ ࠀ ￿ 𐀀 👋 \u{10ffff} \ufeff \0 end');
	for (let i = 0; i <= text.length; i++)
		yield [`cut at ${i}`, [part(text.subarray(0, i)), ping('p'), more(text.subarray(i))],
			[[PONG, 'p'], [TEXT, text]]];
	yield ['a byte a frame', [part(''), ...[...text].map((b) =>
		more(bytes(b), { fin: false })), more('')], [[TEXT, text]]];
	for (const cp of [0, 0x7f, 0x80, 0x7ff, 0x800, 0xfff, 0xd7ff, 0xe000, 0xfffd, 0xfffe,
		0xffff, 0x10000, 0x1fffe, 0x1ffff, 0xffffe, 0x10fffe, 0x10ffff])
		yield [`U+${cp.toString(16)}`, [frame(String.fromCodePoint(cp))],
			[[TEXT, String.fromCodePoint(cp)]]];
	yield ['binary is no text', [bin(bytes(0xff, 0xc0))], [[BIN, bytes(0xff, 0xc0)]]];
	yield ['ping is no text', [ping(bytes(0xff, 0xc0))], [[PONG, bytes(0xff, 0xc0)]]];
}

// Bytes that are no UTF-8: [good ones, the first bad one, what follows].
const bad = [
	...[0x80, 0xbf, 0xc0, 0xc1, 0xf5, 0xf8, 0xfc, 0xfe, 0xff].map((b) => [[], b, []]),
	...[0xc2, 0xdf, 0xe1, 0xef, 0xf1, 0xf4].map((b) => [[b], 0x20, []]),
	...[0xe1, 0xef, 0xf1].map((b) => [[b, 0x80], 0x41, [0x80]]),
	[[0xf0, 0x90, 0x80], 0x41, []],
	[[], 0xc0, [0xaf]], [[0xe0], 0x80, [0xaf]], [[0xf0], 0x80, [0x80, 0xaf]],
	[[], 0xc1, [0xbf]], [[0xe0], 0x9f, [0xbf]], [[0xf0], 0x8f, [0xbf, 0xbf]],
	[[0xed], 0xa0, [0x80]], [[0xed], 0xbf, [0xbf]], [[0xed], 0xa0, [0x80, 0xed, 0xb0, 0x80]],
	[[0xf4], 0x90, [0x80, 0x80]], [[0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf], 0x28, [0x20]],
	[[0xe2, 0x82, 0xac], 0xac, []],
];

function* notUnicode() {
	for (const [good, b, rest] of bad) {
		const all = bytes(0x61, ...good, b, ...rest);
		const hex = all.toString('hex');
		yield [hex, [frame(all), ping()], [], 1007];
		yield [`${hex} a byte a frame`, [part(''), ...[...all].map((x) =>
			more(bytes(x), { fin: false }))], [], 1007];
		// Up to the bad byte all is well; with it, it is not: not later either.
		yield [`${hex} at once`, [part(bytes(0x61, ...good)), ping('well'),
			more(bytes(b), { fin: false, length: 1000 })], [[PONG, 'well']], 1007];
	}
	for (const cut of [[0xc2], [0xe1], [0xe1, 0x80], [0xf1], [0xf1, 0x80, 0x80]]) {
		yield [`${bytes(...cut).toString('hex')} cut`, [frame(bytes(...cut))], [], 1007];
		yield [`${bytes(...cut).toString('hex')} cut in fragments`,
			[part(bytes(...cut)), ping(), more('')], [[PONG, '']], 1007];
	}
}

const groups = { framing, pings, 'reserved bits and opcodes': reserved, fragments,
	'the closing': closing, UTF8: unicode, 'what is not UTF-8': notUnicode };

/*
 * Plays a case: its frames with the handshake (how 0), behind it in one piece
 * (1), or byte by byte (2).  Gives what came: [[opcode, payload in hex]], and
 * how it ended.
 */
async function play(p, path, sent, how, code) {
	const all = Buffer.concat([...sent, ...(code === undefined ? [close(1000)] : [])]);
	const c = await socket(p, { path, along: how === 0 ? all : undefined });
	if (how === 1)
		c.write(all);
	else if (how === 2)
		await c.slowly(all);
	const ended = await c.gone();
	const got = frames(c.bytes);
	const last = got.pop();
	c.close();
	return {
		ended: Boolean(ended), reset: c.error?.code,
		answers: got.map((f) => [f.opcode, f.data.toString('hex')]),
		code: last?.opcode !== CLOSE ? undefined :
			last.data.length < 2 ? 0 : last.data.readUInt16BE(0),
	};
}

const short = (sent) => sent.reduce((n, f) => n + f.length, 0) < 600;

for (const mode of ['echo', 'serving'])
	describe(`RFC 6455, ${mode}`, { timeout: 300_000 }, () => {
		let p;
		const path = mode === 'echo' ? '/' : '/ws/live-chat';

		before(async () => {
			p = mode === 'echo' ? await echo() : await start({ env: { PARLEY_LIMITS: 'off' } });
		});
		after(() => p?.stop());

		for (const [name, cases] of Object.entries(groups))
			it(`knows ${name}`, async () => {
				for (const [what, sent, wanted, code] of cases())
					for (const how of short(sent) ? [0, 1, 2] : [0, 1]) {
						const got = await play(p, path, sent, how, code);
						let want = wanted.map(([op, d]) => [op, Buffer.from(d).toString('hex')]);
						// The real one answers each message with its own text.
						if (mode !== 'echo') {
							want = want.map(([op, d]) => op === PONG ? [op, d] : [TEXT, '']);
							got.answers = got.answers.map(([op, d]) =>
								op === PONG ? [op, d] : [op, '']);
						}
						assert.deepEqual(got, { ended: true, reset: undefined, answers: want,
							code: code ?? 1000 }, `${what}, sent way ${how}`);
					}
			});
	});

describe('messages of many bytes and pieces, --echo', { timeout: 300_000 }, () => {
	let p;

	before(async () => {
		p = await echo();
	});
	after(() => p?.stop());

	for (const [what, size, piece, opcode] of [
		['text of 4 MiB', 4 << 20, 4 << 20, TEXT],
		['binary of 16 MiB', 16 << 20, 16 << 20, BIN],
		['1 MiB in frames of 64', 1 << 20, 64, TEXT],
		['4 MiB in frames of 1000', 4 << 20, 1000, BIN],
	])
		it(`echoes ${what}`, async () => {
			const data = opcode === TEXT ? Buffer.alloc(size, 'wörld') : Buffer.alloc(size, 'ab');
			const pieces = [];
			for (let i = 0; i < size; i += piece)
				pieces.push(frame(data.subarray(i, i + piece),
					{ opcode: i ? 0 : opcode, fin: i + piece >= size }));
			const c = await socket(p, { path: '/' });
			const chunks = [];
			c.socket.removeAllListeners('data');
			const came = new Promise((ok) => {
				let n = 0;
				c.socket.on('data', (d) => {
					chunks.push(d);
					n += d.length;
					if (n >= size + 10)
						ok();
				});
				c.socket.on('close', ok);
			});
			// Sent in pieces of 997 bytes, which ends nowhere in particular.
			const all = Buffer.concat(pieces);
			for (let i = 0; i < all.length; i += 99_700) {
				c.socket.cork();
				for (let k = i; k < i + 99_700; k += 997)
					c.write(all.subarray(k, Math.min(k + 997, all.length)));
				c.socket.uncork();
			}
			await came;
			const got = Buffer.concat(chunks);
			assert.equal(got[0], 0x80 | opcode);
			assert.equal(got.length, size + 10);
			assert.ok(got.subarray(10).equals(data));
			c.close();
		});

	it('takes one byte more not', async () => {
		const c = await socket(p, { path: '/' });
		c.write(frame('', { length: (16 << 20) + 1 }));
		assert.equal(await closeCode(c), 1009);
		c.close();
	});
});

describe('a WebSocket in service', { timeout: 300_000 }, () => {
	let p, mai, token, conv;

	before(async () => {
		p = await start({ conf: { ws_message_bytes_max: 4000, ws_fragments_max: 8,
			ws_ping_rate_max: 20, address_connections_max: 1000, login_wait_s: 30,
			cors_origins: 'https://shop.example' } });
		mai = await p.agent('mai@example.com');
		token = (await p.bearer('somchai@example.com')).token;
		conv = (await p.customer('Lan')).conversation_id;
	});
	after(() => p?.stop());

	it('holds messages and fragments to their limits, at the first byte over', async () => {
		for (const [what, sent, code] of [
			['the limit', [frame('x'.repeat(4000))], 1000],
			['one more', [frame('x'.repeat(4001))], 1009],
			['a head alone', [frame('', { length: 4001 })], 1009],
			['a head alone, binary', [bin('', { length: 70000 })], 1009],
			['the limit in fragments', [part('x'.repeat(2000)), more('x'.repeat(2000))], 1000],
			['the sum', [part('x'.repeat(2000)), ping(), more('', { length: 2001 })], 1009],
			['8 fragments', [part('x'), ...Array(6).fill(more('', { fin: false })), more('')],
				1000],
			['9 of them', [part('x'), ...Array(8).fill(more('', { fin: false }))], 1009],
			['twice 8', Array(2).fill([part('x'), ...Array(6).fill(more('', { fin: false })),
				more('')]).flat(), 1000],
		])
			for (const how of [0, 1]) {
				const got = await play(p, '/ws/live-chat', sent, how,
					code === 1000 ? undefined : code);
				assert.equal(got.code, code, `${what}: ${JSON.stringify(got)}`);
				assert.ok(got.ended);
			}
	});

	it('counts the pings of a second', async () => {
		const c = await socket(p, { along: Buffer.concat(Array(60).fill(ping('x'))) });
		assert.equal(await closeCode(c), 1008);
		assert.ok(frames(c.bytes).filter((f) => f.opcode === PONG).length >= 20);
		c.close();
	});

	it('bears no flood of what costs it more than a ping', async () => {
		const text = (o) => frame(JSON.stringify(o));
		for (const [what, f] of [['ping', text({ type: 'ping' })], ['no JSON', frame('{')],
			['binary', bin('x')], ['strangers', text({ type: 'join_conversation' })]]) {
			const c = await socket(p);
			const lot = Buffer.concat(Array(500).fill(f));
			for (let i = 0; i < 1000 && !c.ended; i++) {
				c.write(lot);
				await new Promise(setImmediate);
			}
			assert.equal(await closeCode(c), 1008, what);
			// What is within its rate was answered.
			assert.ok(frames(c.bytes).filter((x) => x.opcode === TEXT).length > 100);
			c.close();
		}
	});

	it('makes the handshake that the RFC shows', async () => {
		const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
		const text = upgrade().replace(/Sec-WebSocket-Key: .*\r\n/, key);
		const c = await raw(p);
		c.write(text);
		await c.until(() => c.text.includes('\r\n\r\n'));
		const r = answer(c.text);
		assert.equal(r.status, 101);
		assert.equal(r.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
		assert.equal(r.headers.upgrade.toLowerCase(), 'websocket');
		assert.equal(r.headers.connection.toLowerCase(), 'upgrade');
		for (const none of ['content-length', 'transfer-encoding', 'content-type',
			'sec-websocket-protocol', 'sec-websocket-extensions'])
			assert.equal(r.headers[none], undefined, none);
		assert.equal(r.body, '');
		c.close();
	});

	it('reads handshake and frames wherever they are cut', async () => {
		const all = Buffer.concat([Buffer.from(upgrade()), ping('cut'), close(1000)]);
		for (let i = 1; i < all.length; i++) {
			const c = await raw(p);
			c.write(all.subarray(0, i));
			// The rest must not catch up with it.
			await new Promise((ok) => setTimeout(ok, 1));
			c.write(all.subarray(i));
			assert.equal(await closeCode(c), 1000, `cut at ${i}`);
			assert.equal(frames(c.bytes)[0].data.toString(), 'cut');
			c.close();
		}
	});

	it('says why a handshake is none', async () => {
		const good = upgrade();
		const [key] = /Sec-WebSocket-Key: .*\r\n/.exec(good);
		const version = 'Sec-WebSocket-Version: 13\r\n';
		const b64 = (n) => `Sec-WebSocket-Key: ${Buffer.alloc(n, 7).toString('base64')}\r\n`;
		for (const [text, status, header] of [
			...['0', '7', '8', '12', '14', '130', '13, 8', 'x', '+13'].map((v) =>
				[good.replace(version, `Sec-WebSocket-Version: ${v}\r\n`), 426,
					['sec-websocket-version', '13']]),
			[good.replace(version, version + version), 426, ['sec-websocket-version', '13']],
			[good.replace(version, ''), 400],
			...[b64(15), b64(17), b64(0), key.replace('==', ''), key.replace('==', '=='
				+ 'A'), key.replace(': ', ': ,'), key + key, ''].map((k) =>
				[good.replace(key, k), 400]),
			[good.replace('Host: 127.0.0.1\r\n', ''), 400],
			[good.replace('Host: 127.0.0.1\r\n', 'Host: a\r\nHost: b\r\n'), 400],
			[good.replace('Connection: Upgrade', 'Connection: close'), 400],
			[good.replace(key, `${key}Content-Length: 5\r\n`), 400],
			[good.replace(key, `${key}Transfer-Encoding: chunked\r\n`), 400],
			[good.replace(key, `${key} folded\r\n`), 400],
			[good.replace(key, `${key}no colon\r\n`), 400],
			[good.replace(key, `${key}Bad Name: x\r\n`), 400],
			[good.replace('Upgrade: websocket', 'Upgrade: h2c'), 426, ['upgrade', 'websocket']],
			[good.replace('Upgrade: websocket\r\n', ''), 426, ['upgrade', 'websocket']],
			[good.replace('HTTP/1.1', 'HTTP/1.0'), 426],
			[good.replace('HTTP/1.1', 'HTTP/2.0'), 505],
			[good.replace('GET', 'POST'), 405, ['allow', 'GET']],
			[good.replace('GET', 'HEAD'), 405, ['allow', 'GET']],
			[good.replace('GET', 'get'), 405, ['allow', 'GET']],
			[good.replace('/ws/live-chat', '/ws/live-chat/'), 404],
			[good.replace('/ws/live-chat', '/WS/live-chat'), 404],
			[good.replace(key, `${key}X: ${'x'.repeat(17000)}\r\n`), 431],
		]) {
			const r = await ask(p, text);
			assert.equal(r.status, status, `${text.slice(0, 400)}\n${r.text}`);
			assert.doesNotMatch(r.text, /^Sec-WebSocket-Accept/mi);
			if (header)
				assert.equal(r.headers[header[0]].toLowerCase(), header[1].toLowerCase());
		}
		// And what is one, though it looks odd.
		for (const text of [
			good.replace(version, 'sec-WEBSOCKET-version:\t13 \r\n'),
			good.replace(key, key.replace(': ', ':  \t')),
			good.replace('Upgrade: websocket', 'Upgrade: h2c, WebSocket'),
			good.replace('Connection: Upgrade', 'Connection: keep-alive, Upgrade'),
			good.replace('/ws/live-chat', '/ws/live-chat?a=b'),
		]) {
			const c = await raw(p);
			c.write(Buffer.concat([Buffer.from(text), close(1000)]));
			assert.equal(await closeCode(c), 1000, text);
			c.close();
		}
	});

	it('asks where a page is from if a cookie says who it is', async () => {
		const cookie = `Cookie: ${mai.cookie}\r\n`;
		const status = async (m) => {
			const c = await raw(p);
			c.write(upgrade(m));
			await c.until(() => c.text.includes('\r\n\r\n'));
			c.close();
			return answer(c.text).status;
		};
		const from = (o) => `Origin: ${o}\r\n`;
		assert.equal(await status(cookie + from(p.url)), 101);
		assert.equal(await status(cookie + from('https://shop.example')), 101);
		assert.equal(await status(cookie), 101);
		for (const o of ['https://evil.example', 'null', 'https://shop.example.evil.example',
			'http://shop.example', `${p.url}.evil.example`, `${p.url}1`, 'file://'])
			assert.equal(await status(cookie + from(o)), 403, o);
		// A token is not sent along by a browser by itself.
		assert.equal(await status(`Authorization: Bearer ${token}\r\n${
			from('https://evil.example')}`), 101);
		assert.equal(await status(from('https://evil.example')), 101);
	});

	it('answers what is due before it answers a Close', async () => {
		const say = (type, payload) => frame(JSON.stringify({ type, payload }));
		const c = await socket(p, { more: `Authorization: Bearer ${token}\r\n`,
			along: Buffer.concat([say('message_send', { conversationId: conv, id: 'c1',
				content: 'and off' }), close(1001, 'bye'), say('ping', {})]) });
		assert.equal(await closeCode(c), 1001);
		const types = frames(c.bytes).filter((f) => f.opcode === TEXT)
			.map((f) => JSON.parse(f.data).type);
		assert.ok(types.includes('message_sent'), `${types}`);
		assert.ok(!types.includes('pong'));
		assert.ok(await c.gone());
		assert.equal(c.error, undefined);
		c.close();
	});

	it('holds nobody who is gone', async () => {
		// pushd's sockets, as the kernel has them.
		const port = Number(p.setting('push_listen').split(':')[1]).toString(16)
			.toUpperCase().padStart(4, '0');
		const held = () => readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)
			.map((line) => line.trim().split(/\s+/))
			.filter((f) => f[1]?.endsWith(`:${port}`) && f[3] !== '0A' && f[9] !== '0').length;
		await until(() => held() === 0, undefined, 'all of them gone');
		const open = async (o = {}) => {
			const c = await raw(p, { allowHalfOpen: true });
			c.write(upgrade(o.more));
			await c.until(() => c.text.includes('\r\n\r\n'));
			return c;
		};
		// FIN without a Close: gone, and nothing more is said.
		const fin = await open();
		fin.socket.end();
		assert.ok(await fin.gone());
		// Torn off in a handshake's wait, in a frame, in a message.
		const more = `Authorization: Bearer ${token}\r\n`;
		const cut = [Buffer.alloc(0), frame('abc').subarray(0, 1), frame('abc').subarray(0, 8),
			part('abc'), frame('x', { length: 3999 })];
		for (let i = 0; i < 20; i++) {
			const a = await raw(p);
			a.write(upgrade(more));
			a.socket.resetAndDestroy();
			const b = await open({ more });
			b.write(cut[i % cut.length]);
			if (i % 2)
				b.socket.resetAndDestroy();
			else
				b.socket.end();
		}
		// Told to go, and staying: not for long.
		const stays = await open();
		stays.write(frame('', { opcode: 5 }));
		assert.equal(await closeCode(stays), 1002);
		const closes = await open();
		closes.write(close(1000));
		assert.equal(await closeCode(closes), 1000);
		assert.ok(held() > 0, 'for their last words');
		await until(() => held() === 0, undefined, 'all of them gone');
		stays.close();
		closes.close();
	});

	it('ends with 1012 when it goes for a while', async () => {
		const c = await socket(p, { more: `Authorization: Bearer ${token}\r\n` });
		await c.until(() => c.text.includes('auth_success'));
		p.kill('pushd', 'SIGTERM');
		assert.equal(await closeCode(c), 1012);
		assert.ok(await c.gone());
		assert.equal(c.error, undefined);
		c.close();
	});
});
