// A whole Parley in a folder of its own: made by `parley init --demo`, run by
// `parley run`, on free ports, gone afterwards.
//
//	const p = await start({ web: 'lighttpd', mode: 'fcgi' });
//	t.after(() => p.stop());
//	const a = await p.agent();             // logged in: cookie and CSRF token
//	await a.post(`/api/conversations/1/messages`, { content: 'hi' });
//
// PARLEY_BUILD names the folder with the programs (build/), PARLEY_KEEP=1
// leaves the folder behind, PARLEY_E2E_WEB and PARLEY_E2E_MODE choose where a
// test does not.
import { spawn, execFile, execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, existsSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const build = resolve(process.env.PARLEY_BUILD ?? join(root, 'build'));
export const parley = join(build, 'parley');

// Made with SAN=1: what was freed is kept aside, so that its memory only grows.
export const sanitized = existsSync(join(build, 'pushd')) &&
	readFileSync(join(build, 'pushd')).includes('__asan_init');

export const pause = (ms) => new Promise((r) => setTimeout(r, ms));

// What is sure to come is waited for as long as a machine may take that is four
// times slower and has much else to do; only who waits in vain waits so long.
export const WAIT_MS = 30_000;

// Asks again until fn gives something true, at most ms.
export async function until(fn, ms = WAIT_MS, what = 'it') {
	const end = Date.now() + ms;
	for (;;) {
		const v = await fn();
		if (v)
			return v;
		if (Date.now() > end)
			throw new Error(`${what} did not happen within ${ms} ms`);
		await pause(20);
	}
}

// A port of ours until this process ends, and the next one (a demo's pushd): in
// no range from which the kernel gives ports to others, also where what listens
// there is away for a moment, and held against other tests by its UDP namesake.
const held = [];
export async function freePort() {
	const bind = (s, ...at) => new Promise((ok) => {
		s.on('error', () => ok(false));
		(s.listen ?? s.bind).call(s, ...at, () => ok(true));
	});
	for (;;) {
		const port = 12000 + 2 * Math.floor(Math.random() * 10000);
		const lock = dgram.createSocket('udp4').unref();
		let free = await bind(lock, { port, address: '127.0.0.1', exclusive: true });
		for (const tcp of [port, port + 1]) {
			const s = net.createServer();
			free &&= await bind(s, tcp, '127.0.0.1');
			await new Promise((ok) => s.close(ok));
		}
		if (free) {
			held.push(lock);
			return port;
		}
		lock.close();
	}
}

// A program of the build, which make e2e makes beforehand; without it one file
// makes it after the other, since two would be in each other's way.
export function made(path) {
	if (!existsSync(path))
		execFileSync('flock', [build, 'make', '-s', `BUILD=${build}`,
			`SAN=${sanitized ? 1 : ''}`, path], { cwd: root });
	return path;
}

// Runs parley and gives what it printed; rejects with .code and .stderr.
export function cli(args, { env, input, conf } = {}) {
	return new Promise((ok, no) => {
		const all = conf ? [...args, '--conf', conf] : args;
		const c = execFile(parley, all, {
			env: { ...process.env, PARLEY_WWW_DIR: join(root, 'www'), ...env },
			maxBuffer: 1 << 26,
		}, (err, stdout, stderr) => {
			if (err)
				no(Object.assign(err, { stdout, stderr }));
			else
				ok(stdout);
		});
		c.stdin.on('error', () => {});
		c.stdin.end(input ?? '');
	});
}

const running = new Set();
process.on('exit', () => {
	for (const p of running)
		p.child?.kill('SIGKILL');
});

/*
 * start({web, mode, env, conf, demo, port, var}):
 *	web	'apache' or 'lighttpd'
 *	mode	'fcgi', 'cgi', or 'none': make the workspace, run nothing
 *	env	more environment for it, e.g. {PARLEY_LIMITS: 'off'}
 *	conf	lines for parley.conf, {key: value}
 *	demo	false: an empty workspace
 *	var	a folder to use, and keep, instead of a new one
 *	parley	another program than build/parley to run it, for benchmarks
 */
export async function start(options = {}) {
	const p = new Parley({
		web: process.env.PARLEY_E2E_WEB ?? 'apache',
		mode: process.env.PARLEY_E2E_MODE ?? 'fcgi',
		demo: true,
		...options,
	});
	try {
		await p.init();
		if (p.mode !== 'none')
			await p.run();
	} catch (e) {
		await p.stop();
		throw e;
	}
	return p;
}

export class Parley {
	constructor(o) {
		Object.assign(this, { web: o.web, mode: o.mode, demo: o.demo, port: o.port });
		this.env = o.env ?? {};
		this.parley = o.parley ?? parley; // whose neighbours are the programs
		this.extra = { ...o.conf };
		this.mine = !o.var;
		this.var = o.var ?? mkdtempSync(join(tmpdir(), 'parley-'));
		this.conf = join(this.var, 'parley.conf');
		this.output = '';
		this.logins = []; // {role, email, password}
	}

	async init() {
		this.port ??= await freePort();
		this.url = `http://127.0.0.1:${this.port}`;
		const fresh = !existsSync(this.conf);
		// Web servers pass no environment on to CGI programs.
		if (this.mode === 'cgi')
			for (const [k, v] of Object.entries(this.env))
				if (k.startsWith('PARLEY_') && k !== 'PARLEY_CONF')
					this.extra[k.slice(7).toLowerCase()] ??= v;
		const args = ['init', '--port', String(this.port), '--url', this.url];
		if (this.demo)
			args.push('--demo');
		const out = await cli(args, { env: this.env, conf: this.conf });
		for (const m of out.matchAll(/^ {2}(admin|agent) +(\S+) +password (\S+)$/gm))
			this.logins.push({ role: m[1], email: m[2], password: m[3] });
		if (fresh)
			// A disk that others keep busy may take seconds; a kill is no
			// power failure, and loses nothing of what was written.
			for (const [k, v] of Object.entries({ synchronous: 'normal', ...this.extra }))
				appendFileSync(this.conf, `${k} = ${v}\n`);
		if (fresh && !this.demo && !('push_listen' in this.extra))
			appendFileSync(this.conf,
				`push_listen = 127.0.0.1:${await freePort()}\ndrain_s = 1\n`);
	}

	// Starts it; resolves when it says that it is ready.
	run() {
		return new Promise((ok, no) => {
			const args = ['run', '--conf', this.conf, '--port', String(this.port),
				'--web', this.web, '--mode', this.mode];
			this.child = spawn(this.parley, args, {
				stdio: ['ignore', 'pipe', 'pipe'],
				env: { ...process.env, ...this.env },
			});
			running.add(this);
			this.exited = new Promise((r) => this.child.on('exit', (code, sig) => {
				running.delete(this);
				this.code = code ?? sig;
				r(this.code);
			}));
			let ready = false;
			const take = (text) => {
				this.output += text;
				if (!ready && /^ready http:\/\/\S+$/m.test(this.output)) {
					ready = true;
					ok(this);
				}
			};
			this.child.stdout.setEncoding('utf8').on('data', take);
			this.child.stderr.setEncoding('utf8').on('data', take);
			this.exited.then((code) => {
				if (!ready)
					no(new Error(`parley run ended with ${code}: ${this.output}`));
			});
		});
	}

	// Ends it; the folder goes too. Gives its exit status.
	async stop({ keep = false } = {}) {
		if (this.child && this.code === undefined) {
			this.child.kill('SIGTERM');
			const t = setTimeout(() => this.child.kill('SIGKILL'), 2 * WAIT_MS);
			await this.exited;
			clearTimeout(t);
		}
		if (this.mine && !keep && !process.env.PARLEY_KEEP)
			// A killed supervisor's programs may end behind it.
			rmSync(this.var, { recursive: true, force: true, maxRetries: 10,
				retryDelay: 100 });
		return this.code;
	}

	cli(...args) {
		const o = typeof args.at(-1) === 'object' ? args.pop() : {};
		return cli(args, { conf: this.conf, ...o,
			env: { ...this.env, ...o.env } });
	}

	// Number of the process called name (pushd, worker, web, api-1, ...), or 0.
	pid(name) {
		try {
			return Number(readFileSync(join(this.var, 'run', `${name}.pid`), 'utf8'));
		} catch {
			return 0;
		}
	}

	// Signals it; false if it is not there.
	kill(name, sig = 'SIGKILL') {
		const pid = this.pid(name);
		try {
			return pid > 0 && process.kill(pid, sig);
		} catch {
			return false;
		}
	}

	log(name) {
		try {
			return readFileSync(join(this.var, 'log', `${name}.log`), 'utf8');
		} catch {
			return '';
		}
	}

	setting(key) {
		const m = new RegExp(`^${key}\\s*=\\s*(.*)$`, 'm').exec(readFileSync(this.conf, 'utf8'));
		return m?.[1].trim();
	}

	// One raw request: {status, headers, text, json}; on a connection of its own,
	// since one that was kept may be closed under it.
	request(method, path, { headers = {}, body, agent = false } = {}) {
		return new Promise((ok, no) => {
			const data = body === undefined || typeof body === 'string' ||
				Buffer.isBuffer(body) ? body : JSON.stringify(body);
			const h = { ...headers };
			if (data !== undefined && data !== body)
				h['content-type'] ??= 'application/json';
			if (data !== undefined)
				h['content-length'] = Buffer.byteLength(data);
			const rq = http.request(this.url + path, { method, headers: h, agent }, (rs) => {
				let text = '';
				rs.setEncoding('utf8');
				rs.on('data', (d) => { text += d; });
				rs.on('error', no);
				rs.on('end', () => {
					let json;
					try {
						json = JSON.parse(text);
					} catch {
						json = undefined;
					}
					ok({ status: rs.statusCode, headers: rs.headers, text, json });
				});
			});
			rq.setTimeout(2 * WAIT_MS, () => rq.destroy(new Error('time-out')));
			rq.on('error', no);
			rq.end(data);
		});
	}

	// Somebody logged in by cookie; which of the demo's people, by role or email.
	async agent(who = 'agent') {
		const l = typeof who === 'object' ? who :
			this.logins.find((x) => x.role === who || x.email === who);
		if (!l)
			throw new Error(`no log-in of ${who}`);
		const r = await this.request('POST', '/api/auth/login', {
			body: { email: l.email, password: l.password },
			headers: { origin: this.url },
		});
		if (r.status !== 200)
			throw new Error(`log-in: ${r.status} ${r.text}`);
		const cookie = (r.headers['set-cookie'] ?? []).map((c) => c.split(';')[0]).join('; ');
		return new Person(this, { ...r.json, cookie, csrf: r.json.csrf ?? r.json.csrf_token });
	}

	// The same by token alone.
	async bearer(email) {
		email ??= this.logins.find((x) => x.role === 'agent')?.email;
		return new Person(this, { token: (await this.cli('token', '--user', email)).trim() });
	}

	// A customer with a conversation, made on the command line.
	async customer(name = 'Customer') {
		return new Person(this, JSON.parse(await this.cli('token', '--customer', name)));
	}

	// A customer as the widget makes one.
	async visitor(fields = {}) {
		const r = await this.request('POST', '/api/widget/session', { body: fields });
		if (r.status !== 201 && r.status !== 200)
			throw new Error(`widget session: ${r.status} ${r.text}`);
		return new Person(this, { ...r.json, customer_id: r.json.customer?.id,
			conversation_id: r.json.conversation?.id });
	}
}

// Somebody with a credential. Members: those of the answer that gave it.
export class Person {
	constructor(p, fields) {
		Object.assign(this, fields);
		Object.defineProperty(this, 'p', { value: p });
	}

	headers() {
		if (this.cookie)
			return { cookie: this.cookie, origin: this.p.url,
				...(this.csrf ? { 'x-csrf-token': this.csrf } : {}) };
		return { authorization: `Bearer ${this.token}` };
	}

	request(method, path, body, headers = {}) {
		return this.p.request(method, path, { body, headers: { ...this.headers(), ...headers } });
	}

	get(path, headers) {
		return this.request('GET', path, undefined, headers);
	}

	post(path, body, headers) {
		return this.request('POST', path, body, headers);
	}

	patch(path, body, headers) {
		return this.request('PATCH', path, body, headers);
	}

	delete(path, headers) {
		return this.request('DELETE', path, undefined, headers);
	}

	send(conversation, content, more = {}) {
		return this.post(`/api/conversations/${conversation}/messages`, { content, ...more });
	}

	sse(o) {
		return new Sse(this, o).opened;
	}

	ws(o) {
		return new Ws(this, o).opened;
	}

	poll(o) {
		return new Poll(this, o);
	}
}

// What came in, and waiting for it. An event is {id, type, data, at}.
class Inbox {
	constructor() {
		this.events = [];
		this.waiters = new Set();
		this.cursor = undefined;
		this.ended = false;
	}

	take(e) {
		e.at = Date.now();
		this.events.push(e);
		if (/^\d+$/.test(e.id ?? ''))
			this.cursor = e.id;
		this.wake();
	}

	wake() {
		for (const w of [...this.waiters])
			w();
	}

	end() {
		this.ended = true;
		this.wake();
	}

	of(type) {
		return this.events.filter((e) => e.type === type);
	}

	// The first event for which test holds (a type, or a function of an event).
	until(test, ms = WAIT_MS) {
		const fits = typeof test === 'string' ? (e) => e.type === test : test;
		return new Promise((ok, no) => {
			const look = () => {
				const e = this.events.find(fits);
				if (!e && !this.ended)
					return;
				clearTimeout(timer);
				this.waiters.delete(look);
				if (e)
					ok(e);
				else
					no(new Error(`the stream ended without ${test}`));
			};
			const timer = setTimeout(() => {
				this.waiters.delete(look);
				no(new Error(`${test} did not come in ${ms} ms; ` +
					`came: ${this.events.map((e) => e.type)}`));
			}, ms);
			this.waiters.add(look);
			look();
		});
	}
}

// Server-sent events: o.cursor, o.path (/api/events/stream), o.query.
export class Sse extends Inbox {
	constructor(who, o = {}) {
		super();
		const url = who.p.url + (o.path ?? '/api/events/stream') +
			(o.query ? `?${o.query}` : '');
		this.text = '';
		this.opened = new Promise((ok, no) => {
			this.rq = http.get(url, { agent: false, headers: {
				...who.headers(),
				...(o.cursor ? { 'last-event-id': String(o.cursor) } : {}),
			} }, (rs) => {
				this.status = rs.statusCode;
				this.response = rs;
				rs.setEncoding('utf8');
				rs.on('data', (d) => this.feed(d));
				rs.on('end', () => this.end());
				rs.on('error', () => this.end());
				rs.on('close', () => this.end());
				ok(this);
			});
			this.rq.on('error', (e) => {
				this.end();
				no(e);
			});
		});
	}

	feed(text) {
		this.text += text;
		for (let i; (i = this.text.indexOf('\n\n')) >= 0;) {
			const block = this.text.slice(0, i);
			this.text = this.text.slice(i + 2);
			const e = { type: 'message' };
			let data;
			for (const line of block.split('\n')) {
				if (line.startsWith('id: '))
					e.id = line.slice(4);
				else if (line.startsWith('event: '))
					e.name = e.type = line.slice(7);
				else if (line.startsWith('retry: '))
					this.retry = Number(line.slice(7));
				else if (line.startsWith('data: '))
					data = (data === undefined ? '' : `${data}\n`) + line.slice(6);
			}
			if (data === undefined)
				continue;
			e.raw = JSON.parse(data);
			e.data = e.raw;
			if (!e.name && e.raw && 'type' in e.raw) {
				e.type = e.raw.type;
				e.data = e.raw.data;
			}
			this.take(e);
		}
	}

	close() {
		this.rq.destroy();
		this.end();
	}
}

// The native WebSocket: o.cursor, o.events ('all' unless given), o.path.
// Resolves after auth_success; o.auth false: after the handshake.
export class Ws extends Inbox {
	constructor(who, o = {}) {
		super();
		const url = who.p.url.replace('http', 'ws') + (o.path ?? '/ws/live-chat');
		this.ws = new WebSocket(url, { headers: who.cookie ? who.headers() : {},
			...o.options });
		this.ws.on('message', (text) => {
			const m = JSON.parse(text);
			this.take({ id: m.id, type: m.type, data: m.payload ?? m, raw: m });
		});
		this.ws.on('close', (code) => {
			this.code = code;
			this.end();
		});
		this.opened = new Promise((ok, no) => {
			this.ws.on('error', no);
			this.ws.on('open', async () => {
				if (o.auth === false)
					return ok(this);
				const payload = { events: o.events ?? 'all' };
				if (who.token && !who.cookie)
					payload.token = who.token;
				if (o.cursor)
					payload.cursor = String(o.cursor);
				this.send('auth', payload);
				try {
					await this.until((e) => e.type === 'auth_success' ||
						e.type === 'auth_error');
					if (this.events.some((e) => e.type === 'auth_error'))
						throw new Error('auth_error');
					ok(this);
				} catch (e) {
					no(e);
				}
			});
		});
	}

	send(type, payload) {
		this.ws.send(JSON.stringify({ type, payload }));
	}

	close() {
		this.ws.close();
	}
}

// Polling: o.cursor, o.everyMs. Without a cursor it begins at now.
export class Poll extends Inbox {
	constructor(who, o = {}) {
		super();
		this.cursor = o.cursor;
		this.done = this.loop(who, o.everyMs ?? 100);
	}

	async loop(who, ms) {
		while (!this.ended) {
			try {
				const r = await who.get('/api/events/poll' +
					(this.cursor ? `?after=${this.cursor}` : ''));
				this.status = r.status;
				if (r.status === 200) {
					for (const e of r.json.events ?? [])
						this.take({ id: e.id, type: e.type, data: e.data, raw: e });
					this.cursor = r.json.cursor ?? this.cursor;
					if (r.json.more)
						continue;
				}
			} catch {
				// tried again
			}
			await pause(ms);
		}
	}

	close() {
		this.end();
		return this.done;
	}
}
