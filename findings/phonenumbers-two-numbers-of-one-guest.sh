#!/usr/bin/env bash
# One guest, one mobile, written in the ways that people of the country write it.
# Guess: E.164 by phonenumbers is one string for one telephone, so it can be the key by which a guest is recognised.
# Seen, phonenumbers 9.0.43. Argentina: "011 15-2345-6789" becomes +5491123456789 and "+54 11 2345-6789" +541123456789, both
# valid, and is_number_match calls them a short match only. Mexico: the 1 that mobiles carried until 2019 stays, so
# "+52 1 55 1234 5678" becomes +5215512345678, which is not valid, beside the valid +525512345678; "044 55 1234 5678", the
# former local way, becomes +520445512345678.
# So: recognise a guest by more than E.164, and do not refuse a number for not being valid.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip -q install phonenumbers==9.0.43
cat >numbers.py <<'PY'
import phonenumbers as p
for country, typed in (
    ("AR", "011 15-2345-6789"), ("AR", "+54 11 2345-6789"),
    ("MX", "+52 1 55 1234 5678"), ("MX", "+52 55 1234 5678"), ("MX", "044 55 1234 5678"),
):
    number = p.parse(typed, country)
    print(country, typed, p.format_number(number, p.PhoneNumberFormat.E164), p.is_valid_number(number))
print("AR", p.MatchType.to_string(p.is_number_match("+5491123456789", "+541123456789")))
PY
seen=$(venv/bin/python numbers.py)
echo "$seen"
[ "$seen" = "AR 011 15-2345-6789 +5491123456789 True
AR +54 11 2345-6789 +541123456789 True
MX +52 1 55 1234 5678 +5215512345678 False
MX +52 55 1234 5678 +525512345678 True
MX 044 55 1234 5678 +520445512345678 False
AR SHORT_NSN_MATCH" ]
