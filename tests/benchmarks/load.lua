-- wrk's side: which requests to send, and one line of figures at the end.
local mode = os.getenv("BENCH_MODE")
local headers = { ["Content-Type"] = "application/json" }
local key = os.getenv("BENCH_KEY")
if key and key ~= "" then headers["X-API-Key"] = key end

local function get(path) return wrk.format("GET", path, headers) end
local discover = get("/api/v1/woki/discover?restaurantId=B30&sectorId=B30S&date=2027-03-10&partySize=4&duration=90")
local fixed = {
  bare = get("/health/live"),
  view = get("/bare"),
  known = get("/known"),
  discover5 = get("/api/v1/woki/discover?restaurantId=B5&sectorId=B5S&date=2027-03-10&partySize=4&duration=90"),
  discover30 = discover,
  list = get("/api/v1/woki/bookings?restaurantId=B30&sectorId=B30S&date=2027-03-10"),
  one = get("/api/v1/woki/bookings/" .. (os.getenv("BENCH_BOOKING") or "")),
}

-- Bookings go to a year of days in turn, so that each finds a table and locks rarely meet.
local count = tonumber(os.getenv("BENCH_FIRST") or "0")
local function create()
  count = count + 1
  local day = (count * 79) % 400
  local date = os.date("!%Y-%m-%d", 1862000000 + day * 86400)
  local body = string.format(
    '{"restaurantId":"B30","sectorId":"B30S","partySize":%d,"durationMinutes":90,"date":"%s"}', 2 + count % 5, date)
  return wrk.format("POST", "/api/v1/woki/bookings", headers, body)
end

local turn = 0
function request()
  if mode == "create" then return create() end
  if mode == "mixed" then
    turn = (turn + 1) % 10
    if turn == 0 then return create() end
    if turn == 5 then return fixed.list end
    return discover
  end
  return fixed[mode]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("BENCH %d %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
