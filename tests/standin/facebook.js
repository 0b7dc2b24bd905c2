// A stand-in for Messenger's Send API, and with other names for Instagram's,
// strict: see lib.js.
//
//   node tests/standin/facebook.js [--port 4001] [--page-id …]
//
// Scripts: message (sender actions, too), profile, account; {error: 190, subcode,
// message, status} refuses in Meta's words, with status 400 unless told.
import { createHmac } from 'node:crypto';
import { Standin, asProgram, must, parse, reply, same } from './lib.js';

export const startFacebook = (options = {}) =>
  new Facebook(options).listen(options.port);

export const startInstagram = (options = {}) =>
  new Instagram(options).listen(options.port);

// The header that proves a webhook.
export const metaSign = (body, secret) =>
  'sha256=' + createHmac('sha256', secret).update(body).digest('hex');

export const metaError = (error, subcode, message, status = 400) =>
  reply(status, { error: { message, type: 'OAuthException', code: error,
    ...(subcode !== undefined && { error_subcode: subcode }),
    fbtrace_id: 'A0' } });

export class Facebook extends Standin {
  object = 'page';
  fields = 'first_name,last_name,profile_pic';
  accountFields = 'id,name';

  constructor({ pageId = '104857600000001', token = 'fb-sample-page-token',
    version = 'v25.0', profiles = {} }) {
    super();
    Object.assign(this, { pageId, token, version, profiles });
  }

  route(method, path) {
    if (method === 'POST' && path === `/${this.version}/${this.pageId}/messages`)
      return 'message';
    if (method === 'GET' && path === `/${this.version}/me`)
      return 'account';
    return method === 'GET' && path.startsWith(`/${this.version}/`) &&
      /^\d+$/.test(path.slice(this.version.length + 2)) ? 'profile' : undefined;
  }

  refusal(message) {
    return metaError(100, undefined, message);
  }

  scripted({ error, subcode, message = 'scripted', code }) {
    return metaError(error, subcode, message, code);
  }

  unnamed(answer) {
    delete answer.message_id;
  }

  check(name, rq, url, body) {
    must(rq.headers.authorization === undefined, 'no Authorization');
    same([...url.searchParams.keys()],
      name !== 'message' ? ['fields', 'access_token'] : ['access_token']);
    must(url.searchParams.get('access_token') !== '', 'access_token');
    if (name === 'account') {
      must(url.searchParams.get('fields') === this.accountFields, 'fields');
      return {};
    }
    if (name === 'profile') {
      must(url.searchParams.get('fields') === this.fields, 'fields');
      return { user: url.pathname.split('/').pop() };
    }
    must(rq.headers['content-type'] === 'application/json', 'Content-Type');
    const o = parse(body);
    same(Object.keys(o.recipient), ['id']);
    must(/^\d+$/.test(o.recipient.id), 'id is digits in a string');
    if (o.sender_action !== undefined) {
      same(Object.keys(o).sort(), ['recipient', 'sender_action']);
      must(['typing_on', 'typing_off', 'mark_seen'].includes(o.sender_action),
        'sender_action');
      return o;
    }
    if (o.messaging_type === 'MESSAGE_TAG') {
      same(Object.keys(o).sort(), ['message', 'messaging_type', 'recipient',
        'tag']);
      must(o.tag === 'HUMAN_AGENT', 'tag');
    } else {
      same(Object.keys(o).sort(), ['message', 'messaging_type', 'recipient']);
      must(o.messaging_type === 'RESPONSE', 'messaging_type');
    }
    this.checkMessage(o.message);
    return o;
  }

  // What a text may be.
  textFits(text) {
    return text.length <= 2000;
  }

  checkMessage(m) {
    for (const key of Object.keys(m))
      must(['text', 'attachment', 'metadata', 'quick_replies'].includes(key),
        key);
    must((m.text === undefined) !== (m.attachment === undefined),
      'text or attachment');
    if (m.text !== undefined)
      must(typeof m.text === 'string' && m.text.length > 0 &&
        this.textFits(m.text) && m.text.isWellFormed?.() !== false, 'text');
    else
      checkAttachment(m.attachment);
    must(typeof m.metadata === 'string' && m.metadata.length <= 1000,
      'metadata');
    for (const q of m.quick_replies ?? []) {
      same(Object.keys(q), ['content_type', 'title', 'payload']);
      must(q.content_type === 'text' && q.title.length <= 20 &&
        q.payload.length <= 1000, 'quick reply');
    }
    must((m.quick_replies ?? []).length <= 13, 'quick replies');
  }

  act(name, what, rq, url) {
    if (url.searchParams.get('access_token') !== this.token)
      return metaError(190, undefined, 'Malformed access token '
        + url.searchParams.get('access_token'));
    if (name === 'account')
      return Object.fromEntries(this.accountFields.split(',')
        .map((f) => [f, f.endsWith('id') ? this.pageId : 'Shop over there']));
    if (name === 'profile') {
      const p = this.profiles[what.user];
      return p === undefined ? metaError(100, 33, 'Unsupported get request')
        : { ...p, id: what.user };
    }
    const to = what.recipient.id;
    if (what.sender_action !== undefined)
      return { recipient_id: to };
    const id = `m_out${this.pageId.slice(-2)}_${this.next()}`;
    this.sent.push({ id, to, text: what.message.text, message: what.message,
      tag: what.tag, at: Date.now() });
    return { recipient_id: to, message_id: id };
  }

  // A webhook's body with these events of the account.
  body(...events) {
    return Buffer.from(JSON.stringify({ object: this.object, entry: [{
      id: this.pageId, time: Date.now(), messaging: events }] }));
  }

  // A customer's event; `what` is its member that makes it different.
  from(user, what) {
    return { sender: { id: user }, recipient: { id: this.pageId },
      timestamp: Date.now(), ...what };
  }

  // The echo of one of `sent`, by this application.
  echo({ id, to, message }) {
    return { sender: { id: this.pageId }, recipient: { id: to },
      timestamp: Date.now(), message: { mid: id, is_echo: true,
        app_id: 908070605040302, ...this.echoed(message) } };
  }

  echoed(message) {
    return message;
  }
}

class Instagram extends Facebook {
  object = 'instagram';
  fields = 'name,username,profile_pic';
  accountFields = 'user_id,username';

  constructor(options) {
    super({ pageId: '17841400000000001', token: 'ig-sample-token',
      ...options });
  }

  textFits(text) {
    return Buffer.byteLength(text) <= 1000;
  }

  // What was said, but not what we added.
  echoed({ metadata, ...message }) {
    return message;
  }
}

function checkAttachment(a) {
  same(Object.keys(a).sort(), ['payload', 'type']);
  must(['image', 'video', 'audio', 'file'].includes(a.type), 'type');
  same(Object.keys(a.payload), ['url', 'is_reusable']);
  must(/^https:\/\//.test(a.payload.url), 'url');
  must(a.payload.is_reusable === false, 'is_reusable');
}

await asProgram(import.meta, 4001, (args) => startFacebook({ ...args,
  ...(args['page-id'] && { pageId: args['page-id'] }) }));
