// Strapi's own way: five events at a time, the webhooks of an event one after the other, each a plain fetch with the
// payload encoded anew (its webhook runner's queue has a concurrency of 5).
//
//   node strapi_fetch.mjs BASE-URL EVENTS WEBHOOKS BODY-FILE
import { check, measure, readBody } from './measure.mjs';

const CONCURRENCY = 5;
const [base, events, webhooks, bodyFile] = process.argv.slice(2);
const payload = JSON.parse(readBody(bodyFile));

async function callWebhook(url) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Strapi-Event': 'entry.create' },
    body: JSON.stringify(payload),
  });
  check(response.status);
  await response.arrayBuffer();
}

async function send() {
  let left = Number(events);
  async function worker() {
    while (left > 0) {
      left -= 1;
      for (let i = 1; i <= Number(webhooks); i += 1) await callWebhook(base + i);
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return Number(events) * Number(webhooks);
}

await measure(send);
