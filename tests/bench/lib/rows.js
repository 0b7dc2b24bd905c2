// What all rows of the bench share: running tools, medians, the table.
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { build } from '../../e2e/lib/harness.js';

export const tool = (name) => join(build, 'bench', name);

export const run = (file, args, options = {}) => new Promise((ok, no) =>
	execFile(file, args.map(String), { maxBuffer: 1 << 24, ...options }, (e, out, err) =>
		e ? no(new Error(`${file} ${args[0]}: ${err || e.message}`)) : ok(out.trim())));

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

export const median = (a) => [...a].sort((x, y) => x - y)[Math.floor(a.length / 2)];

export const rows = [];

const line = (what, ours, floor, unit, ratio, spread, target) =>
	`${what.padEnd(50)} ${ours.padStart(9)} ${floor.padStart(9)} ${unit.padEnd(11)} ` +
	`${ratio.padStart(6)} ${spread.padEnd(11)} ${target}`.trimEnd();

export function heading() {
	console.log(line('what / its floor', 'ours', 'floor', '', 'ratio', '', 'target'));
}

export function report(what, ours, floor, unit, ratio, target, good, spread = '') {
	rows.push({ what, ours, floor, unit, ratio, target, good });
	console.log(line(what, ours, floor, unit, ratio, spread, target) +
		(good ? '' : '  NOT REACHED'));
}

// Figures of turns, side by side: the medians, the ratio of each turn's two.
// by: 'most' (ours may be so many times the floor's) or 'least'.
export function compare(what, ours, floor, unit, bound, { by = 'most', digits = 2 } = {}) {
	const ratios = ours.map((v, i) => by === 'most' ? v / floor[i] : floor[i] / v);
	const r = median(ratios);
	report(what, median(ours).toFixed(digits), median(floor).toFixed(digits), unit,
		r.toFixed(2), `${by === 'most' ? '<=' : '>='} ${bound}`,
		by === 'most' ? r <= bound : r >= bound,
		`${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`);
}
