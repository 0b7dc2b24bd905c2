// A customer writes on Zalo: every sample is stored as expected, what is not
// proven is refused, and the same thing twice is there once.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Shop, sample, sampleJson } from './lib/shop.js';

const USER = '4830000000000000091';
let shop;

before(async () => {
  shop = await Shop.open();
  await shop.zalo('http://127.0.0.1:9');
});
after(() => shop?.close());

// A message row in the form of expected.json.
function told(row) {
  const payload = JSON.parse(row.payload ?? '{}');
  const media = JSON.parse(row.attachments ?? '[]')[0] ?? {};
  const out = { direction: row.type === 'incoming' ? 'in' : 'out',
    conversation: row.conversation, user: row.user,
    message_id: row.external_id, kind: row.kind,
    text: row.content === '' ? null : row.content, sent_at: row.sort_at };
  for (const [key, value] of Object.entries({ media_url: media.url,
    media_ref: payload.media_ref, mime: media.mime, name: media.name,
    size: media.size, lat: payload.lat, lon: payload.lon }))
    if (value !== undefined && value !== null)
      out[key] = value;
  return out;
}

test('every sample gives what is expected, whatever came before it', async (t) => {
  const expected = await sampleJson('expected.json');
  const { files } = await sampleJson('signatures.json');
  for (const [name, want] of Object.entries(expected)) {
    if (!name.startsWith('zalo-'))
      continue;
    await t.test(name, async () => {
      const own = await Shop.open();
      try {
        await own.zalo('http://127.0.0.1:9');
        const before = Date.now();
        const got = await own.hook(await sample(name),
          { signature: files[name]['X-ZEvent-Signature'] });
        assert.equal(got.status, 200);
        const rows = await own.sql(`SELECT m.*, c.external_id AS conversation,
          (SELECT external_id FROM customer_identities i
           WHERE i.customer_id = c.customer_id) AS user
          FROM messages m JOIN conversations c ON c.id = m.conversation_id
          ORDER BY m.id`);
        // Shown by the platform's time, where that is not ahead of ours.
        assert.deepEqual(rows.map(told), want.stored.map(({ reply_to, ...m }, i) =>
          ({ ...m, sent_at: m.sent_at < before ? m.sent_at : rows[i].id })));
        assert.equal(rows.length, await own.one(
          "SELECT count(*) FROM events WHERE type = 'new_message'"));
        const marks = await own.sql(`SELECT external_id AS user,
          CASE WHEN unfollowed_at IS NULL THEN 'follow' ELSE 'unfollow' END AS op
          FROM customer_identities WHERE followed_at IS NOT NULL
          OR unfollowed_at IS NOT NULL`);
        if (name === 'zalo-follow.json')
          assert.deepEqual(marks, want.contacts);
        assert.equal(await own.one(
          'SELECT count(*) FROM webhook_inbox'), 1);
        assert.deepEqual(Buffer.from(await own.one(
          'SELECT hex(body) FROM webhook_inbox'), 'hex'), await sample(name));
      } finally {
        await own.close();
      }
    });
  }
});

test('an unfollow marks the contact that followed', async () => {
  await shop.hook(await sample('zalo-follow.json'));
  assert.equal(await shop.one(`SELECT followed_at FROM customer_identities
    WHERE external_id = '${USER}'`), 1795000111001);
  await shop.hook(await sample('zalo-unfollow.json'));
  assert.equal(await shop.one(`SELECT unfollowed_at FROM customer_identities
    WHERE external_id = '${USER}'`), 1795000112001);
});

test('a quote points at the message it quotes', async () => {
  await shop.hook(await sample('zalo-text.json'));
  const quoted = JSON.parse(await sample('zalo-text-quote.json'));
  quoted.message.quote_msg_id = 'zS96d3cdf3af0001';
  assert.equal((await shop.hook(quoted)).status, 200);
  assert.equal(await shop.one(`SELECT q.external_id FROM messages m
    JOIN messages q ON q.id = m.reply_to
    WHERE m.external_id = 'zS96d3cdf3af0002'`), 'zS96d3cdf3af0001');
});

test('forged, cut, stale and nameless ones are refused, and leave nothing', async () => {
  const body = await sample('zalo-image.json');
  const good = shop.sign(body);
  const count = () => shop.one(`SELECT (SELECT count(*) FROM messages)
    + (SELECT count(*) FROM webhook_inbox) + (SELECT count(*) FROM events)`);
  const was = await count();
  const refused = async (status, event, options) => assert.equal(
    (await shop.hook(event, options)).status, status);
  await refused(401, body, { signature: null });
  await refused(401, body, { signature: '' });
  await refused(401, body, { signature: 'mac=' + '0'.repeat(64) });
  await refused(401, body, { signature: good.slice(0, -1) });
  await refused(401, body.subarray(0, body.length - 1), { signature: good });
  await refused(401, Buffer.concat([body, Buffer.from('\n')]),
    { signature: good });
  await refused(401, Buffer.alloc(0), { signature: good });
  await refused(401, Buffer.from('{'), { signature: good });
  const other = Buffer.from(String(body).replace('1795000101001', '1795000101002'));
  await refused(401, other, { signature: good });
  await refused(404, body, { path: '/webhooks/zalo/999' });
  await refused(404, body, { path: `/webhooks/fax/${shop.channel}` });
  await refused(404, body, { path: '/webhooks/web/1' });
  await refused(405, body, { method: 'PUT' });
  await refused(413, Buffer.alloc(4 * 1024 * 1024 + 1, 32), { signature: good });
  assert.equal(await count(), was);

  // The account's key over there is as good a name as our number.
  await refused(200, body, { path: `/webhooks/zalo/${shop.account.oa_id}` });
  const got = await shop.call('webhook.fcgi', 'GET',
    `/webhooks/zalo/${shop.channel}?hub.challenge=x`);
  assert.equal(got.status, 200);
  assert.equal(got.text, '');
});

test('many forgeries are told to wait; what is well signed never is', async () => {
  const own = await Shop.open({ limits: 'on', webhook_failures_per_min_max: 3 });
  try {
    await own.zalo('http://127.0.0.1:9');
    const event = await sampleJson('zalo-text.json');
    const hook = (addr, forged, path) => {
      event.message.msg_id = `m${Math.random()}`;
      return own.hook(event, { addr, path,
        ...(forged && { signature: 'mac=' + '0'.repeat(64) }) });
    };
    const six = (i) => `2001:db8:1:2::${i}`;
    for (let i = 1; i <= 3; i++)
      assert.equal((await hook(six(i), true)).status, 401);
    // An address is a whole /64.
    const over = await hook(six(4), true);
    assert.equal(over.status, 429);
    assert.equal(over.json.code, 'rate_limited');
    const wait = Number(over.headers['retry-after']);
    assert.ok(wait >= 1 && wait <= 60, `${wait}`);
    assert.equal((await hook(six(5), true, '/webhooks/zalo/999')).status, 429);
    assert.equal((await own.call('webhook.fcgi', 'GET', '/webhooks/fax/1',
      { addr: six(6) })).status, 429);

    // Others are heard, and so is who signs, wherever it comes from.
    assert.equal((await hook('2001:db8:1:3::1', true)).status, 401);
    assert.equal((await hook('192.0.2.7', true)).status, 401);
    assert.equal((await hook('192.0.2.8')).status, 200);
    for (let i = 0; i < 5; i++)
      assert.equal((await hook(six(1))).status, 200);
    assert.equal((await hook(six(1), true)).status, 429);
    assert.equal(await own.one('SELECT count(*) FROM messages'), 6);
  } finally {
    await own.close();
  }
});

test('with a tolerance a stale one is refused, without a secret all are', async () => {
  const own = await Shop.open();
  try {
    await own.zalo('http://127.0.0.1:9', { zalo_sig_tolerance_s: 300 });
    const event = JSON.parse(await sample('zalo-text.json'));
    event.timestamp = String(Date.now() - 301_000);
    assert.equal((await own.hook(event)).status, 401);
    event.timestamp = String(Date.now() - 200_000);
    assert.equal((await own.hook(event)).status, 200);
  } finally {
    await own.close();
  }
});

test('another account\'s events are passed over with 200', async () => {
  const event = JSON.parse(await sample('zalo-text.json'));
  event.recipient.id = '777';
  event.message.msg_id = 'foreign';
  assert.equal((await shop.hook(event)).status, 200);
  assert.equal(await shop.one(
    "SELECT count(*) FROM messages WHERE external_id = 'foreign'"), 0);
  event.event_name = 'something_new';
  assert.equal((await shop.hook(event)).status, 200);
});

test('the same event ten times in parallel is one message', async () => {
  const event = JSON.parse(await sample('zalo-text.json'));
  event.message.msg_id = 'ten';
  const events = Array.from({ length: 10 }, () => shop.hook(event));
  for (const got of await Promise.all(events))
    assert.equal(got.status, 200);
  // The platform may also repeat it in another form of bytes.
  event.extra = 1;
  assert.equal((await shop.hook(event)).status, 200);
  assert.equal(await shop.one(
    "SELECT count(*) FROM messages WHERE external_id = 'ten'"), 1);
  assert.equal(await shop.one(`SELECT count(*) FROM events
    WHERE type = 'new_message' AND data LIKE '%"ten"%'`), 1);
});

test('ids beyond 2^53, lone surrogates and NUL arrive as they can', async () => {
  const raw = Buffer.from(`{"app_id":1845200000000000123,"sender":{"id":${USER}},`
    + '"recipient":{"id":2520000000000000017},"event_name":"user_send_text",'
    + '"message":{"msg_id":98765432109876543210,"text":"a\\u0000b\\ud83d\\ude00\\ud83dc"},'
    + '"timestamp":1795000199001}');
  assert.equal((await shop.hook(raw)).status, 200);
  const [row] = await shop.messages("m.external_id = '98765432109876543210'");
  assert.equal(row.content, 'a\ufffdb\u{1f600}\ufffdc');
  assert.equal(row.conversation, USER);
});

test('a closed conversation opens again, and order is the platform\'s', async () => {
  const own = await Shop.open();
  try {
    await own.zalo('http://127.0.0.1:9');
    await own.customerSays('41', 'first');
    const c = await own.conversation('41');
    await own.parley('user', 'add', '--email', 'b@shop.example', '--name', 'B',
      '--role', 'agent');
    const token = (await own.parley('token', '--user', 'b@shop.example')).trim();
    const got = await own.call('api.fcgi', 'PATCH', `/api/conversations/${c}`,
      { body: { status: 'closed' }, headers: { Authorization: `Bearer ${token}` } });
    assert.equal(got.status, 200);
    await own.customerSays('41', 'second');
    assert.equal(await own.one(
      `SELECT status FROM conversations WHERE id = ${c}`), 'open');
    // One that comes late, of a minute ago, stands before them.
    await own.hook({ app_id: own.account.app_id, sender: { id: '41' },
      recipient: { id: own.account.oa_id }, event_name: 'user_send_text',
      message: { msg_id: 'late', text: 'zero' },
      timestamp: String(Date.now() - 60_000) });
    assert.deepEqual((await own.messages()).map((m) => m.content),
      ['zero', 'first', 'second']);
    assert.equal(await own.one('SELECT count(*) FROM customers'), 1);
  } finally {
    await own.close();
  }
});

test('a flood is told to come again, and nothing of it is half stored', async () => {
  const own = await Shop.open({ limits: 'on', webhook_rate_max: 1 });
  try {
    await own.zalo('http://127.0.0.1:9');
    const event = JSON.parse(await sample('zalo-text.json'));
    const got = await Promise.all(Array.from({ length: 12 }, (_, i) =>
      own.hook({ ...event, message: { msg_id: `f${i}`, text: 'x' } })));
    const bad = got.filter((g) => g.status !== 200);
    assert.ok(bad.length > 0 && bad.length < 12);
    for (const g of bad) {
      assert.equal(g.status, 503);
      assert.match(g.headers['retry-after'], /^[1-9][0-9]*$/);
    }
    assert.equal(await own.one('SELECT count(*) FROM messages'), 12 - bad.length);
    assert.equal(await own.one('SELECT count(*) FROM webhook_inbox'), 12 - bad.length);
  } finally {
    await own.close();
  }
});
