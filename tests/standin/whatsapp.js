// A stand-in for WhatsApp's Cloud API, strict: see lib.js.
//
//   node tests/standin/whatsapp.js [--port 4002]
//
// Scripts: message (seen and typing, too), media, file, account; {error: 190, subcode,
// message, code} refuses in Meta's words.  `files` holds what customers sent:
// id to bytes.
import { Standin, asProgram, must, parse, reply, same } from './lib.js';
import { metaError } from './facebook.js';

export const startWhatsapp = (options = {}) =>
  new Whatsapp(options).listen(options.port);

class Whatsapp extends Standin {
  constructor({ numberId = '106540352242922', token = 'wa-sample-token',
    version = 'v25.0', files = {} }) {
    super();
    Object.assign(this, { numberId, token, version, files });
  }

  route(method, path) {
    const [, version, id, edge, more] = path.split('/');
    if (method === 'GET' && version === 'file' && edge === undefined)
      return 'file';
    if (version !== this.version || more !== undefined)
      return undefined;
    if (method === 'POST' && id === this.numberId && edge === 'messages')
      return 'message';
    if (method === 'GET' && id === this.numberId && edge === undefined)
      return 'account';
    return method === 'GET' && edge === undefined ? 'media' : undefined;
  }

  refusal(message) {
    return metaError(100, undefined, message);
  }

  scripted({ error, subcode, message = 'scripted', code }) {
    return metaError(error, subcode, message, code);
  }

  unnamed(answer) {
    delete answer.messages[0].id;
  }

  check(name, rq, url, body) {
    must(/^Bearer \S+$/.test(rq.headers.authorization ?? ''), 'Bearer');
    must(url.search === (name === 'account' ? '?fields=id,verified_name' : ''),
      'query');
    if (name !== 'message')
      return { id: url.pathname.split('/').pop() };
    must(rq.headers['content-type'] === 'application/json', 'Content-Type');
    const o = parse(body);
    must(o.messaging_product === 'whatsapp', 'messaging_product');
    if (o.status !== undefined) {
      const { typing_indicator: typing, ...seen } = o;
      same(Object.keys(seen), ['messaging_product', 'status', 'message_id']);
      must(o.status === 'read', 'status');
      if (typing !== undefined)
        same(typing, { type: 'text' });
      return o;
    }
    must(/^\d+$/.test(o.to), 'to');
    for (const key of Object.keys(o))
      must(['messaging_product', 'to', 'context', 'type', o.type].includes(key),
        key);
    if (o.context !== undefined)
      same(Object.keys(o.context), ['message_id']);
    checkContent(o.type, o[o.type]);
    return o;
  }

  act(name, what, rq) {
    if (rq.headers.authorization !== `Bearer ${this.token}`)
      return metaError(190, undefined, 'Error validating access token', 401);
    if (name === 'account')
      return { id: this.numberId, verified_name: 'Shop over there' };
    if (name === 'media')
      return this.files[what.id] === undefined
        ? metaError(100, 33, 'Unsupported get request')
        : { url: `${this.url}/file/${what.id}`, mime_type: 'image/jpeg',
          file_size: this.files[what.id].length, id: what.id,
          messaging_product: 'whatsapp' };
    if (name === 'file')
      return reply(this.files[what.id] ? 200 : 404,
        this.files[what.id] ?? Buffer.alloc(0));
    if (what.status !== undefined)
      return { success: true };
    const id = `wamid.OUT${this.next()}`;
    this.sent.push({ id, to: what.to, text: what.text?.body, message: what,
      at: Date.now() });
    return { messaging_product: 'whatsapp', contacts: [{ input: what.to,
      wa_id: what.to }], messages: [{ id }] };
  }

  // A webhook's body with this of the number: messages, statuses, contacts.
  body(value) {
    return Buffer.from(JSON.stringify({ object: 'whatsapp_business_account',
      entry: [{ id: '102290000000001', changes: [{ field: 'messages', value: {
        messaging_product: 'whatsapp', metadata: { display_phone_number:
          '84900000001', phone_number_id: this.numberId }, ...value } }] }] }));
  }

  // A customer's message; `what` is its type and that.
  from(user, what) {
    return { contacts: [{ profile: { name: `Customer ${user}` }, wa_id: user }],
      messages: [{ from: user, id: `wamid.IN${this.next()}`,
        timestamp: String(Math.floor(Date.now() / 1000)), ...what }] };
  }

  status({ id, to }, status, more) {
    return { statuses: [{ id, status, recipient_id: to,
      timestamp: String(Math.floor(Date.now() / 1000)), ...more }] };
  }
}

function checkContent(type, o) {
  must(['text', 'image', 'video', 'audio', 'document', 'sticker',
    'interactive'].includes(type), 'type');
  if (type === 'text') {
    same(Object.keys(o), ['body']);
    must(o.body.length > 0 && o.body.length <= 4096 &&
      o.body.isWellFormed?.() !== false, 'body');
  } else if (type === 'interactive') {
    same(Object.keys(o), ['type', 'body', 'action']);
    must(o.type === 'button' && o.body.text.length <= 1024, 'button');
    must(o.action.buttons.length >= 1 && o.action.buttons.length <= 3,
      'buttons');
    for (const b of o.action.buttons)
      must(b.type === 'reply' && b.reply.id.length <= 256 &&
        b.reply.title.length <= 20, 'reply');
  } else {
    must(/^https:\/\//.test(o.link), 'link');
    for (const key of Object.keys(o))
      must(['link', ...(type === 'audio' || type === 'sticker' ? []
        : ['caption']), ...(type === 'document' ? ['filename'] : [])]
        .includes(key), key);
  }
}

await asProgram(import.meta, 4002, startWhatsapp);
