// What a good HTTP client in Node does: undici's Pool, as many requests under way as it has connections.
//
//   node undici.mjs URL REQUESTS CONNECTIONS BODY-FILE
import { Pool } from 'undici';
import { check, measure, readBody } from './measure.mjs';

const [url, requests, connections, bodyFile] = process.argv.slice(2);
const { origin, pathname } = new URL(url);
const pool = new Pool(origin, { connections: Number(connections), pipelining: 1 });
const request = {
  path: pathname,
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    'x-strapi-event': 'entry.create',
    'user-agent': 'moonpost/0.1.0',
    'webhook-id': 'evt_0000000000000',
    'webhook-timestamp': '1700000000',
    'webhook-signature': 'v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  },
  body: readBody(bodyFile),
};

async function send() {
  let left = Number(requests);
  async function sender() {
    while (left > 0) {
      left -= 1;
      const { statusCode, body } = await pool.request(request);
      check(statusCode);
      await body.dump();
    }
  }
  await Promise.all(Array.from({ length: Number(connections) }, sender));
  return Number(requests);
}

await measure(send);
await pool.close();
