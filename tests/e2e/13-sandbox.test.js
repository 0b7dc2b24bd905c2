// pushd as it serves: whom it runs as, and what it has given up.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { build, freePort, start, until } from './lib/harness.js';
import { ask } from './lib/raw.js';

const GET = (path) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
const status = (pid) => Object.fromEntries(readFileSync(`/proc/${pid}/status`, 'utf8')
	.split('\n').map((l) => l.split(/:\s*/)));
const children = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
	.split(' ').filter(Boolean);
const limit = (pid, name) => new RegExp(`^${name} +(\\S+) +(\\S+)`, 'm')
	.exec(readFileSync(`/proc/${pid}/limits`, 'utf8')).slice(1);

// What pushd said of itself: {user, landlock, seccomp}, or null in a build for checking.
function said(log) {
	if (/sandbox off: a build for checking/.test(log))
		return null;
	const m = /sandbox user=(\d+) landlock=(\d+) seccomp=(\w+)/.exec(log);
	assert.ok(m, log);
	return { user: m[1], landlock: Number(m[2]), seccomp: m[3] };
}

function shutIn(pid, log) {
	const is = said(log);
	const s = status(pid);
	assert.equal(s.NoNewPrivs, '1');
	assert.ok(!/\b0\b/.test(s.Uid), s.Uid);
	assert.ok(/^0+$/.test(s.CapEff), s.CapEff);
	assert.deepEqual(limit(pid, 'Max core file size'), ['0', '0']);
	if (!is)
		return;
	assert.deepEqual(limit(pid, 'Max processes'), ['0', '0']);
	assert.equal(s.Seccomp, is.seccomp === 'on' ? '2' : '0');
	if (is.seccomp === 'none')
		assert.match(log, /sandbox seccomp=none why=/);
	if (is.landlock === 0)
		assert.match(log, /sandbox landlock=none/);
	assert.equal(s.Uid.split('\t')[1], is.user);
}

test('pushd serves shut in, and rereads its settings all the same', async (t) => {
	const p = await start();
	t.after(() => p.stop());
	const pid = p.pid('pushd');
	shutIn(pid, p.log('pushd'));
	const [child, ...others] = children(pid);
	assert.equal(others.length, 0);
	shutIn(child, p.log('pushd'));
	const again = () => p.log('pushd').split('conf reread').length;
	const before = again();
	appendFileSync(p.conf, 'log_level = debug\n');
	process.kill(pid, 'SIGHUP');
	await until(() => again() > before);
	appendFileSync(p.conf, 'drain_s = many\n');
	process.kill(pid, 'SIGHUP');
	await until(() => /conf not reread: .*drain_s/.test(p.log('pushd')));
	assert.equal((await ask(p, GET('/health'))).status, 200);
	assert.equal(p.pid('pushd'), pid);
	// It goes with pushd, also where that is killed.
	p.kill('pushd');
	await until(() => {
		try {
			return status(child).State.startsWith('Z');
		} catch {
			return true;
		}
	});
});

test('started by root it becomes another, or does not start',
	{ skip: process.getuid() !== 0 }, async (t) => {
		const p = await start({ mode: 'none', demo: false });
		t.after(() => p.stop());
		const port = await freePort();
		for (const d of ['', 'run'])
			chownSync(join(p.var, d), 54321, 54321);
		chmodSync(p.conf, 0o600);
		chownSync(p.conf, 54321, 54321);
		const run = (...args) => {
			const c = spawn(join(build, 'pushd'), ['--conf', p.conf,
				'--listen', `127.0.0.1:${port}`, ...args]);
			c.log = '';
			c.stderr.on('data', (d) => { c.log += d; });
			c.ended = new Promise((ok) => c.on('exit', (code, sig) => ok(code ?? sig)));
			t.after(() => c.kill('SIGKILL'));
			return c;
		};
		for (const who of ['root', '0', 'nobody-of-that-name']) {
			const c = run('--user', who);
			assert.equal(await c.ended, 1);
			assert.match(c.log, /sandbox user=\S+ why=unknown or root/);
		}
		for (const args of [[], ['--user', '54321']]) {
			const c = run(...args);
			await until(() => /start pid=/.test(c.log));
			shutIn(c.pid, c.log);
			assert.equal(status(c.pid).Uid, '54321\t54321\t54321\t54321');
			assert.equal(status(c.pid).Gid, '54321\t54321\t54321\t54321');
			assert.equal(status(c.pid).Groups.trim(), '');
			c.kill('SIGTERM');
			assert.equal(await c.ended, 0);
		}
	});
