/*
 * widget.js: what a shop's page loads.  <script src="/widget.js" async
 * data-parley> puts a button there; the chat itself is widget-panel.js, loaded
 * at the first touch of the button, or soon after the page for a visitor who
 * has chatted before.  Nothing of the host page is read but its language, and
 * nothing is left in its globals.
 *
 * Attributes, all optional: data-parley="https://chat.example" (else where this
 * script came from), data-lang="vi|th|en", data-color="#0f6b5c",
 * data-position="left|right".
 */
(() => {
	'use strict';

	const me = document.currentScript ??
	    document.querySelector('script[data-parley]');
	const base = new URL(me.dataset.parley ||
	    me.src.replace(/\/(js\/)?widget\.js.*$/, '') || '/', location.href)
	    .href.replace(/\/+$/, '');
	const key = 'parley ' + base;
	const OPEN = { vi: 'Mở khung chat', th: 'เปิดแชท', en: 'Open chat' };
	const DOWN = { vi: 'Không kết nối được. Mở trang chat',
		th: 'เชื่อมต่อไม่ได้ เปิดหน้าแชท',
		en: 'Could not connect. Open the chat page' };
	const lang = [me.dataset.lang, document.documentElement.lang,
	    ...navigator.languages ?? []].map((l) => (l || '').slice(0, 2)
	    .toLowerCase()).find((l) => l in OPEN) ?? 'en';

	function h(spec, props, ...children) {
		const [tag, ...names] = spec.split('.');
		const e = document.createElement(tag);

		e.className = names.join(' ');
		for (const [k, v] of Object.entries(props ?? {})) {
			if (k in e && !k.includes('-'))
				e[k] = v;
			else
				e.setAttribute(k, v);
		}
		e.append(...children);
		return e;
	}

	function icon(d) {
		const ns = 'http://www.w3.org/2000/svg';
		const svg = document.createElementNS(ns, 'svg');
		const path = document.createElementNS(ns, 'path');

		svg.setAttribute('viewBox', '0 0 24 24');
		svg.setAttribute('aria-hidden', 'true');
		path.setAttribute('d', d);
		svg.append(path);
		return svg;
	}

	/* A style sheet made by script needs no leave of the page's CSP. */
	function style(root, css) {
		const sheet = new CSSStyleSheet();
		sheet.replaceSync(css);
		root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
	}

	/* Black or white, whichever reads better on the colour (#rgb, #rrggbb). */
	function ink(color) {
		const hex = color.slice(1).replace(/^(.)(.)(.)$/, '$1$1$2$2$3$3');
		const [r, g, b] = [0, 2, 4].map((i) =>
		    (parseInt(hex.slice(i, i + 2), 16) / 255) ** 2.2);
		return 0.21 * r + 0.72 * g + 0.07 * b > 0.3 ? '#111' : '#fff';
	}

	const color = /^#([0-9a-f]{3}){1,2}$/i.test(me.dataset.color) ?
	    me.dataset.color : '#0f6b5c';
	const side = me.dataset.position === 'left' ? 'left' : 'right';
	const host = document.createElement('parley-chat');
	const root = host.attachShadow({ mode: 'closed' });

	style(root, `
:host{all:initial!important;position:fixed!important;z-index:2147483000!important;
inset:auto!important;bottom:0!important;${side}:0!important;
--c:${color};--ink:${ink(color)};color-scheme:light dark}
*{box-sizing:border-box}
[hidden]{display:none!important}
button,textarea,input,a{font:inherit;color:inherit}
svg{width:24px;height:24px;fill:none;stroke:currentColor;stroke-width:1.9;
stroke-linecap:round;stroke-linejoin:round;flex:none}
.launch{position:fixed;bottom:calc(20px + env(safe-area-inset-bottom));${side}:20px;
width:58px;height:58px;padding:0;border:0;border-radius:50%;cursor:pointer;
display:grid;place-items:center;background:var(--c);color:var(--ink);
box-shadow:0 2px 6px #0003,0 8px 24px #0003;transition:transform .15s,box-shadow .15s}
.launch:hover{transform:translateY(-2px);box-shadow:0 4px 8px #0003,0 12px 30px #0004}
.launch svg{width:32px;height:32px}
.launch[aria-busy=true] svg{opacity:.5}
:focus-visible{outline:3px solid var(--c);outline-offset:2px}
.launch:focus-visible{outline-color:Highlight;outline-offset:3px}
.badge{position:absolute;top:-4px;right:-4px;min-width:22px;height:22px;padding:0 6px;
border-radius:11px;background:#c62828;color:#fff;font:600 13px/22px system-ui,sans-serif;
text-align:center;box-shadow:0 0 0 2px #fff}
.down{position:fixed;bottom:90px;${side}:20px;padding:10px 14px;border-radius:10px;
background:#222;color:#fff;font:14px/1.4 system-ui,sans-serif}
@media(prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}
@media print{:host{display:none!important}}`);

	const badge = h('span.badge', { hidden: true, 'aria-hidden': 'true' });
	const button = h('button.launch', { type: 'button', 'aria-label': OPEN[lang],
		'aria-haspopup': 'dialog', 'aria-expanded': 'false' },
	    icon('M20 11.6c0 4-3.6 7.1-8 7.1-1 0-2-.2-2.9-.5L4.8 19.6l1.2-3.5A6.7 6.7' +
		' 0 0 1 4 11.6c0-4 3.6-7.1 8-7.1s8 3.2 8 7.1zM8.5 11.7h.01M12 11.7h.01' +
		'M15.5 11.7h.01'), badge);
	let panel = null, failed = 0;

	/* load() answers the panel.  A browser may remember that a module could not
	 * be had, so another try has another name. */
	function load() {
		panel ??= import(base + '/js/widget-panel.js' +
		    (failed ? '?' + failed : '')).then(({ mount }) =>
		    mount({ base, key, lang, root, button, badge, open: OPEN[lang],
			h, icon, style, side }));
		panel.catch((e) => {
			console.error(e);
			panel = null;
			failed++;
		});
		return panel;
	}

	button.addEventListener('pointerenter', () => load().catch(() => {}));
	button.addEventListener('click', async () => {
		button.setAttribute('aria-busy', 'true');
		root.querySelector('.down')?.remove();
		try {
			(await load()).toggle();
		} catch {
			root.append(h('a.down', { href: base + '/chat', role: 'alert',
				target: '_blank', rel: 'noopener' }, DOWN[lang]));
		}
		button.removeAttribute('aria-busy');
	});

	function begin() {
		if (document.querySelector('parley-chat'))
			return;
		root.append(button);
		host.lang = lang;
		document.body.append(host);
		try {
			if (localStorage.getItem(key))
				setTimeout(() => load().catch(() => {}), 300);
		} catch { /* no storage: a new visitor each time */ }
	}
	if (document.body)
		begin();
	else
		addEventListener('DOMContentLoaded', begin);
})();
