// What all rows of the bench share: running tools, medians, the table.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from '../../e2e/lib/harness.js';

export const tool = (name) => join(build, 'bench', name);

export const run = (file, args, options = {}) => new Promise((ok, no) =>
	execFile(file, args.map(String), { maxBuffer: 1 << 24, ...options }, (e, out, err) =>
		e ? no(new Error(`${file} ${args[0]}: ${err || e.message}`)) : ok(out.trim())));

export const median = (a) => [...a].sort((x, y) => x - y)[Math.floor(a.length / 2)];

export const rows = [];

const line = (what, ours, floor, unit, ratio, spread, target) =>
	`${what.padEnd(58)} ${ours.padStart(9)} ${floor.padStart(9)} ${unit.padEnd(11)} ` +
	`${ratio.padStart(6)} ${spread.padEnd(11)} ${target}`.trimEnd();

export function heading() {
	console.log(line('what / its floor', 'ours', 'floor', '', 'ratio', '', 'target'));
}

export function report(what, ours, floor, unit, ratio, target, good, spread = '') {
	rows.push({ what, ours, floor, unit, ratio, spread, target, good });
	console.log(line(what, ours, floor, unit, ratio, spread, target) +
		(good ? '' : '  NOT REACHED'));
	if (process.env.PARLEY_BENCH_TABLE)
		table(process.env.PARLEY_BENCH_TABLE);
}

// Figures of turns, side by side: the medians, the ratio of each turn's two,
// and between which values the ratios are: of many turns the middle half.
// by: 'most' (ours may be so many times the floor's) or 'least'.
export function compare(what, ours, floor, unit, bound, { by = 'most', digits = 2 } = {}) {
	const ratios = ours.map((v, i) => by === 'most' ? v / floor[i] : floor[i] / v);
	const r = median(ratios);
	const sorted = [...ratios].sort((x, y) => x - y);
	const quarter = ratios.length < 8 ? 0 : Math.floor(ratios.length / 4);
	report(what, median(ours).toFixed(digits), median(floor).toFixed(digits), unit,
		r.toFixed(2), `${by === 'most' ? '<=' : '>='} ${bound}`,
		by === 'most' ? r <= bound : r >= bound,
		`${sorted[quarter].toFixed(2)}-${sorted.at(-1 - quarter).toFixed(2)}`);
}

// The rows as those of the Markdown table in a file: those that are there by
// name are replaced, others added.
function table(path) {
	const lines = readFileSync(path, 'utf8').split('\n');
	const head = lines.findIndex((l) => l.startsWith('| what |'));
	let end = head + 2;
	while (lines[end]?.startsWith('|'))
		end++;
	const all = new Map(lines.slice(head + 2, end).map((l) => [l.split(' | ')[0], l]));
	for (const r of rows) {
		const cells = [r.what, r.ours, r.floor, r.unit, r.ratio, r.spread,
			r.good ? r.target : `${r.target} (missed)`];
		all.set(`| ${r.what}`, `| ${cells.join(' | ')} |`);
	}
	lines.splice(head + 2, end - head - 2, ...all.values());
	writeFileSync(path, lines.join('\n'));
}
