// Figures for operators: the manual's table is what there is, and they move
// when something happens.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { io as io4 } from 'socket.io-client';
import { root, start, until } from './lib/harness.js';
import { ask, raw } from './lib/raw.js';

const GET = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`;

// Prometheus text as {types: name -> type, values: 'name{labels}' -> number}.
function parse(text) {
	const types = new Map(), values = new Map();
	let name;
	for (const line of text.trimEnd().split('\n')) {
		let m;
		if ((m = /^# HELP ([a-z_]+) \S.*\.$/.exec(line))) {
			assert.ok(!types.has(m[1]), `${m[1]} twice`);
			name = m[1];
		} else if ((m = /^# TYPE ([a-z_]+) (gauge|counter|histogram)$/.exec(line))) {
			assert.equal(m[1], name);
			types.set(m[1], m[2]);
		} else {
			m = /^([a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|NaN)$/
				.exec(line);
			assert.ok(m, `not a metric: ${line}`);
			const base = types.get(name) === 'histogram' ?
				m[1].replace(/_(bucket|sum|count)$/, '') : m[1];
			assert.equal(base, name, line);
			assert.ok(!values.has(m[1] + (m[2] ?? '')), `${line} twice`);
			values.set(m[1] + (m[2] ?? ''), Number(m[3]));
		}
	}
	return { types, values };
}

describe('metrics', { timeout: 300_000 }, () => {
	let p, agent, customer, conv;
	before(async () => {
		p = await start({ conf: { url_tokens: 'on', user_message_rate_max: 10000,
			user_message_burst_max: 10000, conversation_message_rate_max: 10000,
			credential_request_rate_max: 10000, credential_request_burst_max: 10000 } });
		agent = await p.bearer();
		customer = await p.customer('Lan');
		conv = customer.conversation_id;
	});
	after(() => p?.stop());

	const all = async () => parse((await ask(p, GET('/metrics'))).body);
	const value = async (name) => (await all()).values.get(name);

	it('are those of the manual, of the same type and with its labels', async () => {
		const { types, values } = parse((await p.request('GET', '/metrics')).text);
		const text = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
		const rows = new Map([...text.matchAll(
			/^\| `(parley_\w+)` \| (gauge|counter|histogram) \|(.*?)\|/gm)]
			.map((m) => [m[1], { type: m[2], labels: m[3].match(/\w+/g) ?? [] }]));
		assert.deepEqual([...types.keys()].sort(), [...rows.keys()].sort());
		for (const [name, { type, labels }] of rows)
			assert.equal(types.get(name), type, `${name} ${labels}`);
		for (const key of values.keys()) {
			const [, name, inner = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(key);
			const row = rows.get(name) ?? rows.get(name.replace(/_(bucket|sum|count)$/, ''));
			const labels = [...inner.matchAll(/(\w+)="/g)].map((m) => m[1]);
			if (!/_(sum|count)$/.test(name) || row.type !== 'histogram')
				assert.deepEqual(labels, row.labels, key);
		}
		// Its reasons, too.
		const reasons = [...text.split('Reasons of an end')[1].matchAll(/^\| `(\w+)` \| /gm)]
			.map((m) => m[1]).filter((r) => r !== 'reason');
		const there = [...values.keys()].map((k) => /^parley_push_ended_total\{reason="(\w+)"\}/.exec(k))
			.filter(Boolean).map((m) => m[1]);
		assert.deepEqual(there, reasons);
		// Every alarm is about one that there is.
		const alarms = text.split('## Names')[0];
		for (const [, name] of alarms.matchAll(/`(parley_\w+)/g))
			assert.ok(types.has(name), name);
	});

	const live = 'parley_push_connections{transport="sse",dialect="named",state="live"}';
	async function stream() {
		const s = await raw(p);
		s.write(GET('/api/events/stream', `Authorization: Bearer ${agent.token}\r\n`));
		await until(async () => (await value(live)) === 1);
		return s;
	}

	it('count connections by what they are and do, and why they end', async () => {
		const ws = 'parley_push_connections{transport="websocket",dialect="live",state=';
		const before = await all();
		const s = await stream();
		const w = await agent.ws();
		await until(async () => (await value(`${ws}"live"}`)) >= 1);
		s.close();
		w.close();
		const c = await agent.ws({ path: '/chat/ws', auth: false });
		await until(async () => [...(await all()).values.keys()]
			.some((k) => k.startsWith(ws.replace('"live"', '"chat"'))));
		c.close();
		await until(async () => {
			const v = (await all()).values;
			return !v.has(live) && !v.has(`${ws}"live"}`) &&
				v.get('parley_push_ended_total{reason="client"}') >=
				before.values.get('parley_push_ended_total{reason="client"}') + 2;
		});
		const refused = await value('parley_push_ended_total{reason="refused"}');
		assert.equal((await ask(p, GET('/nothing'))).status, 404);
		assert.equal(await value('parley_push_ended_total{reason="refused"}'), refused + 1);
	});

	it('count Socket.IO by version, between polls too', async () => {
		const of = (v) => 'parley_push_connections{transport="engineio",' +
			`dialect="eio${v}",state="live"}`;
		const o = { auth: { token: agent.token }, reconnection: false, forceNew: true };
		const sockets = [io4(p.url, { ...o, transports: ['websocket'] }),
			io4(p.url, { ...o, transports: ['polling'] })];
		await until(async () => {
			const v = (await all()).values;
			return v.get(of(4)) === 1 && v.get('parley_push_socketio_sessions') === 2;
		});
		const was = await value('parley_push_socketio_ended_total{reason="client"}');
		sockets.forEach((s) => s.close());
		await until(async () => {
			const v = (await all()).values;
			return !v.has(of(4)) && v.get('parley_push_socketio_sessions') === 0 &&
				v.get('parley_push_socketio_ended_total{reason="client"}') === was + 2;
		});
	});

	it('take the time from commit to first write, of the backend and of the loop', async () => {
		const s = await stream();
		const before = (await all()).values;
		assert.equal((await customer.send(conv, 'how fast?')).status, 201);
		assert.ok(await s.until((c) => c.text.includes('how fast')));
		const now = (await all()).values;
		const grew = (name) => now.get(name) - before.get(name);
		assert.ok(grew('parley_push_first_write_seconds_count') >= 1);
		assert.ok(grew('parley_push_deliveries_total') >= 1);
		assert.ok(grew('parley_push_written_bytes_total') > 0);
		for (const name of ['first_write', 'backend', 'turn']) {
			const of = (q) => now.get(`parley_push_${name}_recent_seconds{quantile="${q}"}`);
			assert.ok(of('0.5') >= 0 && of('0.5') <= of('0.99') && of('0.99') <= of('1'), name);
			assert.ok(of('1') < 10, `${name} ${of('1')}`);
			assert.equal(now.get(`parley_push_${name}_seconds_bucket{le="+Inf"}`),
				now.get(`parley_push_${name}_seconds_count`));
		}
		s.close();
	});

	it('count the hints that were lost, and what was asked for instead', async () => {
		const s = await stream();
		const lost = async () => Number(/^parley_hints_lost_total (\d+)$/m.exec(
			(await p.request('GET', '/metrics')).text)[1]);
		const before = (await all()).values, had = await lost();
		let n = 0;
		assert.ok(p.kill('pushd', 'SIGSTOP'));
		try {
			// As many as the sockets of those who send them hold, and more.
			while (n < 1000)
				for (const r of await Promise.all([...Array(20).keys()].map((i) =>
					customer.send(conv, `blind ${n + i}`)))) {
					// On a busy disk a turn may take too long.
					assert.ok([201, 503].includes(r.status), r.text);
					n += r.status === 201;
				}
		} finally {
			p.kill('pushd', 'SIGCONT');
		}
		assert.ok(await s.until((c) => [...c.text.matchAll(/"content":"blind \d+"/g)]
			.length >= n));
		const got = [...s.text.matchAll(/^id: (\d+)\nevent: new_message\n/gm)]
			.map((m) => Number(m[1]));
		assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b), 'once, in order');
		const now = (await all()).values;
		for (const name of ['hints', 'gaps', 'backfills'])
			assert.ok(now.get(`parley_push_${name}_total`) >
				before.get(`parley_push_${name}_total`), name);
		assert.ok(await lost() > had);
		s.close();
	});

	it('count resets by what was wrong with the cursor', async () => {
		const reset = async (cursor, reason) => {
			const name = `parley_push_resets_total{reason="${reason}"}`;
			const before = await value(name);
			const r = await ask(p, GET(`/api/events/longpoll?after=${cursor}&wait=0`,
				`Authorization: Bearer ${agent.token}\r\n`));
			assert.equal(r.json.events[0].type, 'reset');
			assert.equal(await value(name), before + 1, reason);
		};
		await reset(1, 'old');
		await reset(9e15, 'future');
	});
});
