// A stand-in for Zalo's Open API, strict: see lib.js.
//
//   node tests/standin/zalo.js [--port 4000] [--oa-id …] [--app-id …]
//
// Scripts: message, profile, account, token, upload_image, upload_gif, upload_file;
// {error: -32, message} answers 200 with that error, as Zalo does.
import { Standin, asProgram, must, parse, reply, same } from './lib.js';

const OA = '2520000000000000017', APP = '1845200000000000123';

export const startZalo = (options = {}) =>
  new Zalo(options).listen(options.port);

class Zalo extends Standin {
  constructor({ appId = APP, oaId = OA, appSecret = 'zalo-sample-app-secret',
    accessToken = 'zalo-sample-access', refreshToken = 'zalo-sample-refresh-1',
    profiles = {} }) {
    super();
    Object.assign(this, { appId, oaId, appSecret, accessToken, refreshToken,
      profiles, refreshes: 0 });
  }

  route(method, path) {
    return {
      'POST /v3.0/oa/message/cs': 'message',
      'GET /v3.0/oa/user/detail': 'profile',
      'GET /v2.0/oa/getoa': 'account',
      'POST /v4/oa/access_token': 'token',
      'POST /v2.0/oa/upload/image': 'upload_image',
      'POST /v2.0/oa/upload/gif': 'upload_gif',
      'POST /v2.0/oa/upload/file': 'upload_file',
    }[`${method} ${path}`];
  }

  refusal(message) {
    return reply(400, { error: -201, message });
  }

  scripted({ error, message = 'scripted' }) {
    return { error, message };
  }

  unnamed(answer) {
    delete answer.data.message_id;
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(h.authorization === undefined, 'no Authorization');
    if (name !== 'profile')
      must(url.search === '', 'no query');
    if (name === 'token') {
      must(h['content-type'] === 'application/x-www-form-urlencoded',
        'Content-Type of a form');
      must(h.secret_key === this.appSecret, 'secret_key');
      must(h.access_token === undefined, 'no access_token');
      const form = Object.fromEntries(new URLSearchParams(body.toString()));
      same(Object.keys(form).sort(), ['app_id', 'grant_type', 'refresh_token']);
      must(form.app_id === this.appId, 'app_id');
      must(form.grant_type === 'refresh_token', 'grant_type');
      return form;
    }
    must(typeof h.access_token === 'string' && h.access_token !== '',
      'access_token');
    must(h.secret_key === undefined, 'the secret stays at home');
    if (name === 'profile') {
      same([...url.searchParams.keys()], ['data']);
      const data = parse(url.searchParams.get('data'));
      same(Object.keys(data), ['user_id']);
      must(/^\d+$/.test(data.user_id), 'user_id');
      return data;
    }
    if (name === 'account')
      return {};
    if (name !== 'message') {
      must(/^multipart\/form-data; boundary=/.test(h['content-type']),
        'multipart');
      must(/name="file"; filename="/.test(body.toString('latin1')),
        'a part called file');
      return body;
    }
    must(h['content-type'] === 'application/json', 'Content-Type');
    return checkMessage(parse(body));
  }

  act(name, what, rq) {
    if (name === 'token')
      return this.#token(what);
    if (rq.headers.access_token !== this.accessToken)
      return { error: -216, message: 'Access token is invalid' };
    if (name === 'account')
      return { error: 0, message: 'Success', data: { oa_id: this.oaId,
        name: 'Shop over there', is_verified: true } };
    const n = this.next();
    if (name === 'profile') {
      const p = this.profiles[what.user_id];
      return p === undefined
        ? { error: -201, message: 'user_id is invalid!' }
        : { error: 0, message: 'Success', data: { user_id: what.user_id, ...p } };
    }
    if (name !== 'message')
      return { error: 0, message: 'Success', data: name === 'upload_file'
        ? { token: `zTok${n}` } : { attachment_id: `zAtt${n}` } };
    const to = what.recipient.user_id;
    const id = `zOut${n}`;
    this.sent.push({ id, to, text: what.message.text, message: what.message,
      at: Date.now() });
    return { error: 0, message: 'Success', data: { message_id: id, user_id: to,
      sent_time: String(Date.now()), quota: { quota_type: 'reply',
        remain: '7', total: '8', expired_date: '', owner_type: 'OA',
        owner_id: this.oaId } } };
  }

  // A refresh token works once, and voids the access token at once.
  #token(form) {
    if (form.refresh_token !== this.refreshToken)
      return { error: -14014, error_name: 'Invalid refresh token.' };
    this.refreshes++;
    this.accessToken = `zalo-access-${this.refreshes + 1}`;
    this.refreshToken = `zalo-refresh-${this.refreshes + 1}`;
    return { access_token: this.accessToken, refresh_token: this.refreshToken,
      expires_in: '90000' };
  }
}

function checkMessage(o) {
  same(Object.keys(o).sort(), ['message', 'recipient']);
  same(Object.keys(o.recipient), ['user_id']);
  must(/^\d+$/.test(o.recipient.user_id), 'user_id is digits in a string');
  const m = o.message;
  for (const key of Object.keys(m))
    must(['text', 'attachment', 'quote_message_id'].includes(key), key);
  must(m.text !== undefined || m.attachment !== undefined, 'content');
  if (m.text !== undefined)
    must(typeof m.text === 'string' && m.text.length > 0 &&
      m.text.length <= 2000 && m.text.isWellFormed?.() !== false, 'text');
  if (m.quote_message_id !== undefined)
    must(typeof m.quote_message_id === 'string', 'quote_message_id');
  if (m.attachment !== undefined)
    checkAttachment(m.attachment);
  return o;
}

function checkAttachment(a) {
  same(Object.keys(a).sort(), ['payload', 'type']);
  if (a.type === 'file') {
    same(Object.keys(a.payload), ['token']);
    return;
  }
  must(a.type === 'template' && a.payload.template_type === 'media' &&
    a.payload.elements.length === 1, 'media template');
  const el = a.payload.elements[0];
  must(el.media_type === 'image', 'media_type');
  must((el.attachment_id === undefined) !== (el.url === undefined),
    'attachment_id or url');
}

await asProgram(import.meta, 4000, (args) => startZalo({ ...args,
  oaId: args['oa-id'], appId: args['app-id'] }));
