// Nothing that was acknowledged is lost, sent twice or out of order, whatever is
// killed: customers write on several accounts of several platforms, agents answer,
// platforms repeat what they posted, echo and tell of receipts, while the worker,
// the programs and the web server die by SIGKILL, and the platforms go away, or
// take a message and lose the answer.
//
// PARLEY_KILL_S is how long (12), PARLEY_SEED replays a run, PARLEY_E2E_WEB chooses
// the web server.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import { join } from 'node:path';
import { pause, start, until, WAIT_MS } from './lib/harness.js';
import { seeded } from './lib/follow.js';
import { sampleJson } from './lib/shop.js';
import { metaSign, startFacebook } from '../standin/facebook.js';
import { startZalo } from '../standin/zalo.js';
import { startLine } from '../standin/line.js';
import { signed, startCustom } from '../standin/custom.js';

const SECONDS = Number(process.env.PARLEY_KILL_S ?? 12);
const SEED = Number(process.env.PARLEY_SEED ?? Date.now() % 1e9);
const CUSTOMERS = 2; // of each account
const TRIES = 5; // then a message is left as it is
const CUT = 'request cut off'; // not a fault where senders are killed
const { accounts } = await sampleJson('signatures.json');

// What is different on each platform.  Members of an account:
//   keyed           a repeated request is taken once over there
//   settings(name)  of the channel; standin(): its platform
//   user(n)         a customer's id
//   said(user, id, text, at), echo(sent), receipt(sent, at)
//                   events; receipts have the status that they tell
//   body(events, again)  one POST of them, perhaps marked as a repetition
//   sign(body)      its headers
class Facebook {
	constructor(n) {
		this.page = `10485760000000${n}`;
		this.batch = 3;
	}

	async standin() {
		this.api = await startFacebook({ pageId: this.page });
	}

	settings() {
		return { ...accounts.facebook, page_id: this.page, fb_api_base: this.api.url };
	}

	user(n) {
		return `73100000000000${n}`;
	}

	said(user, mid, text, timestamp) {
		return { ...this.api.from(user, { message: { mid, text } }), timestamp };
	}

	echo(sent) {
		return this.api.echo(sent);
	}

	receipt({ id, to }, at) {
		return { status: 'delivered', event: this.api.from(to,
			{ delivery: { mids: [id], watermark: at - 60_000 } }) };
	}

	body(events) {
		return this.api.body(...events);
	}

	sign(body) {
		return { 'X-Hub-Signature-256': metaSign(body, accounts.facebook.app_secret) };
	}
}

class Zalo {
	batch = 1;

	async standin() {
		this.api = await startZalo();
	}

	settings() {
		return { ...accounts.zalo, zalo_api_base: this.api.url,
			zalo_oauth_base: this.api.url, zalo_allow_paid: 1 };
	}

	user(n) {
		return `61${n}`;
	}

	event(event_name, from, to, message, at) {
		return { app_id: accounts.zalo.app_id, sender: { id: from }, recipient: { id: to },
			event_name, message, timestamp: String(at) };
	}

	said(user, msg_id, text, at) {
		return this.event('user_send_text', user, accounts.zalo.oa_id, { msg_id, text }, at);
	}

	echo({ id, to, text }) {
		return this.event('oa_send_text', accounts.zalo.oa_id, to, { msg_id: id, text },
			Date.now());
	}

	receipt({ id, to }, at) {
		return { status: 'read', event: this.event('user_seen_message', to,
			accounts.zalo.oa_id, { msg_ids: [id] }, at) };
	}

	body([event]) {
		return Buffer.from(JSON.stringify(event));
	}

	sign(body) {
		const { app_id, oa_secret } = accounts.zalo;
		return { 'X-ZEvent-Signature': 'mac=' + createHash('sha256').update(app_id)
			.update(body).update(JSON.parse(body).timestamp).update(oa_secret)
			.digest('hex') };
	}
}

class Line {
	constructor(n) {
		this.bot = `Uc0ffee00c0ffee00c0ffee00c0ffee0${n}`;
		this.keyed = true;
		this.batch = 3;
	}

	async standin() {
		this.api = await startLine();
	}

	settings() {
		return { ...accounts.line, bot_user_id: this.bot, line_api_base: this.api.url,
			line_data_base: this.api.url };
	}

	user(n) {
		return `U${String(n).padStart(32, '0')}`;
	}

	said(userId, id, text, timestamp) {
		return { type: 'message', mode: 'active', timestamp, webhookEventId: `w${id}`,
			replyToken: `r${id}`, source: { type: 'user', userId },
			message: { type: 'text', id, text } };
	}

	body(events, isRedelivery) {
		return Buffer.from(JSON.stringify({ destination: this.bot, events: events.map((e) =>
			({ ...e, deliveryContext: { isRedelivery } })) }));
	}

	sign(body) {
		return { 'x-line-signature': createHmac('sha256', accounts.line.channel_secret)
			.update(body).digest('base64') };
	}
}

class Custom {
	keyed = true;
	batch = 1;

	async standin() {
		this.api = await startCustom({ secret: accounts.custom.secret });
	}

	settings() {
		return { ...accounts.custom, custom_out_url: this.api.url };
	}

	user(n) {
		return `crm-${n}`;
	}

	said(user, id, text, sent_at) {
		return { event_id: `e${id}`, type: 'message', conversation_id: user,
			user: { id: user, name: `Customer ${user}` },
			message: { id, kind: 'text', text }, sent_at };
	}

	receipt({ id, to }) {
		return { status: 'read', event: { event_id: `s${id}`, type: 'status',
			conversation_id: to, status: 'read', message_ids: [id] } };
	}

	body([event]) {
		return Buffer.from(JSON.stringify(event));
	}

	sign(body) {
		const at = Date.now() / 1000 | 0;
		return { 'X-Parley-Timestamp': String(at),
			'X-Parley-Signature': signed(accounts.custom.secret, at, body) };
	}
}

// One request on a connection of its own: {status, json}; status 0: no whole answer.
function ask(url, headers, body) {
	return new Promise((ok) => {
		const rq = http.request(url, { method: 'POST', agent: false, timeout: 10_000,
			headers: { 'Content-Type': 'application/json',
				'Content-Length': body.length, ...headers } }, (rs) => {
			const parts = [];
			rs.on('data', (d) => parts.push(d));
			rs.on('error', () => ok({ status: 0 }));
			rs.on('end', () => {
				try {
					ok({ status: rs.statusCode, json: JSON.parse(Buffer.concat(parts)) });
				} catch {
					ok({ status: rs.statusCode });
				}
			});
		});
		rq.on('timeout', () => rq.destroy());
		rq.on('error', () => ok({ status: 0 }));
		rq.on('close', () => ok({ status: 0 }));
		rq.end(body);
	});
}

// Until the answer is 200 or 201; how often it was asked is counted.
async function insist(count, what, random) {
	for (;;) {
		const got = await what();
		count.asked++;
		if (got.status === 200 || got.status === 201)
			return got;
		assert.ok(got.status === 0 || got.status === 429 || got.status >= 500,
			`${got.status} ${JSON.stringify(got.json)}`);
		await pause(30 + random() * 150);
	}
}

const FURTHER = ['sent', 'delivered', 'read'];

test('nothing acknowledged is lost, sent twice or out of order', {
	timeout: SECONDS * 1000 + 240_000 }, async (t) => {
	t.diagnostic(`seed ${SEED}`);
	let seeds = SEED;
	const some = () => seeded(seeds += 7919); // of its own for everyone
	const random = some();
	const p = await start({ demo: false, env: { PARLEY_LIMITS: 'off' }, conf: {
		webhook_pool: 2, worker_poll_ms: 50, platform_connect_ms: 1000,
		platform_total_ms: 800, delivery_lease_ms: 2500, echo_wait_s: 1,
		backoff_percent: 10, webhook_wait_ms_max: 2000,
		fetch_networks: '127.0.0.1' } });
	t.after(() => p.stop());
	await p.cli('user', 'add', '--email', 'a@example.com', '--name', 'A', '--role', 'admin',
		{ input: 'a long pass phrase\n' });
	const token = (await p.cli('token', '--user', 'a@example.com')).trim();
	const sql = (query) => JSON.parse(execFileSync('sqlite3', ['-readonly', '-json', '-cmd',
		'.timeout 20000', join(p.var, 'parley.db'), query],
	{ encoding: 'utf8', maxBuffer: 1 << 28 }).trim() || '[]');

	// The accounts, each with customers of its own.
	const sides = [new Facebook(1), new Facebook(2), new Zalo(), new Line(1), new Line(2),
		new Custom()];
	const talks = []; // {side, user, said: [text], answers: [{text, id}]}
	for (const [i, side] of sides.entries()) {
		await side.standin();
		t.after(() => side.api.close());
		side.platform = side.constructor.name.toLowerCase();
		const { channel, ...settings } = side.settings();
		const printed = await p.cli('channel', 'add', '--platform', side.platform, '--name',
			`Shop ${i}`, ...Object.entries(settings).flatMap(([k, v]) =>
				['--set', `${k}=${v}`]));
		side.hook = printed.match(/^webhook (\S+)$/m)[1];
		side.channel = printed.match(/^channel (\d+)$/m)[1];
		for (let n = 1; n <= CUSTOMERS; n++)
			talks.push({ side, user: side.user(n), name: `${side.platform}${i}-${n}`,
				said: [], answers: [] });
	}

	const count = { webhooks: { asked: 0, taken: 0 }, answers: { asked: 0, taken: 0 },
		repeated: 0, echoes: 0, receipts: 0, lost: 0, kills: 0, outages: 0 };
	const under = new Set(); // promises of what is under way
	let failure;
	const also = (promise) => {
		const one = promise.catch((e) => { failure ??= e; })
			.finally(() => under.delete(one));
		under.add(one);
	};

	// A POST of a platform: again until it is taken, sometimes even then.
	const post = async (side, events, random) => {
		const once = (again) => {
			const body = side.body(events, again);
			return ask(side.hook, side.sign(body), body);
		};
		let again = false;
		await insist(count.webhooks, () => once(again), random);
		count.webhooks.taken++;
		while (random() < 0.15) {
			again = true;
			count.repeated++;
			await insist(count.webhooks, () => once(again), random);
		}
	};

	// What platforms do with what they accepted.
	const echoed = new Set(), receipts = new Map(); // texts; text: status
	for (const side of sides) {
		const act = side.api.act, random = some();
		side.api.act = function (...args) {
			const had = this.sent.length, answer = act.apply(this, args);
			for (const sent of this.sent.slice(had)) {
				if (side.echo && random() < 0.6)
					also((async () => {
						await pause(random() * 300);
						await post(side, [side.echo(sent)], random);
						echoed.add(sent.text);
						count.echoes++;
					})());
				if (side.receipt && random() < 0.4)
					also((async () => {
						await pause(random() * 600);
						const { status, event } = side.receipt(sent, Date.now());
						await post(side, [event], random);
						receipts.set(sent.text, status);
						count.receipts++;
					})());
			}
			return answer;
		};
		side.api.meets = () => {
			const r = random();
			const step = r < 0.03 ? { drop: true } : r < 0.05 ? { truncate: true } :
				r < 0.06 ? { hang: true } : r < 0.07 ? { drop: true, accepted: false } :
					r < 0.4 ? { after: random() * 200 } : {};
			count.lost += r < 0.06;
			return step;
		};
	}

	// Customers and agents: each waits for its answer before it goes on.
	const end = Date.now() + SECONDS * 1000;
	const customer = async (talk) => {
		const { side, user, name, said } = talk, random = some();
		for (let at = 0; Date.now() < end;) {
			const events = [];
			const n = 1 + Math.floor(random() * side.batch);
			for (let i = 0; i < n; i++) {
				at = Math.max(at + 1, Date.now());
				const text = `${name} asks ${said.length}`;
				const id = side.platform === 'line' ? `53${said.length}000${side.channel}` +
					user.slice(-3) : `${name}-${said.length}`;
				events.push(side.said(user, id, text, at));
				said.push(text);
			}
			await post(side, events, random);
			await pause(random() * 300);
		}
	};
	const agent = async (talk) => {
		const { side, user, name, answers } = talk, random = some();
		talk.id = (await until(() => sql(`SELECT id FROM conversations WHERE channel_id =
			${side.channel} AND external_id = '${user}'`)[0], 60_000, 'a conversation')).id;
		for (let n = 0; Date.now() < end; n++) {
			const content = `${name} is told ${n}`;
			const body = Buffer.from(JSON.stringify({ content, client_id: randomUUID() }));
			let id;
			do {
				const { json } = await insist(count.answers, () => ask(`${p.url}/api/` +
					`conversations/${talk.id}/messages`,
				{ Authorization: `Bearer ${token}` }, body), random);
				const got = (json.message ?? json).id;
				assert.equal(got, id ?? got, 'another message for the same client_id');
				id = got;
			} while (random() < 0.1);
			answers.push({ text: content, id });
			count.answers.taken++;
			await pause(random() * 300);
		}
	};
	for (const talk of talks) {
		also(customer(talk));
		also(agent(talk));
	}

	// The killer.
	const victims = ['worker', 'worker', 'worker', 'webhook-1', 'webhook-2', 'api-1', 'api-2',
		'web', 'pushd', 'push-api-1'];
	const outage = async (side) => {
		side.away = true;
		const { port } = new URL(side.api.url);
		await side.api.close();
		await pause(50 + random() * 600);
		// Another connection may just have that port.
		await until(() => side.api.listen(Number(port)).then(() => true, () => false));
		side.away = false;
	};
	while (Date.now() < end && failure === undefined) {
		await pause(100 + random() * 400);
		if (random() < 0.3) {
			const side = sides[Math.floor(random() * sides.length)];
			if (!side.away) {
				also(outage(side));
				count.outages++;
			}
		} else if (p.kill(victims[Math.floor(random() * victims.length)])) {
			count.kills++;
		}
	}

	// Quiet: everything comes to its end.
	for (const { api } of sides)
		api.meets = undefined;
	const open = () => sql(`SELECT state, count(*) AS n FROM deliveries
		WHERE state IN ('queued', 'sending') GROUP BY 1
		UNION ALL SELECT state, count(*) FROM webhook_inbox
		WHERE state IN ('new', 'failed') GROUP BY 1`);
	// How much waits depends on how long it was and on the machine: it is only to
	// grow less.  Not asked too often, since the platforms are in this process.
	let left = '', moved = Date.now();
	while (failure === undefined) {
		const now = open();
		if (under.size === 0 && now.length === 0)
			break;
		const text = `${under.size} ${JSON.stringify(now)}`;
		if (text !== left)
			[left, moved] = [text, Date.now()];
		assert.ok(Date.now() - moved < 3 * WAIT_MS, `nothing goes on: ${text}`);
		await pause(250);
	}
	if (failure)
		throw failure;
	const rows = new Map(sql(`SELECT m.id, m.status, m.error, d.tries FROM messages m
		JOIN deliveries d ON d.message_id = m.id`).map((m) => [String(m.id), m]));
	const states = {};
	for (const m of rows.values())
		states[m.status] = (states[m.status] ?? 0) + 1;
	t.diagnostic(JSON.stringify({ ...count, states }));
	assert.ok(count.kills + count.outages >= SECONDS / 2, 'hardly anything was killed');
	assert.ok(count.answers.taken > SECONDS && count.webhooks.taken > SECONDS);

	for (const { side, id, name, user, said, answers } of talks) {
		// What an agent sees: all pages, oldest first.
		const shown = [];
		for (let before = ''; before !== undefined;) {
			const { status, json } = await p.request('GET', `/api/conversations/${id}/` +
				`messages?limit=100${before && `&before=${before}`}`,
			{ headers: { Authorization: `Bearer ${token}` } });
			assert.equal(status, 200);
			shown.unshift(...json.items.reverse());
			before = json.next ?? undefined;
		}
		assert.deepEqual(shown.filter((m) => m.type === 'incoming').map((m) => m.content),
			said, `${name}: what was taken, once, in order`);
		assert.deepEqual(shown.filter((m) => m.type === 'outgoing').map((m) => m.content),
			answers.map((a) => a.text), `${name}: what was answered, once, in order`);

		// What the platform accepted of them.
		const got = side.api.sent.map((m) => m.text).filter((s) => s.startsWith(`${name} `));
		for (const { text, id } of answers) {
			const { status, error, tries } = rows.get(String(id));
			const n = got.filter((s) => s === text).length;
			const about = `${text}: ${status}, ${error}, tries ${tries}, there ${n} times`;
			if (status === 'failed') {
				assert.ok(n === 0 && tries > TRIES, about);
			} else if (status === 'unknown') {
				assert.ok(n <= 1 && !echoed.has(text), about);
				assert.ok(!side.keyed || tries > TRIES, about);
			} else {
				assert.equal(n, 1, about);
				const told = receipts.get(text) ?? 'sent';
				// Messenger's receipts hold for all that went before, too.
				assert.ok(status === told || side.platform === 'facebook' &&
					FURTHER.indexOf(status) > FURTHER.indexOf(told), `${about}, told ${told}`);
			}
		}
		assert.deepEqual(got, answers.map((a) => a.text).filter((s) => got.includes(s)),
			`${name}: the order over there`);
		assert.ok(side.api.sent.filter((m) => m.to === user).length === got.length, name);
	}
	for (const { api, platform } of sides)
		assert.deepEqual(api.faults.filter((f) => f !== CUT), [], platform);
	assert.deepEqual(sql('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
});
