/*
 * inbox.js: makes the agents' pages live.  The list is the server's: what an
 * event says about a row is shown at once, and the rest is asked for again.
 */

import { Push } from './push.js';
import { Talk } from './talk.js';
import { $, $$, coming, loadTexts, page, replaceParts, showConnection, showCount,
    showPresence, showTimes, t, when } from './dom.js';

const LIST_PAUSE = 1000; /* ms between two looks at the list */
const WINDOW_SOON = 2 * 3600000; /* the end of free answers is near */
const AGAIN_PAUSE = 2000; /* ms between two looks at what is under way */
const WINDOW_PAUSE = 300, TIMER_MAX = 0x7fffffff; /* ms */

const push = new Push({ base: page.base, cursor: page.cursor,
    storageKey: 'parley:u:' + page.me });

/* ---- the list ---- */

let listTimer, listAt = 0, rowsAsked = 0;

function listUrl() {
	const url = new URL(page.base + '/inbox', location.href);
	const rows = $('#rows');
	url.searchParams.set('view', rows?.dataset.filter ?? 'open');
	if (rows?.dataset.q)
		url.searchParams.set('q', rows.dataset.q);
	return url;
}

/* The list as the server has it now; at once, but not all the time. */
function refreshList() {
	clearTimeout(listTimer);
	listTimer = setTimeout(async () => {
		const mine = ++rowsAsked;
		listAt = Date.now();
		const rows = $('#rows');
		const paged = new URLSearchParams(location.search).has('page');
		const top = rows?.scrollTop;
		try {
			const fresh = await replaceParts(listUrl(),
			    mine !== rowsAsked || paged || !rows ? ['#unread-total'] :
			    ['#rows', '#rows-empty', '#unread-total']);
			if (!fresh)
				return;
			if ($('#rows'))
				$('#rows').scrollTop = top;
			markCurrent();
			showCount(Number($('#unread-total').textContent));
		} catch { /* the next event asks again */ }
	}, Math.max(0, listAt + LIST_PAUSE - Date.now()));
}

function markCurrent() {
	const row = page.conversation && $('#c' + page.conversation);
	if (row) {
		row.classList.add('current');
		$('a', row).setAttribute('aria-current', 'true');
	}
}

/* What a new message changes about a row, before the server is asked. */
function touchRow(m) {
	const row = $('#c' + m.conversation_id), time = row && $('time', row);
	const mine = m.sender?.kind === 'agent' && m.sender.id === page.me;

	if (!row)
		return;
	$('.preview-text', row).textContent = m.content || t('kind.' + m.kind);
	let mark = $('.mark', row);
	const word = m.type === 'note' ? t('inbox.note_mark') :
	    m.sender?.kind === 'bot' ? t('inbox.bot_mark') : mine ? t('inbox.you') : '';
	if (word && !mark) {
		mark = document.createElement('span');
		mark.className = 'mark';
		$('.preview', row).prepend(mark, ' ');
	}
	if (mark)
		mark.textContent = word;
	time.dataset.at = m.created_at;
	time.textContent = when(m.created_at);
	if (new URLSearchParams(location.search).has('page'))
		return;
	const rows = $('#rows');
	if (rows.firstElementChild !== row && !row.contains(document.activeElement))
		rows.prepend(row);
}

push.on('new_message', (m) => {
	touchRow(m);
	refreshList();
});
for (const type of ['new_conversation', 'message_deleted', 'message_updated',
    'customer_updated', 'customer_deleted'])
	push.on(type, refreshList);

/* ---- who is there ---- */

push.on('customer_status', (d) => {
	for (const e of $$(`.presence[data-customer="${CSS.escape(d.customer_id)}"]`))
		showPresence(e, d.status, d.last_seen);
	for (const e of $$(`.row[data-customer="${CSS.escape(d.customer_id)}"] .dot`))
		e.className = 'dot ' + d.status;
});
push.on('presence_update', (d) => {
	if (d.user_id === page.me)
		$('#my-dot').className = 'dot ' + d.status;
});

/* ---- until when the customer can be answered ---- */

let windowTimer;

function windowNotice(w, now) {
	if (w.state === 'closed')
		return now <= w.until ? 'not_allowed' : 'closed';
	if (w.state === 'paid')
		return 'paid';
	return w.free_until && w.free_until - now < WINDOW_SOON ? 'soon' : '';
}

/* What the platform allows now, and again when the next limit is reached. */
function showWindow(w) {
	const line = $('#window'), now = Date.now();
	const notice = windowNotice(w, now);
	const time = coming(notice === 'soon' ? w.free_until : w.until);
	const next = Math.min(...[w.free_until - WINDOW_SOON, w.free_until,
	    w.until].filter((at) => at > now));

	line.dataset.state = w.state;
	line.hidden = notice === '';
	line.textContent = notice && t('window.' + notice, { time });
	clearTimeout(windowTimer);
	if (next < Infinity)
		windowTimer = setTimeout(askWindow,
		    Math.min(next - now + 1000, TIMER_MAX));
}

async function askWindow() {
	try {
		const res = await push.fetch('GET',
		    '/api/conversations/' + page.conversation);
		const w = res.ok && (await res.json()).reply_window;
		if (w)
			showWindow(w);
	} catch { /* the next message asks again */ }
}

function watchWindow() {
	const d = $('#window')?.dataset;

	if (!d)
		return;
	showWindow({ state: d.state, free_until: Number(d.free),
	    until: Number(d.until) });
	push.on('new_message', (m) => {
		if (String(m.conversation_id) !== page.conversation ||
		    m.type === 'note')
			return;
		clearTimeout(windowTimer);
		windowTimer = setTimeout(askWindow, WINDOW_PAUSE);
	});
}

/* ---- the conversation ---- */

function openTalk() {
	const among = !page.customer;
	const own = (m) => m.sender?.kind === 'agent' && m.sender.id === page.me;
	const talk = new Talk(push, {
		among,
		side: (m) => m.sender?.kind === 'system' ? 'mid' :
		    own(m) || (!among && m.sender?.kind !== 'customer') ? 'us' : 'them',
		name: (m) => own(m) ? t('app.you') : m.sender?.name ||
		    t(m.sender?.kind === 'bot' ? 'conversation.bot' :
		    m.sender?.kind === 'system' ? 'conversation.system' :
		    'inbox.anonymous'),
	});
	/* Head, card and the bot's line say who has it and how it stands. */
	push.on('conversation_updated', (c) => {
		if (String(c.id) === page.conversation)
			replaceParts(location.href, ['.talk-head', '#card', '#closed',
			    '#bot-line'])
			    .catch(() => {});
	});
	return talk;
}
push.on('conversation_updated', refreshList);

/* ---- what is under way ---- */

/* A part that waits for something is asked for until it does not. */
async function lookAgain() {
	const part = $('[data-again]')?.dataset.again;

	if (!part)
		return;
	try {
		await replaceParts(location.href, [part]);
	} catch { /* the next time */ }
	setTimeout(lookAgain, AGAIN_PAUSE);
}

/* What has no cursor any more is loaded anew; a draft is kept. */
push.on('reset', () => location.reload());
push.on('refused', () => location.reload());

await loadTexts();
showTimes();
setInterval(showTimes, 60000);
showConnection(push);
document.documentElement.classList.add('live');
if (page.conversation) {
	openTalk();
	watchWindow();
}
setTimeout(lookAgain, AGAIN_PAUSE);
push.start();
