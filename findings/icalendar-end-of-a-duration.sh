#!/usr/bin/env bash
# A booking of two hours as an iCalendar event with DTSTART 22:30 in America/Santiago and DURATION PT2H, in the night of
# 4 April 2026, when the clock goes from 24:00 back to 23:00. RFC 5545 counts hours of a duration as exact time.
# Guess: readers agree that it ends two hours after it began, at 03:30 UTC.
# Seen: node-ical 0.26.1 says 03:30 UTC; icalendar 7.3.2 (Python) and ical.js 2.2.1 add on the wall clock and say 04:30 UTC,
# three hours after the start.
# So: write DTEND, in UTC, never DURATION.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip -q install icalendar==7.3.2 tzdata==2026.6
npm init -y >npm.log && npm install --silent ical.js@2.2.1 node-ical@0.26.1 >>npm.log 2>&1
printf '%s\r\n' BEGIN:VCALENDAR VERSION:2.0 PRODID:-//finding// BEGIN:VTIMEZONE TZID:America/Santiago \
    BEGIN:STANDARD DTSTART:20260405T000000 TZOFFSETFROM:-0300 TZOFFSETTO:-0400 END:STANDARD \
    BEGIN:DAYLIGHT DTSTART:20250907T000000 TZOFFSETFROM:-0400 TZOFFSETTO:-0300 END:DAYLIGHT END:VTIMEZONE \
    BEGIN:VEVENT UID:1 DTSTAMP:20260101T000000Z 'DTSTART;TZID=America/Santiago:20260404T223000' DURATION:PT2H \
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
[ "$seen" = "icalendar 01:30 04:30
ical.js 01:30 04:30
node-ical 01:30 03:30" ]
