/*
 * dom.js: what the live pages share: texts, times in the browser's zone, and
 * putting strangers' words into the page, always as text.
 */

export const page = document.body.dataset;
export const $ = (sel, root = document) => root.querySelector(sel);
export const $$ = (sel, root = document) => [...root.querySelectorAll(sel)];

let texts = {};

/* The page's texts; without them the page keeps the server's. */
export async function loadTexts() {
	try {
		const res = await fetch(`${page.base}/i18n/${page.locale}.json`);
		if (res.ok)
			texts = await res.json();
	} catch { /* offline: what the server rendered has to do */ }
}

/* t('presence.minutes', { n: 5 }) */
export function t(key, values = {}) {
	let text = texts;
	for (const step of key.split('.'))
		text = text?.[step];
	if (typeof text !== 'string')
		return '';
	return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/* ---- times, in the browser's zone ---- */

const two = (n) => String(n).padStart(2, '0');
const MINUTE = 60000, HOUR = 3600000, DAY = 86400000;

export const clock = (at) => {
	const d = new Date(at);
	return two(d.getHours()) + ':' + two(d.getMinutes());
};

export const dayKey = (at) => {
	const d = new Date(at);
	return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
};

const daysAgo = (at) => {
	const midnight = (x) => new Date(x).setHours(0, 0, 0, 0);
	return Math.round((midnight(Date.now()) - midnight(at)) / DAY);
};

function date(key, at) {
	const d = new Date(at);
	return t('time.' + key, {
		weekday: texts.time?.weekday?.[d.getDay()],
		month_name: texts.time?.month?.[d.getMonth()],
		day: d.getDate(), month: d.getMonth() + 1, year: d.getFullYear(),
	});
}

export function dayName(at) {
	const days = daysAgo(at);
	return days <= 0 ? t('time.today') : days === 1 ? t('time.yesterday') :
	    date(days < 300 ? 'day' : 'day_year', at);
}

/* The moment as a list shows it. */
export function when(at) {
	const days = daysAgo(at);
	return days <= 0 ? clock(at) : days === 1 ? t('time.yesterday') :
	    date(days < 300 ? 'short' : 'day_year', at);
}

/* A moment to come. */
export const coming = (at) => daysAgo(at) === 0 ? clock(at) :
    clock(at) + ', ' + date('short', at);

export function presence(status, seen) {
	const ago = Date.now() - seen;
	if (status !== 'offline' || !seen)
		return t('presence.' + (status || 'offline'));
	if (ago < 5 * MINUTE)
		return t('presence.just_now');
	if (ago < HOUR)
		return t('presence.minutes', { n: Math.floor(ago / MINUTE) });
	if (ago < DAY)
		return t('presence.hours', { n: Math.floor(ago / HOUR) });
	return t('presence.days', { n: Math.floor(ago / DAY) });
}

/* Show who is here; ${root} is a .presence with a dot and a text. */
export function showPresence(root, status, seen) {
	root.dataset.status = status;
	if (seen)
		root.dataset.seen = seen;
	$('.dot', root).className = 'dot ' + status;
	$('.presence-text', root).textContent =
	    presence(status, Number(root.dataset.seen));
}

/* Times and presence again, as the clock now has it. */
export function showTimes() {
	if (!texts.time)
		return;
	for (const e of $$('time[data-at]')) {
		const at = Number(e.dataset.at);
		if (at)
			e.textContent = 'date' in e.dataset ? date('day_year', at) :
			    'short' in e.dataset ? when(at) :
			    'coming' in e.dataset ? coming(at) : clock(at);
	}
	for (const e of $$('.presence[data-seen]'))
		showPresence(e, e.dataset.status, Number(e.dataset.seen));
}

/* ---- words of strangers ---- */

const LINK = /(?<![A-Za-z0-9])(?:https?:\/\/|mailto:|tel:)[^\s<>"]+/gi;

/* Put ${text} into ${node}; only http, https, mailto and tel become links. */
export function putText(node, text) {
	let from = 0;
	node.replaceChildren();
	for (const found of text.matchAll(LINK)) {
		let url = found[0];
		for (;;) {
			const last = url.at(-1), count = (c) => url.split(c).length;
			if (!'.,;:!?\'*'.includes(last) &&
			    !(last === ')' && count(')') > count('(')))
				break;
			url = url.slice(0, -1);
		}
		if (/^[a-z]+:(\/\/)?$/i.test(url))
			continue;
		const a = document.createElement('a');
		a.href = url;
		a.rel = 'noopener noreferrer nofollow ugc';
		a.target = '_blank';
		a.textContent = url;
		node.append(text.slice(from, found.index), a);
		from = found.index + url.length;
	}
	node.append(text.slice(from));
}

/* ---- the line that says how the connection is ---- */

export function showConnection(push) {
	const line = $('#connection');
	let timer, shown = false;

	push.on('state', (state, transport) => {
		document.body.dataset.state = state;
		document.body.dataset.transport = transport ?? '';
		clearTimeout(timer);
		if (!line)
			return;
		const show = () => {
			shown = true;
			line.className = 'connection ' + state;
			line.textContent = t('connection.' + state);
			line.hidden = false;
		};
		if (state === 'connected') {
			/* said again when a better transport takes over */
			if (shown)
				show();
			shown = false;
			timer = setTimeout(() => (line.hidden = true), 2000);
		} else {
			/* a page that connects at once need not say so */
			timer = setTimeout(show, shown ? 0 : 500);
		}
	});
}

/* showCount(n): unread ones in the tab's title */
export function showCount(n) {
	document.title = document.title.replace(/^\(\d+\+?\) /, '');
	if (n > 0)
		document.title = `(${n}) ${document.title}`;
}

/*
 * Ask the server for ${url} and put its parts in the place of ours; those one
 * is typing in stay.
 */
export async function replaceParts(url, selectors) {
	const res = await fetch(url, { cache: 'no-store',
	    credentials: 'same-origin' });
	if (!res.ok || res.redirected)
		return null;
	const fresh = new DOMParser().parseFromString(await res.text(),
	    'text/html');
	for (const sel of selectors) {
		const ours = $(sel), theirs = $(sel, fresh);
		if (ours && theirs && !ours.contains(document.activeElement))
			ours.replaceWith(document.adoptNode(theirs));
	}
	showTimes();
	return fresh;
}
