#!/usr/bin/env bash
# Signing a webhook with the moment it happened, an aware datetime in the restaurant's zone.
# Guess: the same instant gives the same signature, in whatever zone the datetime carries.
# Seen, standardwebhooks 1.1.0: sign() overwrites the zone with UTC. 12:00 UTC and 09:00 in Santiago, one instant, give two
# signatures, and the second is dated three hours early, so a receiver that checks the time refuses it; its own verify does.
# So: convert to UTC before signing.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip -q install standardwebhooks==1.1.0 tzdata==2026.6
cat >sign.py <<'PY'
from datetime import datetime, timezone
from zoneinfo import ZoneInfo
from standardwebhooks import Webhook, WebhookVerificationError
webhook = Webhook("whsec_c2VjcmV0IG9mIGEgcmVzdGF1cmFudCBpbiBTYW50aWFnbw==")
now = datetime.now(timezone.utc)
local = now.astimezone(ZoneInfo("America/Santiago"))
print("equal instants:", now == local, "equal signatures:", webhook.sign("msg", now, "{}") == webhook.sign("msg", local, "{}"))
for name, moment in (("UTC", now), ("Santiago", local)):
    headers = {"webhook-id": "msg", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": webhook.sign("msg", moment, "{}")}
    try:
        webhook.verify("{}", headers)
        print("signed in", name, "verifies")
    except WebhookVerificationError as error:
        print("signed in", name, "refused:", error)
PY
seen=$(venv/bin/python sign.py)
echo "$seen"
[ "$seen" = "equal instants: True equal signatures: False
signed in UTC verifies
signed in Santiago refused: No matching signature found" ]
