#!/usr/bin/env bash
# "Mo-Su 12:00-16:00; PH off": lunch every day, closed on public holidays. Christmas Day in Chile.
# Guess: a library that is not told the country refuses to answer, and one that is told says closed.
# Seen, opening-hours-py 2.1.4: without a country "PH off" is dropped without a word and Christmas is open; with country="CL"
# it is closed. opening_hours (npm) 3.15.0, told the country, raises: it has no holidays of Chile.
# So: hours with public holidays travel only as dates.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip -q install opening-hours-py==2.1.4
npm init -y >npm.log && npm install --silent opening_hours@3.15.0 >>npm.log 2>&1
cat >hours.py <<'PY'
from datetime import datetime
from opening_hours import OpeningHours
for options in ({}, {"country": "CL"}):
    state = OpeningHours("Mo-Su 12:00-16:00; PH off", **options).state(datetime(2026, 12, 25, 13))[0]
    print("python", options.get("country", "no country"), str(state).split(".")[-1].lower())
PY
cat >hours.mjs <<'JS'
import OpeningHours from "opening_hours";
const place = { lat: -33.4, lon: -70.6, address: { country_code: "cl", state: "" } };
try {
  console.log("npm cl", new OpeningHours("Mo-Su 12:00-16:00; PH off", place).getState(new Date(2026, 11, 25, 13)));
} catch (error) {
  console.log("npm cl raises:", /no holidays \(PH\) defined for country cl/.test(String(error)) ? "no holidays of cl" : error);
}
JS
seen=$(venv/bin/python hours.py; node hours.mjs 2>/dev/null)
echo "$seen"
[ "$seen" = "python no country open
python CL closed
npm cl raises: no holidays of cl" ]
