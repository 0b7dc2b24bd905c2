// RFC 6455 over real sockets: as public suites see it, by --echo, and in the
// daemon that serves.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { build, freePort, pause, until } from './lib/harness.js';
import { ask, frame, frames, raw, socket, upgrade } from './lib/raw.js';

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
	await until(() => raw(p).then((c) => (c.close(), true), () => false), 5000, 'pushd');
	return p;
}

describe('--echo', { timeout: 60_000 }, () => {
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
