/*
 * push.js: the browser's end of the event log.  Knows cursors, transports, the
 * outbox and the other tabs; knows nothing of what is shown.
 *
 *	const push = new Push({ cursor, storageKey: 'parley:u:5' });
 *	push.on('new_message', (message, event) => ...);   any type of docs/protocols.md
 *	push.on('*', (data, { type, id, timestamp }) => ...);
 *	push.on('state', (state, transport) => ...);
 *	push.on('reset', async () => push.resume(await load()));
 *	push.on('refused', () => ...);     the credential is good no more
 *	push.on('outbox', (entry) => ...); { client_id, conversation, body, at,
 *	        state: queued|sending|sent|failed|gone, error?, message? }
 *	push.start();
 *	push.send('12', { content: 'hi' });     -> entry, stored before it is sent
 *	push.pending('12')  push.retry(client_id)  push.discard(client_id)
 *	push.typing('12', true);
 *
 * Options: base ('' or where Parley is, "https://host/sub"), token (else the
 * session cookie, with <meta name=csrf> or <body data-csrf>), cursor (of the state the page shows;
 * absent: from now on), transports (tried in this order), storageKey (must
 * name the identity: its tabs share one stream and one outbox), tabs, times.
 *
 * States: connecting, connected, reconnecting, error, offline.  In all but a
 * refused `error` it goes on trying.
 *
 * The cursor moves after the handlers ran.  An event whose id is not above it
 * is one seen before, whichever transport or tab it came by: each stream is
 * without gaps from where it began, and none begins above the cursor.
 */

const TIMES = { /* ms */
	backoff: 1000, backoff_max: 30000, jitter: 1000,
	open: 10000,    /* from the try to the greeting */
	sse_quiet: 40000, ws_ping: 30000, ws_pong: 15000,
	steady: 30000,  /* a stream that lasted so long has not failed */
	grace: 2000,    /* polls if no stream came up until then */
	up: 60000, up_max: 300000,
	poll: 3000, poll_idle: 5000, poll_max: 60000, request: 15000, tick: 5000,
	leader: 10000, /* a leader silent so long is asked; thrice: replaced */
};
const FAILS = 5; /* then a step down */

const cursorOf = (v) => /^\d{1,16}$/.test(v) ? Number(v) : null;
const auth = (status) => status === 401 || status === 403;

/* sse(emit, retry): returns feed(text), for text cut anywhere. */
export function sse(emit, retry = () => {}) {
	let rest = '', cr = false, data, type, id;

	function line(l) {
		if (l === '') {
			if (data !== undefined)
				emit({ type, data, id });
			data = type = id = undefined;
			return;
		}
		const i = l.indexOf(':');
		const name = i < 0 ? l : l.slice(0, i);
		const v = i < 0 ? '' : l.slice(l[i + 1] === ' ' ? i + 2 : i + 1);
		if (name === 'data')
			data = data === undefined ? v : data + '\n' + v;
		else if (name === 'event')
			type = v;
		else if (name === 'id' && !v.includes('\0'))
			id = v;
		else if (name === 'retry' && /^\d+$/.test(v))
			retry(Number(v));
	}
	return (text) => {
		if (text === '')
			return;
		if (cr && text[0] === '\n')
			text = text.slice(1);
		cr = text.endsWith('\r');
		const lines = (rest + text).split(/\r\n|\n|\r/);
		rest = lines.pop();
		lines.forEach(line);
	};
}

/*
 * A way opens a stream: way(push, h) returns { close, ping? } and calls
 * h.heard() for any bytes, h.up(cursor) for the greeting, h.event(e), and at
 * the end h.down({ auth, wait }).
 */
const ways = {
	websocket(push, h) {
		const ws = new WebSocket(
		    push.base.replace(/^http/, 'ws') + '/ws/live-chat');

		ws.onopen = () => ws.send(JSON.stringify({ type: 'auth', payload: {
			token: push.token || undefined, events: 'all',
			cursor: push.cursor === null ? undefined : String(push.cursor),
		} }));
		ws.onmessage = ({ data }) => {
			let m;
			h.heard();
			try {
				m = JSON.parse(data);
			} catch {
				return;
			}
			if (m.type === 'auth_success')
				h.up(m.payload && m.payload.cursor);
			else if (m.type === 'auth_error')
				h.down({ auth: true });
			else if (m.type !== 'pong' && m.type !== 'error')
				h.event({ type: m.type, data: m.payload, id: m.id,
				    timestamp: Date.parse(m.timestamp) });
		};
		ws.onclose = (e) => h.down(
		    { wait: Number(/\bretry[= ](\d{1,5})\b/.exec(e.reason)?.[1]) });
		return {
			ping: () => ws.readyState === 1 && ws.send('{"type":"ping"}'),
			close() {
				ws.onclose = ws.onmessage = ws.onopen = null;
				ws.close();
			},
		};
	},

	sse(push, h) {
		const stop = new AbortController();

		async function run() {
			const headers = { Accept: 'text/event-stream' };
			let retry;
			if (push.cursor !== null)
				headers['Last-Event-ID'] = String(push.cursor);
			const res = await push.fetch('GET',
			    '/api/events/stream?format=envelope', undefined,
			    { headers, signal: stop.signal });
			if (res.status !== 200 || !/^text\/event-stream\b/i
			    .test(res.headers.get('Content-Type'))) {
				stop.abort();
				return h.down({ auth: auth(res.status), wait:
				    1000 * res.headers.get('Retry-After') });
			}
			const feed = sse((b) => {
				let e;
				try {
					e = JSON.parse(b.data);
				} catch {
					return;
				}
				if (e.type === 'connection')
					h.up(b.id);
				else if (e.type !== 'heartbeat')
					h.event({ id: b.id, ...e });
			}, (ms) => (retry = ms));
			const text = new TextDecoder();
			const reader = res.body.getReader();
			for (;;) {
				const { done, value } = await reader.read()
				    .catch(() => ({ done: true }));
				if (done)
					return h.down({ wait: retry });
				h.heard();
				feed(text.decode(value, { stream: true }));
			}
		}
		run().catch(() => h.down({}));
		return { close: () => stop.abort() };
	},
};

/* The outbox's store: localStorage; what it does not take, the page's memory. */
const memory = new Map();
const store = {
	get(k) {
		try {
			return memory.get(k) ?? localStorage.getItem(k);
		} catch {
			return null;
		}
	},
	set(k, v) {
		try {
			memory.delete(k);
			localStorage.setItem(k, v);
		} catch {
			memory.set(k, v);
		}
	},
	drop(k) {
		memory.delete(k);
		try {
			localStorage.removeItem(k);
		} catch { /* was never there */ }
	},
	keys(prefix) {
		let all = [...memory.keys()];
		try {
			all = all.concat(Object.keys(localStorage));
		} catch { /* memory it is */ }
		return all.filter((k) => k.startsWith(prefix));
	},
};

function newId() {
	const b = crypto.getRandomValues(new Uint8Array(16));
	return Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
}

export class Push {
	state = 'connecting';
	transport = null;    /* what delivers now: a transport, or null */
	#on = new Map();     /* type -> set of handlers */
	#running = false;
	#leading = false;    /* this tab holds the stream */
	#waiting = false;    /* reset was told, resume() has not come */
	#refused = false;
	#level = 0;          /* index in #streams; its length: only polls */
	#fails = 0;          /* in a row, at this level */
	#bad = 0;            /* in a row, of anything */
	#ever = false;       /* has been connected */
	#live = null;        /* the stream that delivers */
	#trying = null;      /* one being opened in its turn */
	#probe = null;       /* one of a higher level being tried */
	#poll = null;        /* the poller, while no stream is live */
	#timers = {};
	#typed = new Map();  /* conversation -> when we last said so */
	#drains = new Map(); /* conversation -> look once more */
	#ahead = [];         /* a follower's events while it catches up */
	#catching = false;

	constructor({ base = '', token = null, cursor = null, tabs = true,
	    transports = ['websocket', 'sse', 'poll'], storageKey = 'parley',
	    times = {} } = {}) {
		this.base = new URL(base.replace(/\/*$/, '/'),
		    globalThis.location?.href).href.slice(0, -1);
		this.token = token;
		this.cursor = cursorOf(cursor);
		this.key = storageKey;
		this.times = { ...TIMES, ...times };
		this.streams = transports.filter((t) => t in ways);
		this.polls = transports.includes('poll');
		this.tabs = tabs && !!globalThis.navigator?.locks &&
		    !!globalThis.BroadcastChannel;
	}

	/* ---- handlers ---- */

	/* on(type, fn) returns what takes it off again */
	on(type, fn) {
		if (!this.#on.has(type))
			this.#on.set(type, new Set());
		this.#on.get(type).add(fn);
		return () => this.off(type, fn);
	}

	off(type, fn) {
		this.#on.get(type)?.delete(fn);
	}

	#emit(type, ...args) {
		for (const fn of [...this.#on.get(type) ?? []]) {
			try {
				fn(...args);
			} catch (e) {
				console.error(e);
			}
		}
	}

	/* ---- start and stop ---- */

	start() {
		if (this.#running)
			return;
		this.#running = true;
		this.#refused = this.#ever = false;
		this.#bad = 0;
		this.state = 'connecting';
		this.transport = null;
		if (globalThis.BroadcastChannel) {
			this.#bc = new BroadcastChannel(this.key);
			this.#bc.onmessage = ({ data }) => this.#told(data);
		}
		for (const [t, type, fn] of this.#events())
			t.addEventListener(type, fn);
		this.#show();
		if (this.tabs)
			this.#queue();
		else
			this.#lead();
		this.#own(this.#tab);
		this.flush();
	}

	stop() {
		if (!this.#running)
			return;
		this.#running = false;
		for (const [t, type, fn] of this.#events())
			t.removeEventListener(type, fn);
		this.#unlead();
		this.#release?.();
		this.#release = null;
		this.#give.forEach((done) => done());
		this.#give = [];
		this.#owned.clear();
		this.#tab = newId();
		Object.values(this.#timers).forEach(clearTimeout);
		this.#bc?.close();
		this.#bc = null;
	}

	/* resume(cursor): what the page shows is new, and as of that cursor. */
	resume(cursor) {
		this.cursor = cursorOf(cursor);
		this.#waiting = false;
		this.#ahead = [];
		if (!this.#running)
			return;
		if (this.#leading)
			this.#begin();
		else
			this.#tell({ t: 'who' });
	}

	#bc = null;
	#release = null;
	#listeners = null;

	#events() {
		const w = globalThis.window, d = globalThis.document;

		if (!w)
			return [];
		return this.#listeners ??= [
			[w, 'online', () => this.#wake(true)],
			[w, 'offline', () => this.#gone()],
			[d, 'visibilitychange', () =>
			    d.visibilityState === 'visible' && this.#wake(false)],
			[w, 'pagehide', () => {
				if (this.#running) {
					this.stop();
					this.#hidden = true;
				}
			}],
		];
	}

	/* A page that comes back from the browser's cache goes on. */
	#comeBack = globalThis.window?.addEventListener('pageshow', () => {
		if (this.#hidden)
			this.start();
		this.#hidden = false;
	});
	#hidden = false;

	/* The network or the reader is back: do not sit out a pause. */
	#wake(online) {
		if (!this.#leading) {
			this.#watchLeader();
		} else if (!this.#waiting && !this.#refused) {
			if (online) {
				this.#level = this.#fails = 0;
				this.#up_ms = this.times.up;
			}
			if (this.#live)
				this.#live.pinged = 0;
			else if (!this.#trying)
				this.#try();
			this.#poll?.poke();
			this.#watch();
		}
		for (const e of this.pending())
			if (e.due && this.#owned.has(e.tab))
				this.#save({ ...e, due: 0 });
		this.flush();
	}

	/* A hint only: a machine without a route still reaches itself. */
	#gone() {
		if (this.#leading && !this.#waiting && !this.#refused) {
			this.#close(this.#live);
			this.#live = null;
			this.#later();
		}
		this.#show();
	}

	/* ---- the stream ---- */

	#up_ms = 0;

	#begin() {
		this.#halt();
		this.#level = this.#fails = 0;
		this.#up_ms = this.times.up;
		if (this.#waiting || this.#refused)
			return;
		this.#timers.tick = setInterval(() => {
			this.#watch();
			this.flush(); /* a tab may have gone and left some */
		}, this.times.tick);
		if (this.streams.length > 0) {
			this.#try();
			this.#after('grace', this.times.grace, () => this.#fill());
		} else {
			this.#fill();
		}
	}

	#halt() {
		for (const c of [this.#live, this.#trying, this.#probe])
			this.#close(c);
		this.#live = this.#trying = this.#probe = null;
		this.#poll?.stop();
		this.#poll = null;
		for (const t of ['tick', 'try', 'up', 'grace'])
			clearTimeout(this.#timers[t]);
	}

	#after(name, ms, fn) {
		clearTimeout(this.#timers[name]);
		this.#timers[name] = setTimeout(fn, ms);
	}

	#backoff(n) {
		const t = this.times;
		return Math.min(t.backoff * 2 ** n, t.backoff_max) +
		    Math.random() * t.jitter;
	}

	#open(level) {
		const c = { name: this.streams[level], level, at: Date.now(),
		    heard: Date.now(), pinged: Date.now(), up: 0, dead: false,
		    blind: this.cursor === null };
		const h = {
			heard: () => (c.heard = Date.now()),
			up: (cursor) => {
				if (c.dead || c.up)
					return;
				/* It begins above what was polled meanwhile. */
				if (c.blind && this.cursor !== null &&
				    cursorOf(cursor) > this.cursor) {
					h.down({});
					return;
				}
				c.up = Date.now();
				this.#opened(c, cursor);
			},
			event: (e) => {
				h.up(null);
				if (!c.dead)
					this.#take([e]);
			},
			down: (why) => {
				if (c.dead)
					return;
				this.#close(c);
				this.#down(c, why);
			},
		};
		try {
			c.io = ways[c.name](this, h);
		} catch {
			setTimeout(h.down, 0, {});
		}
		c.down = h.down;
		return c;
	}

	#close(c) {
		if (c && !c.dead) {
			c.dead = true;
			c.io?.close();
		}
	}

	#try() {
		clearTimeout(this.#timers.try);
		this.#close(this.#trying);
		this.#trying = null;
		if (this.#level < this.streams.length)
			this.#trying = this.#open(this.#level);
		else
			this.#fill();
		this.#show();
	}

	/* It began at our cursor or below: what delivered until now may go. */
	#opened(c, cursor) {
		for (const other of [this.#live, this.#trying, this.#probe])
			if (other !== c)
				this.#close(other);
		this.#trying = this.#probe = null;
		this.#live = c;
		this.#poll?.stop();
		this.#poll = null;
		clearTimeout(this.#timers.try);
		clearTimeout(this.#timers.grace);
		if (c.level !== this.#level)
			this.#fails = 0;
		this.#level = c.level;
		this.#bad = 0;
		if (this.cursor === null)
			this.#take([], cursor);
		this.#upward();
		this.#show();
	}

	#down(c, { auth, wait }) {
		if (c === this.#probe) {
			this.#probe = null;
			if (c.level + 1 < this.#level)
				this.#probe = this.#open(c.level + 1);
			else
				this.#upward();
			return;
		}
		if (c.up && Date.now() - c.up > this.times.steady)
			this.#fails = 0;
		this.#live = this.#trying = null;
		this.#fails++;
		this.#bad++;
		const last = this.#level + 1 >= this.streams.length;
		if ((auth || this.#fails >= FAILS) && (this.polls || !last)) {
			this.#level++;
			this.#fails = 0;
			this.#upward();
		} else if (auth) {
			this.#refuse();
			return;
		}
		if (auth)
			this.#try();
		else
			this.#later(wait);
	}

	/* Nothing delivers: poll meanwhile, and try the stream again. */
	#later(wait) {
		this.#after('try', Math.max(wait || 0,
		    this.#backoff(Math.max(this.#fails - 1, 0))), () => this.#try());
		this.#fill();
		this.#show();
	}

	#upward() {
		if (this.#level === 0) {
			clearTimeout(this.#timers.up);
			this.#up_ms = this.times.up;
			return;
		}
		this.#after('up', this.#up_ms, () => {
			this.#up_ms = Math.min(2 * this.#up_ms, this.times.up_max);
			if (!this.#probe && this.#level > 0)
				this.#probe = this.#open(0);
		});
	}

	#watched = 0;

	/* Leaves streams that went silent; timers may come late, data does not. */
	#watch() {
		const t = this.times, now = Date.now(), back = now < this.#watched;

		this.#watched = now;
		for (const c of [this.#live, this.#trying, this.#probe]) {
			if (!c || c.dead)
				continue;
			if (back) { /* the clock was set: count from here */
				c.at = c.heard = c.pinged = now;
				c.up = c.up && now;
			}
			if (!c.up) {
				if (now - c.at > t.open)
					c.down({});
			} else if (!c.io.ping) {
				if (now - c.heard > t.sse_quiet)
					c.down({});
			} else if (c.heard < c.pinged && c.pinged > c.up) {
				if (now - c.pinged > t.ws_pong)
					c.down({});
			} else if (now - c.pinged > t.ws_ping) {
				c.pinged = now;
				c.io.ping();
			}
		}
	}

	#refuse() {
		this.#halt();
		this.#refused = true;
		this.#show();
		this.#tell({ t: 'refused' });
		this.#emit('refused');
	}

	/* ---- polling ---- */

	#fill() {
		if (this.#poll || this.#live || !this.polls || !this.#leading)
			return;
		const poll = this.#poll = {
			good: false, stopped: false, abort: null, poke() {},
			stop() {
				this.stopped = true;
				this.abort?.abort();
				this.poke();
			},
		};
		this.#polling(poll);
	}

	async #polling(poll) {
		const seen = {}; /* etag and the cursor it is of */
		let fails = 0, pause = this.times.poll;

		while (!poll.stopped) {
			const got = await this.#pollOnce(poll, seen);
			if (poll.stopped)
				return;
			if (got.auth) {
				this.#refuse();
				return;
			}
			poll.good = got.ok;
			if (got.ok) {
				fails = this.#bad = 0;
				/* a 304 cannot say when: less and less often */
				pause = got.pause ?? (got.idle ?
				    Math.max(pause, Math.min(1.2 * pause,
					this.times.poll_idle)) : pause);
			} else {
				this.#bad++;
			}
			this.#show();
			const ms = got.ok ? pause :
			    Math.max(this.#backoff(fails++), got.pause || 0);
			if (!got.more)
				await new Promise((done) => {
					const t = setTimeout(done, ms);
					poll.poke = () => {
						clearTimeout(t);
						done();
					};
				});
		}
	}

	async #pollOnce(poll, seen) {
		const after = this.cursor, headers = {};

		poll.abort = new AbortController();
		const late = setTimeout(() => poll.abort.abort(), this.times.request);
		try {
			if (seen.etag && seen.after === after)
				headers['If-None-Match'] = seen.etag;
			const res = await this.fetch('GET', '/api/events/poll' +
			    (after === null ? '' : '?after=' + after), undefined,
			    { headers, signal: poll.abort.signal });
			if (res.status === 304)
				return { ok: true, idle: true };
			if (res.status !== 200)
				return { auth: auth(res.status), pause:
				    1000 * res.headers.get('Retry-After') };
			const j = await res.json();
			if (!Array.isArray(j.events))
				return {};
			if (poll.stopped)
				return {};
			this.#take(j.events, j.cursor ?? j.timestamp);
			seen.after = this.cursor;
			seen.etag = res.headers.get('ETag');
			return { ok: true, more: j.more === true,
			    pause: j.next_poll_ms > 0 ?
			    Math.min(j.next_poll_ms, this.times.poll_max) : undefined };
		} catch {
			return {};
		} finally {
			clearTimeout(late);
		}
	}

	/* ---- what arrives ---- */

	/* take(list, to): apply what is new; to: how far the list reaches */
	#take(list, to) {
		const from = this.cursor, fresh = [];

		for (const e of list) {
			if (e.type === 'reset') {
				this.#reset(e.data);
				return;
			}
			const id = cursorOf(e.id);
			if (id !== null && this.cursor !== null && id <= this.cursor)
				continue;
			fresh.push(e);
			if (e.type !== 'tick') {
				this.#emit(e.type, e.data, e);
				this.#emit('*', e.data, e);
			}
			if (id !== null)
				this.cursor = id;
		}
		to = cursorOf(to);
		if (to !== null && (this.cursor === null || to > this.cursor))
			this.cursor = to;
		if (this.#leading && (fresh.length > 0 || this.cursor !== from))
			this.#tell({ t: 'events', from, to: this.cursor, list: fresh });
	}

	#reset(data) {
		this.#halt();
		this.cursor = null;
		this.#waiting = true;
		if (this.#leading)
			this.#tell({ t: 'reset', data });
		if (this.#on.get('reset')?.size > 0)
			this.#emit('reset', data);
		else
			this.resume(null);
		this.#show();
	}

	#show(state, transport) {
		if (state === undefined) {
			transport = this.#live ? this.#live.name :
			    this.#poll?.good ? 'poll' : null;
			state = this.#refused ? 'error' : transport ? 'connected' :
			    globalThis.navigator?.onLine === false ? 'offline' :
			    this.#bad > 2 * FAILS ? 'error' :
			    this.#ever ? 'reconnecting' : 'connecting';
			if (!this.#leading && this.#running && this.tabs &&
			    state !== 'offline')
				return;
		}
		if (state === 'connected')
			this.#ever = true;
		if (state === this.state && transport === this.transport)
			return;
		this.state = state;
		this.transport = transport;
		this.#emit('state', state, transport);
		if (this.#leading)
			this.#here();
	}

	/* ---- tabs: whoever holds the lock has the stream ---- */

	#lead() {
		this.#leading = true;
		this.#ahead = [];
		this.#begin();
		this.#here();
	}

	#unlead() {
		this.#halt();
		this.#leading = false;
	}

	#queue(steal) {
		const abort = new AbortController();

		this.#release = () => abort.abort();
		this.#heardLeader = Date.now();
		this.#tell({ t: 'who' });
		clearInterval(this.#timers.leader);
		this.#timers.leader = setInterval(() => this.#watchLeader(),
		    this.times.leader);
		navigator.locks.request(this.key + '.stream',
		    steal ? { steal } : { signal: abort.signal }, () => {
			if (!this.#running)
				return undefined;
			clearInterval(this.#timers.leader);
			this.#lead();
			return new Promise((done) => (this.#release = done));
		}).catch((e) => {
			if (!this.#running || abort.signal.aborted)
				return;
			this.#unlead();
			if (e.name === 'AbortError') { /* taken from us */
				this.#queue();
				return;
			}
			/* a browser that blocks storage gives no locks: alone */
			clearInterval(this.#timers.leader);
			this.tabs = false;
			this.#lead();
		});
	}

	#heardLeader = 0;

	/* A frozen tab may hold the lock for ever: a visible one takes it. */
	#watchLeader() {
		const silent = Date.now() - this.#heardLeader;

		if (this.#leading || !this.#running || !this.tabs)
			return;
		if (silent < 0)
			this.#heardLeader = Date.now(); /* the clock was set back */
		if (silent > 3 * this.times.leader && !document.hidden) {
			this.#release?.();
			this.#queue(true);
		} else {
			this.#tell({ t: 'who' });
		}
	}

	#tell(m) {
		this.#bc?.postMessage(m);
	}

	#here() {
		this.#tell({ t: 'here', cursor: this.cursor, state: this.state,
		    transport: this.transport });
	}

	/* Who polls and has written wants the answer soon. */
	#pokeOn(state) {
		if (state === 'sent')
			this.#poll?.poke();
	}

	#told(m) {
		if (m.t === 'box') {
			this.#emit('outbox', m.entry);
			this.#pokeOn(m.entry.state);
			return;
		}
		if (m.t === 'who') {
			if (this.#leading)
				this.#here();
			return;
		}
		if (this.#leading || !this.tabs)
			return;
		this.#heardLeader = Date.now();
		if (m.t === 'here') {
			this.#show(m.state, m.transport);
			this.#follow({ from: m.cursor, to: m.cursor, list: [] });
		} else if (m.t === 'events') {
			this.#follow(m);
		} else if (m.t === 'reset') {
			this.#reset(m.data);
		} else if (m.t === 'refused') {
			this.#emit('refused');
		}
	}

	/* A follower whose cursor is below where a batch begins asks by itself. */
	async #follow(batch) {
		if (batch.to !== null && !this.#waiting)
			this.#ahead.push(batch);
		if (this.#catching)
			return;
		this.#catching = true;
		while (this.#ahead.length > 0 && !this.#leading && this.#running) {
			const next = this.#ahead[0], { from, to, list } = next;
			let got = { ok: true };

			this.cursor ??= from ?? to;
			if (to > this.cursor && (from === null || from > this.cursor)) {
				got = await this.#pollOnce({}, {});
				if (!got.ok)
					await new Promise((done) =>
					    setTimeout(done, this.#backoff(0)));
			}
			/* the answer is younger than the batch, so it covers ${from} */
			if (got.ok && !got.more && this.#ahead[0] === next) {
				this.#ahead.shift();
				this.#take(list, to);
			}
		}
		this.#catching = false;
	}

	/* ---- requests ---- */

	/* fetch(method, path, body, init): as ourselves, a file as it is; answers
	   the Response */
	fetch(method, path, body, init = {}) {
		const headers = { ...init.headers };

		if (this.token)
			headers.Authorization = 'Bearer ' + this.token;
		else if (method !== 'GET')
			headers['X-CSRF-Token'] = document.querySelector(
			    'meta[name=csrf]')?.content ??
			    document.body.dataset.csrf ?? '';
		const file = body instanceof Blob;
		if (body !== undefined)
			headers['Content-Type'] = file ? 'application/octet-stream' :
			    'application/json';
		return fetch(this.base + path, { cache: 'no-store',
		    credentials: this.token ? 'omit' : 'same-origin', ...init,
		    method, headers, body: file ? body : body && JSON.stringify(body) });
	}

	/* typing(conversation, on): said at most every 2 s */
	typing(conversation, on) {
		const now = Date.now(), last = this.#typed.get(conversation) ?? 0;

		if (on ? now - last < 2000 : last === 0)
			return;
		this.#typed.set(conversation, on ? now : 0);
		this.fetch('POST', `/api/conversations/${conversation}/typing`,
		    { typing: on }).catch(() => {});
	}

	/* ---- the outbox: an entry a key, so that tabs do not overwrite ---- */

	/* send(conversation, { content, ... }): returns the entry */
	send(conversation, body) {
		const e = { client_id: newId(), conversation: String(conversation),
		    body };

		this.#typed.set(e.conversation, 0);
		return this.#enqueue(e);
	}

	/* pending(conversation?): what is not acknowledged, oldest first */
	pending(conversation) {
		const list = [];

		for (const k of store.keys(this.key + '.out.')) {
			try {
				list.push(JSON.parse(store.get(k)));
			} catch {
				store.drop(k);
			}
		}
		return list.filter((e) => e && (conversation === undefined ||
		    e.conversation === String(conversation)))
		    .sort((a, b) => a.at - b.at);
	}

	/* retry(client_id): a failed one again, behind those that wait */
	retry(client_id) {
		const e = this.#get(client_id);

		if (!e)
			return;
		if (e.error?.code === 'idempotency_conflict') {
			this.discard(client_id);
			e.client_id = newId();
		}
		delete e.error;
		this.#enqueue(e);
	}

	discard(client_id) {
		const e = this.#get(client_id);

		if (e) {
			store.drop(this.key + '.out.' + client_id);
			this.#box(e, 'gone');
		}
	}

	/* flush(): see to all that waits */
	flush() {
		const all = this.pending();

		for (const tab of new Set(all.map((e) => e.tab)))
			if (!this.#owned.has(tab))
				this.#own(tab);
		for (const c of new Set(all.map((e) => e.conversation)))
			this.#drain(c);
	}

	#tab = newId();      /* whose entries are sent from here: */
	#owned = new Set();
	#give = [];

	/*
	 * An entry is sent by the tab that made it, or once that is gone by one
	 * that took its lock.  (Two tabs do not see one localStorage at one time:
	 * a lock around each sending would not keep them apart.)  Where there are
	 * no locks two may send it; the server knows the client_id.
	 */
	#own(tab) {
		if (!globalThis.navigator?.locks) {
			this.#owned.add(tab);
			return;
		}
		navigator.locks.request(`${this.key}.tab.${tab}`,
		    { ifAvailable: true }, (lock) => {
			if (!lock || !this.#running)
				return undefined;
			this.#owned.add(tab);
			this.flush();
			return new Promise((done) => this.#give.push(done));
		}).catch(() => {
			if (!this.#running || this.#owned.has(tab))
				return;
			this.#owned.add(tab); /* no locks to be had */
			this.flush();
		});
	}

	#get(client_id) {
		return this.pending().find((e) => e.client_id === client_id);
	}

	#enqueue(e) {
		const last = this.pending(e.conversation).pop();

		e.at = Math.max(Date.now(), (last?.at ?? 0) + 1);
		e.tries = e.due = 0;
		e.tab = this.#tab;
		this.#save(e);
		this.#box(e, 'queued');
		this.#drain(e.conversation);
		return e;
	}

	#save(e) {
		store.set(this.key + '.out.' + e.client_id, JSON.stringify(e));
	}

	#box(e, state, more) {
		const entry = { ...e, ...more, state };
		this.#emit('outbox', entry);
		this.#pokeOn(state);
		this.#tell({ t: 'box', entry });
	}

	async #drain(conversation) {
		if (!this.#running)
			return;
		if (this.#drains.has(conversation)) {
			this.#drains.set(conversation, true);
			return;
		}
		let wait = 0;
		do {
			this.#drains.set(conversation, false);
			wait = await this.#sendNext(conversation);
		} while (wait === 0 || this.#drains.get(conversation));
		this.#drains.delete(conversation);
		if (wait > 0 && this.#running)
			this.#after('send ' + conversation, wait,
			    () => this.#drain(conversation));
	}

	/* Answers ms to wait, 0 to go on, -1 if nothing is left. */
	async #sendNext(conversation) {
		const e = this.pending(conversation).find((x) => !x.error &&
		    this.#owned.has(x.tab));

		if (!e)
			return -1;
		/* A clock set back since does not count. */
		if (e.due > Date.now() && !(e.tried > Date.now()))
			return e.due - Date.now();
		this.#box(e, 'sending');
		const { status = 0, json, wait = 0 } = await this.#post(e);
		if (status >= 200 && status < 300 && json?.client_id === e.client_id) {
			store.drop(this.key + '.out.' + e.client_id);
			this.#box(e, 'sent', { message: json });
			return 0;
		}
		if (status >= 400 && status < 500 && ![408, 425, 429].includes(status)) {
			e.error = { status, code: json?.code, message: json?.error,
			    answer: json };
			this.#save(e);
			this.#box(e, 'failed');
			return 0;
		}
		const ms = Math.max(this.#backoff(e.tries++), wait);
		const tried = Date.now();
		this.#save({ ...e, tried, due: tried + ms });
		this.#box(e, 'queued');
		return ms;
	}

	async #post(e) {
		const stop = new AbortController();
		const late = setTimeout(() => stop.abort(), this.times.request);

		try {
			const res = await this.fetch('POST',
			    `/api/conversations/${e.conversation}/messages`,
			    { ...e.body, client_id: e.client_id },
			    { keepalive: true, signal: stop.signal });
			const wait = 1000 * res.headers.get('Retry-After') || 0;
			/* an answer cut off is none; a status alone may be a proxy's */
			const json = await res.json().catch(() => undefined);
			return { status: res.status, json, wait };
		} catch {
			return {};
		} finally {
			clearTimeout(late);
		}
	}
}
