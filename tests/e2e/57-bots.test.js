// Bots: they answer customers by rule, by a program of the shop's own, or by an
// assistant, once each message, until a person steps in.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { start } from './lib/harness.js';
import { Shop, pause, until } from './lib/shop.js';
import { startAssistant } from '../standin/assistant.js';
import { startShopbot } from '../standin/shopbot.js';
import { startZalo } from '../standin/zalo.js';

// A shop on Zalo with a worker and one bot.
async function open(t, bot, settings = {}) {
  const zalo = await startZalo();
  t.after(() => zalo.close());
  const shop = await Shop.open({ worker_poll_ms: 30, ...settings });
  t.after(() => shop.close());
  await shop.zalo(zalo.url);
  await shop.parley('user', 'add', '--email', 'an@shop.example', '--name', 'An', '--role', 'admin');
  shop.agent = (await shop.parley('token', '--user', 'an@shop.example')).trim();
  shop.ask = (method, url, body, headers = {}) => shop.call('api.fcgi', method, url, { body,
    headers: { Authorization: `Bearer ${shop.agent}`, ...headers } });
  if (bot) {
    const got = await shop.ask('POST', '/api/bots', { channels: [shop.channel], ...bot });
    assert.equal(got.status, 201, got.text);
    shop.bot = got.json;
  }
  return { shop, zalo };
}

// What the customer has been told by the bot, in order.
const said = (shop, user) => shop.sql(`SELECT m.content FROM messages m
  JOIN conversations c ON c.id = m.conversation_id
  WHERE c.external_id = '${user}' AND m.sender_kind = 'bot' ORDER BY m.id`)
  .then((rows) => rows.map((r) => r.content));

// Nothing waits for an answer any more.
const quiet = (shop) => until(async () => await shop.one(
  "SELECT count(*) FROM bot_asks WHERE state IN ('queued', 'asking')") === 0, undefined, 'bots rest');

const conversation = async (shop, user) =>
  (await shop.ask('GET', `/api/conversations/${await shop.conversation(user)}`)).json;

const rules = {
  name: 'Robo', kind: 'rules',
  config: {
    greeting: 'Xin chào!', fallback: 'Mời bạn chờ.', handover: ['nhân viên', 'agent'],
    handover_text: 'Có người tới ngay.',
    rules: [{ keywords: ['giá', 'price'], reply: 'Mười nghìn.',
      quick_replies: [{ title: 'Mua', payload: 'BUY' }] }],
  },
};

test('rules answer on the platform until a person steps in', { timeout: 300_000 }, async (t) => {
  const { shop, zalo } = await open(t, rules);
  shop.worker();
  await shop.customerSays('91', 'cho hoi GIA');
  await until(() => zalo.sent.length === 1);
  assert.match(zalo.sent[0].text, /^Xin chào!\n\nMười nghìn\./);
  await shop.customerSays('91', 'hm');
  await until(() => zalo.sent.length === 2);
  assert.equal(zalo.sent[1].text, 'Mời bạn chờ.');

  // Marked as a bot's, in the messages and beside the conversation.
  let c = await conversation(shop, '91');
  assert.deepEqual([c.bot.name, c.bot.state, c.bot.id], ['Robo', 'active', shop.bot.id]);
  assert.equal(c.last_message.sender.kind, 'bot');
  assert.equal(c.last_message.sender.name, 'Robo');

  // Its own echo, and one of a person writing at the platform.
  await shop.echo('91', zalo.sent[1].id, zalo.sent[1].text);
  await quiet(shop);
  assert.equal((await said(shop, '91')).length, 2);
  await shop.echo('91', 'hand1', 'I am a person', '77');
  await shop.customerSays('91', 'price');
  await quiet(shop);
  assert.equal((await said(shop, '91')).length, 2);
  c = await conversation(shop, '91');
  assert.deepEqual([c.bot.state, c.bot.handed_by, c.bot.reason], ['handed_over', 'platform', 'agent']);

  // Who asks for a person: handed over by rule.
  await shop.customerSays('92', 'gap nhan vien');
  await until(() => zalo.sent.some((m) => m.text === 'Xin chào!\n\nCó người tới ngay.'));
  await shop.customerSays('92', 'price');
  await quiet(shop);
  assert.equal((await said(shop, '92')).length, 1);
  c = await conversation(shop, '92');
  assert.deepEqual([c.bot.state, c.bot.handed_by, c.bot.reason],
    ['handed_over', `bot:${shop.bot.id}`, 'rule']);

  // Closed, and written into again: the bot's once more.
  await shop.ask('PATCH', `/api/conversations/${c.id}`, { status: 'closed' });
  await shop.customerSays('92', 'price');
  await until(async () => (await said(shop, '92')).length === 2);

  // Given to a person; then an agent's word; then it is off.
  c = await conversation(shop, '92');
  await shop.ask('PATCH', `/api/conversations/${c.id}`, { assignee_id: '1' });
  await shop.customerSays('92', 'price');
  await shop.customerSays('93', 'price');
  await until(async () => (await said(shop, '93')).length === 1);
  await shop.agentSays('93', 'here I am');
  await shop.customerSays('93', 'price');
  await quiet(shop);
  assert.equal((await said(shop, '92')).length, 2);
  assert.equal((await said(shop, '93')).length, 1);
  assert.equal((await shop.ask('PATCH', `/api/bots/${shop.bot.id}`, { state: 'off' })).status, 200);
  await shop.customerSays('94', 'price');
  assert.equal((await conversation(shop, '94')).bot, null);
  assert.equal(await shop.one('SELECT count(*) FROM bot_asks WHERE conversation_id = ' +
    await shop.conversation('94')), 0);
  assert.deepEqual(zalo.faults, []);
});

test('a bot is made, tried out, changed and deleted', async (t) => {
  const { shop } = await open(t);
  for (const [body, field] of [
    [{ kind: 'rules' }, 'name'], [{ name: 'x' }, 'kind'], [{ name: 'x', kind: 'magic' }, 'kind'],
    [{ name: 'x', kind: 'http' }, 'url'], [{ name: 'x', kind: 'assistant', config: {} }, 'base_url'],
    [{ name: 'x', kind: 'rules', config: { rules: [{}] } }, 'rules'],
    [{ name: 'x', kind: 'rules', config: { hours: [{ days: [1], from: '9', to: '10:00' }] } }, 'hours'],
    [{ name: 'x', kind: 'rules', channels: ['999'] }, 'channels'],
    [{ name: 'x', kind: 'rules', channels: 'all' }, 'channels'],
    [{ name: 'x', kind: 'rules', secrets: { api_key: 'k' } }, 'secrets'],
    [{ name: 'x', kind: 'rules', calls_max: -1 }, 'calls_max'],
  ]) {
    const got = await shop.ask('POST', '/api/bots', body);
    assert.deepEqual([got.status, got.json.field], [422, field], JSON.stringify(body));
  }
  const made = await shop.ask('POST', '/api/bots', { ...rules, channels: [shop.channel] });
  assert.equal(made.status, 201);
  assert.deepEqual(made.json.channels, [shop.channel]);
  assert.equal((await shop.ask('POST', '/api/bots', { ...rules, channels: [shop.channel] })).status, 409);

  const url = `/api/bots/${made.json.id}`;
  const tried = await shop.ask('POST', `${url}/test`, { message: 'Price?' });
  assert.equal(tried.status, 200);
  assert.equal(tried.json.text, 'Xin chào!\n\nMười nghìn.');
  assert.deepEqual(tried.json.quick_replies, [{ title: 'Mua', payload: 'BUY' }]);
  assert.equal((await shop.ask('POST', `${url}/test`, { message: 'an agent!' })).json.handover, true);
  assert.equal((await shop.ask('POST', `${url}/test`, { message: '' })).status, 422);
  assert.equal((await shop.ask('POST', '/api/bots/999/test', { message: 'x' })).status, 404);
  assert.equal(await shop.one('SELECT count(*) FROM messages'), 0);

  const changed = await shop.ask('PATCH', url, { name: 'Roba', channels: [],
    config: { greeting: null, fallback: 'Wait.' } });
  assert.equal(changed.json.name, 'Roba');
  assert.deepEqual(changed.json.channels, []);
  assert.equal(changed.json.config.greeting, undefined);
  assert.equal((await shop.ask('POST', `${url}/test`, { message: 'x' })).json.text, 'Wait.');
  assert.equal((await shop.ask('PATCH', url, { config: { greeting: 7 } })).json.field, 'greeting');
  assert.equal((await shop.ask('GET', url)).json.config.fallback, 'Wait.');
  assert.equal((await shop.ask('GET', '/api/bots')).json.items.length, 1);
  assert.equal((await shop.ask('DELETE', url)).status, 200);
  assert.equal((await shop.ask('DELETE', url)).status, 404);
  assert.equal((await shop.ask('GET', url)).status, 404);
  assert.deepEqual((await shop.sql('SELECT action FROM audit_log WHERE action LIKE \'bot%\' ORDER BY id'))
    .map((r) => r.action), ['bot_add', 'bot_change', 'bot_delete']);
});

test('a kill between question and answer makes no second answer', { timeout: 300_000 }, async (t) => {
  const { shop } = await open(t, rules, { bot_total_ms: 1000, bot_lease_ms: 200 });
  const users = Array.from({ length: 8 }, (_, i) => `70${i}`);
  for (const u of users)
    await shop.customerSays(u, 'price');
  for (let i = 0; i < 4; i++) {
    const w = shop.worker();
    await pause(40 * (i + 1));
    w.kill('SIGKILL');
    await w.ended;
  }
  shop.worker();
  await quiet(shop);
  for (const u of users)
    assert.equal((await said(shop, u)).length, 1);
});

// Where the tests' endpoints are may be asked.
const house = { fetch_networks: '127.0.0.1', fetch_http: 'on', backoff_percent: 1 };

const notices = (shop) => shop.sql(`SELECT data FROM events WHERE type = 'system_notification'
  ORDER BY id`).then((rows) => rows.map((r) => JSON.parse(r.data)));

test('a program of the shop answers, at once or by a call of its own', { timeout: 300_000 },
  async (t) => {
    const robot = await startShopbot();
    t.after(() => robot.close());
    const { shop } = await open(t, { name: 'Robo', kind: 'http',
      config: { url: `${robot.url}/bot`, history: 2, greeting: 'Hi!', handover: ['agent'] },
      secrets: { secret: robot.secret } }, house);
    assert.equal(shop.bot.secrets.secret, 'set');
    assert.match(shop.bot.key, /^[\w-]{43}$/);
    shop.worker();
    await shop.customerSays('81', 'one');
    await until(async () => (await said(shop, '81')).length === 1);
    robot.say.push({ text: 'Two!', quick_replies: [{ title: 'Buy' }] });
    await shop.customerSays('81', 'two');
    await until(async () => (await said(shop, '81')).length === 2);
    assert.deepEqual(await said(shop, '81'), ['Hi!\n\nyou said one', 'Two!']);
    assert.deepEqual(JSON.parse(await shop.one(
      "SELECT payload FROM messages WHERE content = 'Two!'")),
    { quick_replies: [{ title: 'Buy', payload: 'Buy' }] });
    assert.deepEqual(robot.calls[1].body.history.map((m) => [m.sender, m.content]),
      [['customer', 'one'], ['bot', 'Hi!\n\nyou said one'], ['customer', 'two']]);

    // Later, by its key; once for a message; never with another key.
    const call = (body, key = shop.bot.key, id = shop.bot.id) => shop.call('api.fcgi', 'POST',
      `/api/bots/${id}/messages`, { body, headers: { Authorization: `Bearer ${key}` } });
    robot.say.push({ later: true });
    await shop.customerSays('81', 'three');
    await robot.until((r) => r.calls.length === 3);
    await quiet(shop);
    const { message_id, conversation_id } = robot.calls[2].body;
    assert.equal((await call({ message_id, text: 'x' }, 'A'.repeat(43))).status, 401);
    assert.equal((await call({ message_id, text: 'x' }, shop.bot.key, '999')).status, 401);
    assert.equal((await call({ message_id: '12345', text: 'x' })).status, 404);
    assert.equal((await call({ message_id, text: 7 })).status, 422);
    assert.equal((await call({ text: 'to whom' })).status, 422);
    const late = await call({ message_id, text: 'Three, at last.' });
    assert.deepEqual([late.status, late.json.content, late.json.sender.kind],
      [201, 'Three, at last.', 'bot']);
    assert.equal((await call({ message_id, text: 'Three, at last.' })).status, 200);
    assert.equal((await call({ message_id, text: 'Three again' })).status, 409);
    assert.equal((await call({ conversation_id, client_id: 'n1', text: 'News!' })).status, 201);
    assert.equal((await call({ conversation_id, client_id: 'n1', text: 'News!' })).status, 200);
    assert.equal((await call({ conversation_id, client_id: 'n2', handover: true })).status, 200);
    assert.equal((await call({ conversation_id, client_id: 'n3', text: 'still me' })).status, 409);
    assert.deepEqual((await said(shop, '81')).slice(2), ['Three, at last.', 'News!']);

    // By its word in an answer, and by rule without being asked.
    robot.say.push({ text: 'A moment.', handover: true });
    await shop.customerSays('82', 'help');
    await until(async () => (await conversation(shop, '82')).bot.state === 'handed_over');
    await shop.customerSays('83', 'an agent, please');
    await until(async () => (await conversation(shop, '83')).bot.state === 'handed_over');
    assert.equal(robot.calls.length, 4);

    // What it says and nobody understands.
    robot.script('ask', { status: 200, body: '{"text": 5}' });
    await shop.customerSays('84', 'help');
    await until(async () => (await conversation(shop, '84')).bot.reason === 'error');
    assert.match((await notices(shop))[0].message, /^Robo: answer not understood: text$/);
    assert.equal((await shop.ask('GET', `/api/bots/${shop.bot.id}`)).json.error,
      'answer not understood: text');
    const renewed = await shop.ask('PATCH', `/api/bots/${shop.bot.id}`, { new_key: true });
    assert.notEqual(renewed.json.key, shop.bot.key);
    assert.equal((await call({ conversation_id, text: 'old key' })).status, 401);
    assert.deepEqual(robot.faults, []);
  });

test('what a program was to answer later, and did not, is for people', { timeout: 60_000 },
  async (t) => {
    const robot = await startShopbot();
    t.after(() => robot.close());
    const { shop } = await open(t, { name: 'Robo', kind: 'http',
      config: { url: `${robot.url}/bot`, handover_text: 'Somebody will come.' },
      secrets: { secret: robot.secret } }, { ...house, bot_later_s: 1 });
    shop.worker();
    robot.say.push({ later: true });
    await shop.customerSays('71', 'one');
    await until(async () => (await said(shop, '71')).length === 1);
    assert.deepEqual(await said(shop, '71'), ['Somebody will come.']);
    const { bot } = await conversation(shop, '71');
    assert.deepEqual([bot.state, bot.reason], ['handed_over', 'error']);
    assert.match((await notices(shop))[0].message, /later/);
    const late = await shop.call('api.fcgi', 'POST', `/api/bots/${shop.bot.id}/messages`,
      { body: { message_id: robot.calls[0].body.message_id, text: 'too late' },
        headers: { Authorization: `Bearer ${shop.bot.key}` } });
    assert.equal(late.status, 409);
    assert.equal(robot.calls.length, 1);
    assert.deepEqual(robot.faults, []);
  });

const ai = (a, config = {}) => ({ name: 'Ada', kind: 'assistant',
  config: { base_url: `${a.url}/v1`, model: a.model, system: 'Be brief.', history: 4, ...config },
  secrets: { api_key: a.key } });

test('an assistant answers, and people step in when it cannot', { timeout: 120_000 }, async (t) => {
  const a = await startAssistant();
  t.after(() => a.close());
  const { shop } = await open(t, ai(a), { ...house, bot_total_ms: 5000 });
  shop.worker();
  await shop.customerSays('61', 'one');
  await until(async () => (await said(shop, '61')).length === 1);
  await shop.customerSays('61', 'two');
  await until(async () => (await said(shop, '61')).length === 2);
  assert.deepEqual(await said(shop, '61'), ['echo: one', 'echo: two']);
  const [system, ...turns] = a.calls[1].body.messages;
  assert.match(system.content, /^Be brief\./);
  assert.deepEqual(turns, [{ role: 'user', content: 'one' },
    { role: 'assistant', content: 'echo: one' }, { role: 'user', content: 'two' }]);
  // Bounded: the last four and the new one.
  await shop.customerSays('61', 'three');
  await until(async () => (await said(shop, '61')).length === 3);
  await shop.customerSays('61', 'four');
  await until(async () => (await said(shop, '61')).length === 4);
  assert.equal(a.calls[3].body.messages.length, 6);
  assert.equal((await shop.ask('GET', `/api/bots/${shop.bot.id}`)).json.tokens, 100);

  // By its word.
  a.say.push('I fetch somebody. [[handover]]');
  await shop.customerSays('62', 'angry');
  await until(async () => (await conversation(shop, '62')).bot.state === 'handed_over');
  assert.deepEqual(await said(shop, '62'), ['I fetch somebody.']);
  assert.equal((await conversation(shop, '62')).bot.reason, 'bot');

  // What passes is tried again, what does not is handed over, and said.
  a.script('chat', { error: 429, headers: { 'retry-after': '1' } }, { error: 500 });
  await shop.customerSays('63', 'patient');
  await until(async () => (await said(shop, '63')).length === 1);
  assert.deepEqual(await said(shop, '63'), ['echo: patient']);
  const ends = [
    [[{ hang: true }], /^Ada: no answer: /], [[{ drop: true }], /^Ada: no answer: /],
    [[{ truncate: true }], /^Ada: no answer: /],
    [[{ status: 200, body: '<html>busy</html>' }], /^Ada: answer not readable: bad_json$/],
    [[{ status: 200, body: '{}' }], /^Ada: answer not understood: choices$/],
    [[{ error: 401 }], /^Ada: HTTP 401$/],
    [[{ error: 429 }, { error: 500 }, { error: 503 }], /^Ada: HTTP 503$/],
    [[{ error: 429, headers: { 'retry-after': '3600' } }], /^Ada: HTTP 429$/],
  ];
  for (const [i, [steps, text]] of ends.entries()) {
    a.script('chat', ...steps);
    await shop.customerSays(`50${i}`, 'hello');
    await until(async () => (await conversation(shop, `50${i}`)).bot?.reason === 'error',
      undefined, `hand-over ${i}`);
    assert.match((await notices(shop)).at(-1).message, text);
    assert.deepEqual(await said(shop, `50${i}`), []);
  }
  assert.equal(await shop.one("SELECT count(*) FROM deliveries d JOIN messages m ON m.id = d.message_id WHERE m.sender_kind <> 'bot'"), 0);

  // So many calls a day.
  const spent = (await shop.ask('GET', `/api/bots/${shop.bot.id}`)).json.calls;
  await shop.ask('PATCH', `/api/bots/${shop.bot.id}`, { calls_max: spent + 1 });
  await shop.customerSays('64', 'last one');
  await until(async () => (await said(shop, '64')).length === 1);
  await shop.customerSays('64', 'one too many');
  await until(async () => (await conversation(shop, '64')).bot.reason === 'budget');
  assert.match((await notices(shop)).at(-1).message, /budget/);
  assert.deepEqual(a.faults, []);
});

test('an endpoint in the house is not asked unless the settings say so', async (t) => {
  const a = await startAssistant();
  t.after(() => a.close());
  const { shop } = await open(t, ai(a), { fetch_http: 'on', fetch_networks: '10.9.9.9' });
  shop.worker();
  await shop.customerSays('61', 'one');
  await until(async () => (await conversation(shop, '61')).bot?.reason === 'error');
  assert.match((await notices(shop)).at(-1).message, /address not allowed/);
  assert.deepEqual(a.calls, []);
});

test('a worker killed while the assistant speaks: one message', { timeout: 300_000 }, async (t) => {
  const a = await startAssistant();
  t.after(() => a.close());
  const { shop } = await open(t, ai(a), { ...house, bot_total_ms: 1000, bot_lease_ms: 100 });
  a.script('chat', { hold: true });
  const w = shop.worker();
  await shop.customerSays('61', 'one');
  await a.until((x) => x.calls.length === 1);
  w.kill('SIGKILL');
  await w.ended;
  a.release();
  await shop.set({ bot_total_ms: 20_000 });
  shop.worker();
  await until(async () => (await said(shop, '61')).length === 1, undefined, 'the answer');
  await quiet(shop);
  assert.deepEqual(await said(shop, '61'), ['echo: one']);
  assert.equal(a.calls.length, 2);
});

test('POST /chat: the answer in the same exchange', { timeout: 300_000 }, async (t) => {
  const a = await startAssistant();
  t.after(() => a.close());
  const { shop } = await open(t, { ...rules, channels: [] }, { ...house, chat_wait_ms: 10000 });
  const web = String(await shop.one("SELECT id FROM channels WHERE platform = 'web'"));
  await shop.ask('PATCH', `/api/bots/${shop.bot.id}`, { channels: [web] });
  const visitor = (await shop.call('api.fcgi', 'POST', '/api/widget/session', { body: {} })).json;
  const chat = (body, token = visitor.token) => shop.call('api.fcgi', 'POST', '/chat', { body,
    headers: { Authorization: `Bearer ${token}` } });
  const one = await chat({ message: 'price', client_id: 'c1' });
  assert.equal(one.status, 200, one.text);
  assert.equal(one.json.answer.content, 'Xin chào!\n\nMười nghìn.');
  assert.equal(one.json.answer.sender.kind, 'bot');
  assert.equal(one.json.message.content, 'price');
  assert.equal(one.json.message.conversation_id, visitor.conversation.id);
  // The same again: nothing new.
  const again = await chat({ message: 'price', client_id: 'c1' });
  assert.deepEqual([again.json.message.id, again.json.answer.id],
    [one.json.message.id, one.json.answer.id]);
  assert.equal(await shop.one('SELECT count(*) FROM messages'), 2);
  assert.equal((await chat({})).status, 422);
  assert.equal((await chat({ message: 'x', conversation: '99' })).status, 404);
  assert.equal((await chat({ message: 'x' }, 'nobody')).status, 401);
  // Who tries it out: no conversation.
  const tried = await chat({ message: 'price', bot: shop.bot.id }, shop.agent);
  assert.equal(tried.json.answer.text, 'Xin chào!\n\nMười nghìn.');
  assert.equal((await chat({ message: 'price' }, shop.agent)).status, 422);
  assert.equal(await shop.one('SELECT count(*) FROM messages'), 2);

  // An assistant: the worker asks, and the exchange waits for it.
  await shop.ask('DELETE', `/api/bots/${shop.bot.id}`);
  await shop.ask('POST', '/api/bots', { ...ai(a), channels: [web] });
  shop.worker();
  const two = await chat({ message: 'who are you?' });
  assert.deepEqual([two.status, two.json.done, two.json.answer.content],
    [200, true, 'echo: who are you?']);
  // A person has it: the message alone.
  await shop.ask('POST', `/api/conversations/${visitor.conversation.id}/messages`,
    { content: 'I take over' });
  const three = await chat({ message: 'thanks' });
  assert.deepEqual([three.status, three.json.answer], [200, null]);
  assert.deepEqual(a.faults, []);
});

test('POST /chat does not wait for ever', { timeout: 300_000 }, async (t) => {
  const a = await startAssistant();
  t.after(() => a.close());
  const { shop } = await open(t, null, { ...house, chat_wait_ms: 300 });
  const web = String(await shop.one("SELECT id FROM channels WHERE platform = 'web'"));
  await shop.ask('POST', '/api/bots', { ...ai(a), channels: [web] });
  const visitor = (await shop.call('api.fcgi', 'POST', '/api/widget/session', { body: {} })).json;
  const got = await shop.call('api.fcgi', 'POST', '/chat', { body: { message: 'slow' },
    headers: { Authorization: `Bearer ${visitor.token}` } });
  assert.deepEqual([got.status, got.json.done, got.json.answer], [202, false, null]);
  shop.worker();
  await until(async () => await shop.one(
    "SELECT count(*) FROM messages WHERE content = 'echo: slow'") === 1);
});

for (const web of ['apache', 'lighttpd'])
  for (const mode of ['fcgi', 'cgi'])
    test(`POST /chat reaches the bot, GET /chat the page: ${web}, ${mode}`, { timeout: 300_000 },
      async (t) => {
        const p = await start({ web, mode });
        t.after(() => p.stop());
        const boss = await p.agent('admin');
        const visitor = await p.visitor({ name: 'Lan' });
        const made = await boss.post('/api/bots', { ...rules,
          channels: [visitor.conversation.channel_id ?? '1'] });
        assert.equal(made.status, 201, made.text);
        const got = await visitor.post('/chat', { message: 'price' });
        assert.equal(got.status, 200, got.text);
        assert.equal(got.json.answer?.content, 'Xin chào!\n\nMười nghìn.');
        assert.match((await p.request('GET', '/chat')).headers['content-type'], /^text\/html/);
      });
