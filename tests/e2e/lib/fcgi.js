// A FastCGI client: one request, one connection, as a web server makes them.
// Also the same request as plain CGI. Both answer {status, headers, body,
// text, json}, so that a test can talk to a program with nothing in front.

import net from 'node:net';
import { spawn } from 'node:child_process';

const BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6;

function record(type, body, keep) {
  const out = [];
  for (let at = 0; at < body.length || (keep && at === 0); at += 65528) {
    const part = body.subarray(at, at + 65528);
    const head = Buffer.alloc(8);
    head[0] = 1;
    head[1] = type;
    head.writeUInt16BE(1, 2);
    head.writeUInt16BE(part.length, 4);
    out.push(head, part);
  }
  return Buffer.concat(out);
}

function length(n) {
  if (n < 128)
    return Buffer.from([n]);
  const b = Buffer.alloc(4);
  b.writeUInt32BE((n | 0x80000000) >>> 0);
  return b;
}

function pairs(params) {
  const out = [];
  for (const [name, value] of Object.entries(params)) {
    const n = Buffer.from(name), v = Buffer.from(String(value));
    out.push(length(n.length), length(v.length), n, v);
  }
  return Buffer.concat(out);
}

// The parameters a web server would give for this request.
export function params(method, url, { headers = {}, body, addr, extra } = {}) {
  const query = url.includes('?') ? url.slice(url.indexOf('?') + 1) : '';
  const out = {
    GATEWAY_INTERFACE: 'CGI/1.1', SERVER_PROTOCOL: 'HTTP/1.1',
    REQUEST_METHOD: method, REQUEST_URI: url, QUERY_STRING: query,
    SCRIPT_NAME: url.split('?')[0], REMOTE_ADDR: addr ?? '127.0.0.1',
    SERVER_NAME: 'localhost', HTTP_HOST: 'localhost',
  };
  if (body !== undefined)
    out.CONTENT_LENGTH = body.length;
  for (const [name, value] of Object.entries(headers)) {
    const upper = name.toUpperCase().replaceAll('-', '_');
    out[upper === 'CONTENT_TYPE' ? upper : 'HTTP_' + upper] = value;
  }
  return { ...out, ...extra };
}

// A CGI answer taken apart.
export function answer(bytes) {
  let end = bytes.indexOf('\r\n\r\n'), gap = 4;
  if (end < 0) {
    end = bytes.indexOf('\n\n');
    gap = 2;
  }
  if (end < 0)
    throw new Error(`no head in ${bytes.length} bytes of answer`);
  const headers = {};
  const cookies = [];
  for (const line of bytes.subarray(0, end).toString().split(/\r?\n/)) {
    const at = line.indexOf(':');
    const name = line.slice(0, at).toLowerCase();
    const value = line.slice(at + 1).trim();
    if (name === 'set-cookie')
      cookies.push(value);
    headers[name] = value;
  }
  const body = bytes.subarray(end + gap);
  const got = { status: parseInt(headers.status ?? '200', 10), headers,
    cookies, body, text: body.toString() };
  if ((headers['content-type'] ?? '').startsWith('application/json') &&
      body.length > 0)
    got.json = JSON.parse(got.text);
  return got;
}

// A request as far as its body, for those who go on by hand; input(bytes) is
// a piece of that.
export const opening = (env) => Buffer.concat([
  record(BEGIN, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])),
  record(PARAMS, pairs(env)), record(PARAMS, Buffer.alloc(0), true)]);
export const input = (bytes) => record(STDIN, bytes, true);

// One request to the FastCGI program behind `socket`.
export function fcgi(socket, env, body = Buffer.alloc(0)) {
  return new Promise((resolve, reject) => {
    const c = net.connect(socket);
    const out = [];
    let rest = Buffer.alloc(0), done = false;
    c.setTimeout(60000, () => c.destroy(new Error('no answer in 60 s')));
    c.on('error', reject);
    c.on('close', () => done || reject(new Error('closed without an answer')));
    c.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 8) {
        const len = rest.readUInt16BE(4), pad = rest[6];
        if (rest.length < 8 + len + pad)
          return;
        const type = rest[1];
        if (type === STDOUT)
          out.push(rest.subarray(8, 8 + len));
        rest = rest.subarray(8 + len + pad);
        if (type === END) {
          done = true;
          c.end();
          try {
            resolve(answer(Buffer.concat(out)));
          } catch (e) {
            reject(e);
          }
          return;
        }
      }
    });
    c.write(Buffer.concat([opening(env), record(STDIN, body),
      input(Buffer.alloc(0))]));
  });
}

// The same request to the program run as plain CGI.
export function cgi(program, env, body = Buffer.alloc(0)) {
  return new Promise((resolve, reject) => {
    const p = spawn(program, [], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    const out = [];
    p.on('error', reject);
    p.stdin.on('error', () => {}); // answered before it read the body
    p.stdout.on('data', (chunk) => out.push(chunk));
    p.on('close', (code, signal) => {
      if (code !== 0)
        return reject(new Error(`${program} ended by ${signal ?? code}`));
      try {
        resolve(answer(Buffer.concat(out)));
      } catch (e) {
        reject(e);
      }
    });
    p.stdin.end(body);
  });
}
