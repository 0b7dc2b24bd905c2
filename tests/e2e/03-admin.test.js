// What an admin changes from the command line takes hold of what runs: log-ins
// end, streams are cut, the next log-in has the new rights.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cli, start, until } from './lib/harness.js';

const status = async (p, l) => (await p.request('POST', '/api/auth/login', {
	body: { email: l.email, password: l.password }, headers: { origin: p.url },
})).status;

test('users: password, disable, enable and role end what was open', async (t) => {
	const p = await start({});
	t.after(() => p.stop());
	const agent = { ...p.logins.find((l) => l.role === 'agent') };

	// Logged in with a stream, which the command cuts.
	const cut = async (...args) => {
		const a = await p.agent(agent);
		const s = await a.sse();
		assert.equal(s.status, 200);
		const out = await p.cli('user', ...args, '--email', agent.email);
		await until(() => s.ended, undefined, 'the stream is cut');
		s.close();
		assert.equal((await a.get('/api/me')).status, 401);
		return out;
	};

	const made = await cut('password');
	const password = /^user \d+\npassword (\S{12,})\n$/.exec(made)?.[1];
	assert.ok(password, made);
	assert.equal(await status(p, agent), 401);
	agent.password = password;
	assert.match(await p.cli('user', 'password', '--email', agent.email,
		{ input: 'correct horse battery\n' }), /^user \d+\n$/);
	agent.password = 'correct horse battery';

	await cut('disable');
	assert.notEqual(await status(p, agent), 200);
	await p.cli('user', 'enable', '--email', agent.email);
	await cut('role', '--role', 'admin');
	const admin = await p.agent(agent);
	assert.equal((await admin.get('/api/me')).json.role, 'admin');
	await cut('role', '--role', 'agent');

	// Somebody must be left who may do all this.
	const last = p.logins.find((l) => l.role === 'admin').email;
	const fails = (args, pattern) => assert.rejects(p.cli('user', ...args), (e) => {
		assert.equal(e.stdout, '', args.join(' '));
		assert.match(e.stderr, pattern);
		return true;
	});
	await fails(['disable', '--email', last], /last admin/);
	await fails(['role', '--email', last, '--role', 'agent'], /last admin/);
	await fails(['password', '--email', 'nobody@example.com'], /no user/);
	await fails(['role', '--email', last, '--role', 'boss'], /--role/);
	await fails(['enable'], /needs --email/);
});

test('a key acts as its user until it is ended', async (t) => {
	const p = await start({});
	t.after(() => p.stop());
	const { email } = p.logins.find((l) => l.role === 'agent');
	const out = await p.cli('key', 'add', '--user', email, '--name', 'Import');
	const [, id, key] = /^key (\d+)\n(\S{32,})\n$/.exec(out) ?? [];
	assert.ok(key, out);
	const get = () => p.request('GET', '/api/me',
		{ headers: { authorization: `Bearer ${key}` } });
	const r = await get();
	assert.equal(r.status, 200, r.text);
	assert.equal(r.json.email, email);
	await p.cli('key', 'end', '--id', id);
	assert.equal((await get()).status, 401);
	await assert.rejects(p.cli('key', 'end', '--id', id), /no key/);
	await assert.rejects(p.cli('key', 'add', '--user', 'x@example.com', '--name', 'x'), /no user/);
});

test('channel list tells each account and the address of its webhook', async (t) => {
	const p = await start({ mode: 'none' });
	t.after(() => p.stop());
	const lines = (await p.cli('channel', 'list')).trim().split('\n').map((l) => l.split('\t'));
	assert.ok(lines.length > 0);
	for (const [id, platform, name, state, webhook, wrong] of lines) {
		assert.match(id, /^\d+$/);
		assert.ok(name.length > 0);
		assert.equal(wrong, '-');
		assert.match(state, /^(ok|reauth|off)$/);
		assert.equal(webhook,
			platform === 'web' ? '-' : `${p.url}/webhooks/${platform}/${id}`);
	}
	assert.ok(lines.some((l) => l[1] === 'web'));
	assert.match(await cli(['user', '--help']), /user add.*\n.*user password/);
});
