// Engine.IO 4 and 3 and Socket.IO's packets over real sockets, with what the
// public suites of both protocols look for, against pushd --protocol-test.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { alone } from './lib/alone.js';
import { arrived, handshake, packets, poll, post, query, Socket, socket, waiting } from './lib/engineio.js';
import { build, pause, until } from './lib/harness.js';
import { answer, ask, frame, frames, raw, upgrade } from './lib/raw.js';

const INTERVAL = 300, TIMEOUT = 200, PATIENCE = 10_000;
const wrap = (version, ...list) => version === 4 ? list.join('\x1e') :
	list.map((x) => `${x.length}:${x}`).join('');
const code = (n) => (r) => {
	assert.equal(r.status, 400, r.text);
	assert.equal(r.headers['content-type'], 'application/json');
	assert.equal(r.headers['access-control-allow-origin'], '*');
	assert.equal(JSON.parse(r.text).code, n, r.text);
};

// As the suites have it, for who is silent; with time for an answer on a busy
// machine; and with time for all that is not about time.
let suites, patient, p;
before(async () => {
	suites = await alone('--protocol-test');
	patient = await alone('--protocol-test', { PARLEY_PING_TIMEOUT_MS: String(PATIENCE) });
	p = await alone('--protocol-test', { PARLEY_PING_TIMEOUT_MS: '60000',
		PARLEY_SOCKET_CONNECT_S: '60' });
});
after(async () => {
	for (const x of [suites, patient, p])
		assert.equal(await x?.stop(), 0);
});

it('--protocol-test is for loopback alone', () => {
	const r = spawnSync(join(build, 'pushd'), ['--protocol-test', '--listen', '0.0.0.0:9'],
		{ cwd: p.var, encoding: 'utf8' });
	assert.equal(r.status, 2);
	assert.match(r.stderr, /loopback/);
});

describe('handshake', () => {
	for (const version of [4, 3]) {
		it(`opens a polling session, version ${version}`, async () => {
			const h = await handshake(suites, { version });
			assert.equal(h.response.headers['content-type'], 'text/plain; charset=UTF-8');
			assert.equal(h.response.headers['cache-control'], 'no-store');
			assert.deepEqual(JSON.parse(h.open.slice(1)), { sid: h.sid,
				upgrades: ['websocket'], pingInterval: INTERVAL, pingTimeout: TIMEOUT,
				maxPayload: 1000000 });
			assert.match(h.sid, /^[A-Za-z0-9_-]{20}$/);
		});

		it(`opens a WebSocket session, version ${version}`, async () => {
			const s = await socket(suites, { version });
			assert.deepEqual(s.hello, { sid: s.hello.sid, upgrades: [],
				pingInterval: INTERVAL, pingTimeout: TIMEOUT, maxPayload: 1000000 });
			s.close();
		});
	}

	it('refuses with the protocol\'s codes, in their order', async () => {
		const { sid } = await handshake(p);
		const get = (q, method = 'GET') => ask(p, `${method} /engine.io/?${q} HTTP/1.1\r\n` +
			'Host: a\r\nContent-Length: 0\r\n\r\n').then((r) => ({ ...r, text: r.body }));
		for (const [q, n, method] of [
			['', 0], ['EIO=4', 0], ['EIO=4&transport=abc', 0], ['transport=polling', 5],
			['EIO=5&transport=polling', 5], ['EIO=abc&transport=websocket', 5],
			['EIO=4&transport=polling', 2, 'POST'], ['EIO=3&transport=polling', 2, 'PUT'],
			['EIO=4&transport=polling&sid=abc', 1],
			[`EIO=4&transport=polling&sid=${sid.slice(1)}A`, 1],
			['EIO=4&transport=polling&sid=abc', 1, 'POST'],
			['EIO=4&transport=websocket', 3], [`EIO=4&transport=websocket&sid=${sid}`, 3],
			[`EIO=3&transport=polling&sid=${sid}`, 3],
			[`EIO=4&transport=polling&sid=${sid}`, 3, 'DELETE'],
			['transport=abc&sid=abc', 0, 'POST']])
			code(n)(await get(q, method));
		const r = await ask(p, `OPTIONS /engine.io/?EIO=4&transport=polling HTTP/1.1\r\n` +
			'Host: a\r\nOrigin: https://b.example\r\n\r\n');
		assert.equal(r.status, 204);
		assert.equal(r.headers['access-control-allow-origin'], '*');
		assert.equal((await ask(p, 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n')).status, 404);
	});

	it('ends a bad upgrade with 400', async () => {
		for (const q of ['transport=websocket', 'EIO=abc&transport=websocket',
			'EIO=4&transport=websocket&sid=abc', 'EIO=4&transport=abc', 'EIO=4']) {
			const r = await ask(p, upgrade('', `/engine.io/?${q}`));
			assert.equal(r.status, 400, q);
		}
	});
});

it('there are only so many sessions', async () => {
	const q = await alone('--protocol-test', { PARLEY_CONNECTIONS_MAX: '10',
		PARLEY_PING_TIMEOUT_MS: '60000' });
	// Between their requests they have no connection.
	const list = [];
	for (let i = 0; i < 10; i++)
		list.push((await handshake(q)).sid);
	const r = await poll(q);
	assert.deepEqual([r.status, r.headers['retry-after'],
		r.headers['access-control-allow-origin']], [503, '2', '*']);
	assert.equal((await post(q, list[0], '4still')).text, 'ok');
	assert.match((await poll(q, { sid: list[0] })).text, /4still/);
	assert.equal((await post(q, list[1], '1')).text, 'ok');
	assert.equal((await poll(q)).status, 200, 'in its place');
	assert.equal(await q.stop(), 0);
});

describe('messages', () => {
	for (const version of [4, 3]) {
		it(`go both ways by polling, version ${version}`, async () => {
			const { sid } = await handshake(p, { version });
			let r = await post(p, sid, wrap(version, '4hello'), { version });
			assert.deepEqual([r.status, r.text], [200, 'ok']);
			assert.equal(r.headers['content-type'], 'text/html');
			r = await poll(p, { sid, version });
			assert.equal(r.text, wrap(version, '4hello'));
			await post(p, sid, wrap(version, '4test1', '4€', '4😀é', '4'), { version });
			r = await poll(p, { sid, version });
			assert.deepEqual(packets(version, r.bytes), ['4test1', '4€', '4😀é', '4']);
			// A GET that waits for one.
			const waits = poll(p, { sid, version });
			await post(p, sid, wrap(version, '4later'), { version });
			assert.equal((await waits).text, wrap(version, '4later'));
		});

		it(`go both ways by WebSocket, version ${version}`, async () => {
			const s = await socket(p, { version });
			assert.equal(await s.send('4hello').data(), '4hello');
			assert.equal(await s.send('4😀').data(), '4😀');
			const bytes = Buffer.from([0, 1, 2, 255]);
			const framed = version === 4 ? bytes : Buffer.concat([Buffer.from([4]), bytes]);
			assert.deepEqual(await s.send(framed).data(), framed);
			// In pieces, with a control frame between them.
			s.ws.send('4in ', { fin: false });
			s.ws.ping();
			s.ws.send('pieces', { fin: true });
			assert.equal(await s.data(), '4in pieces');
			s.close();
		});
	}

	it('carry bytes by polling: base64 in version 4', async () => {
		const { sid } = await handshake(p);
		await post(p, sid, 'bAQIDBA==\x1e4text');
		const r = await poll(p, { sid });
		assert.equal(r.text, 'bAQIDBA==\x1e4text');
		assert.equal((await post(p, sid, Buffer.from([4]),
			{ headers: { 'content-type': 'application/octet-stream' } })).status, 400);
	});

	it('carry bytes by polling: as such in version 3, or as base64', async () => {
		let { sid } = await handshake(p, { version: 3 });
		const body = Buffer.concat([Buffer.from([1, 5, 255, 4, 1, 2, 3, 4, 0, 4, 255]),
			Buffer.from('4€')]);
		let r = await post(p, sid, body, { version: 3,
			headers: { 'content-type': 'application/octet-stream' } });
		assert.equal(r.text, 'ok');
		r = await poll(p, { sid, version: 3 });
		assert.equal(r.headers['content-type'], 'application/octet-stream');
		assert.deepEqual(r.bytes, body);
		({ sid } = await handshake(p, { version: 3, more: '&b64=1' }));
		await post(p, sid, '10:b4AQIDBA==3:4hi', { version: 3, more: '&b64=1' });
		r = await poll(p, { sid, version: 3, more: '&b64=1' });
		assert.equal(r.text, '10:b4AQIDBA==3:4hi');
	});

	it('may come in chunks, cut anywhere', async () => {
		const { sid } = await handshake(p);
		const body = Buffer.from('4€😀\x1e4x');
		const chunks = [...body].map((b) => Buffer.concat([Buffer.from('1\r\n'),
			Buffer.from([b]), Buffer.from('\r\n')]));
		const c = await raw(p);
		await c.slowly(Buffer.concat([Buffer.from(
			`POST /engine.io/?${query(4, 'polling', sid)} HTTP/1.1\r\nHost: a\r\n` +
			'Transfer-Encoding: chunked\r\n\r\n'), ...chunks, Buffer.from('0\r\n\r\n')]));
		await c.gone();
		assert.equal(answer(c.text).body, 'ok');
		c.close();
		assert.equal((await poll(p, { sid })).text, body.toString());
	});

	it('that come together are not done all at once', async () => {
		const { sid } = await handshake(p);
		const list = Array.from({ length: 10_000 }, (_, i) => `4${i}`), got = [];
		const c = await raw(p);
		c.write(`GET /engine.io/?${query(4, 'polling', sid)} HTTP/1.1\r\nHost: a\r\n\r\n`);
		const given = post(p, sid, list.join('\x1e'));
		await c.gone();
		got.push(...answer(c.text).body.split('\x1e'));
		assert.ok(got.length < list.length / 10, 'the others had their turn');
		while (got.length < list.length)
			got.push(...packets(4, (await poll(p, { sid })).bytes));
		assert.equal((await given).text, 'ok');
		assert.deepEqual(got.filter((m) => m !== '2'), list);
		c.close();
	});

	it('are not heard from who reads nothing of the answers', async () => {
		const q = await alone('--protocol-test', { PARLEY_QUEUE_BYTES_MAX: '4096',
			PARLEY_PING_TIMEOUT_MS: '60000' });
		const { sid } = await handshake(q);
		const r = await post(q, sid, Array(2000).fill('4all the same').join('\x1e'));
		code(3)(r);
		code(1)(await poll(q, { sid }));
		assert.equal(await q.stop(), 0);
	});

	it('are bounded', async () => {
		let { sid } = await handshake(p);
		const big = `4${'x'.repeat(999999)}`;
		assert.equal((await post(p, sid, big)).status, 200);
		assert.equal((await poll(p, { sid })).text, big);
		assert.equal((await post(p, sid, `${big}x`)).status, 413);
		const c = await raw(p);
		c.write(`POST /engine.io/?${query(4, 'polling', sid)} HTTP/1.1\r\nHost: a\r\n` +
			`Transfer-Encoding: chunked\r\n\r\nF4241\r\n${big}x`);
		await c.until(() => c.text.includes('\r\n\r\n'));
		assert.equal(answer(c.text).status, 413);
		c.close();
		const s = await socket(p);
		s.send(`${big}xx`);
		assert.equal(await s.closed, 1009);
		({ sid } = await handshake(p));
		// More than goes into one answer comes in several.
		for (let i = 0; i < 3; i++)
			await post(p, sid, `4${i}${'x'.repeat(330000)}`);
		await post(p, sid, `4${'y'.repeat(30000)}`);
		const first = packets(4, (await poll(p, { sid })).bytes);
		const second = packets(4, (await poll(p, { sid })).bytes);
		assert.deepEqual([first.length, second.length], [3, 1]);
	});
});

describe('the heartbeat', () => {
	it('is the server\'s in version 4, by polling', async () => {
		let { sid } = await handshake(p);
		for (let i = 0; i < 3; i++) {
			assert.equal((await poll(p, { sid })).text, '2');
			assert.equal((await post(p, sid, '3')).text, 'ok');
		}
		// Who is silent is forgotten.
		({ sid } = await handshake(suites));
		await pause(INTERVAL + TIMEOUT);
		await until(async () => (await poll(suites, { sid })).status === 400);
		code(1)(await poll(suites, { sid }));
	});

	it('is the server\'s in version 4, by WebSocket', async () => {
		let s = await socket(p);
		for (let i = 0; i < 3; i++) {
			assert.equal(await s.next(), '2');
			s.send('3');
		}
		s.close();
		const begin = Date.now();
		s = await socket(suites);
		assert.equal(await s.next(), '2');
		assert.equal(await s.next(), undefined);
		assert.ok(Date.now() - begin > INTERVAL, 'not before its time');
	});

	it('is the client\'s in version 3', async () => {
		let s = await socket(patient, { version: 3 });
		let { sid } = await handshake(patient, { version: 3 });
		for (let i = 0; i < 4; i++) {
			assert.equal(await s.send('2').next(), '3');
			await post(patient, sid, '2:2x', { version: 3 });
			assert.equal((await poll(patient, { sid, version: 3 })).text, '2:3x');
			await pause(INTERVAL);
		}
		assert.equal(await s.send('2probe').next(), '3probe');
		s.close();
		s = await socket(suites, { version: 3 });
		({ sid } = await handshake(suites, { version: 3 }));
		assert.equal(await s.next(), undefined);
		await until(async () => (await poll(suites, { sid, version: 3 })).status === 400);
		code(1)(await poll(suites, { sid, version: 3 }));
	});

	it('is kept to by each of a crowd that came at once', async () => {
		// Half of them answer their pings, the others are silent.
		const all = await Promise.all(Array.from({ length: 300 }, (_, i) =>
			socket(i % 2 ? suites : patient)));
		// The time of all of them comes while pushd is not looking.
		for (const x of [suites, patient])
			process.kill(x.pid, 'SIGSTOP');
		await pause(INTERVAL + 50);
		for (const x of [suites, patient])
			process.kill(x.pid, 'SIGCONT');
		await Promise.all(all.map(async (s, i) => {
			if (i % 2)
				assert.deepEqual([await s.next(), await s.next()], ['2', undefined]);
			else
				for (let n = 0; n < 3; n++) {
					assert.equal(await s.next(), '2');
					s.send('3');
				}
			s.close();
		}));
	});

	it('has one direction: a stray pong is harmless in version 4 alone', async () => {
		const s = await socket(p);
		assert.equal(await s.send('3').send('4still').data(), '4still');
		s.send('2');
		assert.equal(await s.next(), undefined);
		const t = await socket(p, { version: 3 });
		t.send('3');
		assert.equal(await t.next(), undefined);
	});
});

describe('the end', () => {
	for (const version of [4, 3]) {
		it(`comes with a close packet, version ${version}`, async () => {
			let { sid } = await handshake(p, { version });
			let waits = await waiting(p, { sid, version });
			assert.equal((await post(p, sid, wrap(version, '1'), { version })).text, 'ok');
			assert.equal((await waits.answer).text, wrap(version, '6'));
			code(1)(await poll(p, { sid, version }));
			const s = await socket(p, { version });
			s.send('1');
			assert.equal(await s.next(), undefined);
			({ sid } = await handshake(p, { version }));
			waits = await waiting(p, { sid, version });
			code(3)(await poll(p, { sid, version }));
			assert.equal((await waits.answer).text, wrap(version, '1'), 'two that wait');
			code(1)(await poll(p, { sid, version }));
		});

		it(`comes by what cannot be read, version ${version}`, async () => {
			for (const body of version === 4 ? ['abc', '', '4a\x1e', '\x1e4a', '9', 'b$$',
				Buffer.from([0x34, 0xff])] : ['abc', '', '3:4a', '2x:4a', '0:', ':', '2:4',
				'99999999999999999999:4', '1:4', '4:b4=$']) {
				const { sid } = await handshake(p, { version });
				if (body === '1:4') // an empty message is one
					continue;
				code(3)(await post(p, sid, body, { version }));
				code(1)(await poll(p, { sid, version }));
			}
			for (const m of ['abc', '', '9', 'b%%', '0', '5']) {
				const s = await socket(p, { version });
				s.send(m);
				assert.equal(await s.next(), undefined, m);
			}
		});
	}

	it('comes by a GET that is dropped, or by a second POST', async () => {
		let { sid } = await handshake(p);
		const stop = new AbortController();
		const dropped = await waiting(p, { sid, signal: stop.signal });
		stop.abort();
		await assert.rejects(dropped.answer);
		await until(async () => (await poll(p, { sid })).status === 400);
		({ sid } = await handshake(p));
		const c = await raw(p);
		c.write(`POST /engine.io/?${query(4, 'polling', sid)} HTTP/1.1\r\nHost: a\r\n` +
			'Content-Length: 3\r\n\r\n4');
		await arrived(p);
		code(3)(await post(p, sid, '4b'));
		await c.gone();
		assert.equal(answer(c.text).status, 400);
		code(1)(await poll(p, { sid }));
		// One that breaks off takes the session with it.
		({ sid } = await handshake(p));
		const d = await raw(p);
		d.write(`POST /engine.io/?${query(4, 'polling', sid)} HTTP/1.1\r\nHost: a\r\n` +
			'Content-Length: 3\r\n\r\n4');
		const waits = await waiting(p, { sid });
		d.close();
		assert.equal((await waits.answer).text, '1');
	});

	it('answers a Close, and fails bad frames with their code', async () => {
		const s = await socket(p);
		s.ws.close(3000, 'bye');
		assert.equal(await s.closed, 3000);
		for (const [bytes, n] of [[frame('4a', { mask: false }), 1002],
			[frame(Buffer.from([0x34, 0xff])), 1007], [frame('4', { rsv: 4 }), 1002]]) {
			const c = await raw(p);
			c.write(upgrade('', '/engine.io/?EIO=4&transport=websocket'));
			c.write(bytes);
			await c.gone();
			const f = frames(c.bytes).at(-1);
			assert.deepEqual([f.opcode, f.data.readUInt16BE(0)], [8, n]);
			c.close();
		}
	});
});

describe('the upgrade', () => {
	for (const version of [4, 3]) {
		it(`changes from polling, version ${version}`, async () => {
			const { sid } = await handshake(p, { version });
			const waits = poll(p, { sid, version });
			const s = await new Socket(p, { sid, version }).opened;
			assert.equal(await s.send('2probe').next(), '3probe');
			assert.equal((await waits).text, wrap(version, '6'));
			// What is queued meanwhile comes over the socket, in order.
			await post(p, sid, wrap(version, '4one', '4two'), { version });
			s.send('5').send('4three');
			assert.deepEqual([await s.data(), await s.data(), await s.data()],
				['4one', '4two', '4three']);
			code(3)(await poll(p, { sid, version }));
			code(3)(await post(p, sid, wrap(version, '4x'), { version }));
			const t = new Socket(p, { sid, version });
			await assert.rejects(t.opened);
			assert.equal(await s.send('4still').data(), '4still');
			s.close();
			await until(async () => {
				const r = await poll(p, { sid, version });
				return JSON.parse(r.text).code === 1;
			});
		});
	}

	it('may come in one segment, by hand and byte by byte', async () => {
		const { sid } = await handshake(p);
		const c = await raw(p);
		const all = [upgrade('', `/engine.io/?${query(4, 'websocket', sid)}`),
			frame('2probe'), frame('5'), frame('4a'), frame('4b')];
		c.write(Buffer.concat(all.map((x) => Buffer.from(x))));
		await c.until(() => frames(c.bytes).length === 3);
		assert.deepEqual(frames(c.bytes).map((f) => f.data.toString()), ['3probe', '4a', '4b']);
		c.close();
		const { sid: other } = await handshake(p);
		const d = await raw(p);
		all[0] = upgrade('', `/engine.io/?${query(4, 'websocket', other)}`);
		await d.slowly(Buffer.concat(all.map((x) => Buffer.from(x))));
		await d.until(() => frames(d.bytes).filter((f) => f.data.toString() !== '2')
			.length === 3);
		assert.ok(frames(d.bytes).some((f) => f.data.toString() === '4b'));
		d.close();
	});

	it('may overtake a POST, which is heard, or is the end', async () => {
		for (const whole of [true, false]) {
			const { sid } = await handshake(p);
			const c = await raw(p);
			c.write(`POST /engine.io/?${query(4, 'polling', sid)} HTTP/1.1\r\nHost: a\r\n` +
				'Content-Length: 6\r\n\r\n4lat');
			await arrived(p);
			const s = await new Socket(p, { sid }).opened;
			assert.equal(await s.send('2probe').next(), '3probe');
			assert.equal(await s.send('5').send('4now').data(), '4now');
			if (whole) {
				c.write('e!');
				await c.gone();
				assert.equal(answer(c.text).body, 'ok');
				assert.equal(await s.data(), '4late!');
			}
			c.close();
			if (!whole)
				assert.equal(await s.closed, 1001);
			s.close();
		}
	});

	for (const [name, connect] of [['4', io], ['2', io2]])
		it(`loses and doubles nothing: socket.io-client ${name}`, async () => {
			// At whatever moment of it each says its first.
			await Promise.all([0, 1, 2, 3, 4].map(async (ms) => {
				const s = connect(p.url, { forceNew: true, reconnection: false });
				const got = [], want = [];
				s.on('message-back', (n) => got.push(n));
				await new Promise((ok, no) => {
					s.on('connect', ok);
					s.on('connect_error', no);
				});
				await pause(ms);
				const over = () => s.io.engine.transport.name === 'websocket';
				for (let after = 0; after < 50; after += over()) {
					want.push(want.length);
					s.emit('message', want.at(-1));
					await pause(0);
				}
				await until(() => got.length >= want.length);
				assert.deepEqual(got, want);
				s.disconnect();
			}));
		});

	it('that fails leaves the polling session as it was', async () => {
		const { sid } = await handshake(p);
		for (const m of ['abc', '5', '2', '4hi', '1']) {
			const s = await new Socket(p, { sid }).opened;
			s.send(m);
			assert.equal(await s.next(), undefined, m);
		}
		// One lost after its probe.
		const s = await new Socket(p, { sid }).opened;
		assert.equal(await s.send('2probe').next(), '3probe');
		// Meanwhile another is turned away, and does not disturb it.
		await assert.rejects(new Socket(p, { sid }).opened);
		s.close();
		await s.closed;
		await post(p, sid, '3\x1e4here');
		assert.match((await poll(p, { sid })).text, /4here/);
	});

	it('has a time limit', async () => {
		const q = await alone('--protocol-test', { PARLEY_SOCKET_UPGRADE_S: '1',
			PARLEY_PING_TIMEOUT_MS: '60000' });
		const { sid } = await handshake(q);
		// One that takes a second to say so is too late already.
		let s;
		await until(async () => {
			s = await new Socket(q, { sid }).opened;
			return await s.send('2probe').next() === '3probe';
		});
		const alive = (async () => {
			for (let ended = false; !ended; ended = s.code !== undefined) {
				await poll(q, { sid });
				await post(q, sid, '3');
			}
		})();
		assert.equal(await s.next(), undefined);
		await alive;
		await post(q, sid, '4still');
		assert.match((await poll(q, { sid })).text, /4still/);
		await q.stop();
	});
});

describe('Socket.IO', () => {
	const path = '/socket.io/';
	const connected = async (o = {}) => {
		const s = await socket(p, { path, ...o });
		if (o.version !== 3)
			s.send(`40${o.auth ?? ''}`);
		s.connect = await s.data();
		s.auth = await s.data();
		return s;
	};

	it('connects to a namespace, with what was shown', async () => {
		const s = await connected();
		assert.deepEqual(Object.keys(JSON.parse(s.connect.slice(2))), ['sid']);
		assert.equal(s.auth, '42["auth",{}]');
		s.send('40/custom,');
		assert.match(await s.data(), /^40\/custom,\{"sid":"[\w-]{20}"\}$/);
		assert.equal(await s.data(), '42/custom,["auth",{}]');
		s.send('40/random');
		assert.equal(await s.data(), '44/random,{"message":"Invalid namespace"}');
		s.send('41/custom,').send('42["message","to main"]');
		assert.equal(await s.data(), '42["message-back","to main"]');
		s.send('42/custom,["message"]');
		assert.equal(await s.data(), undefined);
		const t = await connected({ auth: '{"token":"123"}' });
		assert.equal(t.auth, '42["auth",{"token":"123"}]');
		// It stays without a namespace, for a while.
		t.send('41');
		assert.equal(await t.next(), '2');
		t.close();
		const u = await connected({ version: 3 });
		assert.deepEqual([u.connect, u.auth], ['40', '42["auth",{}]']);
		u.send('40/custom?token=1,');
		assert.equal(await u.data(), '40/custom,');
		assert.equal(await u.data(), '42/custom,["auth",{}]');
		u.send('40/random,');
		assert.equal(await u.data(), '44/random,"Invalid namespace"');
		u.close();
	});

	it('is by polling what it is by WebSocket', async () => {
		for (const version of [4, 3]) {
			const h = await handshake(p, { path, version });
			const more = { path, version };
			const { sid } = h;
			let first = h.response;
			if (version === 4) {
				await post(p, sid, '40', more);
				first = await poll(p, { sid, ...more });
			}
			assert.match(packets(version, first.bytes).join(' '), /40.* 42\["auth",\{\}\]$/);
			await post(p, sid, wrap(version, '42["message",1,"2",{"3":[true]}]'), more);
			assert.deepEqual(packets(version, (await poll(p, { sid, ...more })).bytes),
				['42["message-back",1,"2",{"3":[true]}]']);
		}
	});

	it('answers events and acknowledges them, with bytes too', async () => {
		for (const version of [4, 3]) {
			const s = await connected({ version });
			const b = (...list) => Buffer.from(version === 4 ? list : [4, ...list]);
			s.send('42["message",1,"2",{"3":[true]}]');
			assert.equal(await s.data(), '42["message-back",1,"2",{"3":[true]}]');
			s.send('42456["message-with-ack",1,"2",{"3":[false]}]');
			assert.equal(await s.data(), '43456[1,"2",{"3":[false]}]');
			const two = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
			s.send(`452-["message",${two}]`).send(b(1, 2, 3)).send(b(4, 5, 6));
			assert.equal(await s.data(), `452-["message-back",${two}]`);
			assert.deepEqual([await s.data(), await s.data()], [b(1, 2, 3), b(4, 5, 6)]);
			s.send(`452-789["message-with-ack",${two}]`).send(b(1, 2, 3)).send(b(4, 5, 6));
			assert.equal(await s.data(), `462-789[${two}]`);
			assert.deepEqual([await s.data(), await s.data()], [b(1, 2, 3), b(4, 5, 6)]);
			s.send('42["unknown"]').send('4399[]').send('42["message"]');
			assert.equal(await s.data(), '42["message-back"]');
			s.close();
		}
	});

	it('closes for what is not allowed', async () => {
		const place = '{"_placeholder":true,"num":0}';
		for (const list of [['4'], ['4abc'], ['42{}'], ['42[]'], ['42[null]'], ['42'],
			['42["message"'], ['42abc"["message"]'], ['4299999999999999999999["a"]'],
			['40'], ['40{}'], ['44{}'], ['43[]'], ['431{}'], ['47'], ['49'], ['41{}'],
			['45["a"]'], ['450-["a"]'], ['4511-["a"]'], [`451-["a",${place}]`, '42["a"]'],
			[`451-["a",${place.replace('0', '1')}]`, Buffer.from([1])], [Buffer.from([1])],
			...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener',
				'removeListener'].map((x) => [`42["${x}"]`])]) {
			const s = await connected();
			for (const m of list)
				s.send(m);
			assert.equal(await s.data(), undefined, String(list));
		}
		for (const m of ['42["message"]', '41', '43[]', '40[]', '40"a"', '40{', '4040'])
			assert.equal(await (await socket(p, { path })).send(m).data(), undefined, m);
	});

	it('waits for CONNECT only so long', async () => {
		const s = await socket(suites, { path });
		const t = setInterval(() => s.ws.readyState === 1 && s.send('3'), 100);
		assert.equal(await s.data(), undefined);
		clearInterval(t);
		const u = await socket(suites, { path, version: 3 });
		assert.equal(await u.next(), '40', 'version 4 of the protocol needs none');
		u.close();
	});

	for (const [name, connect] of [['4', io], ['2', io2]])
		for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']])
			it(`socket.io-client ${name}, ${transports}`, async () => {
				const s = connect(p.url, { transports, forceNew: true, reconnection: false });
				const got = [];
				s.on('message-back', (...a) => got.push(a));
				await new Promise((ok, no) => {
					s.on('auth', ok);
					s.on('connect_error', no);
				});
				if (transports.length === 2)
					await until(() => s.io.engine.transport.name === 'websocket');
				const bytes = Buffer.from([0, 1, 254, 255]);
				s.emit('message', 1, 'é😀', { a: [bytes] }, bytes);
				await until(() => got.length === 1);
				assert.deepEqual(got[0], [1, 'é😀', { a: [bytes] }, bytes]);
				const back = await new Promise((ok) => s.emit('message-with-ack', bytes, 'x',
					(...a) => ok(a)));
				assert.deepEqual(back, [bytes, 'x']);
				// Longer than the heartbeat, without a loss.
				for (let i = 0; i < 20; i++) {
					s.emit('message', i);
					await pause(40);
				}
				await until(() => got.length === 21);
				assert.deepEqual(got.slice(1).map((a) => a[0]), [...Array(20).keys()]);
				assert.equal(s.connected, true);
				s.disconnect();
			});
});
