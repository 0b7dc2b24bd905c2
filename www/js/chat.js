/* chat.js: makes the visitor's conversation live. */

import { Push } from './push.js';
import { Talk } from './talk.js';
import { $, loadTexts, page, showConnection, showCount, showTimes, t }
    from './dom.js';

const push = new Push({ base: page.base, token: page.token || null,
    cursor: page.cursor, storageKey: 'parley:c:' + page.customer });

push.on('presence_update', (d) => {
	const here = d.here === true;
	$('#presence .dot').className = 'dot ' + (here ? 'online' : 'offline');
	$('#presence .presence-text').textContent =
	    t(here ? 'presence.somebody' : 'chat.answer_soon');
});
push.on('conversation_updated', (c) => {
	if (String(c.id) !== page.conversation)
		return;
	$('#closed').hidden = c.status !== 'closed';
	if ($('#end-form'))
		$('#end-form').hidden = c.status === 'closed';
});
push.on('reset', () => location.reload());

/* Without a token there is nothing to listen with; the forms do as ever. */
if (page.token) {
	await loadTexts();
	showTimes();
	setInterval(showTimes, 60000);
	showConnection(push);
	document.documentElement.classList.add('live');
	new Talk(push, {
		side: (m) => m.sender?.kind === 'system' ? 'mid' :
		    m.own || m.sender?.kind === 'customer' ? 'us' : 'them',
		name: (m) => m.sender?.name || t('chat.team'),
		onUnseen: showCount,
	});
	push.start();
}
