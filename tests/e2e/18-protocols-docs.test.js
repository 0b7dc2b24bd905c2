// docs/protocols.md: each program in it is run as it stands there, by people in
// one conversation who hear each other, also when pushd is killed meanwhile.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { root, start, until } from './lib/harness.js';

const doc = readFileSync(join(root, 'docs/protocols.md'), 'utf8');
const snippets = new Map([...doc.matchAll(/^```(?:js|sh) (\S+)\n(.*?)^```$/gms)]
	.map((m) => [m[1], m[2]]));
const chats = [...snippets.keys()].filter((name) => name.endsWith('.mjs'));

describe('docs/protocols.md', { timeout: 300_000 }, () => {
	let p, dir, lan, conv;
	const people = [], running = [];

	before(async () => {
		p = await start({ conf: { url_tokens: 'on', account_connections_max: 100,
			user_message_rate_max: 1000, user_message_burst_max: 1000,
			credential_request_rate_max: 1000, credential_request_burst_max: 1000 } });
		people.push(await p.bearer('mai@example.com'), await p.bearer('somchai@example.com'));
		lan = await p.customer('Lan');
		conv = lan.conversation_id;
		dir = mkdtempSync(join(tmpdir(), 'parley-docs-'));
		symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
		for (const [name, text] of snippets)
			writeFileSync(join(dir, name), text);
	});
	after(async () => {
		for (const r of running)
			r.child.kill('SIGKILL');
		await p?.stop();
		if (dir)
			rmSync(dir, { recursive: true });
	});

	const env = (who, more) => ({ ...process.env, PARLEY: p.url, TOKEN: who.token,
		CONVERSATION: conv, ...more });
	const sh = (name, who, more) => new Promise((ok) => {
		const child = execFile('sh', [name], { cwd: dir, env: env(who, more) },
			(e, out, err) => ok({ code: e?.code, out, err, json: (() => {
				try {
					return JSON.parse(out);
				} catch {
					return undefined;
				}
			})() }));
		running.push({ child });
	});

	it('has a program for each kind of client, and only whole ones', () => {
		for (const name of ['sse.mjs', 'longpoll.mjs', 'live.mjs', 'chat.mjs', 'socketio.mjs',
			'socketio2.mjs'])
			assert.ok(snippets.has(name), name);
		// Whatever looks like a program has a name, and so is run.
		assert.doesNotMatch(doc, /^```(js|sh)$/m);
		const readme = readFileSync(join(root, 'README.md'), 'utf8');
		assert.match(readme, /\]\(docs\/protocols\.md\)/);
	});

	it('names only what there is', () => {
		const conf = readFileSync(join(root, 'common/conf_keys.h'), 'utf8');
		for (const [, key] of doc.matchAll(/`(\w+_(?:s|max|tokens|origins))`/g))
			assert.match(conf, new RegExp(`^K\\(${key},`, 'm'), key);
		for (const [, file, anchor] of doc.matchAll(/\]\(([\w.]*)(?:#([\w-]+))?\)/g)) {
			const text = file ? readFileSync(join(root, 'docs', file), 'utf8') : doc;
			if (anchor)
				assert.ok([...text.matchAll(/^#+ (.*)$/gm)].some(([, h]) => h.toLowerCase()
					.replace(/[^\w -]/g, '').replaceAll(' ', '-') === anchor), anchor);
		}
	});

	it('chats from each of its programs to all others, through a restart', async () => {
		const all = chats.map((name, i) => {
			const child = spawn(process.execPath, [name], { cwd: dir, env: env(people[i % 2]) });
			const r = { name, child, out: '' };
			child.stdout.setEncoding('utf8').on('data', (d) => { r.out += d; });
			child.stderr.setEncoding('utf8').on('data', (d) => { r.out += d; });
			running.push(r);
			return r;
		});
		const times = (r, text) => r.out.split('\n').filter((l) => l.includes(text)).length;
		const heard = (text, but) => until(() => all.every((r) => r === but ||
			times(r, text) > 0), 60_000, text).catch((e) => {
			throw new Error(`${e.message}\n${all.map((r) => `${r.name}: ${r.out}`).join('')}`);
		});
		// What is typed before there is a connection is said when there is one.
		for (const r of all)
			r.child.stdin.write(`early from ${r.name}\n`);
		await heard('connected');
		const said = async () => (await lan.get(`/api/conversations/${conv}/messages?limit=100`))
			.json.items.map((m) => m.content).reverse();
		await until(async () => (await said()).filter((x) => x.startsWith('early')).length >=
			all.length, 60_000, 'what was typed early');

		for (const r of all) {
			r.child.stdin.write(`this is ${r.name}\n`);
			await heard(`: this is ${r.name}`, r);
		}
		await lan.send(conv, 'I am a customer');
		await heard('Lan: I am a customer');

		const pid = p.pid('pushd');
		p.kill('pushd');
		for (const r of all) // and so is what is typed while there is none
			r.child.stdin.write(`meanwhile from ${r.name}\nin order from ${r.name}\n`);
		await until(() => p.pid('pushd') !== pid, undefined, 'its end');
		await lan.send(conv, 'Is anybody there?');
		await heard('Lan: Is anybody there?');
		await lan.send(conv, 'Good.');
		await heard('Lan: Good.');
		for (const r of all)
			await heard(`: in order from ${r.name}`, r);
		for (const r of all) {
			for (const text of ['Lan: I am a customer', 'Lan: Is anybody', 'Lan: Good.',
				...all.filter((x) => x !== r).map((x) => `: this is ${x.name}`)])
				assert.equal(times(r, text), 1, `${r.name}: ${text}\n${r.out}`);
			assert.equal(times(r, 'reset'), 0, r.out);
			assert.match(r.out, /^\d{13,} Lan: Good\.$/m, 'with its cursor');
			assert.equal(r.child.exitCode, null);
		}
		const texts = await said();
		for (const r of all) {
			const of = (what) => texts.flatMap((x, i) => x === `${what} from ${r.name}` ? i : []);
			for (const what of ['early', 'meanwhile', 'in order'])
				assert.equal(of(what).length, 1, `${what} from ${r.name}: ${texts}`);
			assert.ok(of('meanwhile')[0] < of('in order')[0], `${r.name}: ${texts}`);
		}
	});

	it('has commands that work', async () => {
		const me = (await people[0].get('/api/me')).json;
		const mine = await people[0].sse({ path: '/notifications/sse' });
		await mine.until('connected');
		const done = await sh('publish.sh', people[1], { USER_ID: me.id ?? me.user.id });
		assert.equal(done.json?.success, true, done.out + done.err);
		assert.equal((await mine.until('notification')).data.title, 'Call back');
		mine.close();

		const polled = sh('poll.sh', lan);
		await until(async () => {
			await people[0].send(conv, 'to be polled');
			return await Promise.race([polled, new Promise((ok) => setTimeout(ok, 200))]);
		}, undefined, 'an answer');
		const { json, out, err } = await polled;
		assert.ok(json?.events.some((e) => e.data.content === 'to be polled'), out + err);

		const child = spawn('sh', ['sse.sh'], { cwd: dir, env: env(lan) });
		running.push({ child });
		let text = '';
		child.stdout.setEncoding('utf8').on('data', (d) => { text += d; });
		await until(() => text.includes('event: connected'));
		await people[0].send(conv, 'for curl');
		await until(() => /^id: \d+\nevent: new_message\ndata: .*"for curl"/m.test(text));
		const ended = new Promise((ok) => child.on('exit', ok));
		child.kill();
		await ended;
	});
});
