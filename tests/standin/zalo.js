// A stand-in for Zalo's Open API, strict: it takes what the documents say and
// nothing else, and remembers each request that was wrong in `faults`.
//
//   node tests/standin/zalo.js [--port 4000] [--oa-id …] [--app-id …]
//
// In a test:
//   const zalo = await startZalo();
//   zalo.script('message', { error: -32 }, { hang: true });   // for the next ones
//   … zalo.sent, zalo.calls, zalo.faults …
//   await zalo.close();
//
// A scripted behaviour, used once each, in order:
//   {error, message}   HTTP 200 with that error; headers: more headers
//   {status, body}     another status, a body that is not JSON
//   {hang}             reads the request, never answers
//   {drop}             reads the request, cuts the connection
//   {truncate}         does it, cuts the answer in the middle
//   {hold}             does it, answers when zalo.release() is called
//   {after: ms}        does it, answers late
//   {noId}             does it, answers without a message id
// hang, drop and truncate do it too (accepted: true), unless accepted is false.
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const OA = '2520000000000000017', APP = '1845200000000000123';

export async function startZalo(options = {}) {
  const zalo = new Zalo(options);
  await new Promise((resolve, reject) => {
    zalo.server.once('error', reject);
    zalo.server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  zalo.url = `http://127.0.0.1:${zalo.server.address().port}`;
  return zalo;
}

class Refused extends Error {}

class Zalo {
  constructor({ appId = APP, oaId = OA, appSecret = 'zalo-sample-app-secret',
    accessToken = 'zalo-sample-access', refreshToken = 'zalo-sample-refresh-1',
    profiles = {} }) {
    Object.assign(this, { appId, oaId, appSecret, accessToken, refreshToken,
      profiles });
    this.calls = [];   // {name, at, body, headers} of what was well formed
    this.sent = [];    // messages that were accepted: {id, to, text, message}
    this.faults = [];  // what was not well formed
    this.refreshes = 0;
    this.scripts = new Map();
    this.held = [];
    this.waiters = new Set();
    this.number = 0;
    this.server = http.createServer((rq, rs) => this.#take(rq, rs));
    this.server.keepAliveTimeout = 1000;
  }

  // What the next requests of that name meet: message, profile, token,
  // upload_image, upload_gif, upload_file.
  script(name, ...steps) {
    this.scripts.set(name, [...(this.scripts.get(name) ?? []), ...steps]);
  }

  // Let the held answers go.
  release() {
    for (const go of this.held.splice(0))
      go();
  }

  // Resolves when `what(zalo)` is true; looks after each request.
  until(what, ms = 10000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiters.delete(look);
        reject(new Error(`not within ${ms} ms; faults: ${this.faults}`));
      }, ms);
      const look = () => {
        if (!what(this))
          return;
        clearTimeout(timer);
        this.waiters.delete(look);
        resolve();
      };
      this.waiters.add(look);
      look();
    });
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #take(rq, rs) {
    const chunks = [];
    try {
      for await (const chunk of rq)
        chunks.push(chunk);
    } catch {
      this.faults.push('request cut off');
      return;
    }
    try {
      await this.#answer(rq, rs, Buffer.concat(chunks));
    } catch (e) {
      if (!(e instanceof Refused))
        throw e;
      this.faults.push(`${rq.method} ${rq.url}: ${e.message}`);
      json(rs, 400, { error: -201, message: e.message });
    }
    for (const look of this.waiters)
      look();
  }

  async #answer(rq, rs, body) {
    const url = new URL(rq.url, 'http://x');
    const route = `${rq.method} ${url.pathname}`;
    const name = {
      'POST /v3.0/oa/message/cs': 'message',
      'GET /v3.0/oa/user/detail': 'profile',
      'POST /v4/oa/access_token': 'token',
      'POST /v2.0/oa/upload/image': 'upload_image',
      'POST /v2.0/oa/upload/gif': 'upload_gif',
      'POST /v2.0/oa/upload/file': 'upload_file',
    }[route];
    must(name !== undefined, 'no such address');
    must(rq.httpVersion === '1.1', 'HTTP/1.1');
    must(rq.headers['transfer-encoding'] === undefined, 'not in chunks');
    must(rq.headers.authorization === undefined, 'no Authorization');
    must(rq.headers.cookie === undefined, 'no cookies');

    // First the form of the request, so that a script cannot hide a fault.
    const what = this.#check(name, rq, url, body);
    this.calls.push({ name, at: Date.now(), body: what, headers: rq.headers });
    const step = this.scripts.get(name)?.shift() ?? {};
    if (step.error !== undefined)
      return json(rs, 200, { error: step.error,
        message: step.message ?? 'scripted' }, step.headers);
    if (step.status !== undefined) {
      rs.writeHead(step.status, { 'Content-Type': 'text/html' });
      rs.end(step.body ?? '<html>scripted</html>');
      return;
    }
    const does = step.accepted !== false;
    if (step.hang || step.drop) {
      if (does)
        this.#do(name, what, rq);
      if (step.drop)
        rq.socket.destroy();
      return;
    }
    const answer = this.#do(name, what, rq);
    if (step.noId)
      delete answer.data.message_id;
    if (step.after)
      await new Promise((go) => setTimeout(go, step.after));
    if (step.hold) {
      for (const look of this.waiters)
        look();
      await new Promise((go) => this.held.push(go));
    }
    if (step.truncate) {
      const text = JSON.stringify(answer);
      rs.writeHead(200, { 'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text) });
      rs.write(text.slice(0, text.length / 2),
        () => rq.socket.destroy());
      return;
    }
    json(rs, 200, answer);
  }

  // The request's own form; its content, read.
  #check(name, rq, url, body) {
    const h = rq.headers;
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
      must(body.length === 0, 'a GET has no body');
      const data = parse(url.searchParams.get('data'));
      same(Object.keys(data), ['user_id']);
      must(/^\d+$/.test(data.user_id), 'user_id');
      return data;
    }
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

  // What a well-formed request does, and its answer.
  #do(name, what, rq) {
    if (name === 'token')
      return this.#token(what);
    if (rq.headers.access_token !== this.accessToken)
      return { error: -216, message: 'Access token is invalid' };
    const n = String(++this.number).padStart(4, '0');
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

function parse(text) {
  try {
    const o = JSON.parse(text);
    must(o !== null && typeof o === 'object', 'an object');
    return o;
  } catch (e) {
    if (e instanceof Refused)
      throw e;
    throw new Refused('JSON');
  }
}

function same(got, want) {
  must(JSON.stringify(got) === JSON.stringify(want),
    `members ${got} instead of ${want}`);
}

function must(good, what) {
  if (!good)
    throw new Refused(what);
}

function json(rs, status, o, headers = {}) {
  const text = JSON.stringify(o);
  rs.writeHead(status, { 'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text), ...headers });
  rs.end(text);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const args = Object.fromEntries(process.argv.slice(2).join(' ').split('--')
    .filter(Boolean).map((a) => a.trim().split(/[ =]/)));
  const zalo = await startZalo({ port: Number(args.port ?? 4000),
    ...(args['oa-id'] && { oaId: args['oa-id'] }),
    ...(args['app-id'] && { appId: args['app-id'] }) });
  console.log(`ready ${zalo.url}`);
  let seen = 0;
  zalo.waiters.add(() => {
    for (const c of zalo.calls.slice(seen))
      console.log(c.name, JSON.stringify(c.body));
    seen = zalo.calls.length;
    for (const f of zalo.faults.splice(0))
      console.log('fault', f);
  });
}
