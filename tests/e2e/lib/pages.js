// What tests of pages share: logging in, the forms of window and language in
// which a page must read well, and pictures of it.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

// PARLEY_SHOTS=folder leaves pictures there.
const shots = process.env.PARLEY_SHOTS;
if (shots)
	mkdirSync(shots, { recursive: true });

// One of the workspace's people logs in, on the way to `path`.
export async function enter(page, p, who, path = '/login') {
	const { email, password } = p.logins.find((x) => x.role === who);
	await page.goto(p.url + path);
	await page.fill('#email', email);
	await page.fill('#password', password);
	await page.click('#submit');
	return page;
}

// Each language, for the one whose API this is, in a wide window and a narrow
// one: see(lang, viewport, colorScheme).  In the end it is Vietnamese again.
export async function eachLook(api, see) {
	const speak = async (locale) =>
		assert.equal((await api.patch('/api/me', { locale })).status, 200);
	for (const lang of ['vi', 'th', 'en']) {
		await speak(lang);
		for (const viewport of [{ width: 1280, height: 900 }, { width: 360, height: 740 }]) {
			const dark = viewport.width < 500 && lang === 'th';
			await see(lang, viewport, dark ? 'dark' : 'light');
		}
	}
	await speak('vi');
}

// No text of `where` is missing, and nothing is wider than the window.
export async function readsWell(page, where, name) {
	for (const t of await page.locator(where).allTextContents())
		assert.ok(t.trim().length > 0, name);
	assert.ok(await page.evaluate(() => {
		const m = document.getElementById('main');
		return m.scrollWidth <= m.clientWidth &&
			document.documentElement.scrollWidth <= window.innerWidth;
	}), name);
}

// A picture, where they are wanted; of all that scrolls where it is `whole`.
export async function picture(page, name, whole = false) {
	if (!shots)
		return;
	if (whole)
		await page.locator('#main').evaluate((m) => {
			document.querySelector('.app').style.height = `${m.scrollHeight + 80}px`;
		});
	await page.screenshot({ path: `${shots}/${name}.png`, fullPage: whole });
}
