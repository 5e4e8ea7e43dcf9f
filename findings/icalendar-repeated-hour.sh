#!/usr/bin/env bash
# A dinner at 23:00 in America/Santiago on 4 April 2026, the night in which the clock shows 23:00 twice (02:00 and 03:00 UTC).
# RFC 5545, 3.3.5: a local time that occurs twice means the first time.
# Guess: readers of an iCalendar event agree on it.
# Seen: icalendar 7.3.2 (Python) says 02:00 UTC, ical.js 2.2.1 and node-ical 0.26.1 say 03:00 UTC: the guest's calendar shows the
# dinner an hour late, and an hour shorter.
# So: write the instants of an exported booking in UTC.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip -q install icalendar==7.3.2 tzdata==2026.6
npm init -y >npm.log && npm install --silent ical.js@2.2.1 node-ical@0.26.1 >>npm.log 2>&1
printf '%s\r\n' BEGIN:VCALENDAR VERSION:2.0 PRODID:-//finding// BEGIN:VTIMEZONE TZID:America/Santiago \
    BEGIN:STANDARD DTSTART:20260405T000000 TZOFFSETFROM:-0300 TZOFFSETTO:-0400 END:STANDARD \
    BEGIN:DAYLIGHT DTSTART:20250907T000000 TZOFFSETFROM:-0400 TZOFFSETTO:-0300 END:DAYLIGHT END:VTIMEZONE \
    BEGIN:VEVENT UID:1 DTSTAMP:20260101T000000Z 'DTSTART;TZID=America/Santiago:20260404T230000' 'DTEND;TZID=America/Santiago:20260405T003000' \
    END:VEVENT END:VCALENDAR >dinner.ics
cat >read.py <<'PY'
from datetime import timezone
from pathlib import Path
from icalendar import Calendar
event = Calendar.from_ical(Path("dinner.ics").read_bytes()).walk("VEVENT")[0]
print("icalendar", *(f"{at.astimezone(timezone.utc):%H:%M}" for at in (event.start, event.end)))
PY
cat >read.mjs <<'JS'
import fs from "node:fs";
import ICAL from "ical.js";
import nodeIcal from "node-ical";
const text = fs.readFileSync("dinner.ics", "utf8");
const clock = (date) => date.toISOString().slice(11, 16);
const root = new ICAL.Component(ICAL.parse(text));
ICAL.TimezoneService.register(root.getFirstSubcomponent("vtimezone"));
const event = new ICAL.Event(root.getFirstSubcomponent("vevent"));
console.log("ical.js", clock(event.startDate.toJSDate()), clock(event.endDate.toJSDate()));
const other = Object.values(nodeIcal.sync.parseICS(text)).find((part) => part.type === "VEVENT");
console.log("node-ical", clock(other.start), clock(other.end));
JS
seen=$(venv/bin/python read.py; TZ=UTC node read.mjs)
echo "$seen"
[ "$seen" = "icalendar 02:00 04:30
ical.js 03:00 04:30
node-ical 03:00 04:30" ]
