// Meta's side of a shop: its accounts, each with its stand-in, and what they
// post.
import { metaSign } from '../../standin/facebook.js';

let n = 0;

export class MetaSide {
  // `api`: the stand-in; `settings` without the addresses.
  static async connect(shop, platform, prefix, api, settings) {
    const side = Object.assign(new MetaSide(), { shop, platform, api,
      secret: settings.app_secret });
    side.channel = await shop.connect(platform, { ...settings,
      [`${prefix}_api_base`]: api.url }, `Shop ${platform}`);
    side.path = `/webhooks/${platform}/${side.channel}`;
    return side;
  }

  // Exact bytes, well signed unless told otherwise (null: not at all).
  post(body, { signature = metaSign(body, this.secret), path = this.path,
    addr } = {}) {
    return this.shop.call('webhook.fcgi', 'POST', path, { body, addr,
      headers: signature === null ? {}
        : { 'X-Hub-Signature-256': signature } });
  }

  async events(...events) {
    const got = await this.post(this.api.body(...events));
    if (got.status !== 200)
      throw new Error(`webhook: ${got.status}`);
  }

  // A customer writes: the message's id.
  async says(user, text) {
    const id = `m_in${++n}`;
    await this.events(this.api.from(user, { message: { mid: id, text } }));
    return id;
  }
}
