// parley run: both servers, both modes; it starts, answers at every door,
// starts again what dies, and ends.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync,
	readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cli, freePort, parley, pause, start, until } from './lib/harness.js';
import { raw } from './lib/raw.js';

const alive = (pid) => {
	try {
		process.kill(pid, 0);
		// a zombie has ended, whoever has not yet noticed
		return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
	} catch {
		return false;
	}
};

for (const web of ['apache', 'lighttpd']) {
	for (const mode of ['fcgi', 'cgi']) {
		test(`${web}, ${mode}: answers at every door, and ends`, async (t) => {
			const p = await start({ web, mode });
			t.after(() => p.stop());
			assert.match(p.output, /^ready http:\/\/127\.0\.0\.1:\d+$/m);
			assert.match(p.output, /admin +\S+@\S+ +password \S+/);

			const status = async (path, o) => (await p.request('GET', path, o)).status;
			// All there is of it is well: plain CGI has no pushd to miss.
			const health = await p.request('GET', '/health');
			assert.equal(health.status, 200);
			assert.equal(health.json.status, 'ok');
			assert.equal(health.json.push, mode === 'cgi' ? 'off' : 'up');
			assert.equal(await status('/login'), 200);
			assert.equal(await status('/chat'), 200);
			assert.equal(await status('/api/me'), 401);
			assert.equal(await status('/api/events/poll'), 401);
			assert.equal(await status('/webhooks/zalo/999'), 404);

			// What is not for browsers is not there.
			for (const path of ['/internal/identify', '/internal/events',
				'/api/../internal/events', '/api/%2e%2e/internal/events',
				'//internal/events', '/tmpl/login.html', '/parley.conf',
				'/js/../tmpl/login.html', '/js/', '/.git/config', '/apix',
				'/stream-down/x'])
				assert.equal(await status(path), 404, path);

			// It is said as a page; by programs, as JSON.
			for (const [path, lang, word] of [['/nope', 'vi', 'Không có gì ở đây'],
				['/nope/x.php?a=b', 'en', 'There is nothing here'],
				['/internal/events', 'en', 'There is nothing here'],
				['/settings/nope', 'vi', 'Không có gì ở đây']]) {
				const none = await p.request('GET', path, { headers: {
					accept: 'text/html', 'accept-language': lang } });
				assert.equal(none.status, 404, path);
				assert.match(none.headers['content-type'], /^text\/html/, path);
				assert.ok(none.text.includes(word), path);
			}
			assert.equal(await status('/nope', { headers: { accept: 'text/html' } },
				'POST'), 404);
			assert.equal((await p.request('GET', '/api/nope')).json.code, 'not_found');
			assert.equal(await status('/js/nope.js'), 404);
			const icon = await p.request('GET', '/favicon.ico');
			assert.equal(icon.status, 200);
			assert.match(icon.headers['content-type'], /^image\/svg\+xml/);
			const robots = await p.request('GET', '/robots.txt');
			assert.equal(robots.status, 200);
			assert.match(robots.headers['content-type'], /^text\/plain/);
			assert.match(robots.text, /^Disallow: \/$/m);

			// The token in the header gets through.
			const a = await p.bearer();
			const me = await a.get('/api/me');
			assert.equal(me.status, 200, me.text);

			// Static files: type, age, and nothing to send twice.
			const js = await p.request('GET', '/js/push.js');
			assert.equal(js.status, 200);
			assert.match(js.headers['content-type'], /^text\/javascript; ?charset=utf-8$/);
			assert.match(js.headers['cache-control'], /max-age/);
			assert.equal(js.headers['x-content-type-options'], 'nosniff');
			assert.ok(js.headers.etag);
			assert.equal(await status('/js/push.js',
				{ headers: { 'if-none-match': js.headers.etag } }), 304);
			assert.equal(await status('/widget.js'), 200);

			// The logs hold neither queries nor links that open something.
			await p.request('GET', '/health?token=hunter2');
			await p.request('GET', '/chat/hunter3');
			await until(() => /\/health /.test(p.log('web-access')));
			assert.doesNotMatch(p.log('web-access') + p.log('web'), /hunter/);

			// Nothing in the workspace is for others to read.
			assert.equal(statSync(p.conf).mode & 0o777, 0o600);
			assert.equal(statSync(p.var).mode & 0o077, 0);

			const pids = readdirSync(join(p.var, 'run')).filter((f) => f.endsWith('.pid'))
				.map((f) => Number(readFileSync(join(p.var, 'run', f), 'utf8')));
			assert.ok(pids.length >= (mode === 'fcgi' ? 9 : 2), `${pids.length} pids`);
			for (const pid of pids)
				assert.ok(alive(pid), `pid ${pid}`);
			// By itself: who has to be killed ends otherwise.
			assert.equal(await p.stop({ keep: true }), 0);
			assert.doesNotMatch(p.log('run'), /killed what did not end/);
			for (const pid of pids)
				assert.ok(!alive(pid), `pid ${pid} is still there`);
			rmSync(p.var, { recursive: true, force: true });
		});
	}

	test(`${web}: streams and sockets come through unbuffered`, { timeout: 300_000 }, async (t) => {
		const p = await start({ web, conf: { keepalive_s: 25 } });
		t.after(() => p.stop());
		const a = await p.bearer();
		const c = await p.customer('Lan');
		const sse = await a.sse();
		t.after(() => sse.close());
		assert.equal(sse.status, 200);
		assert.match(sse.response.headers['content-type'], /^text\/event-stream/);
		const ws = await a.ws();
		t.after(() => ws.close());
		const r = await c.send(c.conversation_id, 'xin chào');
		assert.equal(r.status, 201, r.text);
		const mine = (e) => e.type === 'new_message' && e.data.content === 'xin chào';
		// A buffer would keep it until the next keep-alive, after 25 s.
		await sse.until(mine, 20_000);
		await ws.until(mine, 20_000);

		// Without pushd a stream says when to come back, since EventSource
		// never does after another status than 200. Who dies young is held
		// back longer each time, so there is time to look.
		let dies = true, down;
		const killed = (async () => {
			while (dies) {
				p.kill('pushd');
				await pause(20);
			}
		})();
		try {
			await until(async () => {
				const r = await fetch(`${p.url}/api/events/stream`,
					{ headers: a.headers(), signal: AbortSignal.timeout(5000) })
					.catch(() => null);
				down = { r, text: await r?.text().catch(() => null) };
				return down.text === 'retry: 3000\n\n';
			}, 60_000, 'the stream without pushd');
		} finally {
			dies = false;
			await killed;
		}
		assert.equal(down.r.status, 200);
		assert.match(down.r.headers.get('content-type'), /^text\/event-stream/);
		await until(async () => {
			const s = await a.sse().catch(() => null);
			const ok = await s?.until(() => true).catch(() => null);
			s?.close();
			return ok;
		}, undefined, 'the stream is back');
	});

	test(`${web}: what dies is started again`, async (t) => {
		const p = await start({ web });
		t.after(() => p.stop());
		for (const name of ['api-1', 'poll-1', 'pages-1', 'webhook-1', 'push-api-1',
			'pushd', 'worker', 'web']) {
			const before = p.pid(name);
			assert.ok(before > 0, name);
			assert.ok(p.kill(name), name);
			await until(() => p.pid(name) > 0 && p.pid(name) !== before &&
				alive(p.pid(name)), undefined, `${name} again`);
		}
		// The web server's orphans did not keep its port.
		await until(() => p.request('GET', '/health').then((r) => r.status === 200,
			() => false), undefined, 'the web server answers');
		await until(() => p.request('GET', '/login').then((r) => r.status === 200,
			() => false), undefined, 'pages answer');
	});
}

test('it ends when pushd has sent everybody away', async (t) => {
	const p = await start({ env: { PARLEY_DRAIN_S: '8' }, conf: {
		address_connections_max: 5000, account_connections_max: 5000,
		credential_request_burst_max: 5000 } });
	t.after(() => p.stop());
	const { token } = await p.bearer();
	const streams = [];
	// Some hundred of them are told in a second.
	for (let i = 0; i < 1500; i++)
		streams.push((await raw(p)).write('GET /api/events/stream HTTP/1.1\r\n' +
			`Host: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`));
	for (const s of streams)
		assert.ok(await s.until(() => s.text.includes('event: connected')));
	assert.equal(await p.stop({ keep: true }), 0);
	for (const s of streams) {
		assert.ok(await s.gone());
		assert.match(s.text, /\nretry: \d+\n\n$/, 'when to come back');
	}
	assert.doesNotMatch(p.log('run'), /killed what did not end/);
	await p.stop();
});

test('a second run of the same workspace ends, and leaves the first alone', async (t) => {
	const p = await start({});
	t.after(() => p.stop());
	for (const port of [p.port, await freePort()])
		await assert.rejects(cli(['run', '--port', String(port)], { conf: p.conf }), (e) => {
			assert.ok(e.code > 0);
			assert.match(e.stderr, port === p.port ? /in use/ : /already/);
			return true;
		});
	assert.equal((await p.request('GET', '/health')).status, 200);
});

test('a port in use is said so', async (t) => {
	const s = net.createServer();
	const port = await freePort();
	await new Promise((ok) => s.listen(port, '127.0.0.1', ok));
	t.after(() => s.close());
	await assert.rejects(start({ port }), new RegExp(`port ${port} is in use`));
});

test('a path longer than a socket can have is said so', async (t) => {
	const deep = join(tmpdir(), `parley-${process.pid}-${'x'.repeat(80)}`);
	mkdirSync(deep, { mode: 0o700 });
	t.after(() => rmSync(deep, { recursive: true, force: true }));
	await assert.rejects(start({ var: deep }), /107/);
	const fine = join(tmpdir(), `parley-${process.pid}-`).padEnd(60, 'y');
	t.after(() => rmSync(fine, { recursive: true, force: true }));
	mkdirSync(fine, { mode: 0o700 });
	const p = await start({ var: fine });
	await p.stop();
});

for (const web of ['apache', 'lighttpd']) {
	for (const mode of ['fcgi', 'cgi']) {
		test(`${web}, ${mode}: a workspace whose path has a space`, async (t) => {
			const above = mkdtempSync(join(tmpdir(), 'parley-'));
			t.after(() => rmSync(above, { recursive: true, force: true }));
			const p = await start({ web, mode, var: join(above, 'my shop') });
			t.after(() => p.stop());
			for (const path of ['/health', '/login', '/chat', '/js/push.js'])
				assert.equal((await p.request('GET', path)).status, 200, path);
			assert.equal((await p.request('GET', '/', { headers: { accept: 'text/html' } }))
				.status < 400, true);
			assert.equal((await p.request('GET', '/webhooks/zalo/999')).status, 404);
			assert.equal((await p.request('GET', '/api/events/poll')).status, 401);
			if (mode === 'fcgi') {
				const s = await (await p.agent()).sse();
				assert.equal(s.status, 200);
				s.close();
			}
		});
	}
}

test('a killed supervisor takes everything with it', async (t) => {
	const p = await start({});
	t.after(() => p.stop());
	const pids = ['pushd', 'worker', 'web', 'api-1', 'poll-1'].map((n) => p.pid(n));
	p.child.kill('SIGKILL');
	await p.exited;
	await until(() => pids.every((pid) => !alive(pid)), undefined, 'all are gone');
	// and it starts again over what was left lying about
	p.code = undefined;
	p.output = '';
	await p.run();
	assert.equal((await p.request('GET', '/health')).status, 200);

	// Also at once, while a stream keeps some of that alive for a while.
	const s = await (await p.agent()).sse();
	p.child.kill('SIGKILL');
	await p.exited;
	p.code = undefined;
	p.output = '';
	await p.run();
	s.close();
	assert.equal((await p.request('GET', '/health')).status, 200);
});

test('plain CGI: a second run of the same workspace ends, too', async (t) => {
	const p = await start({ mode: 'cgi' });
	t.after(() => p.stop());
	const pid = p.pid('worker');
	await assert.rejects(cli(['run', '--mode', 'cgi', '--port', String(await freePort())],
		{ conf: p.conf }), /running already/);
	assert.equal(p.pid('worker'), pid, 'its pid files are untouched');
	assert.equal((await p.request('GET', '/health')).status, 200);
});

test('init makes the folders above, and says what is left to do', async (t) => {
	const above = mkdtempSync(join(tmpdir(), 'parley-'));
	t.after(() => rmSync(above, { recursive: true, force: true }));
	const mode = (...names) => statSync(join(above, ...names)).mode & 0o777;
	const conf = join(above, 'a', 'b', 'c', 'parley.conf');
	assert.match(await cli(['init'], { conf }), /^next: set base_url there/m);
	assert.equal(mode('a'), 0o755);
	assert.equal(mode('a', 'b'), 0o755);
	assert.equal(mode('a', 'b', 'c'), 0o700);
	const other = join(above, 'd', 'parley.conf');
	const out = await cli(['init', '--url', 'https://chat.example.com'], { conf: other });
	assert.doesNotMatch(out, /base_url/);
	assert.match(out, /^next:\n {2}parley user add/m);
	// What is there stays, and that is said.
	const said = async (url) => promisify(execFile)(parley,
		['init', '--conf', other, '--url', url]).then((o) => o.stderr);
	const before = readFileSync(other, 'utf8');
	assert.equal(await said('https://chat.example.com'), '');
	assert.match(await said('https://other.example.com'), /stays as it is.*set base_url/);
	assert.equal(readFileSync(other, 'utf8'), before);
});

test('status says what runs and how the database stands', async (t) => {
	const p = await start({});
	t.after(() => p.stop());
	const said = await p.cli('status');
	for (const line of [/^workspace +\/.+$/m, /^web +pid \d+$/m, /^worker +pid \d+$/m,
		/^log +head [1-9]\d*, floor \d+, life \S+$/m, /^users +[1-9]\d*$/m,
		/^schema +[1-9]\d*$/m, /^wal +\d+ bytes$/m])
		assert.match(said, line);
});

test('the command line: help, errors, and what it prints', async (t) => {
	const p = await start({ mode: 'none' });
	t.after(() => p.stop());
	for (const c of [[], ['init'], ['run'], ['user', 'add'], ['user', 'password'],
		['user', 'disable'], ['user', 'enable'], ['user', 'role'], ['token'],
		['channel', 'list'], ['channel', 'add'], ['channel', 'set'], ['channel', 'check'], ['key', 'add'], ['key', 'end'],
		['work'], ['check'], ['status']]) {
		const out = await cli([...c, '--help']);
		assert.match(out, /^usage: parley/, c.join(' '));
	}
	// One line for each, whole.
	const briefs = (await cli(['--help'])).split('\n').filter((l) => /^ {2}\S/.test(l));
	assert.ok(briefs.length >= 9);
	for (const line of briefs)
		assert.match(line, /^ {2}[a-z ]{14} [A-Z].{10,61}\.$/);
	const fails = async (args, pattern) => assert.rejects(p.cli(...args), (e) => {
		assert.ok(e.code > 0, args.join(' '));
		assert.equal(e.stdout, '', args.join(' '));
		assert.match(e.stderr, pattern);
		return true;
	});
	await fails(['nonsense'], /unknown command/);
	await fails(['user', 'add', '--email', 'x'], /needs/);
	await fails(['user', 'add', '--email', 'x', '--name', 'X', '--role', 'agent'], /e-mail/);
	await fails(['user', 'add', '--email', 'x@y.z', '--name', 'X', '--role', 'boss'], /role/);
	await fails(['token', '--user', 'nobody@example.com'], /no user/);
	await fails(['token'], /one of/);
	await fails(['channel', 'add', '--platform', 'pigeon', '--name', 'P'], /platform/);

	const made = await p.cli('user', 'add', '--email', 'new@example.com', '--name', 'Mới',
		'--role', 'agent');
	assert.match(made, /^user \d+\npassword \S{12,}\n$/);
	const given = await p.cli('user', 'add', '--email', 'own@example.com', '--name', 'Own',
		'--role', 'admin', { input: 'correct horse battery\n' });
	assert.match(given, /^user \d+\n$/);
	await fails(['user', 'add', '--email', 'own@example.com', '--name', 'Own', '--role', 'agent'],
		/already/);
	assert.match(await p.cli('token', '--user', 'own@example.com'), /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
	const c = JSON.parse(await p.cli('token', '--customer', 'Khách'));
	assert.match(c.customer_id, /^\d+$/);
	assert.match(c.conversation_id, /^\d+$/);
	assert.ok(c.resume_url.startsWith(`${p.url}/chat/`), c.resume_url);
	assert.ok(c.token.length > 30);

	const ok = await p.cli('check');
	assert.match(ok, /SQLite 3/);
	assert.match(ok, /write lock/);
	await assert.rejects(p.cli('status'), (e) => /nothing runs/.test(e.stdout));

	// A fault is named by its line, without the value.
	const { appendFileSync, chmodSync } = await import('node:fs');
	const lines = readFileSync(p.conf, 'utf8').split('\n').length;
	appendFileSync(p.conf, 'api_pool = many\nno_such_key = hunter2\ncors_origins = foo\n');
	await assert.rejects(p.cli('check'), (e) => {
		assert.match(e.stderr, new RegExp(`:${lines}:`));
		assert.match(e.stderr, new RegExp(`:${lines + 1}:`));
		assert.match(e.stderr, new RegExp(`:${lines + 2}: cors_origins`));
		assert.match(e.stderr, /: 3 faults, /);
		assert.doesNotMatch(e.stderr, /hunter2/);
		return true;
	});
	chmodSync(p.conf, 0o644);
	await assert.rejects(p.cli('check'));
	assert.ok(existsSync(parley));
});

test('what cannot run is refused before anything starts, and named', async (t) => {
	const p = await start({ mode: 'none' });
	t.after(() => p.stop());
	const port = String(await freePort());
	const refused = (pattern) => assert.rejects(cli(['run', '--port', port],
		{ conf: p.conf }), (e) => {
		assert.equal(e.code, 1);
		assert.match(e.stderr, pattern);
		assert.equal(e.stderr.trim().split('\n').length, 1, e.stderr);
		assert.equal(p.pid('worker'), 0);
		return true;
	});
	const db = join(p.var, 'parley.db');
	const schema = (n) => execFileSync('sqlite3', [db, `PRAGMA user_version=${n}`]);
	const ours = Number(execFileSync('sqlite3', [db, 'PRAGMA user_version']));
	schema(999);
	await refused(new RegExp(`newer Parley: its schema is 999, this one knows ${ours}$`, 'm'));
	schema(ours - 1);
	await refused(/older Parley.*parley init upgrades it/);
	schema(ours);
	renameSync(db, `${db}.away`);
	await refused(/parley init makes the database/);
	renameSync(`${db}.away`, db);
	chmodSync(p.var, 0o777);
	await refused(/may be written by others: chmod o-w/);
	chmodSync(p.var, 0o700);
	appendFileSync(p.conf, 'api_pool = many\n');
	await refused(/parley\.conf:\d+: api_pool must be a number from 1 to 64$/m);
});

test('init that fails leaves nothing behind, and an option is no value', async (t) => {
	const dir = mkdtempSync(join(tmpdir(), 'parley-'));
	t.after(() => rmSync(dir, { recursive: true, force: true }));
	const conf = join(dir, 'parley.conf');
	for (const url of ['nonsense', 'ftp://x', 'https://x.example/chat', 'https://'])
		await assert.rejects(cli(['init', '--url', url], { conf }), /base_url must begin/);
	assert.deepEqual(readdirSync(dir), []);
	await cli(['init', '--url', 'https://x.example/'], { conf });
	await assert.rejects(cli(['user', 'add', '--email'], { conf }), /--email needs a value/);
	await assert.rejects(cli(['webhook', 'show'], { conf }), /needs the number/);
});
