// Fifty who send a byte a second hold no process that others wait for, behind
// either web server, whatever they send to, with one process of each program.
import test from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { start, until } from './lib/harness.js';

const SLOW = 50;

for (const web of ['apache', 'lighttpd'])
	test(`${web}: fifty slow senders at every door`, async (t) => {
		const p = await start({ web, conf: { limits: 'off', api_pool: 1, media_pool: 1 } });
		t.after(() => p.stop());
		const agent = await p.agent(), token = (await p.bearer()).token;
		const visitor = await p.visitor({ name: 'An' });
		const path = `/api/conversations/${visitor.conversation_id}/messages`;
		const json = 'Content-Type: application/json';
		const auth = `Authorization: Bearer ${token}`;
		const length = 'Content-Length: 5000', chunked = 'Transfer-Encoding: chunked';
		const doors = [
			[path, [auth, json, length], ' '],
			[path, [auth, json, chunked], '1\r\n \r\n'],
			['/login', ['Content-Type: application/x-www-form-urlencoded', length], 'a'],
			['/webhooks/custom/1', [json, length], ' '],
			['/api/uploads', [auth, 'Content-Type: text/plain', length], 'a'],
		];
		const slow = [];
		t.after(() => slow.forEach((c) => c.destroy()));
		for (const [to, heads, drip] of doors)
			for (let i = 0; i < SLOW; i++) {
				const c = net.connect(p.port, '127.0.0.1');
				c.on('error', () => {});
				c.write([`POST ${to} HTTP/1.1`, 'Host: 127.0.0.1', ...heads, '', drip]
					.join('\r\n'));
				const timer = setInterval(() => c.writable && c.write(drip), 1000);
				c.on('close', () => clearInterval(timer));
				slow.push(c);
			}
		await until(() => slow.every((c) => !c.connecting));
		// Each of them has waited by now, if it was to.
		for (let i = 0; i < 3; i++) {
			assert.equal((await agent.send(visitor.conversation_id, 'hi')).status, 201);
			assert.equal((await agent.get('/inbox')).status, 200);
			assert.equal((await p.request('GET', '/login')).status, 200);
			assert.equal((await p.request('POST', '/webhooks/custom/1',
				{ body: {} })).status, 404);
			assert.equal((await agent.post('/api/uploads', 'text',
				{ 'content-type': 'text/plain' })).status, 201);
		}
		assert.ok(slow.filter((c) => !c.destroyed).length > 0, 'they still send');
		// Who ends well after all is answered.
		const c = net.connect(p.port, '127.0.0.1');
		let got = '';
		c.on('data', (d) => { got += d; });
		const body = JSON.stringify({ content: 'at last' });
		c.write(`POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n${auth}\r\n` +
			`${json}\r\nContent-Length: ${body.length}\r\n\r\n`);
		for (const byte of body) {
			c.write(byte);
			await new Promise((r) => setTimeout(r, 20));
		}
		await until(() => /^HTTP\/1\.1 201 /.test(got), undefined, 'the answer');
		for (const s of [c, ...slow])
			s.destroy();
	});
