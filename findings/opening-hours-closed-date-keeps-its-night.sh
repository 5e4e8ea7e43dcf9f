#!/usr/bin/env bash
# A restaurant open every day 20:00-02:00 closes for one date: "Mo-Su 20:00-02:00; 2026 Dec 25 off" (OpenStreetMap's
# opening_hours, in which many directories take and publish hours).
# Guess: the service of 25 December does not take place, so 26 December 01:00 is closed and 25 December 01:00, the end of
# Christmas Eve's dinner, is open.
# Seen, opening-hours-py 2.1.4 and opening_hours (npm) 3.15.0 alike: the other way round. "off" is for the calendar day: it
# cuts short the night before, and 26 December 00:00-02:00 is open, the tail of a service that never began.
# So: a closed service date has to be exported as hours of the calendar day, not copied.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip -q install opening-hours-py==2.1.4
npm init -y >npm.log && npm install --silent opening_hours@3.15.0 >>npm.log 2>&1
cat >hours.py <<'PY'
from datetime import datetime
from opening_hours import OpeningHours
hours = OpeningHours("Mo-Su 20:00-02:00; 2026 Dec 25 off")
for day in (25, 26):
    print(f"python Dec {day} 01:00", str(hours.state(datetime(2026, 12, day, 1))[0]).split(".")[-1].lower())
PY
cat >hours.mjs <<'JS'
import OpeningHours from "opening_hours";
const hours = new OpeningHours("Mo-Su 20:00-02:00; 2026 Dec 25 off");
for (const day of [25, 26]) console.log(`npm Dec ${day} 01:00`, hours.getState(new Date(2026, 11, day, 1)) ? "open" : "closed");
JS
seen=$(venv/bin/python hours.py; node hours.mjs)
echo "$seen"
[ "$seen" = "python Dec 25 01:00 closed
python Dec 26 01:00 open
npm Dec 25 01:00 closed
npm Dec 26 01:00 open" ]
