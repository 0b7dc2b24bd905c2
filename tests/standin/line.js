// A stand-in for LINE's Messaging API, strict: see lib.js.
//
//   node tests/standin/line.js [--port 4002]
//
// It gives files too, so both `line_api_base` and `line_data_base` are its
// address.  Scripts: push, reply, token, profile, account, loading, seen, transcoding,
// content; {error: 429, message} answers that status with LINE's JSON.
import { Standin, asProgram, must, parse, reply, same } from './lib.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TO = /^[UCR][0-9a-f]{32}$/;

export const startLine = (options = {}) =>
  new Line(options).listen(options.port);

class Line extends Standin {
  constructor({ channelId = '2000000001',
    channelSecret = '5a6d706c655f6c696e655f7365637265',
    tokens = ['line-sample-channel-token'], profiles = {}, files = {},
    lifeS = 899, botId = 'U00000000000000000000000000000001' }) {
    super();
    Object.assign(this, { channelId, channelSecret, profiles, files, lifeS, botId,
      tokens: new Set(tokens), refreshes: 0, keys: new Map() });
    this.used = new Set(); // reply tokens
  }

  route(method, path) {
    const name = {
      'POST /v2/bot/message/push': 'push',
      'POST /v2/bot/message/reply': 'reply',
      'POST /v2/bot/chat/loading/start': 'loading',
      'POST /v2/bot/chat/markAsRead': 'seen',
      'POST /oauth2/v3/token': 'token',
      'GET /v2/bot/info': 'account',
    }[`${method} ${path}`];
    if (name !== undefined || method !== 'GET')
      return name;
    if (/^\/v2\/bot\/(profile|(group|room)\/\w+\/member)\/\w+$/.test(path))
      return 'profile';
    return path.match(/^\/v2\/bot\/message\/\d+\/content(\/transcoding)?$/)
      ? path.endsWith('g') ? 'transcoding' : 'content' : undefined;
  }

  refusal(message) {
    return reply(400, { message });
  }

  scripted({ error, message = 'scripted' }) {
    return reply(error, { message });
  }

  unnamed(answer) {
    delete answer.sentMessages;
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(url.search === '', 'no query');
    must((name === 'push') === (h['x-line-retry-key'] !== undefined),
      'a retry key on each push, and nowhere else');
    if (name === 'token') {
      must(h['content-type'] === 'application/x-www-form-urlencoded',
        'Content-Type of a form');
      must(h.authorization === undefined, 'no Authorization');
      const form = Object.fromEntries(new URLSearchParams(body.toString()));
      same(form, { grant_type: 'client_credentials',
        client_id: this.channelId, client_secret: this.channelSecret });
      return form;
    }
    must(/^Bearer \S+$/.test(h.authorization), 'Authorization');
    if (rq.method === 'GET')
      return { path: url.pathname };
    must(h['content-type'] === 'application/json', 'Content-Type');
    const o = parse(body);
    if (name === 'push') {
      must(UUID.test(h['x-line-retry-key']), 'a UUID as retry key');
      same(Object.keys(o), ['to', 'messages']);
      must(TO.test(o.to), 'to');
    } else if (name === 'reply') {
      same(Object.keys(o), ['replyToken', 'messages']);
    } else if (name === 'loading') {
      same(Object.keys(o), ['chatId', 'loadingSeconds']);
      must(/^U[0-9a-f]{32}$/.test(o.chatId), 'chatId of a user');
      must(o.loadingSeconds % 5 === 0 && o.loadingSeconds >= 5 &&
        o.loadingSeconds <= 60, 'loadingSeconds');
    } else {
      same(Object.keys(o), ['markAsReadToken']);
    }
    if (o.messages !== undefined) {
      must(Array.isArray(o.messages) && o.messages.length >= 1 &&
        o.messages.length <= 5, '1 to 5 messages');
      o.messages.forEach(checkMessage);
    }
    return o;
  }

  act(name, what, rq, url) {
    if (name === 'token') {
      const token = `line-token-${++this.refreshes}`;
      this.tokens.add(token);
      return { token_type: 'Bearer', access_token: token,
        expires_in: this.lifeS };
    }
    if (!this.tokens.has(rq.headers.authorization.slice(7)))
      return reply(401, { message: 'Authentication failed' });
    const id = url.pathname.split('/')[4];
    switch (name) {
    case 'push':
      return this.#push(what, rq.headers['x-line-retry-key']);
    case 'reply':
      return this.#reply(what);
    case 'profile':
      return this.profiles[url.pathname.split('/').at(-1)] ??
        reply(404, { message: 'Not found' });
    case 'account':
      return { userId: this.botId, basicId: '@shop',
        displayName: 'Shop over there', chatMode: 'bot' };
    case 'transcoding':
      return { status: 'succeeded' };
    case 'content':
      return this.files[id] ?? reply(404, { message: 'Not found' });
    default:
      return reply(202, {});
    }
  }

  #accept(to, messages) {
    const id = `4612${this.next()}`;
    this.sent.push({ id, to, text: messages.find((m) => m.text)?.text,
      messages, at: Date.now() });
    return { sentMessages: messages.map((m, i) => ({ id: i ? `${id}${i}` : id,
      ...(m.type === 'text' && { quoteToken: `q${id}` }) })) };
  }

  #push({ to, messages }, key) {
    const before = this.keys.get(key);
    const text = JSON.stringify(messages);
    must((before?.text ?? text) === text, 'the same key for another message');
    if (before !== undefined)
      return reply(409, { message: 'The retry key is already accepted',
        ...before.answer }, { 'x-line-accepted-request-id': key });
    const answer = this.#accept(to, messages);
    this.keys.set(key, { text, answer });
    return answer;
  }

  #reply({ replyToken, messages }) {
    if (this.used.has(replyToken))
      return reply(400, { message: 'Invalid reply token' });
    this.used.add(replyToken);
    return this.#accept(replyToken, messages);
  }
}

function checkMessage(m) {
  const { quickReply, ...own } = m;
  if (m.type === 'text') {
    same(Object.keys(own).filter((k) => k !== 'quoteToken'), ['type', 'text']);
    must(m.text.length >= 1 && m.text.length <= 5000 &&
      m.text.isWellFormed?.() !== false, 'text');
  } else {
    same(Object.keys(own), ['type', 'originalContentUrl', 'previewImageUrl']);
    must(m.type === 'image', 'type');
    for (const u of [m.originalContentUrl, m.previewImageUrl])
      must(u.startsWith('https://') && u.length <= 2000, 'https');
  }
  if (quickReply === undefined)
    return;
  same(Object.keys(quickReply), ['items']);
  must(quickReply.items.length >= 1 && quickReply.items.length <= 13, 'items');
  for (const { type, action } of quickReply.items) {
    must(type === 'action' && [...action.label].length <= 20, 'label');
    same(Object.keys(action), action.type === 'postback'
      ? ['label', 'type', 'data', 'displayText'] : ['label', 'type', 'text']);
    must((action.data ?? '').length <= 300, 'data');
  }
}

await asProgram(import.meta, 4002, startLine);
