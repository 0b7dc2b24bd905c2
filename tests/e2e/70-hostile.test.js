// Clients that mean harm cost their own bound: whoever else is connected gets
// every message, pushd goes on, does not spin, and keeps its memory bounded.
//
// PARLEY_HOSTILE=full for the numbers that docs/performance.md promises;
// otherwise a tenth of them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause, start, until } from './lib/harness.js';
import { KEY, agents, anonymous, begin, cpuMs, descriptors, tool } from './lib/crowd.js';

const full = process.env.PARLEY_HOSTILE === 'full';
const n = full ?
	{ mute: 1000, unsaid: 5000, slow: 2000, pings: 100, pieces: 100, connects: 20_000,
		asks: 10_000 } :
	{ mute: 100, unsaid: 500, slow: 200, pings: 20, pieces: 20, connects: 2000, asks: 1000 };
const QUEUE = full ? 1 << 20 : 128 << 10;

let p, dir, tokens, addr, pid, people, written = 0;
const running = [];

// pushd's own figures.
function metric(name) {
	return new Promise((ok, no) => {
		http.get(`http://${addr}/metrics`, { agent: false }, (rs) => {
			let text = '';
			rs.on('data', (d) => { text += d; });
			rs.on('end', () =>
				ok(Number(new RegExp(`^parley_push_${name} (\\d+)`, 'm').exec(text)?.[1])));
		}).on('error', no);
	});
}

// Whose process it is: nobody else may change its limits.
const owner = (of) => {
	const { uid, gid } = statSync(`/proc/${of}`);
	return { uid, gid };
};

// One message is written; everybody gets it.
async function one(content = 'hear') {
	const text = `${content} ${++written}`;
	const r = await people.writer.send(people.visitor.conversation_id, text);
	assert.equal(r.status, 201, r.text);
	people.said.push(text);
	return text;
}

async function heard() {
	const last = people.said.at(-1);
	for (const s of people.streams)
		await s.until((e) => e.type === 'new_message' && e.data.content === last);
	for (const s of people.streams) {
		const got = s.of('new_message').map((e) => e.data.content);
		assert.deepEqual(got, people.said, 'each message once, in order');
	}
}

// Messages come while an attack goes on, also to who connects meanwhile.
async function others() {
	for (let i = 0; i < 10; i++)
		await one();
	await heard();
	const late = await people.writer.sse();
	try {
		await late.until('connected');
		const text = await one();
		await late.until((e) => e.type === 'new_message' && e.data.content === text);
	} finally {
		late.close();
	}
	await heard();
}

// The same process, and it does nothing now.
async function calm() {
	assert.equal(p.pid('pushd'), pid, 'pushd goes on');
	let cpu = cpuMs(pid);
	await until(async () => {
		await pause(500);
		const now = cpuMs(pid), quiet = now - cpu < 100;
		cpu = now;
		return quiet;
	}, undefined, 'rest');
}

function foes(what, ...args) {
	return some(what, n[what], ...args);
}

function some(what, count, ...args) {
	const f = begin(tool('hostile'), [what, count, addr, ...args]);
	running.push(f);
	return f;
}

test.before(async () => {
	tool('hostile');
	p = await start({ env: {
		PARLEY_INTEGRATOR_KEY: KEY, PARLEY_SYNCHRONOUS: 'normal',
		PARLEY_LOGIN_WAIT_S: '2', PARLEY_QUEUE_BYTES_MAX: String(QUEUE),
		PARLEY_ACCOUNT_CONNECTIONS_MAX: '10000', PARLEY_CONNECTIONS_MAX: full ? '8000' : '1000',
		// What the well-behaved do here is a lot for one address.
		PARLEY_USER_MESSAGE_RATE_MAX: '10000', PARLEY_USER_MESSAGE_BURST_MAX: '10000',
		PARLEY_CONVERSATION_MESSAGE_RATE_MAX: '10000',
		PARLEY_CREDENTIAL_REQUEST_RATE_MAX: '10000',
		PARLEY_CREDENTIAL_REQUEST_BURST_MAX: '10000',
	} });
	dir = mkdtempSync(join(tmpdir(), 'parley-hostile-'));
	tokens = agents(join(dir, 'tokens'), 1000);
	addr = p.setting('push_listen');
	pid = p.pid('pushd');
	const writer = await p.bearer();
	const visitor = await p.visitor({ name: 'An' });
	people = { writer, visitor, said: [], streams: [
		await writer.sse(), await writer.ws(), await visitor.sse(),
		await visitor.ws(), writer.poll() ] };
	await until(() => people.streams.at(-1).cursor); // polls from now on
	await others();
});

test.after(async () => {
	for (const f of running)
		f.child.kill();
	for (const s of people?.streams ?? [])
		await s.close();
	await p?.stop();
	rmSync(dir, { recursive: true, force: true });
});

test('readers that stop reading are dropped at their bound', async () => {
	const before = anonymous(pid), slow = await metric('slow_total');
	const f = foes('mute', tokens);
	await f.until((l) => l === 'ready');
	let most = 0;
	// Much for everybody, until the last of them is over the bound.
	while (await metric('slow_total') - slow < n.mute) {
		for (let i = 0; i < 10; i++)
			await one('x'.repeat(9000));
		most = Math.max(most, anonymous(pid));
		assert.ok(people.said.length < 2000, `${await metric('slow_total')} dropped`);
	}
	await heard();
	assert.ok((most - before) * 1024 < n.mute * QUEUE,
		`${most - before} kB for ${n.mute} readers`);
	await others();
	await f.end();
	await calm();
});

test('sockets that never say who they are go, and come again in vain', async () => {
	const f = foes('unsaid');
	await f.until((l) => l === 'ready');
	await others();
	await f.until((l) => l === 'thrown out');
	await others();
	await f.end();
	await calm();
});

test('heads that do not end', async () => {
	const f = foes('slow');
	await f.until((l) => l === 'ready');
	await others();
	await f.end();
	await calm();
});

test('a flood of pings', async () => {
	const f = foes('pings', tokens);
	await f.until((l) => l === 'ready');
	await others();
	await f.until((l) => l === 'thrown out');
	await others();
	await f.end();
	await calm();
});

test('messages in pieces without end', async () => {
	const f = foes('pieces', tokens);
	await f.until((l) => l === 'ready');
	await others();
	await f.until((l) => l === 'thrown out');
	await others();
	await f.end();
	await calm();
});

test('one address that takes all connections there are keeps none of them', async () => {
	const had = descriptors(pid);
	const f = foes('connects');
	await f.until((l) => l === 'ready');
	await until(async () => await metric('shed_total') > 0, 30_000,
		'room made by those who say nothing');
	await others();
	await f.end();
	await until(() => descriptors(pid) - had <= 10, undefined, 'all gone');
	await calm();
});

// The answers take long; each of them asks who it is, and is gone.
test('who asks who it is and goes away keeps nobody waiting', async () => {
	const apis = ['push-api-1', 'push-api-2'];
	const [host, port] = addr.split(':');
	const asked = await metric('identify_asked_total');
	apis.forEach((a) => assert.ok(p.kill(a, 'SIGSTOP')));
	try {
		for (let i = 0; i < n.asks; i += 20)
			await Promise.all(Array.from({ length: 20 }, (_, k) => new Promise((ok, no) => {
				const c = net.connect(Number(port), host);
				c.on('error', no);
				c.on('close', ok);
				c.end('GET /api/events/longpoll HTTP/1.1\r\nHost: x\r\n' +
					`Authorization: Bearer ${i + k}\r\n\r\n`);
				c.resume();
			})));
	} finally {
		apis.forEach((a) => p.kill(a, 'SIGCONT'));
	}
	await others();
	const more = await metric('identify_asked_total') - asked;
	assert.ok(more < n.asks / 4, `${more} questions for those who had gone`);
	await calm();
});

test('without descriptors it rests, and goes on when there are some', async () => {
	const most = (k) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${k}:`],
		process.getuid() === 0 ? owner(pid) : {});
	const limit = /^Max open files +(\d+)/m.exec(
		readFileSync(`/proc/${pid}/limits`, 'utf8'))[1];
	const f = some('unsaid', 500);
	try {
		most(descriptors(pid) + 8);
		await f.until((l) => l === 'ready');
		for (let i = 0; i < 10; i++)
			await one();
		await heard();
		const cpu = cpuMs(pid), began = Date.now();
		await pause(1500);
		assert.ok((cpuMs(pid) - cpu) / (Date.now() - began) < 0.2, 'it does not spin');
		assert.match(p.log('pushd'), /conn accept.*(Too many open files|why=full)/);
	} finally {
		most(limit);
	}
	await f.end();
	await others();
	await calm();
});
