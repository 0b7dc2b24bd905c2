// Clients connect, subscribe and vanish, on every transport and in every way
// of vanishing: nothing of them stays.
//
// PARLEY_VANISH is how many (4000); docs/performance.md says 200000.
import test from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause, sanitized, start, until } from './lib/harness.js';
import { KEY, agents, anonymous, begin, descriptors, tool } from './lib/crowd.js';

const LIVES = Number(process.env.PARLEY_VANISH ?? 4000);
const PROGRAMS = 8; // connections with programs of the database side, at most
const KINDS = ['sse', 'named', 'ws', 'chat', 'sio', 'eio', 'eio3', 'longpoll'];
const WAYS = ['fin', 'reset', 'half close', 'mid-head', 'mid-frame', 'unheard', 'silent'];

test(`${LIVES} clients that vanish leave nothing behind`, { timeout: 300_000 + LIVES * 20,
	skip: sanitized && 'it counts what malloc gives' }, async (t) => {
	const dir = mkdtempSync(join(tmpdir(), 'parley-vanish-'));
	chmodSync(dir, 0o777); // the programs are another user's
	t.after(() => rmSync(dir, { recursive: true, force: true }));
	tool('allocs');
	tool('hostile');
	const p = await start({ env: {
		LD_PRELOAD: tool('allocs'), BENCH_ALLOCS_OF: 'pushd',
		BENCH_ALLOCS: join(dir, 'heap'),
		PARLEY_LIMITS: 'off', PARLEY_LOG_LEVEL: 'error', PARLEY_INTEGRATOR_KEY: KEY,
		PARLEY_SYNCHRONOUS: 'normal', PARLEY_ACCOUNT_CONNECTIONS_MAX: '10000',
		// Who is silent is found out soon, and little is remembered.
		PARLEY_KEEPALIVE_S: '1', PARLEY_WS_PING_S: '1', PARLEY_LOGIN_WAIT_S: '1',
		PARLEY_PING_INTERVAL_MS: '500', PARLEY_PING_TIMEOUT_MS: '500',
		PARLEY_SILENCE_S_MAX: '5', PARLEY_PROGRESS_S_MAX: '2', PARLEY_LONGPOLL_S_MAX: '2',
		PARLEY_IDENTITY_S: '1', PARLEY_PRESENCE_GRACE_MS: '100',
		PARLEY_RING_EVENTS_MAX: '100', PARLEY_SOCKET_RECOVERIES_MAX: '100',
	} });
	t.after(() => p.stop());
	const tokens = agents(join(dir, 'tokens'), 500);
	const addr = p.setting('push_listen');
	const pid = p.pid('pushd');
	const held = () => Number(readFileSync(join(dir, `heap.${pid}`)).readBigUInt64LE(8));
	const connections = () => new Promise((ok, no) => {
		http.get(`http://${addr}/metrics`, { agent: false }, (rs) => {
			let text = '';
			rs.on('data', (d) => { text += d; });
			rs.on('end', () => ok([...text.matchAll(/^parley_push_connections\{.*\} (\d+)/gm)]
				.reduce((sum, m) => sum + Number(m[1]), 0)));
		}).on('error', no);
	});

	// So many lives; then, with nobody there, what pushd has.
	async function live(n) {
		const s = begin(tool('hostile'), ['vanish', n, addr, tokens, ...KINDS]);
		t.after(() => s.child.kill());
		const r = JSON.parse(await s.end());
		assert.equal(r.failed, 0, 'each was served until it went');
		assert.equal(r.lived, n);
		assert.ok(r.ways.every((k) => k >= Math.floor(n / WAYS.length / KINDS.length)),
			`${WAYS}: ${r.ways}`);
		await until(async () => await connections() === 1, 30_000, 'an empty pushd');
		let last;
		await until(async () => {
			const now = held();
			if (now === last)
				return true;
			last = now;
			await pause(1200);
			return false;
		}, 30_000, 'rest');
		return { heap: held(), kb: anonymous(pid), fds: descriptors(pid) };
	}

	// Tables and memories get their size: they are as large as what was there
	// at once, which as many lives again do not surpass by much.
	await live(LIVES);
	const before = await live(LIVES);
	const after = await live(LIVES);
	t.diagnostic(`${JSON.stringify(before)} ${JSON.stringify(after)}`);
	assert.equal(p.pid('pushd'), pid, 'the same pushd');
	// Programs of the database side come and go; what clients left behind
	// would be hundreds.
	assert.ok(after.fds <= before.fds + PROGRAMS, `descriptors: ${before.fds}, then ${after.fds}`);
	assert.ok(after.heap <= before.heap + Math.max(65536, LIVES), `heap: ${before.heap}, then ${after.heap}`);
	assert.ok(after.kb <= before.kb + 512, `memory: ${before.kb}, then ${after.kb} kB`);
});
