// make bench: how close each part comes to the least it could cost, as ratios
// in one run.  Each thing is measured in turns with its floor, so that a busy
// machine slows both; a ratio is the median of the turns' ratios, beside it
// stand the least and the greatest, of many turns where the middle half is.
//
//	make bench                     all, in some minutes
//	make bench BENCH="poll post"   some of: poll post webhook cgi fan turn rate
//	                               live idle beat storm over hostile
//	make bench BENCH="full fan"    at full length
//
// PARLEY_BENCH_S is how long a turn of a load takes (3 s).  PARLEY_BENCH_TABLE
// names a Markdown file, docs/performance.md, whose table is made anew of the
// rows that ran; others stay.
import { copyFileSync, chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build, root, start } from '../e2e/lib/harness.js';
import { heading, median, report, rows, run, tool } from './lib/rows.js';
import * as push from './push.js';

const S = Number(process.env.PARLEY_BENCH_S ?? 3);
const TURNS = 3;
const wanted = process.argv.slice(2);
const full = wanted.includes('full');
const want = (name) => wanted.filter((x) => x !== 'full').length === 0 ||
	wanted.includes(name);

// A folder with our programs, some of them replaced by others.
function programs(dir, replaced) {
	const bin = join(dir, 'bin');
	mkdirSync(bin);
	chmodSync(dir, 0o755);
	for (const name of ['parley', 'pushd', 'api.fcgi', 'poll.fcgi', 'pages.fcgi', 'webhook.fcgi', 'media.fcgi']) {
		copyFileSync(replaced[name] ?? join(build, name), join(bin, name));
		chmodSync(join(bin, name), 0o755);
	}
	return bin;
}

// One load: requests per second, all of them answered well.
async function load(p, conns, method, path, headers = [], body) {
	const args = [`127.0.0.1:${p.port}`, conns, S, method, path, ...headers];
	if (body)
		args.push('--', body);
	const r = JSON.parse(await run(tool('load'), args));
	if (r.refused > 0 || r.cut > r.requests / 100)
		throw new Error(`${method} ${path}: ${JSON.stringify(r)}`);
	return r.per_s;
}

// Two things in turns: medians.
async function turns(a, b) {
	const x = [], y = [];
	for (let i = 0; i < TURNS; i++) {
		x.push(await a());
		y.push(await b());
	}
	return [median(x), median(y)];
}

const bearer = (token) => `Authorization: Bearer ${token}`;
const env = { PARLEY_LIMITS: 'off', PARLEY_LOG_LEVEL: 'error' };

async function poll(tmp, web) {
	const dir = join(tmp, `poll-${web}`);
	mkdirSync(dir);
	const p = await start({ web, env });
	const floor = await start({ web, env,
		parley: join(programs(dir, { 'poll.fcgi': tool('empty_fcgi') }), 'parley') });
	try {
		const token = (await p.cli('token', '--user', 'mai@example.com')).trim();
		const first = await p.request('GET', '/api/events/poll',
			{ headers: { authorization: `Bearer ${token}` } });
		const path = `/api/events/poll?after=${first.json.cursor}`;
		const [ours, empty] = await turns(
			() => load(p, 8, 'GET', path, [bearer(token)]),
			() => load(floor, 8, 'GET', path, [bearer(token)]));
		report(`idle poll / empty FastCGI handler, ${web}`, ours.toFixed(0), empty.toFixed(0),
			'requests/s', (ours / empty).toFixed(2), '>= 0.85', ours / empty >= 0.85);
	} finally {
		await p.stop();
		await floor.stop();
	}
}

async function post(sync) {
	const p = await start({ env: { ...env, PARLEY_SYNCHRONOUS: sync } });
	const bare = await start({ mode: 'none' });
	try {
		const token = (await p.cli('token', '--user', 'mai@example.com')).trim();
		const [ours, floor] = await turns(
			() => load(p, 4, 'POST', '/api/conversations/4/messages', [bearer(token),
				'Content-Type: application/json'],
			'{"content":"Message of the benchmark, of a usual length.","client_id":"%d"}'),
			async () => Number(await run(tool('bare_post'),
				[join(bare.var, 'parley.db'), 2, 4, S, sync])));
		report(`message POST / the same SQL in a bare loop, ${sync}`, ours.toFixed(0),
			floor.toFixed(0), 'messages/s', (ours / floor).toFixed(2), '>= 0.5',
			ours / floor >= 0.5);
	} finally {
		await p.stop();
		await bare.stop();
	}
}

async function webhook(sync) {
	const p = await start({ env: { ...env, PARLEY_SYNCHRONOUS: sync } });
	const bare = await start({ mode: 'none' });
	try {
		const add = ['channel', 'add', '--platform', 'telegram', '--name', 'Bot',
			'--set', 'bot_token=700000001:AAbench', '--set', 'secret=bench',
			'--set', 'api_base=http://127.0.0.1:9'];
		const path = new URL((await p.cli(...add)).match(/(http\S+\/webhooks\/\S+)/)[1])
			.pathname;
		const channel = (await bare.cli(...add)).match(/^channel (\d+)/m)[1];
		const body = '{"update_id":%u,"message":{"message_id":15,"from":{"id":500000001,' +
			'"is_bot":false,"first_name":"An"},"chat":{"id":500000001,"type":"private"},' +
			'"date":1795000700,"text":"A text of the benchmark, of a usual length."}}';
		const [ours, floor] = await turns(
			() => load(p, 4, 'POST', path, ['X-Telegram-Bot-Api-Secret-Token: bench',
				'Content-Type: application/json'], body),
			async () => Number(await run(tool('bare_webhook'),
				[join(bare.var, 'parley.db'), channel, S, sync, body])));
		report(`webhook stored / a bare insert of the same row, ${sync}`, ours.toFixed(0),
			floor.toFixed(0), 'webhooks/s', (ours / floor).toFixed(2), '-', true);
	} finally {
		await p.stop();
		await bare.stop();
	}
}

async function cgi(tmp) {
	const p = await start({ web: 'lighttpd', mode: 'cgi', env });
	const dir = join(tmp, 'cgi');
	mkdirSync(dir);
	const empty = tool('empty_cgi');
	const floor = await start({ web: 'lighttpd', mode: 'cgi', env,
		parley: join(programs(dir, { 'api.fcgi': empty, 'poll.fcgi': empty,
			'pages.fcgi': empty }), 'parley') });
	try {
		const token = (await p.cli('token', '--user', 'mai@example.com')).trim();
		// The first poll tells the others that somebody is there: an event.
		const poll = async (after) => (await p.request('GET',
			`/api/events/poll?after=${after}`,
			{ headers: { authorization: `Bearer ${token}` } })).json;
		let first = await poll(0);
		for (let n = 0; n < 10 && first.events.length > 0; n++)
			first = await poll(first.cursor);
		const query = `after=${first.cursor}`;
		for (const [what, program, path] of [
			['idle poll', 'poll.fcgi', `/api/events/poll?${query}`],
			['GET of a conversation', 'api.fcgi', '/api/conversations/4'],
		]) {
			const [ours, least] = await turns(
				() => load(p, 2, 'GET', path, [bearer(token)]),
				() => load(floor, 2, 'GET', path, [bearer(token)]));
			report(`plain CGI, ${what} / empty C CGI, lighttpd`,
				(1e6 / ours * 2).toFixed(0), (1e6 / least * 2).toFixed(0), 'us',
				(least / ours).toFixed(2), '<= 2', least / ours <= 2);
			const cgiEnv = ['GATEWAY_INTERFACE=CGI/1.1', 'REQUEST_METHOD=GET',
				'SERVER_PROTOCOL=HTTP/1.1', `REQUEST_URI=${path}`,
				`QUERY_STRING=${path.split('?')[1] ?? ''}`, 'REMOTE_ADDR=127.0.0.1',
				'HTTP_HOST=127.0.0.1', `HTTP_AUTHORIZATION=Bearer ${token}`,
				`PARLEY_CONF=${p.conf}`, 'PARLEY_LIMITS=off', 'PARLEY_LOG_LEVEL=error'];
			const uid = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
			const [a, b] = await turns(
				async () => Number(await run(tool('spawn'), [1000, join(build, program),
					...cgiEnv], uid)),
				async () => Number(await run(tool('spawn'), [1000, empty, ...cgiEnv], uid)));
			report(`plain CGI, ${what} / empty C CGI, alone`, a.toFixed(0), b.toFixed(0),
				'us', (a / b).toFixed(2), '<= 2', a / b <= 2);
			if (program !== 'api.fcgi')
				continue;
			// Of it, what no program with this database can go below.
			const db = `PARLEY_DB=${join(dirname(p.conf), 'parley.db')}`;
			const [c, d] = await turns(
				async () => Number(await run(tool('spawn'), [1000, join(build, program),
					...cgiEnv], uid)),
				async () => Number(await run(tool('spawn'), [1000, tool('sqlite_cgi'), db], uid)));
			report(`plain CGI, ${what} / C CGI that opens the database`, c.toFixed(0),
				d.toFixed(0), 'us', (c / d).toFixed(2), '', true);
		}
	} finally {
		await p.stop();
		await floor.stop();
	}
}

const tmp = mkdtempSync(join(tmpdir(), 'parley-bench-'));
chmodSync(tmp, 0o755);
process.env.PARLEY_WWW_DIR = join(root, 'www');
heading();
let failed = 0;
const took = [];
const attempt = async (name, ...args) => {
	const began = Date.now();
	try {
		await name(...args);
	} catch (e) {
		failed++;
		console.log(`${name.name} ${args.filter((x) => typeof x === 'string')}: ${e.message}`);
	}
	took.push(`${name.name} ${((Date.now() - began) / 1000).toFixed(0)}`);
};
if (want('poll'))
	for (const web of ['apache', 'lighttpd'])
		await attempt(poll, tmp, web);
if (want('post'))
	for (const sync of ['full', 'normal'])
		await attempt(post, sync);
if (want('webhook'))
	for (const sync of ['full', 'normal'])
		await attempt(webhook, sync);
if (want('cgi'))
	await attempt(cgi, tmp);
const kinds = ['sse', 'ws', 'sio'];
if (want('fan'))
	await attempt(push.fan, kinds, [1000, 5000], full ? 6 : 3);
if (want('turn'))
	await attempt(push.turn, kinds, 5000, full ? 8 : 4);
if (want('rate'))
	await attempt(push.rate, kinds, 1000, 100, full ? 20 : 10);
if (want('live'))
	await attempt(push.live, kinds, 1000, 100, full ? 10 : 4);
if (want('idle'))
	await attempt(push.idle, kinds, 10000, 15);
if (want('beat'))
	await attempt(push.beat, kinds, 1000, full ? 5 : 3);
if (want('storm'))
	await attempt(push.storm, kinds, 10000, 50);
if (want('over'))
	await attempt(push.over, kinds, 10000, 100, full ? 10 : 6);
if (want('hostile'))
	await attempt(push.hostile, 'sse', 200, 100, full ? 3 : 2);
rmSync(tmp, { recursive: true, force: true });
const aims = rows.filter((r) => r.target !== '-');
console.log(`seconds: ${took.join(', ')}`);
console.log(`${aims.filter((r) => r.good).length} of ${aims.length} targets reached`);
process.exitCode = failed ? 1 : 0;
