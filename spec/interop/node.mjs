// node.mjs PACKAGE: standardwebhooks or svix. Reads and answers the lines of cases.lua.
import { createInterface } from "node:readline";

const library = await import(process.argv[2]);
const Webhook = library.Webhook ?? library.default.Webhook;

function answer(what, secret, rest) {
  const webhook = new Webhook(secret);
  if (what === "sign") {
    const [id, timestamp, body] = rest;
    return webhook.sign(id, new Date(Number(timestamp) * 1000), Buffer.from(body, "hex").toString());
  }
  const [id, timestamp, signature, body] = rest;
  try {
    webhook.verify(Buffer.from(body, "hex").toString(), {
      "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature,
    });
    return "accept";
  } catch (error) {
    if (error.constructor.name !== "WebhookVerificationError") throw error;
    return "refuse";
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [what, name, secret, ...rest] = line.split("\t");
  console.log(`${name}\t${answer(what, secret, rest)}`);
}
