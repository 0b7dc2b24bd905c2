// Chromium, as the tests of the browser's side want it.
import { chromium } from 'playwright-core';

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
      '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}

// A page where no script runs.  A click on a link or a button leads to another
// page, and is done when that is there: nothing is read from the one before.
// Where pages load themselves again (page_refresh_s, which tests of other things
// set high) a refresh may come in between: such a test looks again and again.
export async function plain(browser, options = {}) {
  const context = await browser.newContext({ javaScriptEnabled: false, ...options });
  const page = await context.newPage();
  const frame = page.mainFrame(), click = frame.click.bind(frame);
  frame.click = async (selector, o) => {
    const leads = await frame.locator(selector).evaluate((e) =>
      e.matches('a[href], button:not([type=button]), [type=submit]'));
    if (leads)
      await Promise.all([page.waitForNavigation(), click(selector, o)]);
    else
      await click(selector, o);
  };
  return page;
}

// A closed shadow root is closed to tests as well: they open it beforehand.
export function openShadows(context) {
  return context.addInitScript(() => {
    const attach = Element.prototype.attachShadow;
    Element.prototype.attachShadow = function (init) {
      return attach.call(this, { ...init, mode: 'open' });
    };
  });
}
