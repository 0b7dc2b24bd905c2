// The rows of pushd: what its connections cost, beside the floor (floor.c).
import http from 'node:http';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { freePort, pause, start, until } from '../e2e/lib/harness.js';
import { KEY, agents, anonymous, begin, cpuMs } from '../e2e/lib/crowd.js';
import { compare, median, report, run, tool } from './lib/rows.js';

const USERS = 50;

// Held streams stay, and nothing but the bench makes events.
const env = { PARLEY_LIMITS: 'off', PARLEY_LOG_LEVEL: 'error',
	PARLEY_SYNCHRONOUS: 'normal', PARLEY_STREAM_LIFE_S: '86400',
	PARLEY_PRESENCE_GRACE_MS: '600000', PARLEY_INTEGRATOR_KEY: KEY };

// Events come as hints that no log has: it must not be asked meanwhile.
export const hintsOnly = { PARLEY_BACKFILL_MS: '60000' };

// A workspace with its programs, and the floor beside it.
export class Bench {
	swarms = [];

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

	// A swarm that goes on; it ends with the rest at the latest.
	begin(...args) {
		return this.keep(begin(tool('swarm'), args));
	}

	keep(s) {
		this.swarms.push(s);
		return s;
	}

	async stop() {
		this.floor?.child.kill();
		for (const s of this.swarms)
			s.child.kill();
		await this.p?.stop();
		if (this.p?.env.BENCH_ALLOCS)
			rmSync(dirname(this.p.env.BENCH_ALLOCS), { recursive: true, force: true });
		rmSync(this.dir, { recursive: true, force: true });
	}

	// A file of n agents' tokens, of fifty people.
	agents(n) {
		return agents(join(this.dir, `agents-${n}`), n, USERS);
	}

	// The same, and for each the room of that person alone.
	async people(n) {
		const ids = [];
		for (const line of readFileSync(this.agents(USERS), 'utf8').trim().split('\n')) {
			const r = await this.p.request('GET', '/api/me',
				{ headers: { authorization: `Bearer ${line.split(' ')[0]}` } });
			ids.push(r.json.id ?? r.json.user?.id);
		}
		return agents(join(this.dir, `people-${n}`), n, USERS, (i) => `user:${ids[i]}`);
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
		const h = this.begin('hold', 'sse', n, this.addr, tokens);
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

	// How often pushd took memory from the heap, and what it has of it.
	heap() {
		const at = readFileSync(`${this.p.env.BENCH_ALLOCS}.${this.p.pid('pushd')}`);
		return { taken: Number(at.readBigUInt64LE(0)), bytes: Number(at.readBigUInt64LE(8)) };
	}

	async swarm(...args) {
		return JSON.parse((await run(tool('swarm'), args)).split('\n').at(-1));
	}
}

// The environment in which pushd's heap is counted (allocs.c).
function counted() {
	const dir = mkdtempSync(join(tmpdir(), 'parley-allocs-'));
	chmodSync(dir, 0o777); // the programs are another user's
	return { LD_PRELOAD: tool('allocs'), BENCH_ALLOCS_OF: 'pushd',
		BENCH_ALLOCS: join(dir, 'pushd') };
}

const STARTS = 5;

export async function fan(kinds, sizes, seconds) {
	const b = await new Bench().start(hintsOnly);
	try {
		const tokens = b.agents(1000);
		for (const kind of kinds)
			for (const n of sizes)
				for (const burst of [1, 100]) {
					// Where memory happens to lie is worth more than what is
					// measured: several starts of both.
					const ours = [], floor = [];
					for (let i = 0; i < (burst === 1 ? STARTS : 1); i++) {
						await b.restart();
						const head = await b.greet(tokens);
						const r = await b.swarm('fan', kind, n, burst, seconds,
							b.pushdAt, b.floorAt, head, tokens);
						ours.push(...r.ours);
						floor.push(...r.floor);
					}
					compare(`1 event to ${n} ${kind}, ` +
						`${burst === 1 ? 'one at a time' : 'in bursts of 100'}`,
					ours, floor, 'us CPU', burst === 1 ? 1.05 : 0.2);
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

// Memory, with every connection settled; CPU of heartbeats alone.  What a
// connection costs shows where sessions are shared; what a session does, beside.
export async function idle(kinds, n, seconds) {
	const b = await new Bench().start({ ...hintsOnly, ...counted() });
	try {
		for (const kind of kinds)
			for (const sessions of [USERS, n]) {
				const tokens = b.agents(sessions), shared = sessions < n;
				await b.restart();
				await b.greet(tokens);
				// Beyond the first, which bring tables and the like.
				const pid = b.p.pid('pushd');
				const [before, heap] = [anonymous(pid), b.heap()];
				const h = b.begin('hold', kind, n, b.addr, tokens);
				await h.until((l) => l === 'ready');
				await pause(1500);
				const each = (anonymous(pid) - before) * 1024 / n;
				const held = (b.heap().bytes - heap.bytes) / n;
				const cpu = cpuMs(pid);
				if (shared)
					await pause(seconds * 1000);
				const share = (cpuMs(pid) - cpu) / seconds / 10;
				await h.end();
				const most = kind === 'sio' ? 640 : 400;
				const what = `memory per idle ${kind}, ${n} ` +
					`${shared ? `in ${sessions} sessions` : 'of a session each'}`;
				for (const [bytes, where] of [[each, 'resident'], [held, 'heap']])
					report(`${what}, ${where}`, bytes.toFixed(0), '-', 'bytes', '-',
						shared ? `<= ${most}` : '-', !shared || bytes <= most);
				if (shared)
					report(`CPU at rest, ${n} ${kind}`, share.toFixed(2), '-', '%', '-',
						'< 1', share < 1);
			}
	} finally {
		await b.stop();
	}
}

// What heartbeats take from the heap: one a second for each stream.
export async function beat(kinds, n, seconds) {
	const b = await new Bench().start({ ...hintsOnly, ...counted(),
		PARLEY_KEEPALIVE_S: '1', PARLEY_WS_PING_S: '1', PARLEY_PING_INTERVAL_MS: '1000' });
	try {
		const tokens = b.agents(n);
		for (const kind of kinds) {
			await b.restart();
			await b.greet(tokens);
			const h = b.begin('hold', kind, n, b.addr, tokens);
			await h.until((l) => l === 'ready');
			await pause(2500);
			const before = b.heap();
			await pause(seconds * 1000);
			const each = (b.heap().taken - before.taken) / n / seconds;
			await h.end();
			report(`allocations per heartbeat, ${n} ${kind}`, each.toFixed(2), '-', '',
				'-', '0', each < 0.01);
		}
	} finally {
		await b.stop();
	}
}

// pushd is killed; who was connected comes back with an old cursor.
export async function storm(kinds, n, events) {
	const b = await new Bench().start();
	try {
		const tokens = b.agents(n);
		const who = await b.p.bearer();
		await b.greet(tokens);
		for (const kind of kinds) {
			const cursor = await b.head();
			for (let i = 1; i <= events; i++) {
				const r = await who.send(4,
					`fan#${String(i).padStart(10, '0')} of the benchmark`);
				if (r.status !== 201)
					throw new Error(`post: ${r.status}`);
			}
			const s = b.begin('storm', kind, n, b.addr, cursor, events,
				b.floorAt.split(',')[0], tokens);
			await s.until((l) => l === 'ready');
			b.p.kill('pushd');
			const r = JSON.parse(await s.end());
			const text = await b.metrics();
			const count = (name) =>
				Number(new RegExp(`^parley_push_${name} (\\d+)`, 'm').exec(text)?.[1]);
			if (r.wrong || r.ended)
				throw new Error(`${kind}: ${JSON.stringify(r)}`);
			report(`${n} ${kind} back, ${events} events behind`,
				r.whole_s.toFixed(2), r.floor_s.toFixed(2), 's',
				(r.whole_s / r.floor_s).toFixed(1), '< 2 s',
				r.whole_s > 0 && r.whole_s < 2,
				`${count('backend_calls_total')} calls`);
		}
	} finally {
		await b.stop();
	}
}

// A new pushd receives the live connections, again and again.
export async function over(kinds, n, perS, seconds) {
	const b = await new Bench().start(hintsOnly);
	try {
		const tokens = await b.people(n);
		for (const kind of kinds) {
			await b.restart();
			const head = await b.greet(tokens);
			const s = b.begin('over', kind, n, perS, seconds, b.pushdAt, head, tokens);
			await s.until((l) => l === 'ready');
			let times = 0;
			for (const ends = Date.now() + (seconds - 2) * 1000; Date.now() < ends; times++) {
				await pause(1000);
				const was = b.p.pid('pushd');
				b.p.child.kill('SIGHUP');
				await until(() => ![0, was].includes(b.p.pid('pushd')), 10_000,
					'a new pushd');
			}
			const r = JSON.parse(await s.end());
			report(`take-overs of ${n} ${kind}, ${perS} events/s, longest wait`,
				r.max.toFixed(0), r.p50.toFixed(1), 'ms', '-', '< 200, whole',
				r.max < 200 && r.whole && !r.wrong && !r.ended,
				`${times} times, ${r.ended} cut, ${r.wanted - r.seen} lost, ${r.wrong} wrong`);
		}
	} finally {
		await b.stop();
	}
}

// What others wait for their events, with and without clients that mean harm.
export async function hostile(kind, n, perS, seconds) {
	const attacks = [['mute', 1000], ['unsaid', 5000], ['slow', 1000], ['pings', 50],
		['pieces', 50], ['connects', 5000]];
	const b = await new Bench().start({ ...hintsOnly, PARLEY_LIMITS: 'on',
		PARLEY_ADDRESS_CONNECTIONS_MAX: String(n + 100),
		PARLEY_ACCOUNT_CONNECTIONS_MAX: '10000', PARLEY_LOGIN_WAIT_S: '2' });
	try {
		const tokens = b.agents(1000);
		await b.greet(tokens);
		for (const [what, foes] of attacks) {
			// The floor is not attacked: what it waits more is the machine's.
			const ours = [[], []], floor = [[], []];
			for (let i = 0; i < 4; i++) {
				// They would have machines of their own.
				const f = i % 2 && b.keep(begin('nice', ['-n', 19, tool('hostile'),
					what, foes, b.addr,
					...['mute', 'pings', 'pieces'].includes(what) ? [tokens] : []]));
				if (f)
					await f.until((l) => l === 'ready');
				const r = await b.swarm('rate', kind, n, perS, seconds,
					b.pushdAt, b.floorAt, await b.head(), tokens);
				ours[i % 2].push(...r.ours_p99);
				floor[i % 2].push(...r.floor_p99);
				if (f)
					await f.end();
			}
			const [calm, harmed] = ours.map(median);
			const machine = median(floor[1]) / median(floor[0]);
			report(`p99 of ${n} ${kind} with ${foes} ${what} / without`,
				harmed.toFixed(2), calm.toFixed(2), 'ms', (harmed / calm).toFixed(2),
				'<= 2', harmed / calm <= 2 * Math.max(1, machine),
				`floor ${machine.toFixed(2)}`);
		}
	} finally {
		await b.stop();
	}
}

// From a message posted to every stream, through web server, database, pushd;
// in turns with it the floor, which is only told to write.
export async function live(kinds, n, perS, seconds) {
	const b = await new Bench().start(), bare = await new Bench().start(hintsOnly);
	const turns = 3;
	try {
		const tokens = b.agents(n), others = bare.agents(n);
		for (const kind of kinds) {
			const ours = [], floor = [];
			let whole = true, seen = 0, wanted = 0;
			await b.greet(tokens);
			for (let i = 0; i < turns; i++) {
				await bare.restart();
				const least = await bare.swarm('rate', kind, n, perS, seconds / turns,
					bare.pushdAt, bare.floorAt, await bare.greet(others), others);
				const r = await b.swarm('live', kind, n, perS, seconds / turns, b.addr,
					`127.0.0.1:${b.p.port}`, 4, tokens);
				whole &&= r.whole && !r.wrong && !r.ended;
				seen += r.seen;
				wanted += r.wanted;
				ours.push(r.p99);
				floor.push(median(least.floor_p99));
			}
			const [p99, machine] = [ours, floor].map(median);
			report(`${perS} messages/s posted, to ${n} ${kind}, p99`, p99.toFixed(1),
				machine.toFixed(1), 'ms', (p99 / machine).toFixed(1), '< 20, whole',
				p99 < 20 && whole, `${(100 * seen / wanted).toFixed(2)} % came`);
		}
	} finally {
		await b.stop();
		await bare.stop();
	}
}
