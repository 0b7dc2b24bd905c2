// The rows of pushd: what its connections cost, beside the floor (floor.c).
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, pause, start, until } from '../e2e/lib/harness.js';
import { begin, compare, report, run, tool } from './lib/rows.js';

const KEY = 'the key of the benchmark, which is of 32 bytes or more';
const USERS = 50;

// Held streams stay, and nothing but the bench makes events.
const env = { PARLEY_LIMITS: 'off', PARLEY_LOG_LEVEL: 'error',
	PARLEY_SYNCHRONOUS: 'normal', PARLEY_STREAM_LIFE_S: '86400',
	PARLEY_PRESENCE_GRACE_MS: '600000', PARLEY_INTEGRATOR_KEY: KEY };

// Events come as hints that no log has: it must not be asked meanwhile.
export const hintsOnly = { PARLEY_BACKFILL_MS: '60000' };

// A workspace with its programs, and the floor beside it.
export class Bench {
	async start(more = {}) {
		this.dir = mkdtempSync(join(tmpdir(), 'parley-bench-'));
		this.p = await start({ env: { ...env, ...more } });
		this.addr = this.p.setting('push_listen');
		const at = `127.0.0.1:${await freePort()}`;
		const hints = join(this.dir, 'floor.sock');
		this.floor = begin(tool('floor'), [at, hints]);
		await this.floor.until((l) => l === 'ready');
		this.floorAt = `${at},${hints},${this.floor.child.pid}`;
		return this;
	}

	get pushdAt() {
		return `${this.addr},${join(this.p.var, 'run', 'hint.sock')},${this.p.pid('pushd')}`;
	}

	async stop() {
		this.floor?.child.kill();
		await this.p?.stop();
		rmSync(this.dir, { recursive: true, force: true });
	}

	// A file of n agents' tokens, all different, of fifty people.
	agents(n) {
		const text = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
		const head = text({ alg: 'HS256', typ: 'JWT' });
		const exp = Math.floor(Date.now() / 1000) + 3600;
		const lines = [];
		for (let i = 0; i < n; i++) {
			const body = `${head}.${text({ userId: `bench${i % USERS}`, role: 'agent',
				exp: exp + i })}`;
			lines.push(`${body}.${createHmac('sha256', KEY).update(body)
				.digest('base64url')} inbox`);
		}
		return this.file(`agents-${n}`, lines);
	}

	// The same of n customers, each with a room of its own.
	async customers(n) {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
		const lines = [];
		let made = 0;
		await Promise.all(Array.from({ length: 8 }, async () => {
			while (made++ < n) {
				const r = await this.p.request('POST', '/api/widget/session',
					{ body: { name: 'Bench' }, agent });
				if (r.status !== 201)
					throw new Error(`widget session: ${r.status} ${r.text}`);
				lines.push(`${r.json.token} customer:${r.json.customer.id}`);
			}
		}));
		agent.destroy();
		return this.file(`customers-${n}`, lines);
	}

	file(name, lines) {
		const path = join(this.dir, name);
		writeFileSync(path, lines.join('\n') + '\n');
		return path;
	}

	// What pushd says of itself.
	health() {
		return new Promise((ok, no) => {
			http.get(`http://${this.addr}/health`, { agent: false }, (rs) => {
				let text = '';
				rs.on('data', (d) => { text += d; });
				rs.on('end', () => ok(JSON.parse(text)));
			}).on('error', no);
		});
	}

	metrics() {
		return new Promise((ok, no) => {
			http.get(`http://${this.addr}/metrics`, { agent: false }, (rs) => {
				let text = '';
				rs.on('data', (d) => { text += d; });
				rs.on('end', () => ok(text));
			}).on('error', no);
		});
	}

	// The newest event that pushd knows, when no more come.
	async head() {
		let head, same = 0;
		await until(async () => {
			const h = await this.health().catch(() => ({}));
			same = h.status === 'ok' && h.head === head ? same + 1 : 0;
			head = h.head;
			await pause(50);
			return same >= 10;
		}, 20_000, 'quiet');
		return head;
	}

	// Whoever is to be held comes once before, so that presence is told.
	async greet(tokens, n = USERS) {
		const h = begin(tool('swarm'), ['hold', 'sse', n, this.addr, tokens]);
		await h.until((l) => l === 'ready');
		await h.end();
		return this.head();
	}

	// A new pushd, which knows the log and nothing of earlier hints.
	async restart() {
		const was = this.p.pid('pushd');
		this.p.kill('pushd');
		await until(() => this.p.pid('pushd') !== was && this.p.pid('pushd') > 0, 10_000,
			'a new pushd');
		await until(() => this.health().then((h) => h.status === 'ok', () => false), 20_000,
			'pushd');
	}

	async swarm(...args) {
		return JSON.parse(await run(tool('swarm'), args));
	}
}

// Kilobytes of memory of its own that a process has in use.
export const anonymous = (pid) =>
	Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

export async function fan(kinds, sizes, seconds) {
	const b = await new Bench().start(hintsOnly);
	try {
		const tokens = b.agents(1000);
		for (const kind of kinds)
			for (const n of sizes)
				for (const burst of [1, 100]) {
					await b.restart();
					const head = await b.greet(tokens);
					const r = await b.swarm('fan', kind, n, burst, seconds,
						b.pushdAt, b.floorAt, head, tokens);
					compare(`1 event to ${n} ${kind}, ` +
						`${burst === 1 ? 'one at a time' : 'in bursts of 100'}`,
					r.ours, r.floor, 'us CPU', burst === 1 ? 1.05 : 0.2);
				}
	} finally {
		await b.stop();
	}
}

export async function turn(kinds, n, seconds) {
	const b = await new Bench().start(hintsOnly);
	try {
		const tokens = await b.customers(n);
		for (const kind of kinds) {
			await b.restart();
			const head = await b.greet(tokens, n);
			const r = await b.swarm('turn', kind, n, seconds, b.pushdAt, b.floorAt,
				head, tokens);
			compare(`1 event each to ${n} ${kind} in turn`, r.ours, r.floor, 'us CPU',
				0.7, { by: 'least' });
		}
	} finally {
		await b.stop();
	}
}

export async function rate(kinds, n, perS, seconds) {
	const b = await new Bench().start(hintsOnly);
	try {
		const tokens = b.agents(1000);
		for (const kind of kinds) {
			await b.restart();
			const head = await b.greet(tokens);
			const r = await b.swarm('rate', kind, n, perS, seconds, b.pushdAt,
				b.floorAt, head, tokens);
			const what = `${perS} events/s to ${n} ${kind}`;
			compare(`${what}, p99`, r.ours_p99, r.floor_p99, 'ms', 1.3);
			compare(`${what}, p50`, r.ours_p50, r.floor_p50, 'ms', 1.3);
			compare(`${what}, CPU`, r.ours, r.floor, 'us CPU', 1.15);
		}
	} finally {
		await b.stop();
	}
}

export async function idle(kinds, n) {
	const b = await new Bench().start(hintsOnly);
	try {
		const tokens = b.agents(n);
		for (const kind of kinds) {
			await b.restart();
			await b.greet(tokens);
			// What one costs beyond the first, which bring tables and the like.
			const before = anonymous(b.p.pid('pushd'));
			const h = begin(tool('swarm'), ['hold', kind, n, b.addr, tokens]);
			await h.until((l) => l === 'ready');
			await pause(500);
			const each = (anonymous(b.p.pid('pushd')) - before) * 1024 / n;
			await h.end();
			report(`pushd's memory per idle connection, ${kind}, over ${n}`,
				each.toFixed(0), '-', 'bytes', '-', kind === 'sio' ? '<= 640' : '<= 400',
				each <= (kind === 'sio' ? 640 : 400));
		}
	} finally {
		await b.stop();
	}
}
