// A small event log behind SSE, WebSocket and polling, for the tests of
// www/js: it is strict about what clients ask, and can be told to misbehave in
// every way that proxies and dying servers do.  It is no model of pushd; the
// built programs are tested by the other stories.
import http from 'node:http';
import crypto from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { freePort } from './harness.js';

// Browsers have it, node before 19 does not.
globalThis.crypto ??= crypto.webcrypto;

const WWW = new URL('../../../www/', import.meta.url);
const TYPES = { js: 'text/javascript', css: 'text/css', html: 'text/html',
  svg: 'image/svg+xml' };

export class LogServer {
  head = Date.now() * 1;
  log = [];
  floor = 0;
  messages = [];       // what was stored, in order
  asked = [];          // 'GET /path' of every request
  streams = new Set(); // { kind, send(event), close() }
  faults = { ws: null, sse: null, poll: null, post: [] };
  poll_ms = 50;
  pages = new Map();   // path -> HTML
  errors = [];         // what a strict server would not have taken
  typing = [];
  reads = [];

  async listen(port) {
    port ??= await freePort(); // ours, also while it is closed
    this.sockets = new Set();
    this.http = http.createServer((rq, rs) => this.request(rq, rs));
    this.http.on('upgrade', (rq, s) => this.upgrade(rq, s));
    this.http.on('connection', (s) => {
      this.sockets.add(s);
      s.on('close', () => this.sockets.delete(s));
      s.on('error', () => {});
    });
    await new Promise((done) => this.http.listen(port, '127.0.0.1', done));
    this.port = this.http.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  // As if killed: every connection is cut, the port is closed.
  async close() {
    for (const s of this.sockets)
      s.destroy();
    await new Promise((done) => this.http.close(done));
  }

  count(what) {
    return this.asked.filter((a) => a.startsWith(what)).length;
  }

  publish(type, data) {
    const prev = this.head;
    this.head = Math.max(Date.now(), prev + 1);
    const e = { id: String(this.head), type, data, timestamp: this.head };
    this.log.push(e);
    for (const s of this.streams)
      s.send(e);
    return e;
  }

  ephemeral(type, data) {
    for (const s of this.streams)
      s.send({ type, data, timestamp: Date.now() });
  }

  cut(kind) {
    for (const s of this.streams)
      if (!kind || s.kind === kind)
        s.close();
  }

  since(cursor) {
    if (!/^\d{1,16}$/.test(cursor))
      this.errors.push(`cursor ${cursor}`);
    if (Number(cursor) < this.floor || Number(cursor) > this.head)
      return [{ type: 'reset', data: { epoch: 'e', oldest: String(this.floor),
        latest: String(this.head) } }];
    return this.log.filter((e) => Number(e.id) > Number(cursor));
  }

  cors(rq) {
    const origin = rq.headers.origin;
    return origin ? { 'Access-Control-Allow-Origin': origin,
      'Access-Control-Allow-Headers':
        'Authorization, Cache-Control, Content-Type, Last-Event-ID',
      'Access-Control-Allow-Methods': 'GET, POST, PATCH, DELETE',
      Vary: 'Origin' } : {};
  }

  async request(rq, rs) {
    const url = new URL(rq.url, 'http://x');
    this.asked.push(`${rq.method} ${rq.url}`);
    const say = (status, body, headers = {}) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      rs.writeHead(status, { 'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text), ...this.cors(rq),
        ...headers });
      rs.end(text);
    };
    let body = '';
    for await (const chunk of rq)
      body += chunk;
    if (rq.method === 'OPTIONS')
      return say(204);
    if (url.pathname === '/api/events/stream')
      return this.sse(rq, rs, say);
    if (url.pathname === '/api/events/poll')
      return this.poll(rq, rs, url, say);
    if (url.pathname.startsWith('/api/'))
      return this.api(rq, rs, url, body && JSON.parse(body), say);
    return this.file(url.pathname, rs);
  }

  async file(path, rs) {
    const type = TYPES[path.split('.').pop()] ?? 'text/html';
    rs.setHeader('Content-Type', type + '; charset=utf-8');
    rs.setHeader('Access-Control-Allow-Origin', '*');
    if (type === 'text/html')
      rs.setHeader('Content-Security-Policy', this.csp ??
        "default-src 'none'; script-src 'self'; style-src 'self';" +
        " img-src 'self'; connect-src *");
    try {
      const name = path === '/widget.js' ? 'js/widget.js' : path.slice(1);
      rs.end(this.pages.get(path) ?? await readFile(new URL(name, WWW)));
    } catch {
      rs.statusCode = 404;
      rs.end();
    }
  }

  authorised(rq) {
    return !this.token || rq.headers.authorization === `Bearer ${this.token}`;
  }

  sse(rq, rs, say) {
    const fault = this.faults.sse;
    if (typeof fault === 'number')
      return say(fault, { error: 'x' });
    if (!this.authorised(rq))
      return say(401, { success: false });
    rs.writeHead(200, { 'Content-Type': 'text/event-stream', ...this.cors(rq) });
    rs.flushHeaders();
    if (fault === 'silent')
      return undefined;
    if (fault === 'down')
      return rs.end('retry: 3000\n\n');
    const cursor = rq.headers['last-event-id'];
    let queue = Buffer.alloc(0), busy = false;
    // Bytes leave in pieces that respect nothing.
    const drip = () => {
      if (busy || queue.length === 0 || rs.destroyed)
        return;
      busy = true;
      const n = 1 + Math.floor(Math.random() * 60);
      rs.write(queue.subarray(0, n), () => {
        busy = false;
        setImmediate(drip);
      });
      queue = queue.subarray(n);
    };
    const write = (text) => {
      queue = Buffer.concat([queue, Buffer.from(text)]);
      drip();
    };
    const frame = (e) => {
      const { id, ...rest } = e;
      return (id ? `id: ${id}\n` : '') +
        `data: ${JSON.stringify(id ? { ...rest, id } : rest)}\n\n`;
    };
    const s = { kind: 'sse', close: () => rs.destroy(),
      end: () => rs.end(), raw: write,
      send: (e) => {
        write(frame(e));
        if (this.faults.double)
          write(frame(e));
      } };
    write(`retry: ${this.retry ?? 50}\n\n`);
    write((cursor === undefined ? `id: ${this.head}\n` : '') + 'data: ' +
      JSON.stringify({ type: 'connection', data: { status: 'connected' } }) +
      '\n\n');
    if (cursor !== undefined)
      this.since(cursor).forEach(s.send);
    this.streams.add(s);
    rs.on('close', () => this.streams.delete(s));
    return undefined;
  }

  poll(rq, rs, url, say) {
    if (typeof this.faults.poll === 'number')
      return say(this.faults.poll, { success: false });
    if (!this.authorised(rq))
      return say(401, { success: false });
    const after = url.searchParams.get('after');
    let events = after === null ? [] : this.since(after);
    const more = events.length > 3;
    if (more)
      events = events.slice(0, 3);
    const cursor = more ? events.at(-1).id : String(this.head);
    const etag = `"${cursor}"`;
    if (events.length === 0 && rq.headers['if-none-match'] === etag)
      return say(304);
    return say(200, { success: true, events, cursor, more,
      timestamp: Number(cursor), next_poll_ms: this.poll_ms },
    { ETag: etag });
  }

  api(rq, rs, url, json, say) {
    const [, conversation, what] =
      /^\/api\/conversations\/(\w+)\/(\w+)$/.exec(url.pathname) ?? [];
    if (rq.method === 'POST' && url.pathname === '/api/widget/session')
      return this.session(rq, json, say);
    if (!this.authorised(rq))
      return say(401, { error: 'no', code: 'unauthorized' });
    if (rq.method === 'POST' && what === 'typing') {
      this.typing.push(json.typing);
      return say(200, {});
    }
    if (rq.method === 'POST' && what === 'read') {
      this.reads.push(json.message_id);
      return say(200, {});
    }
    if (rq.method === 'GET' && what === 'messages') {
      const all = this.messages.filter((m) =>
        m.conversation_id === conversation).reverse();
      const before = url.searchParams.get('before');
      const from = before ? all.findIndex((m) => m.id === before) + 1 : 0;
      const n = Number(url.searchParams.get('limit') ?? 50);
      const items = all.slice(from, from + n);
      return say(200, { items, cursor: String(this.head),
        next: from + n < all.length ? items.at(-1).id : null });
    }
    if (rq.method === 'POST' && what === 'messages')
      return this.post(rq, rs, conversation, json, say);
    return say(404, { error: 'none', code: 'not_found' });
  }

  session(rq, json, say) {
    this.token ??= 'pc1.secret';
    this.sessions = (this.sessions ?? 0) + 1;
    return say(201, { token: this.token, resume_url: this.url + '/chat/r',
      customer: { id: '9', name: json.name ?? null },
      conversation: { id: '12', type: 'customer', status: 'open' } });
  }

  post(rq, rs, conversation, json, say) {
    if (typeof json.client_id !== 'string' || json.client_id.length < 16)
      this.errors.push(`client_id ${json.client_id}`);
    const fault = this.faults.post.shift();
    if (typeof fault === 'number')
      return say(fault, { error: 'No.', code: 'nope' },
        fault === 429 ? { 'Retry-After': '0' } : {});
    if (fault === 'lost')
      return rs.destroy();
    let m = this.messages.find((x) => x.client_id === json.client_id);
    if (!m)
      m = this.store(conversation, 'customer', json.content, json.client_id);
    if (fault === 'stored')
      return rs.destroy();
    if (fault === 'empty') {
      rs.writeHead(201, this.cors(rq));
      return rs.end();
    }
    if (fault === 'torn') {
      rs.writeHead(201, { 'Content-Length': 500, ...this.cors(rq) });
      rs.write('{"id":"1","client_id":');
      return setTimeout(() => rs.destroy(), 20);
    }
    if (fault === 'foreign')
      return say(201, { ...m, client_id: 'another' });
    return say(201, m);
  }

  store(conversation, kind, content, client_id = null) {
    const m = { id: String(100 + this.messages.length),
      conversation_id: conversation, content, client_id,
      sender: { kind, id: '5', name: kind === 'agent' ? 'Lan' : 'Khách' },
      type: kind === 'agent' ? 'outgoing' : 'incoming', kind: 'text',
      status: 'sent', attachments: [], reactions: [],
      created_at: Date.now(), edited_at: null, deleted_at: null };
    this.messages.push(m);
    this.publish('new_message', m);
    return m;
  }

  // ---- WebSocket, as much of it as a browser and a live chat need ----

  upgrade(rq, socket) {
    const fault = this.faults.ws;
    this.asked.push(`WS ${rq.url}`);
    if (typeof fault === 'number') {
      socket.end(`HTTP/1.1 ${fault} No\r\nContent-Length: 0\r\n` +
        'Connection: close\r\n\r\n');
      return;
    }
    if (rq.url !== '/ws/live-chat')
      this.errors.push(`ws ${rq.url}`);
    const accept = crypto.createHash('sha1').update(
      rq.headers['sec-websocket-key'] +
      '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
      `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    const write = (m) => {
      if (this.faults.ws === 'silent' || socket.destroyed)
        return;
      const text = Buffer.from(JSON.stringify(m));
      const h = text.length < 126 ? Buffer.from([0x81, text.length]) :
        Buffer.from([0x81, 126, text.length >> 8, text.length & 255]);
      socket.write(Buffer.concat([h, text]));
    };
    const say = (type, payload, id) => write({ type, payload,
      timestamp: new Date().toISOString(), ...(id ? { id } : {}) });
    const s = { kind: 'ws', close: () => socket.destroy(),
      send: (e) => {
        say(e.type, e.data, e.id);
        if (this.faults.double)
          say(e.type, e.data, e.id);
      } };
    let rest = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        if (rest.length < 6)
          return;
        let len = rest[1] & 127, at = 2;
        if ((rest[1] & 128) === 0)
          this.errors.push('unmasked');
        if (len === 126) {
          len = rest.readUInt16BE(2);
          at = 4;
        }
        if (rest.length < at + 4 + len)
          return;
        const mask = rest.subarray(at, at + 4);
        const body = Buffer.from(rest.subarray(at + 4, at + 4 + len));
        body.forEach((b, i) => (body[i] = b ^ mask[i % 4]));
        const op = rest[0] & 15;
        rest = rest.subarray(at + 4 + len);
        if (op === 8) {
          socket.end(Buffer.from([0x88, 0]));
          return;
        }
        if (op === 1)
          this.wsMessage(JSON.parse(body.toString()), s, say, socket);
      }
    });
    socket.on('close', () => this.streams.delete(s));
  }

  wsMessage(m, s, say, socket) {
    if (m.type === 'ping')
      return say('pong', {});
    if (m.type !== 'auth') {
      this.errors.push(`ws said ${m.type}`);
      return undefined;
    }
    const { token, cursor, events } = m.payload;
    if (this.token && token !== this.token) {
      say('auth_error', { message: 'no' });
      return socket.end(Buffer.from([0x88, 2, 1008 >> 8, 1008 & 255]));
    }
    if (events !== 'all')
      this.errors.push(`events ${events}`);
    say('auth_success', cursor === undefined ?
      { userId: '9', cursor: String(this.head) } : { userId: '9' });
    if (cursor !== undefined)
      this.since(cursor).forEach(s.send);
    this.streams.add(s);
    return undefined;
  }
}
