// Who may what: every route of the programs' own tables, asked by a visitor, a
// customer, another customer, an agent, another agent and an admin, of a thing
// that is theirs, somebody else's, or nobody's. A route without its row fails.

import test from 'node:test';
import assert from 'node:assert/strict';
import { box, routes } from './lib/box.js';

const people = ['visitor', 'customer', 'otherCustomer', 'agent', 'otherAgent', 'admin'];
const agents = ['agent', 'otherAgent', 'admin'];
const customers = ['customer', 'otherCustomer'];
const MISSING = '987654321';

// Who sees which conversation: a customer's own, every agent all customers',
// a direct one its two, a group its members.
const sees = {
  own: ['customer', ...agents],
  foreign: ['otherCustomer', ...agents],
  direct: ['agent', 'admin'],
  group: ['agent', 'otherAgent'],
  missing: [],
};
const patches = {
  own: agents, foreign: agents, direct: ['agent', 'admin'],
  group: ['agent', 'otherAgent'], missing: [],
};

// Before any thing is looked at: 401 for nobody, 403 for the wrong kind.
const gate = {
  nobody: () => 0,
  member: (who) => (who === 'visitor' ? 401 : 0),
  agent: (who) => (who === 'visitor' ? 401 : agents.includes(who) ? 0 : 403),
  admin: (who) => (who === 'visitor' ? 401 : who === 'admin' ? 0 : 403),
  customer: (who) => (who === 'visitor' ? 401 : customers.includes(who) ? 0 : 403),
  internal: () => 404,
};

// A row: cases of {name, url(ctx, who), body?, expect(who)}; expect is what
// comes once the gate is passed. `fresh` makes a thing for this request alone.
const plain = (url, status = 200, body) => [{ name: '-', url: () => url, body,
  expect: () => status }];

const conversation = (tail, { body, status = 200, may = sees } = {}) =>
  ['own', 'foreign', 'direct', 'group', 'missing'].map((name) => ({
    name,
    url: (c) => `/api/conversations/${c[name]}${tail}`,
    body: typeof body === 'function' ? body : () => body,
    expect: (who) => (may[name].includes(who) ? status :
      sees[name].includes(who) ? 403 : 404),
  }));

const customer = (tail, { body, status = 200, fresh } = {}) => [
  { name: 'own', url: (c) => `/api/customers/${c.customerId}${tail}`, fresh, body: () => body,
    expect: () => status },
  { name: 'foreign', url: (c) => `/api/customers/${c.otherCustomerId}${tail}`, fresh,
    body: () => body, expect: () => status },
  { name: 'missing', url: () => `/api/customers/${MISSING}${tail}`, body: () => body,
    expect: () => 404 },
];

const bot = (tail, { body } = {}) => [
  { name: 'own', fresh: async (c) => c.newBot(), url: (c, who, id) => `/api/bots/${id}${tail}`,
    body: () => body, expect: () => 200 },
  { name: 'missing', url: () => `/api/bots/${MISSING}${tail}`, body: () => body, expect: () => 404 },
];

// A message by its author: in the customer's conversation, in the other
// customer's, in the direct one of agent and admin.
const message = ({ body }) => [
  { name: 'own', fresh: async (c) => c.write('customer', c.own), author: 'customer' },
  { name: 'foreign', fresh: async (c) => c.write('otherCustomer', c.foreign),
    author: 'otherCustomer' },
  { name: 'own', fresh: async (c) => c.write('agent', c.own), author: 'agent' },
  { name: 'direct', fresh: async (c) => c.write('agent', c.direct), author: 'agent' },
  { name: 'missing', fresh: async () => MISSING },
].map((x) => ({
  ...x,
  url: (c, who, id) => `/api/messages/${id}`,
  body: () => body,
  expect: (who) => (!sees[x.name].includes(who) ? 404 :
    who === x.author || who === 'admin' ? 200 : 403),
}));

const account = (name) => ({ platform: 'custom', name, settings: {} });
const channel = (tail, { body, status = 200, fresh } = {}) => [
  { name: 'own', fresh: fresh && ((c) => c.newChannel()),
    url: (c, who, id) => `/api/channels/${id ?? c.channel}${tail}`, body: () => body,
    expect: () => status },
  { name: 'missing', url: () => `/api/channels/${MISSING}${tail}`, body: () => body,
    expect: () => 404 },
];

const hook = { name: 'Ledger', url: 'https://hooks.example.com/', types: ['new_message'] };
const webhook = (tail, { body, status = 200, fresh } = {}) => [
  { name: 'own', fresh: fresh && ((c) => c.newHook()),
    url: (c, who, id) => `/api/webhooks/${id ?? c.hook}${tail}`, body: () => body,
    expect: () => status },
  { name: 'missing', url: () => `/api/webhooks/${MISSING}${tail}`, body: () => body,
    expect: () => 404 },
];

const rows = {
  'POST /api/auth/login': [
    { name: 'own', url: () => '/api/auth/login',
      body: (c) => ({ email: c.agent.email, password: c.agent.password }), expect: () => 200 },
    { name: 'missing', url: () => '/api/auth/login',
      body: () => ({ email: 'nobody@example.com', password: 'no such person' }),
      expect: () => 401 },
  ],
  // Ends the session that asks: each person asks with one of its own.
  'POST /api/auth/logout': [{ name: 'own', url: () => '/api/auth/logout', body: () => ({}),
    token: (c, who) => c.spare(who), expect: () => 200 }],
  'POST /api/auth/refresh': plain('/api/auth/refresh', 200, () => ({})),
  'GET /api/me': plain('/api/me'),
  'PATCH /api/me': plain('/api/me', 200, () => ({ locale: 'en' })),

  'POST /api/widget/session': [{ name: '-', url: () => '/api/widget/session', body: () => ({}),
    expect: (who) => (customers.includes(who) ? 200 : 201) }],
  'GET /api/widget/messages': plain('/api/widget/messages'),
  'POST /api/widget/messages': plain('/api/widget/messages', 201, () => ({ content: 'hi' })),

  'GET /api/conversations': plain('/api/conversations'),
  'POST /api/conversations': [
    { name: 'own', url: () => '/api/conversations',
      body: (c) => ({ customer_id: c.customerId }), expect: () => 201 },
    { name: 'missing', url: () => '/api/conversations',
      body: () => ({ customer_id: MISSING }), expect: () => [404, 422] },
  ],
  'GET /api/conversations/:id': conversation(''),
  'PATCH /api/conversations/:id': conversation('', { body: { subject: 'so' }, may: patches }),
  'POST /api/conversations/:id/participants': [
    { name: 'own', url: (c) => `/api/conversations/${c.group}/participants`,
      body: (c) => ({ users: [c.third.id] }),
      expect: (who) => (sees.group.includes(who) ? 200 : 404) },
    { name: 'missing', url: () => `/api/conversations/${MISSING}/participants`,
      body: (c) => ({ users: [c.third.id] }), expect: () => 404 },
  ],
  'DELETE /api/conversations/:id/participants/:user': [
    { name: 'own', fresh: async (c) => c.groupOf('agent', ['otherAgent', 'third']),
      url: (c, who, id) => `/api/conversations/${id}/participants/${c.third.id}`,
      expect: (who) => (sees.group.includes(who) ? 200 : 404) },
    { name: 'missing', url: (c) => `/api/conversations/${MISSING}/participants/${c.third.id}`,
      expect: () => 404 },
  ],
  'GET /api/conversations/:id/messages': conversation('/messages'),
  'POST /api/conversations/:id/messages':
    conversation('/messages', { body: { content: 'hi' }, status: 201 }),
  'POST /api/conversations/:id/read':
    conversation('/read', { body: (c, name) => ({ message_id: c.newest[name] ?? MISSING }) }),
  'POST /api/conversations/:id/typing': conversation('/typing', { body: { typing: true } }),
  'PATCH /api/messages/:id': message({ body: { content: 'better' } }),
  'DELETE /api/messages/:id': message({}),
  // On the web nothing of a message is ever to be sent again.
  'POST /api/messages/:id/resend': ['own', 'foreign', 'direct', 'group', 'missing'].map((name) => ({
    name,
    url: (c) => `/api/messages/${c.newest[name] ?? MISSING}/resend`,
    expect: (who) => (sees[name].includes(who) ? 409 : 404),
  })),
  'POST /api/messages/:id/read': ['own', 'foreign', 'direct', 'group', 'missing'].map((name) => ({
    name,
    url: (c) => `/api/messages/${c.newest[name] ?? MISSING}/read`,
    expect: (who) => (sees[name].includes(who) ? 200 : 404),
  })),
  'GET /api/unread': plain('/api/unread'),
  'POST /api/uploads': plain('/api/uploads?name=a', 201, () => ({})),
  // Who may see the message sees its file; an upload is its owner's.
  'GET /media/:id/:name': [
    ...['own', 'foreign', 'direct', 'group', 'missing'].map((name) => ({
      name, url: (c) => `/media/${c.files[name] ?? MISSING}/a`,
      expect: (who) => (sees[name].includes(who) ? 200 : 404),
    })),
    { name: 'upload', fresh: async (c) => c.upload('agent'),
      url: (c, who, id) => `/media/${id}/a`,
      expect: (who) => (who === 'agent' ? 200 : 404) },
  ],

  'GET /api/customers': plain('/api/customers'),
  'POST /api/customers': plain('/api/customers', 201, () => ({ name: 'New' })),
  'GET /api/customers/:id': customer(''),
  'PATCH /api/customers/:id': customer('', { body: { notes: 'so' } }),
  'DELETE /api/customers/:id': [
    { name: 'own', fresh: async (c) => c.newCustomer(),
      url: (c, who, id) => `/api/customers/${id}`, expect: () => 200 },
    { name: 'missing', url: () => `/api/customers/${MISSING}`, expect: () => 404 },
  ],
  'GET /api/customers/:id/conversations': customer('/conversations'),

  'GET /api/users': plain('/api/users'),
  'POST /api/users/:id/messages': [
    { name: 'own', url: (c) => `/api/users/${c.third.id}/messages`,
      body: () => ({ content: 'hi' }), expect: () => 201 },
    { name: 'self', url: (c, who) => `/api/users/${c[who]?.id ?? 1}/messages`,
      body: () => ({ content: 'hi' }), expect: () => 404 },
    { name: 'missing', url: () => `/api/users/${MISSING}/messages`,
      body: () => ({ content: 'hi' }), expect: () => 404 },
  ],
  'GET /api/bots': plain('/api/bots'),
  'POST /api/bots': plain('/api/bots', 201, () => ({ name: 'Robo', kind: 'rules' })),
  'GET /api/bots/:id': bot(''),
  'PATCH /api/bots/:id': bot('', { body: { name: 'Roba' } }),
  'DELETE /api/bots/:id': bot(''),
  // The bot's own key opens it, and nobody else's.
  'POST /api/bots/:id/messages': bot('/messages', { body: { text: 'hi' } })
    .map((x) => ({ ...x, expect: () => 401 })),
  'POST /api/bots/:id/test': bot('/test', { body: { message: 'hi' } }),

  'GET /api/presence': plain('/api/presence'),
  'GET /api/tags': plain('/api/tags'),
  'POST /api/tags': [{ name: '-', url: () => '/api/tags', fresh: async (c) => c.unique(),
    body: (c, name, id) => ({ name: id }), expect: () => 201 }],
  'DELETE /api/tags/:id': [
    { name: 'own', fresh: async (c) => c.newTag(), url: (c, who, id) => `/api/tags/${id}`,
      expect: () => 200 },
    { name: 'missing', url: () => `/api/tags/${MISSING}`, expect: () => 404 },
  ],

  'GET /api/channels': plain('/api/channels'),
  'POST /api/channels': plain('/api/channels', 201, () => account('Mine')),
  'GET /api/channels/:id': channel(''),
  'PATCH /api/channels/:id': channel('', { body: { name: 'so' } }),
  'DELETE /api/channels/:id': channel('', { fresh: true }),
  'POST /api/channels/:id/test': channel('/test', { body: {}, status: 202 }),

  'GET /api/webhooks': plain('/api/webhooks'),
  'POST /api/webhooks': plain('/api/webhooks', 201, () => hook),
  'GET /api/webhooks/:id': webhook(''),
  'PATCH /api/webhooks/:id': webhook('', { body: { name: 'so' } }),
  'DELETE /api/webhooks/:id': webhook('', { fresh: true }),
  'POST /api/webhooks/:id/secret': webhook('/secret', { body: {} }),
  'POST /api/webhooks/:id/test': webhook('/test', { body: {}, status: 202 }),
  'GET /api/webhooks/:id/attempts': webhook('/attempts'),
  'POST /api/webhooks/:id/attempts/:attempt/replay': [
    { name: 'own', url: (c) => `/api/webhooks/${c.hook}/attempts/${MISSING}/replay`,
      body: () => ({}), expect: () => 404 },
    { name: 'missing', url: () => `/api/webhooks/${MISSING}/attempts/1/replay`,
      body: () => ({}), expect: () => 404 },
  ],

  'POST /chat': [{ name: 'own', fresh: async (c) => c.newBot(), url: () => '/chat',
    body: (c, who, id) => (customers.includes(who) ? { message: 'hi' } : { message: 'hi', bot: id }),
    expect: () => 200 }],
  'POST /chat/send': [
    { name: 'own', url: () => '/chat/send', body: (c) => ({ userId: c.agent.id, message: 'hi' }),
      expect: () => 200 },
    { name: 'missing', url: () => '/chat/send', body: () => ({ userId: MISSING, message: 'hi' }),
      expect: () => 404 },
  ],
  'POST /chat/notify': [
    { name: 'own', url: () => '/chat/notify',
      body: (c) => ({ userId: c.agent.id, notification: { title: 'hi' } }), expect: () => 200 },
    { name: 'missing', url: () => '/chat/notify',
      body: () => ({ userId: MISSING, notification: {} }), expect: () => 404 },
  ],
  'POST /chat/broadcast': plain('/chat/broadcast', 200, () => ({ event: 'sale', data: {} })),

  // Nobody but pushd: to all others they are not there.
  'POST /internal/identify': plain('/internal/identify', 404, () => ({ items: [] })),
  'POST /internal/join': plain('/internal/join', 404, () => ({})),
  'POST /internal/presence': plain('/internal/presence', 404, () => ({ items: [] })),
  'GET /internal/events': plain('/internal/events', 404),
  'GET /internal/replay': plain('/internal/replay', 404),

  'GET /health': plain('/health'),
  'GET /metrics': plain('/metrics'),

  // Streams are pushd's; without it, an empty one that says to come back.
  'GET /api/events/stream': plain('/api/events/stream'),
  'GET /api/api/events/stream': plain('/api/api/events/stream'),
  'GET /chat/sse': plain('/chat/sse'),
  'GET /notifications/sse': plain('/notifications/sse'),

  'GET /api/events/poll': plain('/api/events/poll'),
  'GET /api/api/events/poll': plain('/api/api/events/poll'),
  'GET /api/events/longpoll': plain('/api/events/longpoll'),
  'GET /api/api/events/longpoll': plain('/api/api/events/longpoll'),
};

const table = routes();

test('every route has its row, every row its route', () => {
  assert.deepEqual(table.map((r) => `${r.method} ${r.path}`).sort(), Object.keys(rows).sort());
});

test('the rights matrix', async (t) => {
  const b = await box({ programs: ['api', 'poll', 'media'] });
  t.after(() => b.stop());
  const c = { unique: () => `t${++c.count}`, count: 0 };
  c.agent = await b.user('An');
  c.otherAgent = await b.user('Binh');
  c.third = await b.user('Chi');
  c.admin = await b.user('Dung', 'admin');
  c.customer = await b.customer('Kim');
  c.otherCustomer = await b.customer('Lan');
  c.customerId = c.customer.id;
  c.otherCustomerId = c.otherCustomer.id;
  c.own = c.customer.conversation;
  c.foreign = c.otherCustomer.conversation;
  c.missing = MISSING;

  const made = async (who, url, body) => {
    const r = await b.request('POST', url, { who: c[who], body });
    assert.equal(r.status, 201, `${url}: ${r.text}`);
    return r.json.id;
  };
  c.write = (who, id) => made(who, `/api/conversations/${id}/messages`, { content: 'hello' });
  c.groupOf = (who, others) => made(who, '/api/conversations',
    { type: 'group', subject: 'team', participants: others.map((x) => c[x].id) });
  c.newCustomer = () => made('agent', '/api/customers', { name: 'Gone' });
  c.newBot = () => made('admin', '/api/bots', { name: 'Robo', kind: 'rules' });
  c.newTag = () => made('agent', '/api/tags', { name: c.unique() });
  c.newChannel = () => made('admin', '/api/channels', account('Gone'));
  c.channel = await c.newChannel();
  c.newHook = () => made('admin', '/api/webhooks', hook);
  c.hook = await c.newHook();
  c.spare = async (who) => {
    if (who === 'visitor')
      return undefined;
    if (customers.includes(who))
      return (await b.customer('Spare')).token;
    const r = await b.request('POST', '/api/auth/login',
      { body: { email: c[who].email, password: c[who].password } });
    assert.equal(r.status, 200, r.text);
    return r.json.token;
  };
  c.direct = await made('agent', '/api/conversations',
    { type: 'direct', participants: [c.admin.id] });
  c.group = await c.groupOf('agent', ['otherAgent']);
  c.newest = {
    own: await c.write('customer', c.own),
    foreign: await c.write('otherCustomer', c.foreign),
    direct: await c.write('agent', c.direct),
    group: await c.write('agent', c.group),
  };

  c.upload = (who) => made(who, '/api/uploads', { a: 'file' });
  c.files = {};
  for (const [name, who] of [['own', 'customer'], ['foreign', 'otherCustomer'],
    ['direct', 'agent'], ['group', 'agent']]) {
    c.files[name] = await c.upload(who);
    await b.request('POST', `/api/conversations/${c[name]}/messages`,
      { who: c[who], body: { attachments: [c.files[name]] } });
  }

  for (const { method, path, who: open } of table) {
    const row = rows[`${method} ${path}`];
    if (!row)
      continue;
    await t.test(`${method} ${path}`, async () => {
      let unseen; // every 404 of a route is the same to the byte
      for (const x of row) {
        for (const who of people) {
          const id = x.fresh ? await x.fresh(c) : undefined;
          const url = x.url(c, who, id);
          const body = x.body?.(c, x.name, id);
          const token = x.token ? await x.token(c, who) : c[who]?.token;
          const r = await b.request(method, url, { who: { token },
            body: body ?? (method === 'POST' || method === 'PATCH' ? {} : undefined) });
          const expect = [gate[open](who) || x.expect(who)].flat();
          assert.ok(expect.includes(r.status),
            `${who} ${x.name} ${url}: ${r.status}, not ${expect}: ${r.text.slice(0, 200)}`);
          if (r.status === 401)
            assert.match(r.headers['www-authenticate'] ?? '', /^Bearer/);
          if (r.status === 404) {
            unseen ??= r.text;
            assert.equal(r.text, unseen);
            assert.equal(r.json.code, 'not_found');
          }
          if (r.status >= 400)
            assert.equal(r.json.success, false);
        }
      }
    });
  }
});
