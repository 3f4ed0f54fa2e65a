"""What JSON Schema cannot say of a webhook: its header names differ also without case, and are 8 KiB at most with their values;
a secret is at most 1,024 bytes long, a text of its auth 4,096; the files of its TLS are there."""

import schemathesis


def size(text):
    return len(text.encode("utf-8", "replace"))


@schemathesis.hook
def filter_case(context, case):
    body = case.body
    hub = body.get("hubSignature") if isinstance(body, dict) else None
    secret = hub.get("secret") if isinstance(hub, dict) else None
    if isinstance(secret, str) and len(secret) <= 1024 < size(secret):
        return False
    auth = body.get("auth") if isinstance(body, dict) else None
    if isinstance(auth, dict) and any(isinstance(text, str) and size(text) > 4096 for text in auth.values()):
        return False
    tls = body.get("tls") if isinstance(body, dict) else None
    if isinstance(tls, dict) and any(tls.get(name) is not None for name in ("ca", "cert", "key")):
        return False
    headers = body.get("headers") if isinstance(body, dict) else None
    if not isinstance(headers, dict):
        return True
    text = "".join(f"{name}{value}" for name, value in headers.items())
    return len({name.lower() for name in headers}) == len(headers) and size(text) <= 8192
