// The worker with much to do: several accounts at once, each as fast as its
// platform lets it, and every conversation in its order.
//
// PARLEY_DELIVERIES is how many messages (200).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { Shop, sampleJson, until } from './lib/shop.js';
import { startZalo } from '../standin/zalo.js';
import { startTiktok } from '../standin/tiktok.js';

const ACCOUNTS = 4;
const CUSTOMERS = 10; // of each account
const EACH = Math.ceil(Number(process.env.PARLEY_DELIVERIES ?? 200) / ACCOUNTS / CUSTOMERS);
const AT_ONCE = 8; // what the adapter says of one account
const ANSWER_MS = 200;

test('accounts are sent to side by side, conversations in order', { timeout: 300_000 },
  async (t) => {
    const shop = await Shop.open({ worker_poll_ms: 50 });
    t.after(() => shop.close());
    const platforms = [];
    const users = [];
    for (let a = 0; a < ACCOUNTS; a++) {
      const zalo = await startZalo({ oaId: `252000000000000001${a}` });
      t.after(() => zalo.close());
      zalo.script('message', ...Array(CUSTOMERS * EACH).fill({ after: ANSWER_MS }));
      platforms.push(zalo);
      await shop.zalo(zalo.url, { oa_id: zalo.oaId });
      for (let c = 0; c < CUSTOMERS; c++) {
        users.push(`9${a}${c}`);
        await shop.customerSays(`9${a}${c}`, 'hi');
      }
    }
    for (const u of users) // the first makes the agent
      await shop.agentSays(u, `${u} says 0`);
    for (let n = 1; n < EACH; n++)
      await Promise.all(users.map((u) => shop.agentSays(u, `${u} says ${n}`)));

    const began = Date.now();
    shop.worker();
    await until(() => platforms.every((z) => z.sent.length >= CUSTOMERS * EACH),
      200_000, 'everything is sent');
    t.diagnostic(`${ACCOUNTS * CUSTOMERS * EACH} in ${Date.now() - began} ms`);
    await until(async () => await shop.one(
      "SELECT count(*) FROM deliveries WHERE state <> 'sent'") === 0);

    // Requests that were under way at the same moment.
    const most = (calls) => {
      const ends = calls.flatMap((c) => [[c.at, 1], [c.at + ANSWER_MS, -1]])
        .sort((x, y) => x[0] - y[0] || x[1] - y[1]);
      let now = 0, max = 0;
      for (const [, d] of ends)
        max = Math.max(max, now += d);
      return max;
    };
    const sends = platforms.map((z) => z.calls.filter((c) => c.name === 'message'));
    for (const calls of sends)
      assert.ok(most(calls) <= AT_ONCE, `${most(calls)} at once for one account`);
    assert.ok(most(sends.flat()) > AT_ONCE, 'accounts do not wait for each other');
    for (const [a, z] of platforms.entries()) {
      assert.deepEqual(z.faults, []);
      for (let c = 0; c < CUSTOMERS; c++)
        assert.deepEqual(z.sent.filter((m) => m.to === `9${a}${c}`).map((m) => m.text),
          Array.from({ length: EACH }, (_, n) => `9${a}${c} says ${n}`));
    }
  });

test('an account is asked no more in a second than its platform takes', async (t) => {
  const PER_S = 10, MESSAGES = 40, BURST = 3;
  const tiktok = await startTiktok();
  const shop = await Shop.open({ worker_poll_ms: 50 });
  t.after(async () => {
    await shop.close();
    await tiktok.close();
  });
  const { accounts } = await sampleJson('signatures.json');
  const { channel: platform, ...own } = accounts.tiktok;
  const channel = await shop.connect(platform, { ...own, api_base: tiktok.url });
  for (let c = 0; c < 4; c++) {
    const body = Buffer.from(JSON.stringify({ client_key: own.app_id, event: 'im_receive_msg',
      create_time: Math.floor(Date.now() / 1000), user_openid: tiktok.businessId,
      content: JSON.stringify({ timestamp: Date.now(), conversation_id: `t${c}`,
        message_id: `in${c}`, from_user: { id: `u${c}` }, to_user: { id: tiktok.businessId },
        from: `@u${c}`, type: 'text', text: { body: 'hi' } }) }));
    const at = Math.floor(Date.now() / 1000);
    const mac = createHmac('sha256', own.app_secret).update(`${at}.`).update(body).digest('hex');
    assert.equal((await shop.call('webhook.fcgi', 'POST', `/webhooks/tiktok/${channel}`,
      { body, headers: { 'Tiktok-Signature': `t=${at},s=${mac}` } })).status, 200);
    await until(() => shop.conversation(`t${c}`));
    await shop.agentSays(`t${c}`, `${c} says 0`);
  }
  for (let n = 1; n < MESSAGES / 4; n++)
    await Promise.all([0, 1, 2, 3].map((c) => shop.agentSays(`t${c}`, `${c} says ${n}`)));
  shop.worker();
  await until(() => tiktok.sent.length >= MESSAGES);
  // What the pace holds back cannot come earlier, however loaded we are; a
  // second is for the way of the first one.
  const took = tiktok.sent.at(-1).at - tiktok.sent[0].at;
  assert.ok(took >= (MESSAGES - BURST) / PER_S * 1000 - 1000, `${MESSAGES} in ${took} ms`);
  assert.deepEqual(tiktok.faults, []);
});
