"""Reads and answers the lines of cases.lua."""
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def answer(what, secret, rest):
    webhook = Webhook(secret)
    if what == "sign":
        id, timestamp, body = rest
        return webhook.sign(id, datetime.fromtimestamp(int(timestamp), tz=timezone.utc), bytes.fromhex(body).decode())
    id, timestamp, signature, body = rest
    try:
        webhook.verify(
            bytes.fromhex(body),
            {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature},
        )
        return "accept"
    except WebhookVerificationError:
        return "refuse"


for line in sys.stdin:
    what, name, secret, *rest = line.rstrip("\n").split("\t")
    print(f"{name}\t{answer(what, secret, rest)}")
