// A stand-in for TikTok's Business Messaging API, strict: see lib.js.
//
//   node tests/standin/tiktok.js [--port 4003]
//
// Scripts: message, action, upload, download, file, list, token;
// {error: 40100, message} answers 200 with that code, as TikTok does.
import { Standin, asProgram, must, parse, reply, same } from './lib.js';

const API = '/open_api/v1.3';

export const startTiktok = (options = {}) =>
  new Tiktok(options).listen(options.port);

class Tiktok extends Standin {
  constructor({ appId = '7300000000000000001',
    appSecret = 'tiktok-sample-app-secret',
    businessId = '-000sAmPlEbUsInEsSoPeNiD_0001', accessToken = 'act.sample',
    refreshToken = 'rft.sample-1', participants = {}, files = {},
    lifeS = 86400 }) {
    super();
    Object.assign(this, { appId, appSecret, businessId, accessToken,
      refreshToken, participants, files, lifeS, refreshes: 0 });
    this.uploads = new Map(); // media id: bytes
  }

  route(method, path) {
    if (method === 'GET' && path.startsWith('/files/'))
      return 'file';
    return {
      [`POST ${API}/business/message/send/`]: 'message',
      [`POST ${API}/business/message/media/upload/`]: 'upload',
      [`POST ${API}/business/message/media/download/`]: 'download',
      [`GET ${API}/business/message/content/list/`]: 'list',
      [`POST ${API}/tt_user/oauth2/refresh_token/`]: 'token',
      [`POST ${API}/tt_user/token_info/get/`]: 'account',
    }[`${method} ${path}`];
  }

  refusal(message) {
    return { code: 40002, message, request_id: 'r', data: {} };
  }

  scripted({ error, message = 'scripted' }) {
    return { code: error, message, request_id: 'r', data: {} };
  }

  unnamed(answer) {
    answer.data = {};
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(h.authorization === undefined, 'no Authorization');
    if (name === 'token') {
      must(h['access-token'] === undefined, 'no Access-Token');
      must(h['content-type'] === 'application/json', 'Content-Type');
      const o = parse(body);
      same(Object.keys(o), ['client_id', 'client_secret', 'grant_type',
        'refresh_token']);
      must(o.client_id === this.appId && o.client_secret === this.appSecret &&
        o.grant_type === 'refresh_token', 'who asks');
      return o;
    }
    if (name === 'account') {
      must(h['access-token'] === undefined, 'no Access-Token');
      const o = parse(body);
      same(Object.keys(o), ['app_id', 'access_token']);
      must(o.app_id === this.appId, 'app_id');
      return o;
    }
    if (name === 'file') {
      must(h['access-token'] === undefined && h['x-user'], 'x-user');
      return { path: url.pathname };
    }
    must(h['access-token'], 'Access-Token');
    must(h['x-user'] === undefined, 'no x-user');
    if (name === 'list') {
      // A bare + would be a space.
      must(!url.search.includes('+'), '+ as %2B');
      same([...url.searchParams.keys()], ['business_id', 'conversation_id']);
      return Object.fromEntries(url.searchParams);
    }
    must(url.search === '', 'no query');
    if (name === 'upload')
      return this.#checkUpload(h, body.toString('latin1'));
    must(h['content-type'] === 'application/json', 'Content-Type');
    const o = parse(body);
    must(o.business_id === this.businessId, 'business_id');
    if (name === 'download')
      same(Object.keys(o), ['business_id', 'conversation_id', 'message_id',
        'media_id', 'media_type']);
    else
      checkMessage(o);
    return o;
  }

  #checkUpload(h, text) {
    must(/^multipart\/form-data; boundary=/.test(h['content-type']),
      'multipart');
    const fields = [...text.matchAll(
      /name="(\w+)"\r\n\r\n([^\r]*)\r\n/g)].map((m) => [m[1], m[2]]);
    same(fields, [['business_id', this.businessId], ['media_type', 'IMAGE']]);
    const [, bytes] = /name="file"; filename="[^\r]*\r\n(?:[^\r]+\r\n)*\r\n(.*)\r\n--[^\r]*--\r\n$/s
      .exec(text) ?? [];
    must(bytes !== undefined, 'a part called file');
    return { fields, bytes: Buffer.from(bytes, 'latin1') };
  }

  act(name, what, rq, url) {
    const done = (data) => ({ code: 0, message: 'OK', request_id: 'r', data });
    if (name === 'token')
      return this.#token(what, done);
    if ((what.access_token ?? rq.headers['access-token'] ?? rq.headers['x-user']) !==
      this.accessToken)
      return this.scripted({ error: 40105,
        message: 'Access token is incorrect or has been revoked.' });
    const n = this.next();
    switch (name) {
    case 'account':
      return done({ app_id: this.appId, creator_id: this.businessId,
        scope: 'message.list.send,message.list.read' });
    case 'upload':
      this.uploads.set(`ttMedia${n}`, what.bytes);
      return done({ media_id: `ttMedia${n}` });
    case 'download':
      return done({ download_url: `${this.url}/files/${what.media_id}` });
    case 'file':
      return this.files[url.pathname.slice(7)] ?? reply(404, {});
    case 'list':
      return done({ participants: [{ role: 'BUSINESS_ACCOUNT',
        id: this.businessId, display_name: 'Shop' },
      ...(this.participants[what.conversation_id] ?? [])] });
    default:
      return this.#message(what, n, done);
    }
  }

  #message(what, n, done) {
    if (what.message_type === 'SENDER_ACTION')
      return done({ message: { message_id: '' } });
    if (what.image && !this.uploads.has(what.image.media_id))
      return this.scripted({ error: 40002, message: 'no such media' });
    const id = `ttOut${n}==`;
    this.sent.push({ id, to: what.recipient, text: what.text?.body,
      message: what, at: Date.now() });
    return done({ message: { message_id: id } });
  }

  // The refresh token changes each time, and the old pair ends.
  #token(what, done) {
    if (what.refresh_token !== this.refreshToken)
      return this.scripted({ error: 40002, message: 'refresh_token' });
    this.refreshes++;
    this.accessToken = `act.${this.refreshes + 1}`;
    this.refreshToken = `rft.${this.refreshes + 1}`;
    return done({ access_token: this.accessToken, expires_in: this.lifeS,
      open_id: this.businessId, refresh_token: this.refreshToken,
      refresh_token_expires_in: 28484364, token_type: 'Bearer',
      scope: 'message.list.send,message.list.read' });
  }
}

function checkMessage(o) {
  const { business_id, recipient_type, recipient, message_type,
    referenced_message_info: quote, ...content } = o;
  must(recipient_type === 'CONVERSATION', 'recipient_type');
  must(typeof recipient === 'string' && recipient !== '', 'recipient');
  if (quote !== undefined) {
    must(message_type === 'TEXT', 'quotes with texts only');
    same(Object.keys(quote), ['referenced_message_id']);
  }
  if (message_type === 'TEXT') {
    same(Object.keys(content), ['text']);
    same(Object.keys(content.text), ['body']);
    must(content.text.body.length >= 1 && content.text.body.length <= 6000 &&
      content.text.body.isWellFormed?.() !== false, 'text');
  } else if (message_type === 'IMAGE') {
    same(Object.keys(content), ['image']);
    same(Object.keys(content.image), ['media_id']);
  } else {
    must(message_type === 'SENDER_ACTION', 'message_type');
    same(Object.keys(content), ['sender_action']);
    must(['TYPING', 'MARK_READ'].includes(content.sender_action), 'action');
  }
  must(business_id !== undefined, 'business_id');
}

await asProgram(import.meta, 4003, startTiktok);
