// Which tables a booking would have when it is carried over a table: one for one, a set as a set.

import { day, endOf, holds, usable } from './store.js';

const placed = (sector, ids) =>
  ids.map((id) => sector.tables.findIndex((table) => table.id === id)).sort((a, b) => a - b);
const same = (one, other) => one.length === other.length && one.every((id) => other.includes(id));

/** Whether the plan lets these tables of a sector be put together. The server decides; this is for what to point at. */
function mayJoin(sector, ids) {
  if (!ids.every(usable)) return false;
  if (sector.combos.some((combo) => same(combo, ids))) return true;
  if (ids.some((id) => !day.tables.get(id).combinable)) return false;
  if (!sector.joins.length) return true;
  const reached = new Set([ids[0]]);
  for (const id of reached) for (const other of ids) if (neighbours(sector, id).includes(other)) reached.add(other);
  return reached.size === ids.length;
}

const neighbours = (sector, id) => sector.joins.filter((pair) => pair.includes(id)).map(([a, b]) => (a === id ? b : a));

/** Every set of `size` tables with `id` in it that joins or that the plan names. */
function setsWith(sector, id, size) {
  let sets = [[id]];
  while (sets[0] && sets[0].length < size) {
    const grown = new Map();
    for (const set of sets) {
      for (const each of set.flatMap((member) => neighbours(sector, member))) {
        if (set.includes(each) || !day.tables.get(each)?.combinable) continue;
        const next = [...set, each].sort();
        grown.set(next.join('\n'), next);
      }
    }
    sets = [...grown.values()];
  }
  return [
    ...sets,
    ...sector.combos.filter((combo) => combo.length === size && combo.includes(id) && combo.every(usable)),
  ];
}

/**
 * The tables for a booking that was grabbed at one of its tables and is over `target`. A set keeps its
 * shape where its tables may join there, else it takes the nearest set of as many that may, else the
 * one table if that seats them all. What cannot be is handed back as it is, for the server to say why.
 */
export function setAt(booking, grabbed, target) {
  if (booking.tables.length === 1) return [target];
  const sector = day.data.sectors.find((each) => each.id === day.tables.get(target).sector);
  const home = day.data.sectors.find((each) => each.id === booking.sector);
  const own = placed(home, booking.tables);
  const [from] = placed(home, [grabbed]);
  const [to] = placed(sector, [target]);
  let wanted = own.map((at) => at - from + to);
  const over = Math.max(0, wanted.at(-1) - sector.tables.length + 1);
  const under = Math.max(0, -wanted[0]);
  wanted = wanted.map((at) => at - over + under);
  const shifted = wanted.map((at) => sector.tables[at]?.id);
  const whole = !shifted.includes(undefined);
  if (whole && mayJoin(sector, shifted)) return shifted;
  const cost = (set) => placed(sector, set).reduce((sum, at, index) => sum + Math.abs(at - wanted[index]), 0);
  const others = setsWith(sector, target, booking.tables.length).sort((a, b) => cost(a) - cost(b));
  if (others.length) return others[0];
  return !whole || seats([target], booking.party) ? [target] : shifted;
}

/** Whether they seat a party as far as the board can tell: combinations are the server's to judge. */
function seats(ids, party) {
  const table = day.tables.get(ids[0]);
  return ids.length > 1 || !table || (table.min <= party && party <= table.max);
}

/** The one booking that stands where `booking` would go, if the two could change tables; else null. */
export function partner(booking, target) {
  const end = target.start + booking.minutes * 60000;
  const there = [...day.bookings.values()].filter(
    (each) =>
      each.id !== booking.id &&
      holds(each) &&
      each.start < end &&
      endOf(each) > target.start &&
      each.tables.some((id) => target.tables.includes(id)),
  );
  const [other] = there;
  if (
    there.length !== 1 ||
    other.pending ||
    !['CONFIRMED', 'SEATED'].includes(other.status) ||
    same(other.tables, booking.tables)
  )
    return null;
  if (!booking.tables.every(usable)) return null;
  return seats(other.tables, booking.party) && seats(booking.tables, other.party) ? other : null;
}
