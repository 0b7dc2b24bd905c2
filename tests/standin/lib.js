// What the stand-ins for the platforms' APIs have in common: a server that
// takes what the documents say and nothing else, remembers each request that
// was wrong in `faults`, and meets the next requests as it was told to.
//
// A stand-in extends Standin and says
//   route(method, path, url)      the request's name, undefined: no such one
//   check(name, rq, url, body)    its content, read; must() what is demanded
//   act(name, what, rq, url)      does it, returns the answer: an object, or
//                                 reply(status, object, headers)
//   refusal(text, rq)             the answer to what is not well formed
//   scripted(step, name)          the answer for {error}
//   unnamed(answer)               takes the message's id out of an answer
//   scriptOf(name, content)       whose script it meets, if not the name's
//
// In a test:
//   const zalo = await startZalo();
//   zalo.script('message', { error: -32 }, { hang: true });   // for the next ones
//   … zalo.sent, zalo.calls, zalo.faults …
//   await zalo.close();
//
// A scripted behaviour, used once each, in order:
//   {error, …}         refuses with that error; headers: more headers
//   {status, body}     another status, a body that is not JSON; headers
//   {hang}             reads the request, never answers
//   {drop}             reads the request, cuts the connection
//   {truncate}         does it, cuts the answer in the middle
//   {hold}             does it, answers when release() is called
//   {after: ms}        does it, answers late
//   {noId}             does it, answers without a message id
// hang and drop do it too, unless accepted is false.
//
// What is not scripted may be met at random: meets = (name) => a behaviour, or
// nothing.  After close() it may listen(port) again: it knows what it accepted.
import http from 'node:http';
import { pathToFileURL } from 'node:url';

export class Refused extends Error {}

export function must(good, what) {
  if (!good)
    throw new Refused(what);
}

export function same(got, want) {
  must(JSON.stringify(got) === JSON.stringify(want),
    `members ${got} instead of ${want}`);
}

// The object that the text is.
export function parse(text) {
  let o;
  try {
    o = JSON.parse(text);
  } catch {
    throw new Refused('JSON');
  }
  must(o !== null && typeof o === 'object', 'an object');
  return o;
}

class Reply {
  constructor(status, body, headers = {}) {
    Object.assign(this, { status, body, headers });
  }
}

// An answer with a status of its own; a Buffer goes as it is.
export const reply = (status, body, headers) =>
  new Reply(status, body, headers);

export class Standin {
  constructor() {
    this.calls = [];   // {name, at, body, headers} of what was well formed
    this.sent = [];    // messages that were accepted: {id, to, text, message}
    this.faults = [];  // what was not well formed
    this.scripts = new Map();
    this.held = [];
    this.waiters = new Set();
    this.number = 0;
    this.server = http.createServer((rq, rs) => this.#take(rq, rs));
    this.server.keepAliveTimeout = 1000;
  }

  async listen(port = 0) {
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', () => {
        this.server.off('error', reject);
        resolve();
      });
    });
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  // What the next requests of that name meet.
  script(name, ...steps) {
    this.scripts.set(name, [...(this.scripts.get(name) ?? []), ...steps]);
  }

  scriptOf(name) {
    return name;
  }

  // Let the held answers go.
  release() {
    for (const go of this.held.splice(0))
      go();
  }

  // Resolves when `what(this)` is true; looks after each request.
  until(what, ms = 30000) {
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

  // The next id, with leading zeros.
  next() {
    return String(++this.number).padStart(4, '0');
  }

  #look() {
    for (const look of this.waiters)
      look();
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
      give(rs, this.refusal(e.message, rq));
    }
    this.#look();
  }

  async #answer(rq, rs, body) {
    const url = new URL(rq.url, 'http://x');
    const name = this.route(rq.method, url.pathname, url);
    must(name !== undefined, 'no such address');
    must(rq.httpVersion === '1.1', 'HTTP/1.1');
    must(rq.headers['transfer-encoding'] === undefined, 'not in chunks');
    must(rq.headers.cookie === undefined, 'no cookies');
    if (rq.method === 'GET')
      must(body.length === 0, 'a GET has no body');

    // First the form of the request, so that a script cannot hide a fault.
    const what = this.check(name, rq, url, body);
    this.calls.push({ name, at: Date.now(), body: what, headers: rq.headers });
    const step = this.scripts.get(this.scriptOf(name, what))?.shift() ??
      this.meets?.(name) ?? {};
    if (step.error !== undefined)
      return give(rs, this.scripted(step, name), step.headers);
    if (step.status !== undefined) {
      rs.writeHead(step.status, { 'Content-Type': 'text/html',
        ...step.headers });
      rs.end(step.body ?? '<html>scripted</html>');
      return;
    }
    if (step.hang || step.drop) {
      if (step.accepted !== false)
        this.act(name, what, rq, url);
      if (step.drop)
        rq.socket.destroy();
      return;
    }
    const answer = this.act(name, what, rq, url);
    if (step.noId)
      this.unnamed(answer);
    if (step.after)
      await new Promise((go) => setTimeout(go, step.after));
    if (step.hold) {
      this.#look();
      await new Promise((go) => this.held.push(go));
    }
    if (step.truncate)
      return cut(rq, rs, answer);
    give(rs, answer);
  }
}

const bytes = (o) => Buffer.isBuffer(o) ? o : Buffer.from(JSON.stringify(o));

function give(rs, answer, more = {}) {
  const { status, body, headers } = answer instanceof Reply ? answer
    : reply(200, answer);
  const text = bytes(body);
  rs.writeHead(status, { 'Content-Type': 'application/json',
    'Content-Length': text.length, ...headers, ...more });
  rs.end(text);
}

// Half of the answer, then nothing.
function cut(rq, rs, answer) {
  const text = bytes(answer instanceof Reply ? answer.body : answer);
  rs.writeHead(200, { 'Content-Type': 'application/json',
    'Content-Length': text.length });
  rs.write(text.subarray(0, text.length / 2), () => rq.socket.destroy());
}

// The stand-in as a program: node tests/standin/X.js [--port N] [--name value].
// Tells what it was asked, and what was wrong with it.
export async function asProgram(meta, port, start) {
  if (meta.url !== pathToFileURL(process.argv[1] ?? '').href)
    return;
  const args = Object.fromEntries(process.argv.slice(2).join(' ').split('--')
    .filter(Boolean).map((a) => a.trim().split(/[ =]/)));
  const it = await start({ ...args, port: Number(args.port ?? port) });
  console.log(`ready ${it.url}`);
  let seen = 0;
  it.waiters.add(() => {
    for (const c of it.calls.slice(seen))
      console.log(c.name, JSON.stringify(c.body));
    seen = it.calls.length;
    for (const f of it.faults.splice(0))
      console.log('fault', f);
  });
}
