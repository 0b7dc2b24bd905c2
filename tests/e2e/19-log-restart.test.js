// The log begins another life while pushd runs: nobody goes on as if nothing had
// been, and who comes back with a cursor of before is told.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { io } from 'socket.io-client';
import { Person, pause, start, until } from './lib/harness.js';

// As where an older copy of the database is put in its place.
const ANOTHER = `UPDATE log_lives SET top = 1 + (SELECT min(id) FROM events)
    WHERE top IS NULL;
  INSERT INTO log_lives(base) SELECT last + 1000 FROM log_state;
  UPDATE log_state SET last = last + 1000, epoch = 'another';`;

test('all are sent away, also who has answers to get; who comes back is reset', async (t) => {
	const p = await start({ conf: { push_pool: 4 } });
	t.after(() => p.stop());
	const direct = Object.assign(Object.create(p), { url: `http://${p.setting('push_listen')}` });
	const agent = new Person(direct, await p.bearer());
	const customer = new Person(direct, await p.customer('C'));
	const { conversation_id } = customer;
	const sse = await agent.sse(), ws = await agent.ws();
	const first = await p.request('POST', `/api/conversations/${conversation_id}/messages`,
		{ headers: agent.headers(), body: { content: 'before' } });
	assert.equal(first.status, 201, first.text);
	for (const s of [sse, ws])
		await s.until((e) => e.type === 'new_message');
	const waits = agent.get('/api/events/longpoll?wait=25');
	const sockets = ['websocket', 'polling'].map((way) => {
		const s = io(direct.url, { transports: [way], forceNew: true, reconnection: false,
			auth: { token: agent.token } });
		t.after(() => s.close());
		return { ready: once(s, 'authenticated'), ended: once(s, 'disconnect') };
	});
	await Promise.all(sockets.map((s) => s.ready));

	// One of four messages comes to a process that does not answer now.
	const busy = await Promise.all([1, 2, 3, 4].map(() => customer.ws({ events: '' })));
	const due = () => busy.filter((s) => !s.events.some((e) =>
		e.type === 'message_sent' || e.type === 'error'));
	assert.ok(p.kill('push-api-1', 'SIGSTOP'));
	t.after(() => p.kill('push-api-1', 'SIGCONT'));
	busy.forEach((s, i) => s.send('message_send',
		{ conversationId: conversation_id, content: 'late', id: `late-${i}` }));
	await until(() => due().length <= 1, undefined, 'three answers');
	await pause(300);
	execFileSync('sqlite3', ['-cmd', '.timeout 10000', join(p.var, 'parley.db'), ANOTHER]);
	await until(() => /log restart/.test(p.log('pushd')), undefined, 'the news');
	await until(() => busy.filter((s) => !s.ended).length <= 1, undefined, 'the end of three');
	assert.ok(due().every((s) => !s.ended));
	p.kill('push-api-1', 'SIGCONT');
	await until(() => sse.ended && ws.ended && busy.every((s) => s.ended), undefined,
		'being sent away');
	assert.equal(due().length, 0, 'not before the answer');
	assert.ok(sse.retry >= 1000, `retry ${sse.retry}`);
	assert.deepEqual([ws, ...busy].map((s) => s.code), [1012, 1012, 1012, 1012, 1012]);
	assert.equal((await waits).status, 200);
	await Promise.all(sockets.map((s) => s.ended));
	for (const s of [sse, ws]) {
		const again = await (s === sse ? agent.sse({ cursor: s.cursor }) :
			agent.ws({ cursor: s.cursor }));
		await again.until('reset');
		again.close();
	}
});
