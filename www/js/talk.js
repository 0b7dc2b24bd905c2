/*
 * talk.js: a conversation made live, for agent and visitor alike: the log, the
 * composer, typing, what was read.  The server rendered what is there; every
 * message is known by its id, or by its client_id until it has one.
 */

import { $, $$, clock, dayKey, dayName, page, putText, t } from './dom.js';

const RANK = { queued: 0, sending: 0, sent: 1, delivered: 2, read: 3 };
const JOIN = 3 * 60000; /* ms; messages so close stand together */
const TYPING = 4000;    /* ms; an indicator nobody renews is over */
const NEAR = 80;        /* px from the end that still count as the end */

export class Talk {
	#uploads = new Map(); /* id -> attachment, until it is sent */
	#picked = []; /* files of the message being written */
	#typists = new Map(); /* who -> timer */
	#seen = 0;            /* newest message we said we have read */
	#readTimer;

	/*
	 * side(message): us, them or mid; name(message): of its sender; among:
	 * a conversation of users; onUnseen(n): so many came while nobody looked
	 */
	constructor(push, { side, name, among = false, onUnseen = () => {} }) {
		this.push = push;
		this.among = among;
		this.id = page.conversation;
		this.side = side;
		this.name = name;
		this.onUnseen = onUnseen;
		this.log = $('#log');
		this.scroll = $('#scroll');
		this.form = $('#composer');
		this.text = $('#content');
		this.unseen = 0;
		this.older = $('#newest-messages') !== null;
		this.#days();
		this.#listen();
		this.#compose();
		for (const entry of push.pending(this.id))
			this.#outbox({ ...entry, state: entry.error ? 'failed' : 'queued' });
		this.scroll.scrollTop = this.scroll.scrollHeight;
		this.#seen = this.#newest('.them');
	}

	/* ---- the log ---- */

	#find(key, value) {
		return value ? $(`.msg[data-${key}="${CSS.escape(value)}"]`, this.log) :
		    null;
	}

	#newest(sel = '') {
		return Math.max(0, ...$$(`.msg${sel}[data-id]`, this.log)
		    .map((e) => Number(e.dataset.id)));
	}

	/* put(message): show it where it belongs, or what changed about it */
	put(m) {
		let li = this.#find('id', m.id);
		const mine = this.#find('client-id', m.client_id);

		if (String(m.conversation_id ?? this.id) !== this.id ||
		    (this.older && !li))
			return;
		if (li && mine && li !== mine)
			mine.remove();
		const fresh = !li && !mine;
		li ??= mine ?? this.#blank();
		const end = this.#atEnd();
		this.#fill(li, m);
		this.#place(li);
		this.#days();
		$('#log-empty')?.remove();
		if (fresh)
			this.#arrived(li, m, end);
		else if (end)
			this.#toEnd();
	}

	#blank() {
		return $('.msg', $('#message-blank').content.cloneNode(true));
	}

	#fill(li, m) {
		const note = m.type === 'note', side = this.side(m);
		const d = li.dataset;

		if (m.id) {
			d.id = m.id;
			li.id = 'm' + m.id;
		} else {
			li.removeAttribute('id');
			delete d.id;
		}
		d.clientId = m.client_id ?? d.clientId ?? '';
		d.at = m.created_at;
		d.sender = `${m.sender?.kind}:${m.sender?.id}`;
		li.className = 'msg ' + side + (note ? ' note' : '') +
		    (li.classList.contains('arrived') ? ' arrived' : '');
		$('.name', li).textContent = this.name(m);
		$('.bot-mark', li).hidden = m.sender?.kind !== 'bot' || !m.sender.name;
		$('.note-mark', li).hidden = !note;
		const text = $('.text', li);
		text.classList.toggle('gone', !!m.deleted_at);
		const files = m.attachments ?? [];
		if (m.deleted_at)
			text.textContent = t('conversation.deleted');
		else
			putText(text, m.content ||
			    (files.length ? '' : t('kind.' + m.kind)));
		this.#files(li, m.deleted_at ? [] : files, m);
		$('time', li).dataset.at = m.created_at;
		$('time', li).dateTime = new Date(m.created_at).toISOString();
		$('time', li).textContent = clock(m.created_at);
		$('.edited', li).hidden = !m.edited_at || !!m.deleted_at;
		$('.state', li).hidden = side !== 'us' || note || !!m.deleted_at;
		this.#state(li, m.status || 'sent', true, m.error);
	}

	#files(li, files, m) {
		$$('.file', li).forEach((e) => e.remove());
		for (const f of files) {
			const p = document.createElement('p');
			const ours = /^\/(?![/\\])/.test(f.url ?? '');
			const safe = ours || /^https?:\/\//i.test(f.url ?? '');
			const label = document.createElement(safe ? 'a' : 'bdi');
			const name = f.name || t('kind.' + m.kind);
			const shown = ours &&
			    /^(image|audio|video)\//.exec(f.mime ?? '')?.[1];
			p.className = 'file';
			label.textContent = name;
			if (safe) {
				label.href = (ours ? page.base : '') + f.url;
				label.rel = 'noopener noreferrer nofollow ugc';
				label.target = '_blank';
			}
			if (shown) {
				const e = document.createElement(
				    shown === 'image' ? 'img' : shown);
				e.src = label.href;
				if (shown === 'image') {
					e.alt = name;
					e.width = f.width;
					e.height = f.height;
					label.replaceChildren(e);
				} else {
					e.controls = true;
					e.preload = shown === 'video' ? 'metadata' : 'none';
					e.title = name;
				}
				p.append(shown === 'image' ? label : e);
			} else {
				p.append(label);
			}
			if (f.state === 'failed') {
				const lost = document.createElement('span');
				lost.className = 'hint';
				lost.textContent = t('file.lost');
				p.append(' ', lost);
			}
			$('.bubble', li).append(p);
		}
	}

	/* By id, which is the order of the log; what has none yet is last. */
	#place(li) {
		const id = Number(li.dataset.id) || Infinity;
		const at = Number(li.dataset.at);
		let after = null;

		for (const other of $$('.msg', this.log)) {
			const oid = Number(other.dataset.id) || Infinity;
			if (other !== li && (oid < id ||
			    (oid === id && Number(other.dataset.at) <= at)))
				after = other;
		}
		if (after && after.nextSibling !== li)
			after.after(li);
		else if (!after && this.log.firstChild !== li)
			this.log.prepend(li);
	}

	/* Day separators and what stands together, in the browser's zone. */
	#days() {
		let last = null;

		$$('.day', this.log).forEach((e) => e.remove());
		for (const li of $$('.msg', this.log)) {
			const at = Number(li.dataset.at), key = dayKey(at);
			const day = !last || dayKey(Number(last.dataset.at)) !== key;
			if (day) {
				const sep = document.createElement('li');
				const span = document.createElement('span');
				sep.className = 'day';
				sep.dataset.day = key;
				span.textContent = dayName(at);
				sep.append(span);
				li.before(sep);
			}
			const joined = !day && at - Number(last.dataset.at) < JOIN &&
			    li.dataset.sender === last.dataset.sender &&
			    li.classList.contains('note') ===
			    last.classList.contains('note');
			li.classList.toggle('joined', joined);
			$('.who', li).hidden = joined ||
			    (!li.classList.contains('note') && this.#known(li));
			last = li;
		}
	}

	/* Whether the side alone says who wrote it. */
	#known(li) {
		const [kind, id] = li.dataset.sender.split(':');
		return kind === 'customer' || (kind === 'agent' &&
		    page.view !== 'chat' && id === page.me);
	}

	/* state(li, status): forward only, but for a failure and what follows it */
	#state(li, status, force, error) {
		const was = li.dataset.status;
		const stuck = was === 'failed' || was === 'unknown';

		if (!force && !stuck && status in RANK && was in RANK &&
		    RANK[status] < RANK[was])
			return;
		if (page.view === 'chat' && status === 'delivered')
			status = 'sent';
		li.dataset.status = status;
		li.classList.toggle('failed', status === 'failed');
		li.classList.toggle('sending', RANK[status] === 0 && !li.dataset.id);
		$('.state-text', li).textContent = t('delivery.' + status);
		/* our word for why, then the platform's own */
		const why = status === 'failed' && error ? error.replace(/^\w+/,
		    (code) => t('delivery_why.' + code) || code) : '';
		$('.why', li).hidden = why === '';
		$('.why bdi', li).textContent = why;
		for (const b of $$('.retry, .discard', li))
			b.hidden = !(status === 'failed' && !li.dataset.id);
	}

	readUpto(id) {
		for (const li of $$('.msg.us[data-id]', this.log))
			if (Number(li.dataset.id) <= Number(id) &&
			    li.dataset.status !== 'failed')
				this.#state(li, 'read');
	}

	/* ---- where one reads ---- */

	/* The scroll box is turned round: its end is where scrollTop is 0. */
	#atEnd() {
		return Math.abs(this.scroll.scrollTop) < NEAR;
	}

	#toEnd() {
		this.scroll.scrollTop = this.scroll.scrollHeight;
	}

	#arrived(li, m, end) {
		const ours = this.side(m) === 'us' && !m.id;
		li.classList.add('arrived');
		if (end || ours)
			this.#toEnd();
		else
			$('#new-below').hidden = false;
		if (this.side(m) === 'them') {
			this.#typed(`${m.sender?.kind}:${m.sender?.id}`, false);
			if (document.hidden)
				this.onUnseen(++this.unseen);
		}
		this.#read();
	}

	/* Say what we have read, when it is before somebody's eyes. */
	#read() {
		clearTimeout(this.#readTimer);
		this.#readTimer = setTimeout(() => {
			const newest = this.#newest('.them');
			if (document.hidden || !this.#atEnd())
				return;
			$('#new-below').hidden = true;
			this.onUnseen(this.unseen = 0);
			if (newest <= this.#seen || this.older)
				return;
			this.#seen = newest;
			this.push.fetch('POST', `/api/conversations/${this.id}/read`,
			    { message_id: String(newest) })
			    .then((res) => res.ok || (this.#seen = 0),
			    () => (this.#seen = 0));
		}, 250);
	}

	/* ---- what arrives ---- */

	#listen() {
		const ours = (d) => String(d.conversation_id) === this.id;

		this.push.on('new_message', (m) => {
			this.put(m);
			/* who writes has read what stands above */
			const kind = m.sender?.kind;
			if (ours(m) && this.side(m) === 'them' && m.type !== 'note' &&
			    (kind === 'customer' || kind === 'agent'))
				this.readUpto(m.id);
		});
		this.push.on('message_updated', (m) => this.put(m));
		this.push.on('message_deleted', (d) => {
			const li = ours(d) && this.#find('id', d.id);
			if (!li)
				return;
			$('.text', li).textContent = t('conversation.deleted');
			$('.text', li).classList.add('gone');
			$$('.file', li).forEach((e) => e.remove());
			$('.state', li).hidden = $('.edited', li).hidden = true;
		});
		this.push.on('message_status', (d) => {
			const li = ours(d) && this.#find('id', d.message_id);
			if (li && li.classList.contains('us'))
				this.#state(li, d.status, false, d.error);
		});
		this.push.on('read_receipt', (d) => {
			if (ours(d) && (page.view === 'chat' || this.among ||
			    d.read_by_kind === 'customer'))
				this.readUpto(d.message_id);
		});
		this.push.on('typing_indicator', (d) => {
			const kind = d.kind ?? 'customer';
			if (ours(d) && !(kind === 'agent' && d.user_id === page.me) &&
			    !(page.view === 'chat' && kind === 'customer'))
				this.#typed(`${kind}:${d.user_id}`, d.typing, d.user_name);
		});
		this.push.on('outbox', (entry) => this.#outbox(entry));
		this.scroll.addEventListener('scroll', () => this.#read(),
		    { passive: true });
		document.addEventListener('visibilitychange', () => this.#read());
		window.addEventListener('focus', () => this.#read());
		$('#new-below').addEventListener('click', (e) => {
			e.preventDefault();
			this.#toEnd();
		});
	}

	#typed(who, on, name) {
		const line = $('#typing');

		clearTimeout(this.#typists.get(who)?.timer);
		this.#typists.delete(who);
		if (on)
			this.#typists.set(who, { name, timer:
			    setTimeout(() => this.#typed(who, false), TYPING) });
		const [first] = this.#typists.values();
		line.hidden = !first;
		line.textContent = !first ? '' : first.name ?
		    t('typing.name', { name: first.name }) : t('typing.somebody');
	}

	/* ---- the composer ---- */

	#compose() {
		const draft = `parley:draft:${page.view}:${this.id}`;
		const note = () => $('#as-note')?.checked === true;
		const keep = () => {
			try {
				if (this.text.value)
					sessionStorage.setItem(draft, this.text.value);
				else
					sessionStorage.removeItem(draft);
			} catch { /* no storage: no draft */ }
		};

		try {
			this.text.value ||= sessionStorage.getItem(draft) ?? '';
		} catch { /* likewise */ }
		this.text.addEventListener('input', () => {
			keep();
			if (!note())
				this.push.typing(this.id, this.text.value.trim() !== '');
		});
		this.text.addEventListener('blur', () =>
		    this.push.typing(this.id, false));
		this.text.addEventListener('keydown', (e) => {
			/* an input method's Enter takes the word, it does not send */
			if (e.key !== 'Enter' || e.shiftKey || e.isComposing ||
			    e.keyCode === 229 || matchMedia('(pointer: coarse)').matches)
				return;
			e.preventDefault();
			this.form.requestSubmit();
		});
		this.form.addEventListener('change', () => {
			const hint = this.text.dataset.noteHint;
			if (!hint)
				return;
			this.text.dataset.hint ??= this.text.placeholder;
			this.text.placeholder = note() ? hint : this.text.dataset.hint;
		});
		this.form.noValidate = true; /* files may go without a text */
		this.form.addEventListener('submit', async (e) => {
			const content = this.text.value.trim();

			if (this.older)
				return; /* to the newest page first, by the form */
			e.preventDefault();
			if (content === '' && !this.#picked.length)
				return;
			const body = { content };
			if (note())
				body.type = 'note';
			/* who is cut off may answer what is no more the last word */
			if (this.push.state !== 'connected')
				body.seen = String(this.#newest());
			this.text.value = '';
			keep();
			$('#newer')?.remove();
			if (this.#picked.length) {
				body.attachments = await this.#allUp();
				if (!body.attachments) {
					this.text.value ||= content;
					keep();
					return;
				}
			}
			this.push.send(this.id, body);
			this.text.focus();
		});
		$('#file').addEventListener('change', (e) => {
			const files = [...e.target.files];

			e.target.value = '';
			this.text.focus();
			for (const file of files)
				this.#pick(file);
		});
		this.log.addEventListener('click', (e) => {
			const id = e.target.closest('.msg')?.dataset.clientId;
			if (e.target.closest('.retry'))
				this.push.retry(id);
			else if (e.target.closest('.discard'))
				this.push.discard(id);
		});
	}

	/* A file for the next message goes up at once; until then it shows here. */
	#pick(file) {
		const chip = $('#picked-file').content.cloneNode(true).firstElementChild;
		const f = { chip, file: null };

		$('.picked-name', chip).textContent = file.name;
		$('button', chip).addEventListener('click', () => this.#unpick(f));
		$('#picked').append(chip);
		$('#upload')?.remove();
		this.#picked.push(f);
		f.done = this.#upload(file).then((got) => {
			f.file = got;
			chip.classList.remove('uploading');
			if (!got)
				this.#unpick(f);
			return got;
		});
	}

	/* The ids of what was picked, all of it up; null: one could not be. */
	async #allUp() {
		const files = this.#picked;

		this.#picked = [];
		for (const f of files)
			f.chip.classList.add('sending');
		const up = await Promise.all(files.map((f) => f.done));
		if (up.includes(null)) {
			this.#picked.unshift(...files.filter((f) => f.file));
			for (const f of this.#picked)
				f.chip.classList.remove('sending');
			return null;
		}
		for (const f of files)
			f.chip.remove();
		return up.map((f) => f.id);
	}

	#unpick(f) {
		f.chip.remove();
		this.#picked = this.#picked.filter((x) => x !== f);
	}

	/* The attachment, or null; why not is said below the field. */
	async #upload(file) {
		let why = 'failed';

		try {
			const res = await this.push.fetch('POST', '/api/uploads?name=' +
			    encodeURIComponent(file.name), file);
			if (res.status === 201) {
				const f = await res.json();
				this.#uploads.set(f.id, f);
				return f;
			}
			why = { 413: 'large', 415: 'kind', 507: 'quota' }[res.status] ??
			    why;
		} catch { /* said below */ }
		const line = $('#upload') ?? document.createElement('p');
		line.id = 'upload';
		line.className = 'notice warn';
		line.setAttribute('role', 'alert');
		line.textContent = `${file.name}: ${t('file.' + why)}`;
		this.form.append(line);
		return null;
	}

	/* An entry of the outbox: the message before the server has it. */
	#outbox(entry) {
		let li = this.#find('client-id', entry.client_id);

		if (entry.conversation !== this.id || this.older)
			return;
		if (entry.state === 'sent') {
			this.put(entry.message);
		} else if (entry.state === 'gone') {
			if (li && !li.dataset.id) {
				li.remove();
				this.#days();
			}
		} else if (entry.error?.code === 'new_messages') {
			this.#newer(entry);
		} else if (!li?.dataset.id) {
			if (!li)
				this.put({ client_id: entry.client_id, created_at: entry.at,
				    content: entry.body.content, attachments:
				    entry.body.attachments?.map((id) =>
				    this.#uploads.get(id)).filter(Boolean), type: entry.body.type ??
				    'outgoing', status: 'queued', own: true,
				    sender: page.view === 'chat' ?
				    { kind: 'customer', id: page.customer } :
				    { kind: 'agent', id: page.me, name: page.meName } });
			li = this.#find('client-id', entry.client_id);
			this.#state(li, entry.state, true);
			if (entry.state === 'failed' && this.#reason(entry.error))
				$('.state-text', li).textContent = this.#reason(entry.error);
			this.#place(li);
		}
	}

	/* Why the server refused it, in the page's language; '': no word for it. */
	#reason(error) {
		const long = error?.code === 'invalid' &&
		    error.answer?.field === 'content';
		return error?.code ? t('error.' + (long ? 'too_long' : error.code)) : '';
	}

	/* Others wrote in between: show it, and give the text back. */
	#newer(entry) {
		for (const m of entry.error.answer?.items ?? [])
			this.put(m);
		this.push.discard(entry.client_id);
		this.text.value ||= entry.body.content;
		const line = document.createElement('p');
		line.id = 'newer';
		line.className = 'notice warn';
		line.setAttribute('role', 'alert');
		line.textContent = t('conversation.newer');
		$('#newer')?.remove();
		this.scroll.before(line);
	}
}
