// api.fcgi and poll.fcgi by themselves, as plain CGI: what each handler's
// comment says it answers, good and bad; the OpenAPI description against the
// programs' route tables; and that nothing of one request is left for the next.

import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { box, routes } from './lib/box.js';
import { root } from './lib/harness.js';

const as = 'cgi';
const MISSING = '987654321';

// The paths, methods and x-who of docs/openapi.yaml, anchors resolved.
function described() {
  const out = [], anchors = {};
  let path, entry, inPaths = false;
  for (const line of readFileSync(join(root, 'docs/openapi.yaml'), 'utf8').split('\n')) {
    if (/^\S/.test(line))
      inPaths = line.startsWith('paths:');
    if (!inPaths)
      continue;
    let m;
    if ((m = /^ {2}(\/\S*):$/.exec(line)))
      path = m[1].replace(/\{(\w+)\}/g, ':$1');
    else if ((m = /^ {4}(get|post|patch|put|delete):\s*(?:([&*])(\w+))?$/.exec(line))) {
      entry = { method: m[1].toUpperCase(), path };
      if (m[2] === '*')
        entry.like = m[3];
      else if (m[2] === '&')
        anchors[m[3]] = entry;
      out.push(entry);
    } else if ((m = /^ {6}x-who: (\w+)$/.exec(line)))
      entry.who = m[1];
  }
  return out.map(({ method, path: p, who, like }) =>
    `${method} ${p} ${like ? anchors[like].who : who}`);
}

test('docs/openapi.yaml describes every route of the tables, and no other', () => {
  assert.deepEqual(described().sort(),
    routes().map((r) => `${r.method} ${r.path} ${r.who}`).sort());
});

test('every $ref of docs/openapi.yaml leads somewhere', () => {
  const text = readFileSync(join(root, 'docs/openapi.yaml'), 'utf8');
  const names = new Set();
  let section;
  for (const line of text.slice(text.indexOf('\ncomponents:')).split('\n')) {
    const s = /^ {2}(\w+):$/.exec(line), n = /^ {4}(\w+):/.exec(line);
    if (s)
      section = s[1];
    else if (n)
      names.add(`#/components/${section}/${n[1]}`);
  }
  for (const [, ref] of text.matchAll(/\$ref: '([^']+)'/g))
    assert.ok(names.has(ref), ref);
});

// White space, with and without width.
const BLANKS = ['   ', '\t\r\n', '\u00a0', '\u200b\u3000'];

test('the API as CGI', async (t) => {
  const b = await box({ programs: ['api', 'poll'],
    conf: { message_chars_max: 50, message_bytes_max: 120 } });
  t.after(() => b.stop());
  const agent = await b.user('An');
  const admin = await b.user('Dung', 'admin');
  const kim = await b.customer('Kim');
  const ask = (method, url, who, body, more = {}) =>
    b.request(method, url, { who, body, as, ...more });
  const say = (who, id, body) => ask('POST', `/api/conversations/${id}/messages`, who, body);

  // The answer is this error, in its one form.
  const refused = (r, status, code, field) => {
    assert.equal(r.status, status, r.text);
    assert.equal(r.json.code, code);
    assert.equal(r.json.success, false);
    assert.equal(typeof r.json.error, 'string');
    assert.equal(r.json.field, field);
    if (field)
      assert.ok(r.json.error.includes(`: ${field}`), r.json.error);
    assert.equal(r.headers['x-content-type-options'], 'nosniff');
    assert.equal(r.headers['referrer-policy'], 'no-referrer');
    assert.match(r.headers['cache-control'], /no-store/);
    assert.match(r.headers['content-type'], /^application\/json; ?charset=utf-8$/i);
  };

  await t.test('bodies that cannot be read', async () => {
    const send = (body, type = 'application/json') =>
      b.request('POST', '/api/customers', { who: agent, as, body: Buffer.from(body),
        headers: { 'content-type': type } });
    refused(await send('{"name":'), 400, 'bad_json');
    refused(await send('[1]'), 400, 'bad_request');
    refused(await send('"x"'), 400, 'bad_request');
    refused(await send('{"name":"a","name":"b"}'), 400, 'bad_json');
    refused(await send("{'name':'a'}"), 400, 'bad_json');
    refused(await send('{"name":"a"} x'), 400, 'bad_json');
    refused(await send(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 400, 'bad_utf8');
    refused(await send('{"name":"a"}', 'text/plain'), 415, 'bad_media_type');
    refused(await send('name=a', 'application/x-www-form-urlencoded'), 415, 'bad_media_type');
    refused(await send(`{"name":"${'a'.repeat(262144)}"}`), 413, 'too_large');
    refused(await send(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`), 413, 'too_large');
  });

  await t.test('paths and methods', async () => {
    refused(await ask('GET', '/api/nothing', agent), 404, 'not_found');
    refused(await ask('GET', '/api/conversations/12x', agent), 404, 'not_found');
    refused(await ask('GET', '/api/conversations/007', agent), 404, 'not_found');
    refused(await ask('GET', '/api/conversations/99999999999999999999', agent), 404, 'not_found');
    const r = await ask('PUT', '/api/me', agent, {});
    refused(r, 405, 'method_not_allowed');
    assert.match(r.headers.allow, /GET/);
    assert.match(r.headers.allow, /PATCH/);
  });

  await t.test('log-in, me, refresh, log-out', async () => {
    const { email, password } = agent;
    const login = (body, more) => ask('POST', '/api/auth/login', undefined, body, more);
    refused(await login({ email }), 422, 'invalid', 'password');
    refused(await login({ password }), 422, 'invalid', 'email');
    refused(await login({ email: 5, password }), 422, 'invalid', 'email');
    const wrong = await login({ email, password: 'wrong' });
    const nobody = await login({ email: 'nobody@example.com', password });
    refused(wrong, 401, 'unauthenticated');
    assert.match(wrong.headers['www-authenticate'], /^Bearer/);
    assert.equal(wrong.text, nobody.text);

    const r = await login({ email: email.toUpperCase(), password });
    assert.equal(r.status, 200, r.text);
    assert.equal(r.json.user.id, agent.id);
    assert.equal(r.json.user.email, email);
    assert.equal(r.json.user.role, 'agent');
    assert.ok(r.json.expires_at > Date.now());
    assert.ok(!r.text.includes('argon2'));
    const [cookie] = r.cookies.map((x) => x.split(';')[0]).filter((x) => x.startsWith('parley='));
    assert.ok(cookie, r.cookies.join());
    assert.match(r.cookies.join(), /HttpOnly/i);
    assert.match(r.cookies.join(), /SameSite=Lax/i);

    // By cookie a read needs no more; a write needs token and origin.
    const by = (headers) => ({ headers: { cookie, ...headers } });
    assert.equal((await ask('GET', '/api/me', undefined, undefined, by())).json.id, agent.id);
    refused(await ask('PATCH', '/api/me', undefined, { name: 'X' }, by()), 403, 'csrf');
    refused(await ask('PATCH', '/api/me', undefined, { name: 'X' },
      by({ 'x-csrf-token': r.json.csrf_token, origin: 'https://evil.example' })),
    403, 'bad_origin');
    refused(await ask('PATCH', '/api/me', undefined, { name: 'X' },
      by({ 'x-csrf-token': 'x'.repeat(43) })), 403, 'csrf');
    const csrf = { 'x-csrf-token': r.json.csrf_token, origin: b.p.url };
    const named = await ask('PATCH', '/api/me', undefined, { name: 'Ân' }, by(csrf));
    assert.equal(named.status, 200, named.text);
    assert.equal(named.json.name, 'Ân');

    const again = await ask('POST', '/api/auth/refresh', undefined, {}, by(csrf));
    assert.equal(again.status, 200, again.text);
    assert.equal((await ask('GET', '/api/me', again.json)).json.id, agent.id);
    refused(await ask('POST', '/api/auth/refresh', undefined, {}), 401, 'unauthenticated');
    refused(await ask('POST', '/api/auth/refresh', kim, {}), 403, 'forbidden');

    // The JWT of a session ends with it.
    const out = await ask('POST', '/api/auth/logout', undefined, {}, by(csrf));
    assert.equal(out.status, 200, out.text);
    refused(await ask('GET', '/api/me', again.json), 401, 'unauthenticated');
    refused(await ask('GET', '/api/me', undefined, undefined, by()), 401, 'unauthenticated');
    refused(await ask('GET', '/api/events/poll?after=1', again.json), 401, 'unauthenticated');
    assert.equal((await ask('POST', '/api/auth/logout', undefined, {})).status, 200);
    refused(await ask('POST', '/api/auth/logout', undefined, { all: 'yes' }),
      422, 'invalid', 'all');
  });

  await t.test('tokens that are none', async () => {
    const parts = agent.token.split('.');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    for (const token of ['x', 'a.b.c', `${parts[0]}.${parts[1]}.`, `${none}.${parts[1]}.`,
      `${parts[0]}.${parts[1]}.${parts[2]}x`, `${agent.token}.x`, agent.token.slice(0, -1),
      kim.token.replace(/\d/, (d) => String((Number(d) + 1) % 10))])
      refused(await ask('GET', '/api/me', { token }), 401, 'unauthenticated');
    // Not in the address, unless the setting allows it.
    refused(await ask('GET', `/api/me?token=${agent.token}`), 401, 'unauthenticated');
  });

  await t.test('me: limits', async () => {
    const patch = (body) => ask('PATCH', '/api/me', agent, body);
    refused(await patch({ name: 'x'.repeat(201) }), 422, 'invalid', 'name');
    refused(await patch({ name: 5 }), 422, 'invalid', 'name');
    for (const blank of BLANKS)
      refused(await patch({ name: blank }), 422, 'invalid', 'name');
    refused(await patch({ locale: 'xx' }), 422, 'invalid', 'locale');
    refused(await patch({ status: 'gone' }), 422, 'invalid', 'status');
    refused(await patch({ password: 'short', current_password: agent.password }),
      422, 'invalid', 'password');
    refused(await patch({ password: 'long enough now' }), 422, 'invalid', 'current_password');
    refused(await patch({ password: 'long enough now', current_password: 'wrong' }),
      403, 'forbidden', 'current_password');
    // What may not be written is ignored.
    const r = await patch({ role: 'admin', id: '1', email: 'x@y.z', status: 'busy',
      status_text: 'lunch', locale: 'th' });
    assert.equal(r.status, 200, r.text);
    assert.equal(r.json.role, 'agent');
    assert.equal(r.json.email, agent.email);
    assert.equal(r.json.locale, 'th');
    assert.ok(Number(r.headers['x-event-cursor']) > 0);
  });

  await t.test('a new password ends the sessions there were', async () => {
    const u = await b.user('Pass');
    const r = await ask('PATCH', '/api/me', u,
      { password: 'another secret', current_password: u.password });
    assert.equal(r.status, 200, r.text);
    refused(await ask('GET', '/api/me', u), 401, 'unauthenticated');
    assert.equal((await ask('GET', '/api/me', { token: r.headers['x-token'] })).status, 200);
    assert.equal((await ask('POST', '/api/auth/login', undefined,
      { email: u.email, password: 'another secret' })).status, 200);
  });

  await t.test('widget session: start, resume by token and by link', async () => {
    const start = (body, who) => ask('POST', '/api/widget/session', who, body);
    refused(await start({ name: 'x'.repeat(201) }), 422, 'invalid', 'name');
    refused(await start({ email: 'no' }), 422, 'invalid', 'email');
    refused(await start({ phone: 'call me' }), 422, 'invalid', 'phone');
    refused(await start({ fields: [] }), 422, 'invalid', 'fields');
    refused(await start({ fields: { a: 1 } }), 422, 'invalid', 'fields');
    refused(await start({ resume: 'x'.repeat(43) }), 404, 'not_found');
    refused(await start({ resume: 'x'.repeat(129) }), 422, 'invalid', 'resume');

    const r = await start({ name: 'Lan', email: 'lan@example.com', phone: '+84 90 123',
      page: 'https://shop.example/pots', locale: 'vi', fields: { size: 'XL' } });
    assert.equal(r.status, 201, r.text);
    assert.ok(Number(r.headers['x-event-cursor']) > 0);
    assert.equal(r.json.customer.name, 'Lan');
    assert.equal(r.json.customer.notes, undefined);
    assert.equal(r.json.conversation.type, 'customer');
    assert.match(r.json.resume_url, /\/chat\/[A-Za-z0-9_-]{43}$/);
    assert.ok(r.json.resume_url.startsWith(b.p.url));
    const seen = (await ask('GET', `/api/customers/${r.json.customer.id}`, agent)).json;
    assert.deepEqual(seen.attributes, { size: 'XL', page: 'https://shop.example/pots' });

    const back = await start({ name: 'Lan Anh', fields: { colour: 'red' } }, r.json);
    assert.equal(back.status, 200, back.text);
    assert.equal(back.json.token, r.json.token);
    assert.equal(back.json.customer.id, r.json.customer.id);
    assert.equal(back.json.customer.name, 'Lan Anh');
    assert.equal(back.json.conversation.id, r.json.conversation.id);
    assert.equal(back.json.resume_url, r.json.resume_url);
    assert.deepEqual((await ask('GET', `/api/customers/${r.json.customer.id}`, agent))
      .json.attributes, { size: 'XL', page: 'https://shop.example/pots', colour: 'red' });

    const link = await start({ resume: r.json.resume_url.split('/').pop() });
    assert.equal(link.status, 200, link.text);
    assert.equal(link.json.conversation.id, r.json.conversation.id);
    assert.notEqual(link.json.token, r.json.token);

    // A token that is good no more is refused, not taken for a new visitor;
    // the link still opens the conversation.
    assert.equal((await ask('POST', '/api/auth/logout', link.json, {})).status, 200);
    refused(await start({}, link.json), 401, 'unauthenticated');
    refused(await start({}, { token: 'x.y.z' }), 401, 'unauthenticated');
    const again = await start({ resume: r.json.resume_url.split('/').pop() }, link.json);
    assert.equal(again.status, 200, again.text);
    assert.equal(again.json.conversation.id, r.json.conversation.id);
  });

  await t.test('widget messages', async () => {
    refused(await ask('GET', '/api/widget/messages', agent), 403, 'forbidden');
    refused(await ask('POST', '/api/widget/messages', kim, {}), 422, 'invalid', 'content');
    const r = await ask('POST', '/api/widget/messages', kim, { content: 'xin chào', client_id: 'w1' });
    assert.equal(r.status, 201, r.text);
    assert.equal(r.json.conversation_id, kim.conversation);
    assert.equal(r.json.type, 'incoming');
    assert.deepEqual({ ...r.json.sender }, { kind: 'customer', id: kim.id, name: 'Kim' });
    assert.ok(r.headers['x-event-id']);
    const list = await ask('GET', '/api/widget/messages', kim);
    assert.equal(list.json.items[0].id, r.json.id);
    // The short route and the long one are one: the same key, the same message.
    const same = await say(kim, kim.conversation, { content: 'xin chào', client_id: 'w1' });
    assert.equal(same.status, 200);
    assert.equal(same.json.id, r.json.id);
    assert.equal(same.headers['x-event-id'], r.headers['x-event-id']);
  });

  await t.test('messages: send, repeat, conflict, seen', async () => {
    const id = kim.conversation;
    refused(await say(agent, id, {}), 422, 'invalid', 'content');
    refused(await say(agent, id, { content: '' }), 422, 'invalid', 'content');
    refused(await say(agent, id, { content: 5 }), 422, 'invalid', 'content');
    for (const blank of BLANKS) {
      refused(await say(agent, id, { content: blank }), 422, 'invalid', 'content');
      refused(await ask('POST', '/api/widget/messages', kim, { content: blank }),
        422, 'invalid', 'content');
      refused(await ask('PATCH', `/api/conversations/${id}`, agent, { subject: blank }),
        422, 'invalid', 'subject');
    }
    refused(await say(agent, id, { content: 'x'.repeat(51) }), 422, 'invalid', 'content');
    refused(await say(agent, id, { content: '🙂'.repeat(31) }), 422, 'invalid', 'content');
    refused(await say(agent, id, { content: 'x', client_id: '' }), 422, 'invalid', 'client_id');
    refused(await say(agent, id, { content: 'x', client_id: 'x'.repeat(129) }),
      422, 'invalid', 'client_id');
    refused(await say(agent, id, { content: 'x', client_id: 7 }), 422, 'invalid', 'client_id');
    for (const quick_replies of [7, ['a'], [{ title: '' }], [{ title: 'x'.repeat(21) }],
      [{ title: 'a', payload: 7 }], [{ title: 'a', payload: 'x'.repeat(1001) }],
      Array(14).fill({ title: 'a' })])
      refused(await say(agent, id, { content: 'x', quick_replies }),
        422, 'invalid', 'quick_replies');
    refused(await say(kim, id, { content: 'x', quick_replies: [{ title: 'a' }] }),
      422, 'invalid', 'quick_replies');
    const quick = await say(agent, id, { content: 'Size?',
      quick_replies: [{ title: 'M' }, { title: 'Lớn nhất', payload: 'xl' }] });
    assert.equal(quick.status, 201, quick.text);
    assert.deepEqual(quick.json.payload, { quick_replies: [{ title: 'M', payload: 'M' },
      { title: 'Lớn nhất', payload: 'xl' }] });
    refused(await say(agent, id, { content: 'x', kind: 'video' }), 422, 'invalid', 'kind');
    refused(await say(agent, id, { content: 'x', attachments: [1] }), 422, 'invalid', 'attachments');
    refused(await say(agent, id, { content: 'x', reply_to: 'y' }), 422, 'invalid', 'reply_to');
    refused(await say(agent, id, { content: 'x', reply_to: MISSING }), 422, 'invalid', 'reply_to');
    refused(await say(agent, id, { content: 'x', seen: 'y' }), 422, 'invalid', 'seen');
    refused(await say(kim, id, { content: 'x', type: 'note' }), 403, 'forbidden');
    refused(await say(agent, MISSING, { content: 'x' }), 404, 'not_found');
    refused(await ask('POST', `/api/conversations/${id}/messages`, agent, { content: 'x' },
      { headers: { 'idempotency-key': 'x'.repeat(129) } }), 422, 'invalid', 'Idempotency-Key');

    const first = await say(agent, id, { content: 'hi', client_id: 'k1' });
    assert.equal(first.status, 201, first.text);
    assert.equal(first.json.type, 'outgoing');
    assert.equal(first.json.client_id, 'k1');
    assert.equal(first.headers['x-event-id'], first.json.id);
    assert.ok(Number(first.headers['x-event-cursor']) >= Number(first.json.id));
    const again = await say(agent, id, { content: 'hi', client_id: 'k1', seen: '0' });
    assert.equal(again.status, 200, again.text);
    assert.equal(again.json.id, first.json.id);
    refused(await say(agent, id, { content: 'other', client_id: 'k1' }),
      409, 'idempotency_conflict');
    // Another sender's key of the same name is another key.
    assert.equal((await say(kim, id, { content: 'mine', client_id: 'k1' })).status, 201);
    // The header does the same.
    const key = { headers: { 'idempotency-key': 'h1' } };
    const url = `/api/conversations/${id}/messages`;
    const h = await ask('POST', url, agent, { content: 'by header' }, key);
    assert.equal(h.status, 201, h.text);
    const h2 = await ask('POST', url, agent, { content: 'by header' }, key);
    assert.equal(h2.status, 200);
    assert.equal(h2.json.id, h.json.id);

    // The customer wrote after what the agent had seen: nothing is stored.
    const word = await say(kim, id, { content: 'wait' });
    const late = await say(agent, id, { content: 'so', seen: h.json.id });
    refused(late, 409, 'new_messages');
    assert.deepEqual(late.json.items.map((m) => m.id), [word.json.id]);
    assert.equal((await say(agent, id, { content: 'so', seen: word.json.id })).status, 201);
    refused(await say(agent, id, { content: 'so', seen: '0' }), 409, 'new_messages');

    const quote = await say(agent, id, { content: 'yes', reply_to: word.json.id });
    assert.equal(quote.json.reply_to, word.json.id);
  });

  await t.test('notes are for agents', async () => {
    const note = await say(agent, kim.conversation, { content: 'careful', type: 'note' });
    assert.equal(note.status, 201, note.text);
    assert.equal(note.json.type, 'note');
    const url = `/api/conversations/${kim.conversation}/messages`;
    assert.ok((await ask('GET', url, agent)).json.items.some((m) => m.id === note.json.id));
    assert.ok(!(await ask('GET', url, kim)).text.includes('careful'));
    refused(await ask('PATCH', `/api/messages/${note.json.id}`, kim, { content: 'x' }),
      404, 'not_found');
    const poll = await ask('GET', '/api/events/poll?since=0', kim);
    assert.ok(!poll.text.includes('careful'));
    // What was meant as a note and misspelt must not go out as an answer.
    for (const type of ['Note', 'notes', 'internal', ''])
      refused(await say(agent, kim.conversation, { content: 'careful', type }),
        422, 'invalid', 'type');
    const plain = await say(agent, kim.conversation, { content: 'hello', type: 'outgoing' });
    assert.equal(plain.json.type, 'outgoing');
  });

  await t.test('messages: pages', async () => {
    const id = (await b.customer('Page')).conversation, url = `/api/conversations/${id}/messages`;
    const ids = [];
    for (let i = 0; i < 7; i++)
      ids.push((await say(agent, id, { content: `m${i}` })).json.id);
    const get = async (q) => (await ask('GET', `${url}?${q}`, agent)).json;
    assert.deepEqual((await get('limit=3')).items.map((m) => m.id), ids.slice(4).reverse());
    const seen = [];
    for (let q = 'limit=3'; ;) {
      const page = await get(q);
      seen.push(...page.items.map((m) => m.id));
      assert.match(page.cursor, /^\d+$/);
      if (page.next === null)
        break;
      q = `limit=3&before=${page.next}`;
    }
    assert.deepEqual(seen, [...ids].reverse());
    assert.deepEqual((await get('after=0&limit=2')).items.map((m) => m.id), ids.slice(0, 2));
    assert.deepEqual((await get(`after=${ids[4]}`)).items.map((m) => m.id), ids.slice(5));
    for (const [q, field] of [['limit=0', 'limit'], ['limit=201', 'limit'], ['limit=x', 'limit'],
      ['limit=-1', 'limit'], ['before=x', 'before'], ['after=x', 'after'],
      ['after=-1', 'after'], ['before=5&after=5', 'after']])
      refused(await ask('GET', `${url}?${q}`, agent), 400, 'bad_request', field);
  });

  await t.test('messages: edit and delete', async () => {
    const id = kim.conversation;
    const m = (await say(kim, id, { content: 'typo' })).json;
    refused(await ask('PATCH', `/api/messages/${m.id}`, kim, { content: '' }),
      422, 'invalid', 'content');
    refused(await ask('PATCH', `/api/messages/${m.id}`, agent, { content: 'x' }), 403, 'forbidden');
    refused(await ask('DELETE', `/api/messages/${m.id}`, agent), 403, 'forbidden');
    const e = await ask('PATCH', `/api/messages/${m.id}`, kim, { content: 'right' });
    assert.equal(e.status, 200, e.text);
    assert.equal(e.json.content, 'right');
    assert.ok(e.json.edited_at > 0);
    const d = await ask('DELETE', `/api/messages/${m.id}`, kim);
    assert.equal(d.status, 200, d.text);
    assert.ok(d.json.deleted_at > 0);
    assert.ok(!d.json.content);
    assert.equal((await ask('DELETE', `/api/messages/${m.id}`, kim)).status, 200);
    refused(await ask('PATCH', `/api/messages/${m.id}`, kim, { content: 'x' }), 409, 'conflict');
    refused(await ask('DELETE', `/api/messages/${MISSING}`, kim), 404, 'not_found');
    // It keeps its place, and its text is nowhere in the log.
    assert.ok((await ask('GET', `/api/conversations/${id}/messages`, kim)).json.items
      .some((x) => x.id === m.id));
    const log = await ask('GET', '/api/events/poll?since=0', agent);
    assert.ok(!log.text.includes('typo') && !log.text.includes('"right"'));
  });

  await t.test('read, unread, typing', async () => {
    const c = await b.customer('Read'), url = `/api/conversations/${c.conversation}`;
    const m1 = (await say(c, c.conversation, { content: 'one' })).json;
    await say(c, c.conversation, { content: 'two' });
    const count = async (who) => (await ask('GET', '/api/unread', who)).json.items
      ?.find((x) => x.conversation_id === c.conversation)?.unread_count ?? 0;
    assert.equal(await count(agent), 2);
    refused(await ask('POST', `${url}/read`, agent, {}), 422, 'invalid', 'message_id');
    refused(await ask('POST', `${url}/read`, agent, { message_id: 'x' }),
      422, 'invalid', 'message_id');
    refused(await ask('POST', `${url}/read`, agent, { message_id: MISSING }),
      422, 'invalid', 'message_id');
    assert.equal((await ask('POST', `${url}/read`, agent, { message_id: m1.id })).status, 200);
    assert.equal(await count(agent), 1);
    assert.equal(await count(admin), 2);
    // Backward is no move.
    assert.equal((await ask('POST', `${url}/read`, agent, { message_id: m1.id })).status, 200);
    assert.equal(await count(agent), 1);

    refused(await ask('POST', `${url}/typing`, agent, {}), 422, 'invalid', 'typing');
    refused(await ask('POST', `${url}/typing`, agent, { typing: 'yes' }), 422, 'invalid', 'typing');
    const { cursor } = (await ask('GET', '/api/events/poll', c)).json;
    assert.equal((await ask('POST', `${url}/typing`, agent, { typing: true })).status, 200);
    // Whoever polls sees it, as an event without an id; the typist does not.
    const p = (await ask('GET', `/api/events/poll?after=${cursor}`, c)).json;
    const [e] = p.events.filter((x) => x.type === 'typing_indicator');
    assert.equal(e?.data.conversation_id, c.conversation, JSON.stringify(p));
    assert.equal(e.data.typing, true);
    assert.equal(e.id, null);
    const own = (await ask('GET', `/api/events/poll?after=${cursor}`, agent)).json;
    assert.deepEqual(own.events.filter((x) => x.type === 'typing_indicator'), []);
    assert.equal((await ask('POST', `${url}/typing`, agent, { typing: false })).status, 200);
    const q = (await ask('GET', `/api/events/poll?after=${cursor}`, c)).json;
    assert.deepEqual(q.events.filter((x) => x.type === 'typing_indicator'), []);
  });

  await t.test('conversations: filters and changes', async () => {
    const list = (q, who = agent) => ask('GET', `/api/conversations?${q}`, who);
    for (const f of ['status=x', 'type=x', 'assignee=x', 'team=x', 'channel=-1', 'unread=maybe',
      `q=${'x'.repeat(201)}`, `tag=${'x'.repeat(201)}`])
      refused(await list(f), 422, 'invalid', f.split('=')[0]);
    refused(await list('limit=1000'), 400, 'bad_request', 'limit');
    refused(await list('before=1.2.3'), 400, 'bad_request', 'before');

    const id = kim.conversation, url = `/api/conversations/${id}`;
    const patch = (body, who = agent) => ask('PATCH', url, who, body);
    refused(await patch({ status: 'x' }), 422, 'invalid', 'status');
    refused(await patch({ assignee_id: 'x' }), 422, 'invalid', 'assignee_id');
    refused(await patch({ assignee_id: MISSING }), 422, 'invalid', 'assignee_id');
    refused(await patch({ team_id: MISSING }), 422, 'invalid', 'team_id');
    refused(await patch({ priority: 'x' }), 422, 'invalid', 'priority');
    refused(await patch({ snoozed_until: 'x' }), 422, 'invalid', 'snoozed_until');
    refused(await patch({ tags: 'x' }), 422, 'invalid', 'tags');
    refused(await patch({ tags: [''] }), 422, 'invalid', 'tags');
    refused(await patch({ subject: 'x'.repeat(201) }), 422, 'invalid', 'subject');
    refused(await patch({ status: 'closed' }, kim), 403, 'forbidden');

    const r = await patch({ status: 'pending', assignee_id: agent.id, subject: 'Pots',
      priority: 'high', tags: ['vip', 'pots'], id: '1', customer_id: '1' });
    assert.equal(r.status, 200, r.text);
    assert.equal(r.json.priority, 1); // a word or a number in, a number out
    assert.equal(r.json.id, id);
    assert.equal(r.json.status, 'pending');
    assert.equal(r.json.assignee_id, agent.id);
    assert.equal(r.json.subject, 'Pots');
    assert.deepEqual([...r.json.tags].sort(), ['pots', 'vip']);
    const found = async (q) => (await list(q)).json.items.map((c) => c.id);
    assert.ok((await found('status=pending')).includes(id));
    assert.ok((await found('assignee=me')).includes(id));
    assert.ok((await found('tag=vip')).includes(id));
    assert.ok(!(await found('assignee=none')).includes(id));
    assert.ok((await found('q=kim')).includes(id));
    assert.deepEqual((await list('', kim)).json.items.map((c) => c.id), [id]);
    // A customer cannot ask who has it, nor which tags it got.
    for (const f of ['assignee=none', `assignee=${agent.id}`, `assignee=${admin.id}`, 'tag=vip',
      'tag=other', 'team=1', 'channel=77'])
      assert.deepEqual((await list(f, kim)).json.items.map((c) => c.id), [id], f);
    const none = await patch({ assignee_id: null, tags: [] });
    assert.equal(none.json.assignee_id, null);
    assert.deepEqual(none.json.tags, []);
    assert.equal((await ask('GET', url, kim)).json.id, id);
  });

  await t.test('direct and group', async () => {
    const make = (body, more) => ask('POST', '/api/conversations', agent, body, more);
    refused(await make({}), 422, 'invalid', 'type');
    refused(await make({ type: 'x' }), 422, 'invalid', 'type');
    refused(await make({ type: 'direct' }), 422, 'invalid', 'participants');
    refused(await make({ type: 'direct', participants: [agent.id] }),
      422, 'invalid', 'participants');
    refused(await make({ type: 'direct', participants: [MISSING] }),
      422, 'invalid', 'participants');
    refused(await make({ type: 'group', participants: ['x'] }), 422, 'invalid', 'participants');
    refused(await make({ type: 'customer' }), 422, 'invalid', 'customer_id');
    const d = await make({ type: 'direct', participants: [admin.id] });
    assert.equal(d.status, 201, d.text);
    const again = await ask('POST', '/api/conversations', admin,
      { type: 'direct', participants: [agent.id] });
    assert.equal(again.status, 200);
    assert.equal(again.json.id, d.json.id);
    refused(await ask('POST', `/api/conversations/${d.json.id}/participants`, agent,
      { users: [admin.id] }), 409, 'conflict');

    const third = await b.user('Third');
    const g = await make({ type: 'group', subject: 'Team', participants: [admin.id] });
    assert.equal(g.status, 201, g.text);
    const url = `/api/conversations/${g.json.id}`;
    refused(await ask('GET', url, third), 404, 'not_found');
    refused(await ask('POST', `${url}/participants`, agent, {}), 422, 'invalid', 'users');
    assert.equal((await ask('POST', `${url}/participants`, agent, { users: [third.id] })).status,
      200);
    assert.equal((await ask('GET', url, third)).status, 200);
    assert.equal((await ask('DELETE', `${url}/participants/${third.id}`, agent)).status, 200);
    refused(await ask('GET', url, third), 404, 'not_found');
    refused(await ask('DELETE', `${url}/participants/${third.id}`, agent), 404, 'not_found');

    // The same key: the first answer; another body: a conflict.
    const key = { headers: { 'idempotency-key': 'conv-1' } };
    const body = { customer_id: kim.id };
    const c1 = await make(body, key);
    assert.equal(c1.status, 201, c1.text);
    const c2 = await make(body, key);
    assert.equal(c2.text, c1.text);
    refused(await make({ customer_id: kim.id, subject: 'x' }, key), 409, 'idempotency_conflict');
  });

  await t.test('customers', async () => {
    const make = (body, more) => ask('POST', '/api/customers', agent, body, more);
    refused(await make({}), 422, 'invalid', 'name');
    for (const blank of BLANKS)
      refused(await make({ name: blank }), 422, 'invalid', 'name');
    refused(await make({ name: 'x', tags: [' '] }), 422, 'invalid', 'tags');
    refused(await make({ name: 'x', email: 'x' }), 422, 'invalid', 'email');
    refused(await make({ name: 'x', phone: 'x' }), 422, 'invalid', 'phone');
    refused(await make({ name: 'x', attributes: { a: {} } }), 422, 'invalid', 'attributes');
    refused(await make({ name: 'x', attributes: { a: 'x'.repeat(2001) } }),
      422, 'invalid', 'attributes');
    refused(await make({ name: 'x', tags: [5] }), 422, 'invalid', 'tags');
    const r = await make({ name: 'Somchai', email: 'som@example.com', phone: '+66 2 123',
      attributes: { shoe: '42' }, tags: ['thai'], notes: 'likes blue' });
    assert.equal(r.status, 201, r.text);
    const url = `/api/customers/${r.json.id}`;
    assert.deepEqual(r.json.attributes, { shoe: '42' });
    const p = await ask('PATCH', url, agent, { phone: '+66 2 999' });
    assert.equal(p.json.phone, '+66 2 999');
    assert.equal(p.json.name, 'Somchai');
    assert.equal(p.json.notes, 'likes blue');
    refused(await ask('PATCH', url, agent, { name: 5 }), 422, 'invalid', 'name');
    assert.ok((await ask('GET', '/api/customers?q=somch', agent)).json.items
      .some((c) => c.id === r.json.id));
    refused(await ask('GET', `/api/customers?q=${'x'.repeat(201)}`, agent), 422, 'invalid', 'q');
    refused(await ask('GET', '/api/customers?limit=0', agent), 400, 'bad_request', 'limit');
    assert.deepEqual((await ask('GET', `${url}/conversations`, agent)).json.items, []);
    refused(await ask('GET', `${url}/conversations?before=x`, agent), 400, 'bad_request', 'before');
    assert.equal((await ask('DELETE', url, agent)).status, 200);
    refused(await ask('GET', url, agent), 404, 'not_found');

    // A deleted customer's session is over.
    const c = await b.customer('Bye');
    assert.equal((await ask('DELETE', `/api/customers/${c.id}`, agent)).status, 200);
    refused(await ask('GET', '/api/conversations', c), 401, 'unauthenticated');
  });

  await t.test('users, presence, tags', async () => {
    const mine = (await ask('GET', '/api/users', agent)).json.items;
    assert.ok(mine.some((u) => u.id === admin.id && u.name === 'Dung'));
    assert.ok(mine.every((u) => u.email === undefined && u.role === undefined));
    const all = (await ask('GET', '/api/users', admin)).json.items;
    assert.equal(all.find((u) => u.id === agent.id).email, agent.email);
    refused(await ask('GET', '/api/users?after=x', agent), 400, 'bad_request', 'after');

    const p = await ask('GET', `/api/presence?users=${agent.id},${admin.id}`, agent);
    assert.deepEqual(p.json.items.map((x) => x.user_id).sort(), [agent.id, admin.id].sort());
    refused(await ask('GET', '/api/presence?users=x', agent), 422, 'invalid', 'users');

    const tag = await ask('POST', '/api/tags', agent, { name: 'Hot', colour: '#ff0000' });
    assert.equal(tag.status, 201, tag.text);
    const hot = await ask('POST', '/api/tags', agent, { name: 'hot' });
    assert.equal(hot.json.id, tag.json.id);
    assert.equal(hot.json.colour, '#ff0000');
    refused(await ask('POST', '/api/tags', agent, {}), 422, 'invalid', 'name');
    refused(await ask('POST', '/api/tags', agent, { name: 'x', colour: 'red' }),
      422, 'invalid', 'colour');
    assert.ok((await ask('GET', '/api/tags', agent)).json.items.some((x) => x.id === tag.json.id));
    assert.equal((await ask('DELETE', `/api/tags/${tag.json.id}`, agent)).status, 200);
    refused(await ask('DELETE', `/api/tags/${tag.json.id}`, agent), 404, 'not_found');
  });

  await t.test('publishing', async () => {
    const post = (what, who, body, more) => ask('POST', `/chat/${what}`, who, body, more);
    refused(await post('broadcast', admin, { event: 'a b' }), 400, 'bad_request', 'event');
    refused(await post('broadcast', admin, { event: 'session_changed' }),
      400, 'bad_request', 'event');
    refused(await post('broadcast', admin, {}), 400, 'bad_request', 'event');
    refused(await post('broadcast', admin, [1]), 400, 'bad_request');
    refused(await post('notify', agent, { notification: {} }), 400, 'bad_request', 'userId');
    refused(await post('notify', agent, { userId: agent.id }), 400, 'bad_request', 'notification');
    refused(await post('notify', agent, { userId: MISSING, notification: {} }), 404, 'not_found');
    refused(await post('send', agent, { userId: agent.id }), 400, 'bad_request', 'message');
    refused(await post('send', agent, { userId: 'x', message: 'hi' }), 400, 'bad_request', 'userId');

    // A cookie does not do here.
    const r = await ask('POST', '/api/auth/login', undefined,
      { email: admin.email, password: admin.password });
    const cookie = r.cookies.map((x) => x.split(';')[0]).join('; ');
    refused(await post('broadcast', undefined, { event: 'x' }, { headers: { cookie,
      origin: b.p.url, 'x-csrf-token': r.json.csrf_token } }), 401, 'unauthenticated');

    const { cursor } = (await ask('GET', '/api/events/poll', agent)).json;
    const shop = (await ask('GET', '/api/events/poll', kim)).json.cursor;
    assert.deepEqual((await post('broadcast', admin, { event: 'sale', data: { off: 5 } })).json,
      { success: true });
    assert.deepEqual((await post('notify', admin,
      { userId: Number(agent.id), notification: { title: 'hi' } })).json, { success: true });
    assert.deepEqual((await post('send', admin, { userId: agent.id, message: 'psst' })).json,
      { success: true });
    const e = (await ask('GET', `/api/events/poll?after=${cursor}`, agent)).json.events;
    assert.deepEqual(e.map((x) => [x.type, x.data]), [['sale', { off: 5 }],
      ['notification', { title: 'hi' }], ['message', { content: 'psst' }]]);
    const c = (await ask('GET', `/api/events/poll?after=${shop}`, kim)).json.events;
    assert.deepEqual(c.map((x) => x.type), ['sale']);
  });

  await t.test('polling', async () => {
    const poll = (q, who = agent, headers) =>
      ask('GET', `/api/events/poll${q}`, who, undefined, { headers });
    for (const bad of ['x', '-1', '1.5', '%20', '', '1e3', '9'.repeat(33)])
      refused(await poll(`?since=${bad}`), 400, 'bad_cursor');
    refused(await poll('?after=x'), 400, 'bad_cursor');
    refused(await poll('', agent, { 'last-event-id': 'x' }), 400, 'bad_cursor');
    const r401 = await poll('', { token: 'x' });
    refused(r401, 401, 'unauthenticated');

    const start = await poll('');
    assert.equal(start.status, 200, start.text);
    assert.deepEqual(start.json.events, []);
    assert.deepEqual(start.json.data, { events: [], timestamp: start.json.timestamp });
    assert.equal(start.json.success, true);
    assert.equal(start.json.more, false);
    assert.equal(String(start.json.timestamp), start.json.cursor);
    assert.ok(start.json.next_poll_ms > 0);
    assert.match(start.headers['cache-control'], /no-store/);

    // One event, once, by each name of the cursor, at both addresses.
    const m = (await say(kim, kim.conversation, { content: 'new' })).json;
    for (const [q, headers] of [[`?since=${start.json.cursor}`], [`?after=${start.json.cursor}`],
      ['', { 'last-event-id': start.json.cursor }],
      ['?since=1', { 'last-event-id': start.json.cursor }]]) {
      const p = (await poll(q, agent, headers)).json;
      const [e] = p.events.filter((x) => x.type === 'new_message');
      assert.equal(e.id, m.id);
      assert.equal(e.timestamp, Number(m.id));
      assert.equal(e.data.content, 'new');
      assert.equal(e.data.conversation_id, kim.conversation);
      assert.equal(e.data.conversationId, kim.conversation);
      assert.deepEqual(p.data.events, p.events);
      assert.ok(Number(p.cursor) >= Number(m.id));
      assert.deepEqual((await poll(`?after=${p.cursor}`)).json.events, []);
    }
    const alias = await ask('GET', `/api/api/events/poll?since=${start.json.cursor}`, agent);
    assert.ok(alias.json.events.length > 0);

    // Nothing new: 304 to its ETag, else the empty list.
    const { cursor } = (await poll('')).json;
    const none = await poll(`?after=${cursor}`);
    assert.equal(none.status, 200);
    assert.deepEqual(none.json.events, []);
    assert.ok(none.headers.etag);
    const same = await poll(`?after=${cursor}`, agent, { 'if-none-match': none.headers.etag });
    assert.equal(same.status, 304);
    assert.equal(same.text, '');
    assert.equal((await poll(`?after=${cursor}`, agent, { 'if-none-match': 'W/"5"' })).status, 200);
    // Something new: no 304, whatever the ETag.
    await say(kim, kim.conversation, { content: 'newer' });
    const fresh = await poll(`?after=${cursor}`, agent, { 'if-none-match': none.headers.etag });
    assert.equal(fresh.status, 200);
    assert.ok(fresh.json.events.length > 0);

    // Its own clock, up to a minute ahead, is good for `since`, not for `after`.
    const ahead = await poll(`?since=${Date.now() + 30000}`);
    assert.deepEqual(ahead.json.events, []);
    assert.ok(ahead.json.timestamp <= Date.now() + 1000);
    const later = (await say(kim, kim.conversation, { content: 'after' })).json;
    assert.ok((await poll(`?since=${ahead.json.timestamp}`)).json.events
      .some((e) => e.id === later.id));
    for (const q of [`?since=${Date.now() + 120000}`, `?after=${Date.now() + 30000}`,
      '?since=5', '?after=9007199254740993', `?since=${'9'.repeat(32)}`]) {
      const p = (await poll(q)).json;
      assert.deepEqual(p.events.map((e) => e.type), ['reset'], q);
      assert.ok(p.events[0].data.epoch);
      assert.ok(Number(p.events[0].data.latest) > 0);
    }
    // since=0 is all that is kept.
    assert.ok((await poll('?since=0')).json.events.length > 10);
  });

  await t.test('polling pages through many', async () => {
    const c = await b.customer('Many');
    const { cursor } = (await ask('GET', '/api/events/poll', c)).json;
    const sent = [];
    for (let i = 0; i < 520; i++)
      sent.push((await b.request('POST', '/api/widget/messages',
        { who: c, body: { content: `m${i}` } })).json.id);
    const got = [];
    let at = cursor, pages = 0;
    for (;;) {
      const p = (await ask('GET', `/api/events/poll?after=${at}`, c)).json;
      assert.ok(p.events.length <= 500);
      got.push(...p.events.filter((e) => e.type === 'new_message').map((e) => e.id));
      at = p.cursor;
      pages++;
      if (!p.more)
        break;
    }
    assert.deepEqual(got, sent);
    assert.ok(pages >= 2);
  });

  await t.test('what pushd asks', async () => {
    refused(await ask('GET', '/internal/events'), 404, 'not_found');
    refused(await ask('GET', '/internal/events', admin), 404, 'not_found');
    refused(await b.request('GET', '/internal/events', { as,
      extra: { PARLEY_INTERNAL: 'x'.repeat(43) } }), 404, 'not_found');
    refused(await b.ask('POST', '/internal/identify', {}), 422, 'invalid', 'items');

    const who = (await b.ask('POST', '/internal/identify', { items: [
      { authorization: `Bearer ${agent.token}` }, { authorization: `Bearer ${kim.token}` },
      { authorization: 'Bearer x' }, {}] })).json;
    assert.ok(who.head >= who.floor);
    const [a, k, bad, empty] = who.items;
    assert.equal(a.ok, true);
    assert.equal(a.kind, 'agent');
    assert.equal(a.id, agent.id);
    assert.equal(a.role, 'agent');
    assert.equal(a.via, 'bearer');
    assert.ok(a.rooms.includes('inbox') && a.rooms.includes(`user:${agent.id}`));
    assert.equal(k.kind, 'customer');
    assert.equal(k.role, 'customer');
    assert.ok(k.rooms.includes(`customer:${kim.id}`) && !k.rooms.includes('inbox'));
    assert.ok(k.conversations.includes(kim.conversation));
    for (const x of [bad, empty])
      assert.deepEqual([x.ok, x.status, x.code], [false, 401, 'unauthenticated']);
    const byRef = (await b.ask('POST', '/internal/identify', { items: [{ ref: a.ref }] })).json;
    assert.equal(byRef.items[0].id, agent.id);
    assert.equal(byRef.items[0].via, 'ref');

    const join = (ref, conversation) => b.ask('POST', '/internal/join', { ref, conversation });
    const j = await join(k.ref, kim.conversation);
    assert.equal(j.json.conversation, kim.conversation);
    assert.ok(j.json.cursor > 0);
    const other = await b.customer('Other');
    refused(await join(k.ref, other.conversation), 404, 'not_found');
    refused(await join(k.ref, 'x'), 404, 'not_found');
    refused(await join('u:1:999999', kim.conversation), 404, 'not_found');

    // In somebody's name.
    const m = await b.ask('POST', `/api/conversations/${kim.conversation}/messages`,
      { content: 'by socket', client_id: 's1' }, { PARLEY_AS: k.ref });
    assert.equal(m.status, 201, m.text);
    assert.equal(m.json.sender.id, kim.id);
    refused(await b.ask('POST', `/api/conversations/${other.conversation}/messages`,
      { content: 'x' }, { PARLEY_AS: k.ref }), 404, 'not_found');

    const state = (await b.ask('GET', '/internal/events')).json;
    assert.deepEqual(state.events, []);
    assert.equal(state.last, state.head);
    assert.ok(Array.isArray(state.lives) && state.lives.at(-1)[1] === null);
    const log = (await b.ask('GET', `/internal/events?after=${j.json.cursor}`)).json;
    const line = log.events.find((e) => e.type === 'new_message');
    assert.equal(String(line.id), m.json.id);
    assert.ok(line.rooms.includes('inbox') && line.rooms.includes(`customer:${kim.id}`));
    assert.ok(line.public);
    assert.equal(log.last, log.head);
    assert.equal(log.more, false);
    refused(await b.ask('GET', '/internal/events?after=x'), 422, 'invalid', 'after');

    const replay = (q) => b.ask('GET', `/internal/replay?${q}`);
    const mine = (await replay(`ref=${k.ref}&after=${j.json.cursor}`)).json;
    assert.ok(mine.events.some((e) => String(e.id) === m.json.id));
    const theirs = (await replay(`ref=${k.ref}&after=${j.json.cursor}` +
      `&room=conversation:${kim.conversation}`)).json;
    assert.ok(theirs.events.some((e) => String(e.id) === m.json.id));
    refused(await replay(`ref=${k.ref}&after=1&room=conversation:${other.conversation}`),
      404, 'not_found');
    refused(await replay(`ref=${k.ref}&after=1&room=inbox`), 404, 'not_found');
    assert.equal((await replay(`ref=${k.ref}&after=5`)).json.reset, true);
    assert.equal((await replay(`ref=${k.ref}&after=x`)).json.reset, true);
    assert.deepEqual((await replay(`ref=${k.ref}&after=${m.json.id}&upto=${j.json.cursor}`)).json,
      { events: [], last: Number(m.json.id), more: false });
    refused(await replay('ref=u:1:999999&after=1'), 401, 'unauthenticated');
    // In pieces of so many bytes, each with one event at least.
    const whole = (await replay(`ref=${k.ref}&after=${j.json.cursor}`)).json;
    const pieces = [];
    for (let after = j.json.cursor, more = true; more;) {
      const piece = (await replay(`ref=${k.ref}&after=${after}&bytes=1`)).json;
      assert.ok(piece.events.length <= 1);
      pieces.push(...piece.events);
      ({ last: after, more } = piece);
    }
    assert.deepEqual(pieces, whole.events);
    refused(await replay(`ref=${k.ref}&after=1&bytes=0`), 422, 'invalid', 'bytes');

    assert.deepEqual((await b.ask('POST', '/internal/presence',
      { items: [{ ref: a.ref, status: 'online' }] })).json, { more: false });
    const there = async () => (await ask('GET', `/api/presence?users=${agent.id}`, admin))
      .json.items[0].status;
    assert.notEqual(await there(), 'offline');
    await b.ask('POST', '/internal/presence', { items: [{ ref: a.ref, status: 'offline' }] });
    assert.equal(await there(), 'offline');
    refused(await b.ask('POST', '/internal/presence', { items: [{ ref: a.ref, status: 'x' }] }),
      422, 'invalid', 'items');
  });

  await t.test('health and metrics', async () => {
    const far = { addr: '203.0.113.9' };
    const h = await ask('GET', '/health');
    assert.equal(h.status, 200, h.text);
    assert.equal(h.json.database, 'up');
    assert.equal(h.json.push, 'down'); // there is none here
    assert.deepEqual((await ask('GET', '/health', undefined, undefined, far)).json,
      { status: 'degraded' });
    refused(await ask('GET', '/metrics', undefined, undefined, far), 404, 'not_found');
    const m = await ask('GET', '/metrics');
    assert.equal(m.status, 200);
    assert.match(m.headers['content-type'], /^text\/plain/);
    assert.match(m.text, /^parley_up 1$/m);
    assert.match(m.text, /^parley_push_up 0$/m);
    for (const line of m.text.trim().split('\n'))
      assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="\w+"\})? -?[\d.]+)$/);
  });

  await t.test('rates', async () => {
    const c = await b.customer('Fast');
    // The slower the machine is, the more it allows meanwhile.
    const r = [];
    let late;
    while (!late && r.length < 1000) {
      r.push(...await Promise.all(Array.from({ length: 70 }, () =>
        b.request('POST', '/api/widget/messages',
          { who: c, body: { content: 'x' }, addr: '203.0.113.5' }))));
      late = r.find((x) => x.status === 429);
    }
    assert.ok(late, 'no limit at all');
    refused(late, 429, 'rate_limited');
    assert.ok(Number(late.headers['retry-after']) >= 1);
    assert.ok(r.filter((x) => x.status === 201).length >= 40);

    // Of presence one change a second counts, the others are dropped.
    for (let n = 0, quick = false; !quick; n++) {
      const lan = await b.user(`Lan${n}`);
      const texts = [], began = performance.now();
      for (const status_text of ['one', 'two', 'three'])
        texts.push((await b.request('PATCH', '/api/me', { who: lan, body: { status_text },
          addr: '203.0.113.6' })).json.status_text);
      quick = performance.now() - began < 1000;
      if (quick)
        assert.deepEqual(texts, ['one', 'one', 'one']);
    }
  });
});
