/* demo.js: the language of the demo shop, before anything is painted. */
(() => {
	const lang = new URLSearchParams(location.search).get('lang');

	if (['vi', 'th', 'en'].includes(lang))
		document.documentElement.lang = lang;
	addEventListener('DOMContentLoaded', () => document.querySelector(
	    `.languages [hreflang="${document.documentElement.lang}"]`)
	    .setAttribute('aria-current', 'true'));
})();
