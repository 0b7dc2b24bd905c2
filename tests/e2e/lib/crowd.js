// Many clients at once: tokens for them, and the C programs of tests/bench
// that play them.
import { createHmac } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, made } from './harness.js';

export const KEY = 'the key of the crowd, which is of 32 bytes or more';

// A file of n agents' tokens, all different, of so many people; beside each a
// room that its holder is in.
export function agents(path, n, people = 50, room = () => 'inbox') {
	const text = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
	const head = text({ alg: 'HS256', typ: 'JWT' });
	const exp = Math.floor(Date.now() / 1000) + 3600;
	let lines = '';
	for (let i = 0; i < n; i++) {
		const body = `${head}.${text({ userId: `crowd${i % people}`, role: 'agent',
			exp: exp + i })}`;
		lines += `${body}.${createHmac('sha256', KEY).update(body)
			.digest('base64url')} ${room(i % people)}\n`;
	}
	writeFileSync(path, lines);
	return path;
}

// A program of tests/bench.
export const tool = (name) => made(join(build, 'bench', name));

// A tool that says "ready" on a line of its own and goes on: {child, lines,
// until(test): the first line for which it holds, end(): what it said last}.
export function begin(file, args, options = {}) {
	const child = spawn(file, args.map(String), { stdio: ['pipe', 'pipe', 'inherit'],
		...options });
	const t = { child, lines: [], waiters: new Set() };
	let rest = '';
	const wake = () => [...t.waiters].forEach((w) => w());
	child.stdin.on('error', () => {});
	child.stdout.setEncoding('utf8').on('data', (d) => {
		const parts = (rest + d).split('\n');
		rest = parts.pop();
		t.lines.push(...parts);
		wake();
	});
	child.on('exit', (code, sig) => {
		t.code = code ?? sig;
	});
	child.on('close', () => {
		t.closed = true;
		wake();
	});
	t.until = (test) => new Promise((ok, no) => {
		const look = () => {
			const line = t.lines.find(test);
			if (line === undefined && !t.closed)
				return;
			t.waiters.delete(look);
			if (line === undefined)
				no(new Error(`${file} ${args[0]} ended with ${t.code}`));
			else
				ok(line);
		};
		t.waiters.add(look);
		look();
	});
	t.end = async () => {
		child.stdin.end();
		if (!t.closed)
			await new Promise((ok) => child.on('close', ok));
		if (t.code !== 0)
			throw new Error(`${file} ${args[0]} ended with ${t.code}`);
		return t.lines.at(-1);
	};
	return t;
}

// Kilobytes of memory of its own that a process has in use.
export const anonymous = (pid) =>
	Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

// Milliseconds of CPU that its main thread has used.
export const cpuMs = (pid) =>
	Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;

// Its open descriptors.
export const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).length;
