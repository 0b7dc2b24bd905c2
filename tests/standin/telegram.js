// A stand-in for Telegram's Bot API, strict: it takes what the documents say
// and nothing else, and remembers each request that was wrong in `faults`.
//
//   node tests/standin/telegram.js [--port 4000] [--token …]
//
// Scripts (lib.js): the methods' names, and `file`; {error: code, text,
// retry_after} refuses with it.  Files that can be asked for: `files`, by id,
// {path, bytes}.
import { Standin, asProgram, must, parse, reply } from './lib.js';

export const TOKEN = '700000001:AAtest-token_0123456789';

// The members of each method that we know, the needed ones first.
const METHODS = {
  sendMessage: [['chat_id', 'text'], ['reply_parameters', 'reply_markup']],
  sendPhoto: [['chat_id', 'photo'],
    ['caption', 'reply_parameters', 'reply_markup']],
  sendAnimation: [['chat_id', 'animation'],
    ['caption', 'reply_parameters', 'reply_markup']],
  sendVideo: [['chat_id', 'video'],
    ['caption', 'reply_parameters', 'reply_markup']],
  sendAudio: [['chat_id', 'audio'],
    ['caption', 'reply_parameters', 'reply_markup']],
  sendDocument: [['chat_id', 'document'],
    ['caption', 'reply_parameters', 'reply_markup']],
  sendChatAction: [['chat_id', 'action'], []],
  answerCallbackQuery: [['callback_query_id'], []],
  getFile: [['file_id'], []],
  getChat: [['chat_id'], []],
  getMe: [[], []],
};

export const startTelegram = (options = {}) =>
  new Telegram(options).listen(options.port);

class Telegram extends Standin {
  constructor({ token = TOKEN, chats = {}, files = {} } = {}) {
    super();
    Object.assign(this, { token, chats, files });
  }

  route(method, path) {
    const [, place, bot, rest] =
      /^(\/file)?\/bot([^/]+)\/(.+)$/.exec(path) ?? [];
    must(/^\d+:[\w-]+$/.test(bot), 'a token');
    if (place)
      return method === 'GET' ? 'file' : undefined;
    return method === 'POST' && rest in METHODS ? rest : undefined;
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(url.search === '', 'no query');
    must(h.authorization === undefined, 'no Authorization');
    if (name === 'file')
      return decodeURIComponent(url.pathname.split('/').slice(3).join('/'));
    const upload = /^multipart\/form-data; boundary=(.+)$/
      .exec(h['content-type']);
    must(upload || h['content-type'] === 'application/json', 'Content-Type');
    const o = upload ? form(body, upload[1]) : parse(body);
    const [needed, more] = METHODS[name];
    for (const key of needed)
      must(o[key] !== undefined, `${name} without ${key}`);
    for (const key of Object.keys(o))
      must(needed.includes(key) || more.includes(key), `${name}: ${key}`);
    checkMembers(o);
    return o;
  }

  act(name, o, rq) {
    if (!rq.url.includes(`/bot${this.token}/`))
      return this.scripted({ error: 401, text: 'Unauthorized' });
    if (name === 'file') {
      const file = Object.values(this.files).find((f) => f.path === o);
      return file === undefined
        ? this.scripted({ error: 404, text: 'Not Found' })
        : reply(200, file.bytes, { 'Content-Type': 'application/octet-stream' });
    }
    if (name === 'getFile') {
      const file = this.files[o.file_id];
      return file === undefined
        ? this.scripted({ error: 400, text: 'Bad Request: invalid file_id' })
        : { ok: true, result: { file_id: o.file_id, file_unique_id: 'u',
          file_size: file.bytes.length, file_path: file.path } };
    }
    if (name === 'getChat') {
      const chat = this.chats[o.chat_id];
      return chat === undefined
        ? this.scripted({ error: 400, text: 'Bad Request: chat not found' })
        : { ok: true, result: { id: o.chat_id, type: 'private', ...chat } };
    }
    if (name === 'getMe')
      return { ok: true, result: { id: Number(this.token.split(':')[0]),
        is_bot: true, first_name: 'Shop over there', username: 'shop_bot' } };
    if (!name.startsWith('send') || name === 'sendChatAction')
      return { ok: true, result: true };
    const id = 100 + Number(this.next());
    this.sent.push({ id: `${o.chat_id}:${id}`, to: String(o.chat_id),
      text: o.text ?? o.caption, method: name, message: o, at: Date.now() });
    return { ok: true, result: { message_id: id, date: Date.now() / 1000 | 0,
      chat: { id: o.chat_id, type: 'private' },
      from: { id: 700000001, is_bot: true, first_name: 'Shop' } } };
  }

  refusal(text) {
    return this.scripted({ error: 400, text: `Bad Request: ${text}` });
  }

  scripted({ error, text = 'scripted', retry_after }) {
    return reply(error, { ok: false, error_code: error, description: text,
      ...(retry_after && { parameters: { retry_after } }) });
  }

  unnamed(answer) {
    delete answer.result.message_id;
  }
}

function checkMembers(o) {
  if (o.chat_id !== undefined)
    must(Number.isSafeInteger(o.chat_id), 'chat_id is a number');
  if (o.text !== undefined)
    must(typeof o.text === 'string' && o.text !== '' &&
      o.text.length <= 4096, 'text');
  if (o.caption !== undefined)
    must(typeof o.caption === 'string' && o.caption.length <= 1024, 'caption');
  if (o.reply_parameters !== undefined)
    must(Number.isSafeInteger(o.reply_parameters.message_id),
      'reply_parameters');
  for (const row of o.reply_markup?.inline_keyboard ?? [])
    for (const key of row)
      must(key.text && key.callback_data &&
        Buffer.byteLength(key.callback_data) <= 64, 'a button');
  for (const row of o.reply_markup?.keyboard ?? [])
    for (const key of row)
      must(key.text, 'a key');
}

// The fields of a multipart body; a file is {name, bytes}.
function form(body, boundary) {
  const o = {};
  for (const part of body.toString('latin1').split(`--${boundary}`)) {
    const [, head, value] = /^\r\n(.*?)\r\n\r\n(.*)\r\n$/s.exec(part) ?? [];
    if (head === undefined)
      continue;
    const name = /name="([^"]+)"/.exec(head)[1];
    const file = /filename="([^"]+)"/.exec(head);
    const bytes = Buffer.from(value, 'latin1');
    o[name] = file ? { name: file[1], bytes }
      : /^[{[]|^-?\d+$/.test(value) ? parseAny(String(bytes)) : String(bytes);
  }
  return o;
}

function parseAny(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

await asProgram(import.meta, 4000, startTelegram);
