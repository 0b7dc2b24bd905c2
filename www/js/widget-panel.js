/*
 * widget-panel.js: the chat behind the button of widget.js: the visitor's
 * session, the messages, the composer.  What arrives and what is sent is
 * push.js's.  Everything from outside goes in as text.
 */
import { Push } from './push.js';

const TEXTS = {
	vi: {
		title: 'Trò chuyện với chúng tôi', soon: 'Chúng tôi thường trả lời trong vài phút',
		hello: 'Xin chào! Chúng tôi có thể giúp gì cho bạn?',
		name: 'Tên của bạn (không bắt buộc)', write: 'Viết tin nhắn…',
		kept: 'Tin nhắn được lưu lại để trả lời bạn.',
		send: 'Gửi', close: 'Đóng', older: 'Tin cũ hơn', fresh: 'Tin nhắn mới',
		queued: 'Đang gửi...', sending: 'Đang gửi...', sent: 'Đã gửi',
		delivered: 'Đã nhận', read: 'Đã đọc', failed: 'Lỗi', retry: 'Gửi lại',
		discard: 'Bỏ', deleted: 'Tin nhắn đã bị xóa', edited: 'đã sửa',
		typing: () => 'Đang soạn tin...', here: 'Đang hoạt động',
		connecting: 'Đang kết nối...', connected: 'Đã kết nối',
		lost: 'Mất kết nối', reconnecting: 'Đang kết nối lại...',
		ended: 'Cuộc trò chuyện đã kết thúc. Bạn có thể nhắn tiếp bất cứ lúc nào.',
		unread: (n) => `${n} tin chưa đọc`, us: 'Chúng tôi', you: 'Bạn', file: 'Tệp đính kèm',
		bot: 'trả lời tự động',
		attach: 'Đính kèm tệp', refused: 'Không gửi được tệp này', drop: 'Bỏ tệp này',
		fast: 'Hơi nhanh quá. Vui lòng chờ một lát rồi thử lại.',
		busy: 'Hệ thống đang bận. Vui lòng thử lại sau vài giây.',
	},
	th: {
		title: 'แชทกับเรา', soon: 'โดยปกติเราตอบภายในไม่กี่นาที',
		hello: 'สวัสดีค่ะ มีอะไรให้เราช่วยไหมคะ',
		name: 'ชื่อของคุณ (ไม่บังคับ)', write: 'เขียนข้อความ…',
		kept: 'ข้อความจะถูกเก็บไว้เพื่อการตอบกลับ',
		send: 'ส่ง', close: 'ปิด', older: 'ข้อความก่อนหน้า', fresh: 'ข้อความใหม่',
		queued: 'กำลังส่ง...', sending: 'กำลังส่ง...', sent: 'ส่งแล้ว',
		delivered: 'ได้รับแล้ว', read: 'อ่านแล้ว', failed: 'ส่งไม่สำเร็จ',
		retry: 'ลองอีกครั้ง', discard: 'ทิ้ง', deleted: 'ข้อความถูกลบแล้ว',
		edited: 'แก้ไขแล้ว', typing: () => 'กำลังพิมพ์', here: 'ออนไลน์',
		connecting: 'กำลังเชื่อมต่อ...', connected: 'เชื่อมต่อแล้ว',
		lost: 'ออฟไลน์', reconnecting: 'กำลังเชื่อมต่อใหม่...',
		ended: 'การสนทนาจบแล้ว เขียนต่อได้ทุกเมื่อ',
		unread: (n) => `ยังไม่ได้อ่าน ${n} ข้อความ`, us: 'เรา', you: 'คุณ', file: 'ไฟล์แนบ',
		bot: 'ตอบอัตโนมัติ',
		attach: 'แนบไฟล์', refused: 'ส่งไฟล์นี้ไม่ได้', drop: 'เอาไฟล์นี้ออก',
		fast: 'เร็วเกินไป โปรดรอสักครู่แล้วลองใหม่',
		busy: 'ขณะนี้มีผู้ใช้มาก โปรดลองใหม่ในไม่กี่วินาที',
	},
	en: {
		title: 'Chat with us', soon: 'We usually answer within minutes',
		hello: 'Hello! How can we help?',
		name: 'Your name (optional)', write: 'Write a message…',
		kept: 'Messages are kept so that we can answer you.',
		send: 'Send', close: 'Close', older: 'Older messages', fresh: 'New message',
		queued: 'Sending...', sending: 'Sending...', sent: 'Sent',
		delivered: 'Delivered', read: 'Read', failed: 'Message failed to send',
		retry: 'Try again', discard: 'Discard', deleted: 'This message was deleted',
		edited: 'edited', typing: (name) => `${name} is typing...`, here: 'Online',
		connecting: 'Connecting...', connected: 'Connected',
		lost: 'Disconnected', reconnecting: 'Reconnecting...',
		ended: 'The conversation has ended. Write again at any time to go on.',
		unread: (n) => `${n} unread`, us: 'Us', you: 'You', file: 'Attachment',
		bot: 'automatic reply',
		attach: 'Attach a file', refused: 'This file could not be sent', drop: 'Take away',
		fast: 'That was too fast. Please wait a moment and try again.',
		busy: 'Very busy right now. Please try again in a few seconds.',
	},
};

const css = (side) => `
.panel{--bg:#fff;--fg:#1c2321;--dim:#5c6864;--line:#e2e7e5;--in:#eff3f1;
position:fixed;bottom:calc(90px + env(safe-area-inset-bottom));${side}:20px;
width:376px;height:min(600px,100dvh - 114px);display:flex;flex-direction:column;
background:var(--bg);color:var(--fg);border-radius:16px;overflow:hidden;
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans Thai",sans-serif;
box-shadow:0 1px 3px #0002,0 12px 48px #0004;animation:rise .18s ease-out;text-align:start}
@keyframes rise{from{opacity:0;transform:translateY(12px)}}
header{display:flex;align-items:center;gap:12px;padding:14px 10px 14px 18px;
background:var(--c);color:var(--ink)}
header div{flex:1;min-width:0}
h2{margin:0;font-size:16px;font-weight:650;line-height:1.3}
.sub{font-size:13px;opacity:.9}
.sub.on::before{content:"";display:inline-block;width:8px;height:8px;border-radius:4px;
margin-right:6px;background:#7be0a5}
button.plain{flex:none;display:grid;place-items:center;width:40px;height:40px;padding:0;border:0;
border-radius:10px;background:none;cursor:pointer}
header button:hover{background:#0002}
header button:focus-visible{outline-color:var(--ink);outline-offset:-3px}
.state{padding:6px 18px;font-size:13px;background:#fff4d6;color:#5f4300;
border-bottom:1px solid #ecdcae}
.state.ok{background:#e0f4e8;color:#0d5130;border-color:#bfe3cd}
.scroll{flex:1;overflow-y:auto;overscroll-behavior:contain;padding:16px 16px 6px;
scrollbar-width:thin}
.panel:focus,:is(input,textarea):focus-visible{outline:0}
.older{display:block;margin:0 auto 12px;padding:6px 14px;border:1px solid var(--line);
border-radius:16px;background:none;color:var(--dim);font-size:13px;cursor:pointer}
.m{display:flex;flex-direction:column;align-items:flex-start;margin:0 0 3px}
.m.own{align-items:flex-end}
.m>p{margin:0;max-width:84%;padding:9px 13px;border-radius:16px;background:var(--in);
white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext}
.m.own>p{background:var(--c);color:var(--ink)}
.m.tail>p{border-bottom-left-radius:5px}.m.own.tail>p{border-radius:16px 16px 5px}
.m.tail{margin-bottom:12px}
.m.wait>p{opacity:.7}
.m.bad>p{background:#fbe4e2;color:#7c1612}
.m.gone>p{background:none;border:1px solid var(--line);color:var(--dim);font-style:italic}
.m a{text-decoration:underline;text-underline-offset:2px}
.m small{display:none;margin:3px 4px 0;font-size:12px;color:var(--dim)}
.m.tail small,.m.bad small{display:block}
.who{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.m.head:not(.own) .who{position:static;width:auto;height:auto;clip-path:none;
margin:0 4px 3px;font-size:12px;color:var(--dim)}
.m small button{margin-left:8px;padding:2px 0;border:0;background:none;color:inherit;
text-decoration:underline;cursor:pointer}
.m.bad small{color:#b3261e}
.note{margin:6px 12px 14px;text-align:center;font-size:13px;color:var(--dim)}
.typing{display:flex;align-items:center;gap:8px;margin:0 4px 10px;font-size:13px;color:var(--dim)}
.typing i{display:flex;gap:3px}
.typing i::before,.typing i::after,.typing i b{content:"";width:6px;height:6px;border-radius:3px;
background:currentColor;animation:dot 1.2s infinite}
.typing i b{animation-delay:.15s}.typing i::after{animation-delay:.3s}
@keyframes dot{0%,60%,100%{opacity:.3}30%{opacity:1}}
.jump{position:absolute;bottom:84px;left:50%;transform:translateX(-50%);padding:7px 14px;
border:0;border-radius:16px;background:var(--fg);color:var(--bg);font-size:13px;cursor:pointer}
form{border-top:1px solid var(--line);padding:10px 10px 10px 14px}
form p{margin:6px 2px 0;font-size:12px;color:var(--dim)}
input,textarea{width:100%;border:0;padding:9px 2px;background:none;color:var(--fg);
font-size:16px;line-height:1.4}
::placeholder{color:var(--dim);opacity:1}
input{padding:4px 2px 10px;margin-bottom:4px;border-bottom:1px solid var(--line)}
.row{display:flex;align-items:flex-end;gap:6px}
.chip{max-width:100%;margin:0 4px 4px 0;padding:2px 10px;border:1px solid currentColor;border-radius:12px;background:none;color:inherit;font:inherit;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;cursor:pointer}
textarea{resize:none;height:42px;max-height:130px}
form:focus-within{box-shadow:inset 0 2px var(--c)}
.go{background:var(--c)!important;color:var(--ink)}
.go:disabled{opacity:.45;cursor:default}
@media(prefers-color-scheme:dark){.panel{--bg:#171d1b;--fg:#e8eeeb;--dim:#9fada8;--line:#2d3633;--in:#252e2b}
.state{background:#41340f;color:#ffe3a0;border-color:#5a4a1a}
.state.ok{background:#12392a;color:#b9efd0;border-color:#1d5540}
.m.bad>p{background:#4b1f1c;color:#ffd9d5}.m.bad small{color:#ff9b93}}
@media(max-width:480px){.panel{inset:0;width:auto;height:100dvh;border-radius:0;
padding-bottom:env(safe-area-inset-bottom)}}.m img{display:block;max-width:100%;height:auto;border-radius:8px}`;

const URLS = /\bhttps?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}]/g;

/*
 * mount(ui): builds the panel into the button's shadow root.  Answers
 * { toggle }.  The visitor's token stays in the site's localStorage and in this
 * function.
 */
export function mount(ui) {
	const { h, key, root, button, badge, icon } = ui, t = TEXTS[ui.lang];
	const phone = matchMedia('(max-width:480px)');
	const clock = new Intl.DateTimeFormat(ui.lang, { timeStyle: 'short' });
	const shown = new Map();   /* message id -> its element */
	const waiting = new Map(); /* client_id -> the element that stands for it */
	let session = load(), push = null, next = null, typist = 0, stateTimer = 0;
	let starting = null, resuming = null, readTimer = 0, troubled = false;

	/* ---- the parts ---- */

	ui.style(root, css(ui.side));
	const sub = h('div.sub', null, t.soon);
	const title = h('h2', { id: 'title' }, t.title);
	const close = h('button.plain', { type: 'button', 'aria-label': t.close,
		title: t.close }, icon('M6 6l12 12M18 6L6 18'));
	const state = h('div.state', { role: 'status', hidden: true });
	const older = h('button.older', { type: 'button', hidden: true }, t.older);
	const list = h('div', { role: 'log', 'aria-live': 'polite',
		'aria-labelledby': 'title' });
	const own = h('div'); /* sent, and not yet come back as an event */
	const ended = h('p.note', { hidden: true }, t.ended);
	const typingText = h('span');
	const typing = h('div.typing', { hidden: true }, h('i', null, h('b')),
	    typingText);
	const hello = draw({ content: t.hello, sender: { kind: 'system' } });
	const scroll = h('div.scroll', { tabIndex: 0, role: 'region',
		'aria-labelledby': 'title' }, older, hello, list, own, ended,
	    typing);
	const jump = h('button.jump', { type: 'button', hidden: true }, t.fresh);
	const name = h('input', { name: 'name', autocomplete: 'name', maxLength: 100,
		placeholder: t.name, 'aria-label': t.name });
	const text = h('textarea', { rows: 1, maxLength: 4000, placeholder: t.write,
		'aria-label': t.write, enterKeyHint: 'send', dir: 'auto' });
	const go = h('button.plain.go', { type: 'submit', 'aria-label': t.send,
		title: t.send, disabled: true },
	    icon('M4.4 11.9 20 4.6l-5.6 15.2-3-6zM11.4 13.8l4-4.2'));
	const file = h('input', { type: 'file', multiple: true, hidden: true });
	const picked = h('div');
	const clip = h('button.plain', { type: 'button', 'aria-label': t.attach,
		title: t.attach, onclick: () => file.click() },
	    icon('M20 11l-8 8a5 5 0 0 1-7-7l8-8a3 3 0 0 1 5 5l-8 8a1 1 0 0 1-2-2l7-7'));
	const kept = h('p', null, t.kept);
	const form = h('form', { noValidate: true }, name, picked,
	    h('div.row', null, clip, file, text, go), kept);
	const panel = h('section.panel', { role: 'dialog', hidden: true,
		tabIndex: -1, 'aria-labelledby': 'title' }, h('header', null, h('div', null, title,
		sub), close), state, scroll, jump, form);

	/* ---- what is kept in the browser ---- */

	function load() {
		try {
			return JSON.parse(localStorage.getItem(key));
		} catch {
			return null;
		}
	}

	function save(s) {
		session = s;
		try {
			if (s)
				localStorage.setItem(key, JSON.stringify(s));
			else
				localStorage.removeItem(key);
		} catch { /* it lasts as long as the page */ }
	}

	function remember(open) {
		try {
			sessionStorage.setItem(key, open ? '1' : '');
		} catch { /* it begins closed */ }
	}

	/* ---- messages ---- */

	function body(m) {
		return [...m.content ? linked(m.content) : [],
			...(m.attachments ?? []).map((a) => {
				const url = a.url ? new URL(a.url, ui.base + '/') : null;
				const label = a.name || t.file;
				if (/^\/media\//.test(a.url))
					return medium(a, label);
				return url && /^https?:$/.test(url.protocol) ?
				    link(url.href, label) : label;
			})];
	}

	/* One of our files: fetched by token, which a link could not carry. */
	function medium(a, label) {
		const blob = async () => URL.createObjectURL(
		    await (await push.fetch('GET', a.url)).blob());
		if (!/^image\//.test(a.mime))
			return h('a', { href: '#', onclick: async (e) => {
				e.preventDefault();
				const url = await blob();
				h('a', { href: url, download: label }).click();
				setTimeout(() => URL.revokeObjectURL(url), 60000);
			} }, label);
		const img = h('img', { alt: label, width: a.width, height: a.height });
		blob().then((url) => {
			img.onload = () => URL.revokeObjectURL(url);
			img.src = url;
		}, () => {});
		return img;
	}

	function link(href, label) {
		return h('a', { href, target: '_blank',
			rel: 'noopener noreferrer nofollow ugc' }, label);
	}

	function linked(s) {
		const out = [];
		let at = 0;

		for (const m of s.matchAll(URLS)) {
			out.push(s.slice(at, m.index), link(m[0], m[0]));
			at = m.index + m[0].length;
		}
		out.push(s.slice(at));
		return out;
	}

	function draw(m) {
		const mine = m.sender?.kind === 'customer';
		const e = h('div.m', null, h('span.who', null, h('bdi', null,
		    mine ? t.you : m.sender?.name || t.us),
		m.sender?.kind === 'bot' ? ' · ' + t.bot : ''),
		h('p'), h('small'));

		e.classList.toggle('own', mine);
		e.at = m.created_at ?? Date.now();
		e.who = mine ? '' : `${m.sender?.kind} ${m.sender?.id}`;
		e.message = m.id;
		fill(e, m);
		return e;
	}

	function fill(e, m) {
		e.classList.toggle('gone', !!m.deleted_at);
		e.children[1].replaceChildren(...m.deleted_at ? [t.deleted] : body(m));
		e.edited = m.edited_at && !m.deleted_at;
		status(e, m.status);
	}

	function status(e, s) {
		e.state = s;
		e.classList.toggle('bad', s === 'failed');
		e.classList.toggle('wait', s === 'queued' || s === 'sending');
	}

	/* Name above the first of a row by one person, time below the last. */
	function tidy() {
		const all = [...list.children, ...own.children];
		const last = all.findLast((e) => !e.who);

		all.forEach((e, i) => {
			const before = all[i - 1], after = all[i + 1];
			const apart = (a, b) => !a || !b || a.who !== b.who ||
			    b.at - a.at > 300000;
			e.classList.toggle('head', !!e.who && apart(before, e));
			e.classList.toggle('tail', apart(e, after) || e === last);
			const foot = [clock.format(e.at)];
			if (e.edited)
				foot.push(t.edited);
			if (!e.who && (e === last || e.state === 'failed') && t[e.state])
				foot.push(t[e.state]);
			const line = foot.join(' · ');
			if (e.line !== line) {
				e.line = line;
				e.lastChild.replaceChildren(line, ...e.client_id &&
				    e.state === 'failed' ? actions(e.client_id) : []);
			}
		});
		kept.hidden = name.hidden = !!session;
	}

	const actions = (id) => [['retry', t.retry], ['discard', t.discard]].map(
	    ([what, label]) => h('button', { type: 'button',
		onclick: () => push?.[what](id) }, label));

	const atEnd = () =>
	    scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;

	function change(fn, follow) {
		const end = atEnd();

		fn();
		tidy();
		if (end || follow)
			toEnd();
	}

	function toEnd() {
		scroll.scrollTop = scroll.scrollHeight;
		jump.hidden = true;
	}

	function arrived(m) {
		if (m.conversation_id !== session.conversation || shown.has(m.id))
			return;
		const e = draw(m), mine = !e.who, there = atEnd();
		change(() => {
			waiting.get(m.client_id)?.remove();
			waiting.delete(m.client_id);
			shown.set(m.id, e);
			list.append(e);
			if (mine)
				return;
			typed(false);
			if (m.sender.kind === 'agent') /* who answers has read */
				readTo(e);
		}, mine);
		jump.hidden = mine || there || panel.hidden;
		count();
	}

	function readTo(last) {
		for (const e of list.children) {
			if (!e.who)
				status(e, 'read');
			if (e === last)
				break;
		}
	}

	/* Unread is what came from them after the last that was seen here. */
	function count() {
		const theirs = [...list.children].filter((e) => e.who);

		if (!session || theirs.length === 0)
			return;
		const last = theirs.at(-1).message;
		if (!panel.hidden && !document.hidden && session.seen !== last) {
			save({ ...session, seen: last });
			clearTimeout(readTimer);
			readTimer = setTimeout(() => push?.fetch('POST',
			    `/api/conversations/${session.conversation}/read`,
			    { message_id: last }).catch(() => {}), 300);
		}
		const n = theirs.length - 1 -
		    theirs.findIndex((e) => e.message === session.seen);
		badge.hidden = n === 0;
		badge.textContent = n > 9 ? '9+' : n;
		button.setAttribute('aria-label',
		    ui.open + (n ? ', ' + t.unread(n) : ''));
	}

	function typed(on, who) {
		clearTimeout(typist);
		typingText.textContent = t.typing(who || t.us);
		if (on)
			typist = setTimeout(typed, 5000, false);
		if (typing.hidden === !on)
			return;
		change(() => (typing.hidden = !on));
	}

	/* ---- the session ---- */

	const api = (method, path, token, data) => fetch(ui.base + path, { method,
		cache: 'no-store', credentials: 'omit',
		headers: { ...token && { Authorization: 'Bearer ' + token },
			...data && { 'Content-Type': 'application/json' } },
		body: data && JSON.stringify(data) });

	const page = (before) => api('GET', '/api/conversations/' +
	    session.conversation + '/messages?limit=30' +
	    (before ? '&before=' + encodeURIComponent(before) : ''), session.token);

	async function begin() {
		const res = await api('POST', '/api/widget/session', null, {
			name: name.value.trim() || undefined, locale: ui.lang,
			page: location.origin + location.pathname });
		if (!res.ok)
			throw Object.assign(new Error(res.status),
			    { told: { 429: t.fast, 503: t.busy }[res.status] });
		const j = await res.json();
		save({ token: j.token, conversation: j.conversation.id,
			customer: j.customer.id });
		await resume();
	}

	/* Shows what there is, and follows it from there. */
	function resume() {
		resuming ??= reload().finally(() => (resuming = null));
		return resuming;
	}

	async function reload() {
		for (let n = 0; session;) {
			const { token } = session;
			try {
				const res = await page();
				if (token !== session?.token)
					continue;
				if ([401, 403, 404, 410].includes(res.status)) {
					forget();
					return;
				}
				if (!res.ok)
					throw new Error(res.status);
				show(await res.json());
				return;
			} catch {
				said(n ? 'reconnecting' : 'connecting');
				await new Promise((done) => setTimeout(done,
				    Math.min(1000 * 2 ** n++, 30000)));
			}
		}
	}

	function show({ items, next: more, cursor }) {
		shown.clear();
		list.replaceChildren();
		prepend(items, more);
		if (push) {
			push.resume(cursor);
		} else {
			push = new Push({ base: ui.base, token: session.token, cursor,
				storageKey: `${key} ${session.customer}` });
			listen();
			push.pending(session.conversation).forEach((e) =>
			    boxed({ ...e, state: e.error ? 'failed' : 'queued' }));
			push.start();
		}
		toEnd();
		count();
	}

	function prepend(items, more) {
		for (const m of items) {
			if (shown.has(m.id))
				continue;
			const e = draw(m);
			shown.set(m.id, e);
			waiting.get(m.client_id)?.remove();
			waiting.delete(m.client_id);
			list.prepend(e);
		}
		next = more;
		older.hidden = !more;
		hello.hidden = !!more;
		tidy();
	}

	/* The session is no more: what is on the screen stays to be read. */
	function forget() {
		push?.stop();
		push = null;
		save(null);
		said('connected');
		tidy();
	}

	function listen() {
		const here = (fn) => (d) =>
		    d.conversation_id === session?.conversation && fn(d);

		push.on('new_message', arrived);
		push.on('message_updated', here((m) => {
			if (shown.has(m.id))
				change(() => fill(shown.get(m.id), m));
		}));
		push.on('message_deleted', here((m) => {
			if (shown.has(m.id))
				change(() => fill(shown.get(m.id),
				    { deleted_at: m.deleted_at ?? 1 }));
		}));
		push.on('message_status', here((m) => {
			const e = shown.get(m.message_id);
			if (e)
				change(() => status(e, m.status));
		}));
		push.on('read_receipt', here((r) => {
			const to = shown.get(r.message_id);
			if (r.read_by_kind === 'customer' || !to)
				return;
			change(() => readTo(to));
		}));
		push.on('typing_indicator', here((d) =>
		    d.kind !== 'customer' && typed(d.typing, d.user_name)));
		push.on('presence_update', (d) => {
			const on = d.here === true;
			sub.textContent = on ? t.here : t.soon;
			sub.classList.toggle('on', on);
		});
		push.on('conversation_updated', (c) => {
			if (c.id === session?.conversation)
				change(() => (ended.hidden = c.status !== 'closed'));
		});
		push.on('outbox', boxed);
		push.on('state', said);
		push.on('reset', resume);
		push.on('refused', forget);
	}

	/* ---- sending ---- */

	function boxed(e) {
		if (e.conversation !== session?.conversation)
			return;
		let el = waiting.get(e.client_id);

		if (e.state === 'gone' || (e.message && shown.has(e.message.id))) {
			change(() => el?.remove());
			waiting.delete(e.client_id);
			return;
		}
		change(() => {
			if (!el) {
				el = draw({ content: e.body.content,
					attachments: e.body.files, created_at: e.at,
					sender: { kind: 'customer' } });
				el.client_id = e.client_id;
				waiting.set(e.client_id, el);
				own.append(el);
			} else if (e.state === 'queued' && el.state === 'failed') {
				own.append(el);
			}
			status(el, e.state);
		}, !el);
	}

	/* Whether there is a conversation; makes one if it must. */
	async function ready() {
		if (starting)
			return false;
		if (!push) {
			go.disabled = true;
			starting = session ? resume() : begin();
			try {
				await starting;
			} catch (e) {
				/* the visitor's language, not the browser's */
				said('error', e.told);
			}
			starting = null;
			go.disabled = false;
		}
		return !!push;
	}

	/* Files of the next message go up at once; a chip for each until then. */
	let files = [];

	async function attach(list) {
		if (!list.length || !await ready())
			return;
		for (const f of list) {
			const e = { got: null };
			e.chip = h('button.chip', { type: 'button', title: t.drop,
				onclick: () => drop(e) }, f.name + ' ×');
			e.done = upload(f).then((a) => {
				if (!(e.got = a))
					drop(e);
				return a;
			});
			picked.append(e.chip);
			files.push(e);
		}
		grow();
		text.focus();
	}

	function drop(e) {
		e.chip.remove();
		files = files.filter((f) => f !== e);
		grow();
	}

	async function upload(f) {
		try {
			const res = await push.fetch('POST', '/api/uploads?name=' +
			    encodeURIComponent(f.name), f), a = await res.json();
			if (!res.ok)
				throw a;
			return a;
		} catch {
			said('error', t.refused);
			return null;
		}
	}

	async function submit() {
		const content = text.value.trim();

		if ((content === '' && !files.length) || !await ready())
			return;
		const mine = files;
		text.value = '';
		files = [];
		grow();
		const up = await Promise.all(mine.map((f) => f.done));
		if (up.includes(null)) {
			text.value ||= content;
			files = [...mine.filter((f) => f.got), ...files];
			grow();
			return;
		}
		mine.forEach((f) => f.chip.remove());
		push.send(session.conversation, { content, ...up.length &&
		    { attachments: up.map((a) => a.id), files: up } });
		toEnd();
	}

	function grow() {
		text.style.height = '';
		text.style.height = Math.max(text.scrollHeight, 42) + 'px';
		go.disabled = text.value.trim() === '' && !files.length;
	}

	/* A short cut is not worth a word; one that lasts is, and its end too. */
	function said(s, why) {
		clearTimeout(stateTimer);
		const ok = s === 'connected';
		const say = () => {
			state.textContent = s === 'error' && why ? why :
			    t[s === 'error' || s === 'offline' ? 'lost' : s];
			state.classList.toggle('ok', ok);
			state.hidden = false;
		};
		if (!ok) {
			stateTimer = setTimeout(() => {
				troubled = true;
				say();
			}, s === 'offline' || s === 'error' ? 0 : 800);
		} else if (troubled) {
			troubled = false;
			say();
			stateTimer = setTimeout(() => (state.hidden = true), 2000);
		} else {
			/* said again by a better transport: the word stays its time */
			stateTimer = setTimeout(() => (state.hidden = true),
			    state.classList.contains('ok') ? 2000 : 0);
		}
	}

	/* ---- opening, closing, keys ---- */

	function toggle(open = panel.hidden, quiet = false) {
		panel.hidden = !open;
		button.setAttribute('aria-expanded', String(open));
		button.hidden = open && phone.matches;
		if (phone.matches && open)
			panel.setAttribute('aria-modal', 'true');
		else
			panel.removeAttribute('aria-modal');
		remember(open);
		if (open) {
			toEnd();
			count();
			if (!quiet)
				(phone.matches ? panel : text).focus();
		} else {
			push?.typing(session.conversation, false);
			button.focus();
		}
	}

	panel.addEventListener('keydown', (e) => {
		if (e.key === 'Escape' && !e.isComposing) {
			e.stopPropagation();
			toggle(false);
		} else if (e.key === 'Tab' && phone.matches) {
			const stops = [...panel.querySelectorAll(
			    'button,input,textarea,a,[tabindex]')].filter((x) =>
			    !x.disabled && x.getClientRects().length > 0);
			const first = stops[0], last = stops.at(-1);
			if (root.activeElement === (e.shiftKey ? first : last)) {
				e.preventDefault();
				(e.shiftKey ? last : first).focus();
			}
		}
	});
	text.addEventListener('keydown', (e) => {
		if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
			e.preventDefault();
			submit();
		}
	});
	text.addEventListener('input', () => {
		grow();
		push?.typing(session.conversation, text.value !== '');
	});
	file.addEventListener('change', () => {
		const list = [...file.files];
		file.value = '';
		attach(list);
	});
	form.addEventListener('submit', (e) => {
		e.preventDefault();
		submit();
		text.focus();
	});
	close.addEventListener('click', () => toggle(false));
	jump.addEventListener('click', toEnd);
	scroll.addEventListener('scroll', () => {
		if (atEnd())
			jump.hidden = true;
	}, { passive: true });
	older.addEventListener('click', async () => {
		const height = scroll.scrollHeight;
		older.disabled = true;
		try {
			const { items, next: more } = await (await page(next)).json();
			list.setAttribute('aria-live', 'off');
			prepend(items, more);
			scroll.scrollTop += scroll.scrollHeight - height;
			setTimeout(() => list.setAttribute('aria-live', 'polite'), 100);
		} catch { /* it may be pressed again */ }
		older.disabled = false;
	});
	document.addEventListener('visibilitychange', count);
	phone.addEventListener('change', () => {
		if (!panel.hidden)
			toggle(true, true);
		if (view)
			fit();
	});
	/* A phone's keyboard covers the page; the panel keeps to what is seen. */
	const view = globalThis.visualViewport;
	const fit = () => {
		const end = atEnd(), on = phone.matches;
		panel.style.height = on ? view.height + 'px' : '';
		panel.style.top = on ? view.offsetTop + 'px' : '';
		if (end)
			toEnd();
	};
	view?.addEventListener('resize', fit);
	view?.addEventListener('scroll', fit);
	/* another tab of this site began or read */
	addEventListener('storage', (e) => {
		if (e.key !== key)
			return;
		const had = session?.token;
		session = load();
		if (session?.token !== had) {
			push?.stop();
			push = null;
			resume();
		} else {
			count();
		}
	});

	hello.classList.add('head', 'tail');
	root.prepend(panel);
	tidy();
	if (session)
		resume();
	try {
		if (sessionStorage.getItem(key))
			toggle(true, true);
	} catch { /* it begins closed */ }
	return { toggle: () => toggle() };
}
