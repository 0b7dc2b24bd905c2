// Long polling: answered at once when there is something, else as soon as
// something comes, else empty; the cursor is everybody's.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { pause, sanitized, start, until } from './lib/harness.js';
import { answer, ask, raw } from './lib/raw.js';

const GET = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`;
const LONG = '/api/events/longpoll';
const rates = { user_message_rate_max: 100000, user_message_burst_max: 100000,
	conversation_message_rate_max: 100000, credential_request_rate_max: 100000,
	credential_request_burst_max: 100000, address_connections_max: 5000,
	account_connections_max: 5000 };
// Holds a stream, so that coming and going of polls is no news of its own.
async function stay(p, agent, ...people) {
	for (const who of people)
		await who.sse();
	await until(async () => (await health(p)).sse === people.length);
	// Who came is here when that is known, and so has been told.
	for (const who of people)
		await until(async () => {
			const id = who.customer_id ?? (await who.get('/api/me')).json.id;
			const r = await agent.get(who.customer_id ? `/api/customers/${id}` :
				`/api/presence?users=${id}`);
			return (r.json.items?.[0] ?? r.json).status === 'online';
		}, undefined, 'all here');
}
const bearer = (who) => `Authorization: Bearer ${who.token}\r\n`;
const contents = (list) => list.filter((e) => e.type === 'new_message')
	.map((e) => e.data.content);

// Figures of pushd itself.
const health = async (p) => (await ask(p, GET('/health'))).json;
const metric = async (p, name) => Number(new RegExp(`^parley_push_${name} (\\d+)$`, 'm')
	.exec((await ask(p, GET('/metrics'))).body)[1]);
const waiting = (p, n) => until(async () => (await health(p)).longpoll === n, undefined,
	`${n} waiting`);

describe('long poll', { timeout: 300_000 }, () => {
	let p, agent, customer, conv;

	before(async () => {
		p = await start({ conf: { ...rates, url_tokens: 'on',
			presence_grace_ms: 200, cors_origins: 'https://shop.example' } });
		agent = await p.bearer();
		customer = await p.customer('Lan');
		conv = customer.conversation_id;
		await stay(p, agent, agent, customer);
	});
	after(() => p?.stop());

	const say = async (text, who = customer) => {
		const r = await who.send(conv, text);
		assert.equal(r.status, 201, r.text);
		return r.json;
	};
	const poll = (q, who = agent, path = LONG) => ask(p, GET(`${path}?${q}`, bearer(who)));
	const head = async (who = agent) => (await who.get('/api/events/poll')).json.cursor;

	// A poll that waits: its request is sent; .done is its answer.
	async function wait(q, who = agent) {
		const c = await raw(p);
		const n = (await health(p)).longpoll;
		c.write(GET(`${LONG}?${q}`, bearer(who)));
		await waiting(p, n + 1);
		c.done = c.gone().then(() => answer(c.text));
		return c;
	}

	it('answers at once with what there is, as a poll does', async () => {
		const after = await head();
		for (let i = 0; i < 3; i++)
			await say(`there ${i}`);
		await until(async () => (await poll(`after=${after}&wait=0`)).json.events.length >= 3);
		const long = await poll(`after=${after}`);
		const short = (await agent.get(`/api/events/poll?after=${after}`)).json;
		assert.equal(long.status, 200);
		assert.deepEqual(contents(long.json.events), ['there 0', 'there 1', 'there 2']);
		assert.deepEqual(long.json, { ...short, next_poll_ms: 0 });
		assert.deepEqual(long.json.data.events, long.json.events);
		assert.equal(Number(long.headers['content-length']), Buffer.byteLength(long.body));
		assert.equal(long.headers['cache-control'], 'no-store');
		assert.match(long.headers['content-type'], /^application\/json/);
		for (const q of [`since=${after}`, `after=${after}&since=1`]) {
			const r = await poll(`${q}&wait=0`, agent, '/api/api/events/longpoll');
			assert.deepEqual(r.json.events, short.events, q);
		}
		const r = await ask(p, GET(`${LONG}?after=1&wait=0`,
			`${bearer(agent)}Last-Event-ID: ${after}\r\n`));
		assert.deepEqual(r.json.events, short.events);
	});

	it('waits for the first event, and takes the burst along', async () => {
		const after = await head();
		const c = await wait(`after=${after}`);
		assert.equal(c.text, '');
		await say('awaited');
		const r = (await c.done).json;
		assert.ok(contents(r.events).includes('awaited'));
		assert.equal(r.more, false);
		assert.equal(r.next_poll_ms, 0);

		// Nothing between two polls is lost, nothing comes twice.
		let cursor = r.cursor, polls = 0;
		const got = [], want = [...Array(60).keys()].map((i) => `b${i}`);
		const writes = (async () => {
			for (const text of want)
				await say(text);
		})();
		while (!got.some((e) => e.data.content === 'b59')) {
			const a = (await poll(`after=${cursor}`)).json;
			got.push(...a.events);
			cursor = a.cursor;
			polls++;
		}
		await writes;
		assert.deepEqual(contents(got), want);
		const ids = got.filter((e) => e.id).map((e) => Number(e.id));
		assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => a - b));
		assert.ok(polls <= got.length + 1);
	});

	it('has what happens after it came, where it names no cursor', async () => {
		await say('before');
		const c = await wait('');
		await say('behind');
		const r = (await c.done).json;
		assert.deepEqual(contents(r.events), ['behind']);
	});

	it('answers in time with nothing, and with the newest cursor', async () => {
		const after = await head();
		await p.customer('Other'); // concerns the agent, not Lan
		const now = await head();
		await until(async () => Number((await health(p)).head) >= Number(now));
		for (const q of [`after=${after}&wait=1`, `after=${after}&wait=0`]) {
			const r = (await poll(q, customer)).json;
			assert.equal(r.success, true);
			assert.deepEqual(r.events, []);
			assert.deepEqual(r.data.events, []);
			assert.ok(Number(r.cursor) >= Number(now), 'the last id scanned');
			assert.equal(r.cursor, String(r.timestamp));
		}
	});

	it('refuses what it cannot read, and strangers', async () => {
		for (const q of ['after=x', 'after=', 'after=-1', 'since=1.5', 'wait=x', 'wait=-1']) {
			const r = await poll(q);
			assert.equal(r.status, 400, q);
			assert.equal(r.json.code, q.startsWith('wait') ? 'bad_wait' : 'bad_cursor');
		}
		const origin = 'Origin: https://shop.example\r\n';
		for (const more of ['', 'Authorization: Bearer x.y.z\r\n']) {
			const r = await ask(p, GET(LONG, more + origin));
			assert.equal(r.status, 401);
			assert.equal(r.json.success, false);
			assert.equal(r.headers['access-control-allow-origin'], 'https://shop.example');
		}
		const a = await p.agent();
		const foreign = await ask(p, GET(LONG,
			`Cookie: ${a.cookie}\r\nOrigin: https://evil.example\r\n`));
		assert.equal(foreign.status, 403);
	});

	it('knows HEAD and OPTIONS, and CORS', async () => {
		const swap = (m, more = '') => GET(LONG, more).replace('GET', m);
		const h = await ask(p, swap('HEAD', bearer(agent)));
		assert.equal(h.status, 200);
		assert.equal(h.body, '');
		assert.equal((await ask(p, swap('HEAD'))).status, 401);
		const o = await ask(p, swap('OPTIONS', 'Origin: https://shop.example\r\n'));
		assert.equal(o.status, 204);
		assert.match(o.headers['access-control-allow-headers'], /Authorization/);
		const post = await ask(p, swap('POST', 'Content-Length: 0\r\n'));
		assert.equal(post.status, 405);
		assert.match(post.headers.allow, /GET/);
		const r = await ask(p, GET(`${LONG}?wait=0`,
			`${bearer(agent)}Origin: https://shop.example\r\n`));
		assert.equal(r.status, 200);
		assert.equal(r.headers['access-control-allow-origin'], 'https://shop.example');
		const byUrl = await ask(p, GET(`${LONG}?wait=0&token=${agent.token}`));
		assert.equal(byUrl.status, 200);
	});

	it('says reset alone to a cursor that is of no use', async () => {
		for (const q of ['after=1', 'after=9007199254740991', `after=${'1'.repeat(40)}`,
			`since=${Date.now() + 86400_000}`]) {
			const r = (await poll(q)).json;
			assert.deepEqual(r.events.map((e) => e.type), ['reset'], q);
			assert.equal(r.events[0].id, null);
			assert.ok(['epoch', 'oldest', 'latest'].every((k) => k in r.events[0].data));
			assert.equal(r.cursor, r.events[0].data.latest);
		}
		// An old client's clock, ahead of the log, has missed nothing.
		const r = (await poll(`since=${Date.now() + 20_000}&wait=0`)).json;
		assert.deepEqual(r.events, []);
	});

	it('goes on from a stream\'s cursor, and a stream from its', async () => {
		const s = await agent.sse();
		await say('by stream');
		const e = await s.until((x) => x.data.content === 'by stream');
		s.close();
		await say('by long poll');
		const r = (await until(async () => {
			const a = await poll(`after=${e.id}`);
			return contents(a.json.events).length === 1 && a;
		})).json;
		assert.deepEqual(contents(r.events), ['by long poll']);
		await say('by socket');
		const w = await agent.ws({ cursor: r.cursor });
		await w.until((x) => x.data.content === 'by socket');
		assert.deepEqual(contents(w.events), ['by socket']);
		w.close();
		await say('by poll');
		const last = (await agent.get(`/api/events/poll?after=${w.cursor}`)).json;
		assert.deepEqual(contents(last.events), ['by poll']);
	});

	it('hears of typing, without an id, and is present', async () => {
		const after = await head(customer);
		const c = await wait(`after=${after}`, customer);
		const t = await agent.post(`/api/conversations/${conv}/typing`, { typing: true });
		assert.ok(t.status < 300, t.text);
		const r = (await c.done).json;
		const e = r.events.find((x) => x.type === 'typing_indicator');
		assert.equal(e.id, null);
		assert.equal(e.data.typing, true);
		// Its cursor stays where it was.
		assert.ok(Number(r.cursor) >= Number(after));

		// What comes between two polls is in the next one, once.
		const u = await agent.post(`/api/conversations/${conv}/typing`, { typing: false });
		assert.ok(u.status < 300, u.text);
		const next = (await poll(`after=${r.cursor}&wait=20`, customer)).json;
		assert.deepEqual(next.events.map((x) => [x.type, x.id, x.data.typing]),
			[['typing_indicator', null, false]]);
		assert.equal(next.cursor, r.cursor);
		const last = (await poll(`after=${r.cursor}&wait=0`, customer)).json;
		assert.deepEqual(last.events, []);

		const som = await p.bearer('somchai@example.com');
		const s = await agent.sse();
		const me = (await som.get('/api/me')).json;
		const id = String(me.id ?? me.user.id);
		const d = await wait(`after=${await head()}`, som);
		const seen = (status) => s.until((x) => x.type === 'presence_update' &&
			String(x.data.user_id) === id && x.data.status === status);
		await seen('online');
		d.close();
		await waiting(p, 0);
		await seen('offline');
		s.close();
	});

	it('ends with its session', async () => {
		const a = await p.agent();
		const c = await raw(p);
		c.write(GET(`${LONG}?after=${await head()}`, `Cookie: ${a.cookie}\r\n`));
		await waiting(p, 1);
		assert.ok((await a.post('/api/auth/logout', {})).status < 300);
		assert.ok(await c.gone());
		assert.doesNotMatch(c.text, /"content"/);
		const again = await ask(p, GET(`${LONG}?wait=0`, `Cookie: ${a.cookie}\r\n`));
		assert.equal(again.status, 401);
		c.close();
	});

	it('gives nothing while its session is in doubt', async () => {
		const after = await head();
		const som = await p.agent('somchai@example.com');
		const me = (await som.get('/api/me')).json;
		const id = me.id ?? me.user.id;
		const g = (await agent.post('/api/conversations',
			{ type: 'group', name: 'doubt', participants: [id] })).json;
		const group = (g.conversation ?? g).id;
		const names = ['push-api-1', 'push-api-2'];
		const cookie = `Cookie: ${som.cookie}\r\n`;
		let late;
		// It waits; then its session changes: the answer has nothing of later.
		const now = await head(som);
		const c = await raw(p);
		c.write(GET(`${LONG}?after=${now}`, cookie));
		await waiting(p, 1);
		names.forEach((n) => assert.ok(p.kill(n, 'SIGSTOP')));
		try {
			assert.ok((await agent.delete(
				`/api/conversations/${group}/participants/${id}`)).status < 300);
			assert.ok(await c.gone());
			await say('in doubt');
			late = await raw(p);
			late.write(GET(`${LONG}?after=${now}`, cookie));
			await waiting(p, 1);
			assert.doesNotMatch(c.text + late.text, /in doubt/);
		} finally {
			names.forEach((n) => p.kill(n, 'SIGCONT'));
		}
		await late.gone();
		assert.deepEqual(contents(answer(late.text).json.events), ['in doubt']);
		assert.ok(Number(after) < Number(now));
	});

	it('gives 500 events at most, and says that there are more', async () => {
		const after = await head();
		const me = (await agent.get('/api/me')).json;
		for (let i = 0; i < 510; i++)
			assert.equal((await agent.post('/chat/notify', { userId: me.id ?? me.user.id,
				notification: { i } })).status, 200);
		await until(async () => Number((await health(p)).head) >= Number(await head()));
		const one = (await poll(`after=${after}`)).json;
		assert.equal(one.events.length, 500);
		assert.equal(one.more, true);
		assert.equal(one.cursor, one.events.at(-1).id);
		const two = (await poll(`after=${one.cursor}`)).json;
		assert.equal(two.more, false);
		assert.deepEqual([...one.events, ...two.events]
			.filter((e) => e.type === 'notification').map((e) => e.data.i),
			[...Array(510).keys()]);
	});

	it('forgets a poll whose client is gone', async () => {
		const one = await wait(`after=${await head()}`); // keeps the account here
		const pid = p.pid('pushd');
		const figures = async () => ({
			asked: await metric(p, 'identify_asked_total'),
			pages: await metric(p, 'resumes_log_total'),
			own: await metric(p, 'backend_calls_total') -
				await metric(p, 'backfills_total'),
		});
		const fds = () => readdirSync(`/proc/${pid}/fd`).length;
		const rss = () => Number(/^RssAnon:\s+(\d+)/m
			.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
		const round = async () => {
			const list = [];
			const after = await head();
			for (let i = 0; i < 1000; i++) {
				const c = await raw(p);
				c.write(GET(`${LONG}?after=${after}`, bearer(agent)));
				list.push(c);
			}
			await waiting(p, 1001);
			// A half that says goodbye, a half that is torn away.
			list.forEach((c, i) => (i % 2 ? c.close() :
				c.socket.resetAndDestroy?.() ?? c.close()));
			await waiting(p, 1);
		};
		await round();
		await round(); // buffers and tables have their size now
		const first = await figures(), kib = rss(), n = fds();
		await round();
		await round();
		// Each of 2000 would show; its account is asked about by the minute,
		// and programs of the database side come and go.
		for (const [name, now] of Object.entries(await figures()))
			assert.ok(now - first[name] < 20, `${name}: ${first[name]}, then ${now}`);
		await until(() => fds() <= n + 8);
		assert.ok(sanitized || rss() - kib < 512, `${rss() - kib} KiB more`);
		one.close();
	});

	it('survives the end of pushd', async () => {
		const after = await head();
		const c = await wait(`after=${after}`);
		p.kill('pushd', 'SIGTERM');
		const r = (await c.done).json;
		assert.deepEqual(r.events, []);
		assert.equal(r.cursor, after);
		assert.ok(r.next_poll_ms >= 1000);
		await say('while it was away');
		const a = await until(async () => poll(`after=${r.cursor}`).catch(() => null));
		assert.deepEqual(contents(a.json.events), ['while it was away']);
	});
});

describe('long poll, bounds', { timeout: 300_000 }, () => {
	let p, agent, customer, conv;

	before(async () => {
		p = await start({ conf: { ...rates, account_connections_max: 2,
			queue_bytes_max: 40000, longpoll_s_max: 1 } });
		agent = await p.bearer();
		customer = await p.customer('Lan');
		conv = customer.conversation_id;
		await stay(p, agent, customer);
	});
	after(() => p?.stop());

	it('waits no longer than is set', async () => {
		const { cursor } = (await customer.get('/api/events/poll')).json;
		const r = await ask(p, GET(`${LONG}?wait=9999&after=${cursor}`, bearer(customer)));
		assert.equal(r.status, 200);
		assert.deepEqual(r.json.events, []);
	});

	it('gives much in pieces, none lost', async () => {
		let { cursor } = (await agent.get('/api/events/poll')).json;
		const want = [...Array(30).keys()].map((i) => `${i} ${'x'.repeat(2000)}`);
		for (const text of want)
			assert.equal((await customer.send(conv, text)).status, 201);
		await until(async () => Number((await health(p)).head) >=
			Number((await agent.get('/api/events/poll')).json.cursor));
		const got = [];
		let more = true, pieces = 0;
		for (; more; pieces++) {
			const r = await ask(p, GET(`${LONG}?after=${cursor}`, bearer(agent)));
			assert.ok(r.body.length <= 40000, `${r.body.length}`);
			got.push(...r.json.events);
			({ cursor, more } = r.json);
		}
		assert.deepEqual(contents(got), want);
		assert.ok(pieces > 1);
	});

	it('sends the one that has been idle longest away', async () => {
		const list = [];
		for (let i = 0; i < 3; i++) {
			const c = await raw(p);
			c.write(GET(`/api/events/stream`, bearer(agent)));
			await c.until(() => c.text.includes('connected'));
			list.push(c);
		}
		assert.ok(await list[0].gone());
		const c = await raw(p);
		c.write(GET(`${LONG}?wait=1`, bearer(agent)));
		assert.ok(await list[1].gone());
		await c.gone();
		assert.equal(answer(c.text).status, 200);
		list.forEach((x) => x.close());
	});

	it('asks only so often who shows what is worth nothing', async () => {
		const q = await start({ conf: { ...rates, address_request_rate_max: 1,
			address_request_burst_max: 5 } });
		try {
			const known = await q.customer('Known');
			const poll = (token) => ask(q, GET(`${LONG}?wait=0`,
				`Authorization: Bearer ${token}\r\n`));
			assert.equal((await poll(known.token)).status, 200);
			let n = 0;
			const no = await until(async () => {
				const r = await poll(`none-${n++}`);
				assert.ok([401, 429].includes(r.status), r.text);
				return r.status === 429 && r;
			});
			assert.ok(n > 5, `${n} were looked at`);
			assert.equal(no.headers['retry-after'], '1');
			assert.equal(no.json.code, 'rate_limited');
			// A stock EventSource, or client of Socket.IO, comes back.
			const off = (path, is) => until(async () => {
				for (let i = 0; i < 10; i++)
					await poll(`none-${n++}`);
				return is(await ask(q, GET(path,
					`Authorization: Bearer none-${n++}\r\n`)));
			});
			await off('/api/events/stream', (r) => r.status === 200 &&
				/^(retry: \d+\n\n)+$/.test(r.body));
			await off('/socket.io/?EIO=4&transport=polling', (r) => r.status === 503);
			// Whom one knows is not asked about; and it passes.
			assert.equal((await poll(known.token)).status, 200);
			await until(async () => (await poll('none-y')).status === 401);
			const fresh = await q.customer('Fresh');
			await until(async () => (await poll(fresh.token)).status === 200);
		} finally {
			await q.stop();
		}
	});

	it('answers only so many requests of a credential', async () => {
		const { cursor } = (await customer.get('/api/events/poll')).json;
		writeFileSync(p.conf, readFileSync(p.conf, 'utf8')
			.replace(/^(credential_request_rate_max) = .*$/m, '$1 = 1')
			.replace(/^(credential_request_burst_max) = .*$/m, '$1 = 5'));
		process.kill(p.pid('pushd'), 'SIGHUP');
		await until(() => /conf reread/.test(p.log('pushd')));
		const poll = GET(`${LONG}?wait=0&after=${cursor}`, bearer(customer));
		const no = await until(async () => (await Promise.all(
			[...Array(10).keys()].map(() => ask(p, poll)))).find((r) => r.status === 429));
		assert.equal(no.headers['retry-after'], '1');
		assert.equal(no.json.code, 'rate_limited');
		// A stock EventSource comes back.
		await until(async () => {
			await Promise.all([...Array(10).keys()].map(() => ask(p, poll)));
			const c = await raw(p);
			c.write(GET('/api/events/stream', bearer(customer)));
			await c.until(() => /connected|(retry: \d+\n\n){2}/.test(c.text));
			c.close();
			return !c.text.includes('connected');
		});
		const other = await p.customer('Other');
		assert.equal((await ask(p, GET(`${LONG}?wait=0`, bearer(other)))).status, 200);
	});
});

for (const web of ['apache', 'lighttpd']) {
	it(`long poll behind ${web}`, { timeout: 300_000 }, async (t) => {
		const p = await start({ web, conf: rates });
		t.after(() => p.stop());
		const agent = await p.bearer();
		const customer = await p.customer('Lan');
		await stay(p, agent, agent, customer);
		let { cursor } = (await agent.get('/api/events/poll')).json;
		for (const path of [LONG, '/api/api/events/longpoll']) {
			const r = agent.get(`${path}?after=${cursor}&wait=20`);
			await waiting(p, 1);
			assert.equal((await customer.send(customer.conversation_id, path)).status, 201);
			const { json } = await r;
			assert.deepEqual(contents(json.events), [path]);
			({ cursor } = json);
		}
	});

	it(`long poll on ${web} without pushd`, { timeout: 300_000 }, async (t) => {
		const p = await start({ web, mode: 'cgi', conf: rates });
		t.after(() => p.stop());
		const agent = await p.bearer();
		// The first poll makes an event, soon after its answer: who is here.
		let r;
		await until(async () => {
			const { cursor } = (await agent.get('/api/events/poll')).json;
			r = await agent.get(`${LONG}?after=${cursor}&wait=20`);
			return r.json?.events?.length === 0;
		});
		assert.equal(r.status, 200);
		assert.deepEqual(r.json.events, []);
		assert.ok(r.json.next_poll_ms > 0);
	});
}
