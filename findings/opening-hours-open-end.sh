#!/usr/bin/env bash
# "20:00+" (open from eight, until the last guests leave) is a legal opening_hours value that bars and restaurants use.
# Guess: two libraries of the same format agree on whether such a place is open at 23:00 and at 01:00.
# Seen: opening-hours-py 2.1.4 says open at 23:00 and closed from midnight on; opening_hours (npm) 3.15.0 says neither: its
# state is false and "unknown" is true, until 06:00 the next morning.
# So: never publish an open end; say the closing time.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip -q install opening-hours-py==2.1.4
npm init -y >npm.log && npm install --silent opening_hours@3.15.0 >>npm.log 2>&1
cat >hours.py <<'PY'
from datetime import datetime
from opening_hours import OpeningHours
hours = OpeningHours("20:00+")
for at in (datetime(2026, 11, 24, 23), datetime(2026, 11, 25, 1)):
    print(f"python {at:%H:%M}", str(hours.state(at)[0]).split(".")[-1].lower())
PY
cat >hours.mjs <<'JS'
import OpeningHours from "opening_hours";
const hours = new OpeningHours("20:00+");
for (const [day, hour] of [[24, 23], [25, 1]]) {
  const at = new Date(2026, 10, day, hour);
  console.log(`npm ${String(hour).padStart(2, "0")}:00 open=${hours.getState(at)} unknown=${hours.getUnknown(at)}`);
}
console.log("npm next change", hours.getNextChange(new Date(2026, 10, 24, 23)).getHours());
JS
seen=$(venv/bin/python hours.py; node hours.mjs)
echo "$seen"
[ "$seen" = "python 23:00 open
python 01:00 closed
npm 23:00 open=false unknown=true
npm 01:00 open=false unknown=true
npm next change 6" ]
